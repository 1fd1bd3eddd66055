//! The columns of one entity that bring behaviour with them.

use std::str::FromStr;

use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, Iterable, ModelTrait, PrimaryKeyToColumn, Value,
    sea_query::Expr,
};

use super::{
    Conventions, current_actor,
    ids::GeneratedKey,
    moment::{Moment, holds_moments, moment_for, now},
    value::{fit, integer_value},
    version::{self, ExpectedVersion},
};
use crate::error::Result;

/// The columns of one entity that bring behaviour with them.
pub(crate) struct ConventionColumns<E: EntityTrait> {
    /// The names that they were looked up by.
    pub(crate) conventions: Conventions,
    pub(crate) deleted_at: Option<E::Column>,
    pub(crate) created_at: Option<E::Column>,
    pub(crate) updated_at: Option<E::Column>,
    pub(crate) creator_id: Option<E::Column>,
    pub(crate) updater_id: Option<E::Column>,
    key: Option<GeneratedKey<E>>,
    /// Only when the DAO asks for optimistic locking.
    version: Option<E::Column>,
}

impl<E: EntityTrait> Clone for ConventionColumns<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: EntityTrait> Copy for ConventionColumns<E> {}

impl<E: EntityTrait> ConventionColumns<E> {
    pub(crate) fn of(conventions: Conventions) -> Self {
        let Conventions { deleted_at, created_at, updated_at, creator_id, updater_id, ids } = conventions;
        let column = |name: Option<&str>| E::Column::from_str(name?).ok();
        let time = |name| column(name).filter(|column| holds_moments::<E>(*column));
        Self {
            conventions,
            deleted_at: time(deleted_at).filter(|column| column.def().is_null()),
            created_at: time(created_at),
            updated_at: time(updated_at),
            creator_id: column(creator_id),
            updater_id: column(updater_id),
            key: GeneratedKey::of(ids),
            version: None,
        }
    }

    /// With optimistic locking by this column.
    pub(crate) fn with_version(self, version: E::Column) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Sets what an inserted row gets: its key, its times, its actors, its version.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an actor or key that does not fit its column; what
    /// the generator of keys returns.
    pub(crate) fn stamp_insert(&self, model: &mut E::ActiveModel) -> Result<()> {
        self.stamp_insert_at(now(), model)
    }

    /// As [`stamp_insert`](Self::stamp_insert), at a time that rows share.
    ///
    /// # Errors
    ///
    /// Those of [`stamp_insert`](Self::stamp_insert).
    pub(crate) fn stamp_insert_at(&self, now: Moment, model: &mut E::ActiveModel) -> Result<()> {
        if let Some(key) = self.key
            && model.is_not_set(key.column)
        {
            set::<E>(model, key.column, key.next()?)?;
        }
        for column in [self.created_at, self.updated_at].into_iter().flatten() {
            if model.is_not_set(column)
                && let Some(moment) = moment_for::<E>(column, now)
            {
                set::<E>(model, column, moment)?;
            }
        }
        for column in [self.creator_id, self.updater_id].into_iter().flatten() {
            if model.is_not_set(column)
                && let Some(actor) = actor_for::<E>(column)?
            {
                set::<E>(model, column, actor)?;
            }
        }
        if let Some(version) = self.checked_version()?
            && model.is_not_set(version)
            && let Some(first) = integer_value(0, &E::Model::get_value_type(version))
        {
            set::<E>(model, version, first)?;
        }
        Ok(())
    }

    /// Sets what an updated row gets, unless nothing changes in it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an actor that does not fit its column.
    pub(crate) fn stamp_update(&self, model: &mut E::ActiveModel) -> Result<()> {
        self.stamp_update_at(now(), model)
    }

    /// As [`stamp_update`](Self::stamp_update), at a time that rows share.
    ///
    /// # Errors
    ///
    /// Those of [`stamp_update`](Self::stamp_update).
    pub(crate) fn stamp_update_at(&self, now: Moment, model: &mut E::ActiveModel) -> Result<()> {
        if !has_changes::<E>(model) {
            return Ok(());
        }
        if let Some(column) = self.updated_at
            && !is_set::<E>(model, column)
            && let Some(moment) = moment_for::<E>(column, now)
        {
            set::<E>(model, column, moment)?;
        }
        if let Some(column) = self.updater_id
            && !is_set::<E>(model, column)
            && let Some(actor) = actor_for::<E>(column)?
        {
            set::<E>(model, column, actor)?;
        }
        Ok(())
    }

