//! Rows whose changes are written at the flush.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue, EntityTrait, IdenStatic, IntoActiveModel, Iterable, ModelTrait,
    Value,
};

use super::{
    rules::Rules,
    slot::{Fate, FateCell, Fated},
};
use crate::{
    convention::{
        ActorId, ConventionColumns, ExpectedVersion, Moment, current_actor, has_changes, is_null, on_behalf_of,
    },
    error::{Error, Result},
    session::{CallbackList, Session, core::Core, key},
};

/// A row whose changes are written at the next flush: only the columns whose value differs from the row's. It stays
/// tracked after the flush, until its session or transaction ends.
pub struct Edited<E: EntityTrait> {
    pub(super) cell: Arc<EditCell<E>>,
    pub(super) core: Arc<Core>,
    pub(super) scope: Option<u64>,
    pub(super) rules: Rules<E>,
}

impl<E> Edited<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    /// Changes a column.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when the value is not of the column's type, or the column is part of the primary key;
    /// [`Error::WriteUndone`] when the row's transaction was rolled back; [`Error::TransactionEnded`],
    /// [`Error::SessionClosed`].
    pub fn set(&self, column: E::Column, value: impl Into<Value>) -> Result<&Self> {
        let mut set = Ok(());
        let value = value.into();
        self.change(|active| set = active.try_set(column, value.clone()))?;
        set.map_err(|error| {
            Error::argument(column.as_str(), &value, format!("a value of the column's type ({error})"))
        })?;
        Ok(self)
    }

    /// Changes any number of columns. Those that `change` leaves unset stay as they are.
    ///
    /// # Errors
    ///
    /// Those of [`set`](Self::set); nothing is changed then.
    pub fn change(&self, change: impl FnOnce(&mut E::ActiveModel)) -> Result<&Self> {
        self.cell.check()?;
        self.core.lock().check_open(self.scope)?;
        let before = self.cell.lock().active.clone();
        let mut after = before.clone();
        // Without the lock: it may look at the handle.
        change(&mut after);
        self.cell.take_over(&before, &after)?;
        let mut state = self.core.lock();
        if let Some(queue) = state.queue(self.scope)
            && self.cell.is_changed()
            && !self.cell.set_queued(true)
            && let Some(batch) = queue.of::<E>()
        {
            batch.edits.push(Edit::new(self.cell.clone(), self.rules.clone()));
        }
        Ok(self)
    }

    /// Takes back what was changed since the last flush.
    pub fn discard(&self) {
        let mut row = self.cell.lock();
        row.active = row.loaded.clone().into_active_model();
    }

    /// The row with its changes: what the database gave when it was loaded or last flushed, and what was set since.
    ///
    /// # Errors
    ///
    /// [`Error::WriteUndone`] when changes were flushed in a transaction that was rolled back, or never flushed;
    /// [`Error::WriteUnknown`] when it is not known whether they were written.
    pub fn get(&self) -> Result<E::Model> {
        self.cell.check()?;
        let row = self.cell.lock();
        let mut model = row.loaded.clone();
        for column in E::Column::iter() {
            if let Some(value) = row.active.get(column).into_value() {
                model.try_set(column, value).map_err(Error::from)?;
            }
        }
        Ok(model)
    }
}

impl<E: EntityTrait> fmt::Debug for Edited<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.cell.is_changed() { "changed" } else { "unchanged" };
        write!(f, "Edited({}, {state})", E::default().table_name())
    }
}

/// A tracked row.
pub(super) struct EditCell<E: EntityTrait> {
    row: Mutex<Row<E>>,
    queued: AtomicBool,
    fate: FateCell,
}

struct Row<E: EntityTrait> {
    /// As it is in the database.
    loaded: E::Model,
    active: E::ActiveModel,
    /// Who changed it last.
    actor: Option<ActorId>,
}

impl<E: EntityTrait> EditCell<E> {
    pub(super) fn new(loaded: E::Model) -> Self
    where
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        let active = loaded.clone().into_active_model();
        let row = Mutex::new(Row { loaded, active, actor: None });
        Self { row, queued: AtomicBool::new(false), fate: FateCell::new(Fate::Written) }
    }

    fn lock(&self) -> MutexGuard<'_, Row<E>> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the values in which `after` differs from `before`.
    fn take_over(&self, before: &E::ActiveModel, after: &E::ActiveModel) -> Result<()> {
        let mut row = self.lock();
        for column in key::columns::<E>() {
            if let Some(value) = after.get(column).into_value()
                && value != row.loaded.get(column)
            {
                let expected = "the key that the row has; a key is not changed, insert another row instead";
                return Err(Error::argument(column.as_str(), value, expected));
            }
        }
        for column in E::Column::iter() {
            let value = after.get(column).into_value();
            if value != before.get(column).into_value() {
                match value {
                    Some(value) => row.active.try_set(column, value)?,
                    None => row.active.not_set(column),
                }
            }
        }
        row.actor = current_actor();
        Ok(())
    }

    fn check(&self) -> Result<()> {
        match self.fate.get() {
            Fate::Written | Fate::Pending => Ok(()),
            fate => Err(fate.to_error(E::default().table_name())),
        }
    }

    /// Says whether it is in the queue; under the queue's lock. Gives what was said before.
    pub(super) fn set_queued(&self, queued: bool) -> bool {
        self.queued.swap(queued, Ordering::Relaxed)
    }

    pub(super) fn is_changed(&self) -> bool {
        let row = self.lock();
        changes::<E>(&row).next().is_some()
    }
}

