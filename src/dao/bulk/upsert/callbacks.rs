//! The DAO's callbacks for rows that are inserted or updated.

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::{super::rows::Row, plan::Plan, rows::at_place};
use crate::{
    error::Result,
    session::{Call, Session},
};

impl<E> Plan<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Each row may be inserted; the conventions come first.
    pub(super) async fn call_before_insert(&self, session: &Session, models: &mut [E::ActiveModel]) -> Result<()> {
        let dao = &self.dao;
        if dao.callbacks.is_empty() {
            return Ok(());
        }
        for (index, model) in models.iter_mut().enumerate() {
            dao.columns.stamp_insert(model).map_err(|error| at_place(index, error))?;
        }
        dao.callbacks.rows(session, Call::BeforeInsert(models)).await
    }

    /// Of rows that are there, what is to be set in them.
    pub(super) async fn call_before_update(&self, session: &Session, mut rows: Vec<Row<E>>) -> Result<Vec<Row<E>>> {
        if self.dao.callbacks.is_empty() {
            return Ok(rows);
        }
        rows.sort_by_key(|row| row.index);
        let (places, mut models): (Vec<_>, Vec<_>) = rows.into_iter().map(|row| (row.index, row.model)).unzip();
        self.dao.callbacks.rows(session, Call::BeforeUpdate(&mut models)).await?;
        Ok(places.into_iter().zip(models).map(|(index, model)| Row { index, model }).collect())
    }

    pub(super) async fn call_after_insert(&self, session: &Session, written: &[(usize, E::Model)]) -> Result<()> {
        if self.dao.callbacks.is_empty() {
            return Ok(());
        }
        self.dao.callbacks.rows(session, Call::AfterInsert(&models::<E>(written))).await
    }

    pub(super) async fn call_after_update(&self, session: &Session, written: &[(usize, E::Model)]) -> Result<()> {
        if self.dao.callbacks.is_empty() {
            return Ok(());
        }
        self.dao.callbacks.rows(session, Call::AfterUpdate(&models::<E>(written))).await
    }
}

/// In the order in which they were given.
fn models<E: EntityTrait>(written: &[(usize, E::Model)]) -> Vec<E::Model> {
    let mut written: Vec<&(usize, E::Model)> = written.iter().collect();
    written.sort_by_key(|(index, _)| *index);
    written.into_iter().map(|(_, model)| model.clone()).collect()
}