    /// What a statement that updates rows sets beside what it was asked to: time, actor, version. Columns that `given`
    /// holds for are left to the caller.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an actor that does not fit its column, or a version
    /// column that is none.
    pub(crate) fn touch(&self, now: Moment, given: impl Fn(E::Column) -> bool) -> Result<Vec<(E::Column, Expr)>> {
        let mut sets = Vec::with_capacity(3);
        let free = |column: &E::Column| !given(*column);
        if let Some(column) = self.updated_at.filter(free)
            && let Some(moment) = moment_for::<E>(column, now)
        {
            sets.push((column, Expr::val(moment)));
        }
        if let Some(column) = self.updater_id.filter(free)
            && let Some(actor) = actor_for::<E>(column)?
        {
            sets.push((column, column.save_as(Expr::val(actor))));
        }
        if let Some(column) = self.checked_version()?.filter(free) {
            sets.push((column, version::raised(column)));
        }
        Ok(sets)
    }

    /// The version that a model knows; `None` without optimistic locking.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a version column that is none.
    pub(crate) fn known(&self, model: &E::ActiveModel) -> Result<Option<ExpectedVersion<E>>> {
        Ok(self.checked_version()?.and_then(|column| ExpectedVersion::known_to(model, column)))
    }

    /// Takes the version that the caller knows from a model that is to be updated, and sets the next one; `None` without
    /// optimistic locking.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when the model does not know its version, or it cannot be
    /// raised.
    pub(crate) fn expect_and_raise(&self, model: &mut E::ActiveModel) -> Result<Option<ExpectedVersion<E>>> {
        self.checked_version()?.map(|column| ExpectedVersion::take_and_raise(model, column)).transpose()
    }

    /// The version of a row that was loaded; `None` without optimistic locking.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a version column that is none.
    pub(crate) fn expect(&self, model: &E::Model) -> Result<Option<ExpectedVersion<E>>> {
        Ok(self.checked_version()?.map(|column| ExpectedVersion { column, value: model.get(column) }))
    }

    /// For rows that are locked: they are written whether they are deleted or not, and whatever their version is.
    pub(crate) fn without_checks(self) -> Self {
        Self { deleted_at: None, version: None, ..self }
    }

    /// The version column, once optimistic locking is asked for, whatever it holds.
    pub(crate) fn version(&self) -> Option<E::Column> {
        self.version
    }

    /// Whether optimistic locking is asked for.
    pub(crate) fn has_version(&self) -> bool {
        self.version.is_some()
    }

    /// The version column, once optimistic locking is asked for.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when it does not hold integers.
    pub(crate) fn checked_version(&self) -> Result<Option<E::Column>> {
        self.version.map(|column| version::check::<E>(column).map(|()| column)).transpose()
    }
}

/// Whether an update would set anything; the key itself is not updated.
pub(crate) fn has_changes<E: EntityTrait>(model: &E::ActiveModel) -> bool {
    E::Column::iter()
        .filter(|column| E::PrimaryKey::from_column(*column).is_none())
        .any(|column| is_set::<E>(model, column))
}

/// Whether an update would set the column.
pub(crate) fn is_set<E: EntityTrait>(model: &E::ActiveModel, column: E::Column) -> bool {
    // To get a value is to clone it.
    !model.is_not_set(column) && matches!(model.get(column), ActiveValue::Set(_))
}

/// The current actor in the column's type.
fn actor_for<E: EntityTrait>(column: E::Column) -> Result<Option<Value>> {
    current_actor().map(|actor| fit::<E>(column, actor.value(), "actor")).transpose()
}

fn set<E: EntityTrait>(model: &mut E::ActiveModel, column: E::Column, value: Value) -> Result<()> {
    Ok(model.try_set(column, value)?)
}
