//! What is called before and after the rows of one entity are written.

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::entity::{EntityBatch, during};
use crate::{
    convention::now,
    error::Result,
    session::{Call, CallbackList, Session},
};

impl<E> EntityBatch<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: Send,
{
    /// Makes the rows that can be made.
    pub(super) fn make_rows(&mut self) -> Result<()> {
        // Rows that get the same values are updated together; the time is one of them.
        let now = now();
        for add in &mut self.adds {
            add.make(now).map_err(during::<E, _>("insert"))?;
        }
        for edit in &mut self.edits {
            edit.make(now).map_err(during::<E, _>("update"))?;
        }
        Ok(())
    }

    /// Calls what the DAO does before a write, with all its rows that are new, then the entity's own for each.
    pub(super) async fn call_before(&mut self, session: &Session) -> Result<()> {
        let new = self.adds.iter().enumerate().filter(|(_, add)| add.is_new());
        for (callbacks, rows) in by_callbacks(new.map(|(row, add)| (row, &add.callbacks))) {
            let mut models: Vec<_> = rows.iter().filter_map(|&row| self.adds[row].ready.take()).collect();
            let called = callbacks.rows(session, Call::BeforeInsert(&mut models)).await;
            called.map_err(during::<E, _>("insert"))?;
            for (row, model) in rows.into_iter().zip(models) {
                self.adds[row].ready = Some(model);
            }
        }
        for add in &mut self.adds {
            add.prepare(session).await.map_err(during::<E, _>("insert"))?;
        }
        let new = self.edits.iter().enumerate().filter(|(_, edit)| edit.is_new());
        for (callbacks, rows) in by_callbacks(new.map(|(row, edit)| (row, &edit.callbacks))) {
            let mut models: Vec<_> = rows.iter().filter_map(|&row| self.edits[row].sent.take()).collect();
            let called = callbacks.rows(session, Call::BeforeUpdate(&mut models)).await;
            called.map_err(during::<E, _>("update"))?;
            for (row, model) in rows.into_iter().zip(models) {
                self.edits[row].sent = Some(model);
            }
        }
        for edit in &mut self.edits {
            edit.prepare(session).await.map_err(during::<E, _>("update"))?;
        }
        let new = self.removals.iter().enumerate().filter(|(_, removal)| removal.is_new());
        for (callbacks, rows) in by_callbacks(new.map(|(row, removal)| (row, &removal.callbacks))) {
            let models: Vec<_> = rows.iter().map(|&row| self.removals[row].model.clone()).collect();
            let called = callbacks.rows(session, Call::BeforeDelete(&models)).await;
            called.map_err(during::<E, _>("delete"))?;
        }
        for removal in &mut self.removals {
            removal.prepare(session).await.map_err(during::<E, _>("delete"))?;
        }
        Ok(())
    }

    /// Calls what the entity does after a write, for each row, then the DAO's with all its rows.
    pub(super) async fn call_after(&mut self, session: &Session) -> Result<()> {
        for add in &mut self.adds {
            if let Some(model) = add.slot.unstage() {
                let model = E::ActiveModel::after_save(model, session, true).await;
                add.slot.stage(Some(model.map_err(during::<E, _>("insert"))?));
            }
        }
        for (callbacks, rows) in by_callbacks(self.adds.iter().map(|add| &add.callbacks).enumerate()) {
            let models: Vec<_> = rows.iter().filter_map(|&row| self.adds[row].slot.unstage()).collect();
            callbacks.rows(session, Call::AfterInsert(&models)).await.map_err(during::<E, _>("insert"))?;
            for (row, model) in rows.into_iter().zip(models) {
                self.adds[row].slot.stage(Some(model));
            }
        }
        for edit in self.edits.iter_mut().filter(|edit| edit.is_sent()) {
            if let Some(model) = edit.result.take() {
                let model = E::ActiveModel::after_save(model, session, false).await;
                edit.result = Some(model.map_err(during::<E, _>("update"))?);
            }
        }
        let sent = self.edits.iter().enumerate().filter(|(_, edit)| edit.is_sent());
        for (callbacks, rows) in by_callbacks(sent.map(|(row, edit)| (row, &edit.callbacks))) {
            let models: Vec<_> = rows.iter().filter_map(|&row| self.edits[row].result.clone()).collect();
            callbacks.rows(session, Call::AfterUpdate(&models)).await.map_err(during::<E, _>("update"))?;
        }
        for removal in &mut self.removals {
            if let Some(active) = removal.active.take() {
                active.after_delete(session).await.map_err(during::<E, _>("delete"))?;
            }
        }
        for (callbacks, rows) in by_callbacks(self.removals.iter().map(|removal| &removal.callbacks).enumerate()) {
            let models: Vec<_> = rows.iter().map(|&row| self.removals[row].model.clone()).collect();
            callbacks.rows(session, Call::AfterDelete(&models)).await.map_err(during::<E, _>("delete"))?;
        }
        Ok(())
    }
}

/// Puts together the rows that have the same callbacks, and leaves out those that have none.
fn by_callbacks<'c, E: EntityTrait>(
    rows: impl Iterator<Item = (usize, &'c CallbackList<E>)>,
) -> Vec<(CallbackList<E>, Vec<usize>)> {
    let mut kinds: Vec<(CallbackList<E>, Vec<usize>)> = Vec::new();
    for (row, callbacks) in rows.filter(|(_, callbacks)| !callbacks.is_empty()) {
        match kinds.iter_mut().find(|(kind, _)| kind.is_same(callbacks)) {
            Some((_, rows)) => rows.push(row),
            None => kinds.push((callbacks.clone(), vec![row])),
        }
    }
    kinds
}