impl<E: EntityTrait> Fated for EditCell<E>
where
    E::Model: Sync,
    E::ActiveModel: Send,
{
    fn set_fate(&self, fate: Fate) {
        self.fate.set(fate);
    }
}

/// The columns whose value differs from the row's.
fn changes<E: EntityTrait>(row: &Row<E>) -> impl Iterator<Item = (E::Column, Value)> {
    E::Column::iter().filter_map(|column| {
        let value = row.active.get(column).into_value()?;
        (value != row.loaded.get(column)).then_some((column, value))
    })
}

/// A tracked row in the queue.
pub(super) struct Edit<E: EntityTrait> {
    pub(super) cell: Arc<EditCell<E>>,
    columns: ConventionColumns<E>,
    pub(super) callbacks: CallbackList<E>,
    /// The row and its changes when the flush under way began.
    began: Option<(E::Model, E::ActiveModel)>,
    /// What the flush under way sets; nothing else is `Set` in it.
    pub(super) sent: Option<E::ActiveModel>,
    /// What is to be called before the write was called.
    called: bool,
    /// The version that the row has to have.
    expected: Option<ExpectedVersion<E>>,
    /// The row as it was written.
    pub(super) result: Option<E::Model>,
}

impl<E: EntityTrait> Edit<E> {
    pub(super) fn new(cell: Arc<EditCell<E>>, rules: Rules<E>) -> Self {
        let Rules { columns, callbacks } = rules;
        Self { cell, columns, callbacks, began: None, sent: None, called: false, expected: None, result: None }
    }

    /// Takes what is changed.
    pub(super) fn make(&mut self, now: Moment) -> Result<()>
    where
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        if self.began.is_some() {
            return Ok(());
        }
        let (loaded, active, actor, mut sent) = {
            let row = self.cell.lock();
            let mut sent = row.loaded.clone().into_active_model();
            for (column, value) in changes::<E>(&row) {
                sent.try_set(column, value)?;
            }
            (row.loaded.clone(), row.active.clone(), row.actor.clone(), sent)
        };
        self.began = Some((loaded, active));
        if has_changes::<E>(&sent) {
            on_behalf_of(actor.as_ref(), || self.columns.stamp_update_at(now, &mut sent))?;
            self.sent = Some(sent);
        }
        Ok(())
    }

    /// Whether it has changes and nothing was called for it.
    pub(super) fn is_new(&self) -> bool {
        self.sent.is_some() && !self.called
    }

    /// Calls what the entity does before a write.
    pub(super) async fn prepare(&mut self, session: &Session) -> Result<()>
    where
        E::ActiveModel: Send,
    {
        if !self.is_new() {
            return Ok(());
        }
        let Some(sent) = self.sent.take() else { return Ok(()) };
        let mut sent = sent.before_save(session, false).await?;
        self.called = true;
        if !has_changes::<E>(&sent) {
            // What was called has taken the changes back.
            self.result = self.loaded().cloned();
            return Ok(());
        }
        self.expected = self.columns.expect_and_raise(&mut sent)?;
        self.sent = Some(sent);
        Ok(())
    }

    pub(super) fn is_sent(&self) -> bool {
        self.sent.is_some()
    }

    pub(super) fn saved(&self) -> bool {
        self.result.is_some()
    }

    /// The row as it was when the flush began.
    pub(super) fn loaded(&self) -> Option<&E::Model> {
        self.began.as_ref().map(|(loaded, _)| loaded)
    }

    /// The columns that are set, with their values.
    pub(super) fn sets(&self) -> Vec<(E::Column, Value)> {
        let Some(sent) = &self.sent else { return Vec::new() };
        let columns =
            E::Column::iter().filter(|column| !key::columns::<E>().any(|key| key.as_str() == column.as_str()));
        columns
            .filter_map(|column| match sent.get(column) {
                ActiveValue::Set(value) => Some((column, value)),
                ActiveValue::Unchanged(_) | ActiveValue::NotSet => None,
            })
            .collect()
    }

    /// Only a row that is not marked as deleted may be updated; unless it was so when it was loaded.
    pub(super) fn guard(&self) -> Option<E::Column> {
        let deleted_at = self.columns.deleted_at?;
        is_null(&self.loaded()?.get(deleted_at)).then_some(deleted_at)
    }

    /// The version that the row has to have; `None` without optimistic locking.
    pub(super) fn expected(&self) -> Option<&ExpectedVersion<E>> {
        self.expected.as_ref()
    }

    /// Makes the written row the handle's. What was changed while the flush was under way stays a change.
    pub(super) fn publish(&self) -> Option<E::Model>
    where
        E::Model: IntoActiveModel<E::ActiveModel>,
    {
        let written = self.result.clone()?;
        let (_, began) = self.began.as_ref()?;
        let mut row = self.cell.lock();
        let mut active = written.clone().into_active_model();
        for column in E::Column::iter() {
            if let Some(value) = row.active.get(column).into_value()
                && began.get(column).into_value().as_ref() != Some(&value)
            {
                // The value comes from this very column.
                let _ = active.try_set(column, value);
            }
        }
        row.active = active;
        row.loaded = written.clone();
        Some(written)
    }

    pub(super) fn reset(&mut self) {
        self.began = None;
        self.sent = None;
        self.called = false;
        self.expected = None;
        self.result = None;
    }
}
