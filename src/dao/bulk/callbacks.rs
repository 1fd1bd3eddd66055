//! The DAO's callbacks for many rows.

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::{
    super::{among::among, key::keys_per_statement},
    engine::Writer,
    operation::Operation,
    rows::{Row, keys_of},
};
use crate::{
    error::Result,
    query::Conditions,
    session::{Call, Session},
};

impl<E> Writer<'_, E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Before the rows are written: the conventions come first, so that the callbacks see what they fill in.
    pub(super) async fn call_before(&self, session: &Session, rows: Vec<Row<E>>) -> Result<Vec<Row<E>>> {
        let Self { dao, operation, .. } = self;
        if dao.callbacks.is_empty() {
            return Ok(rows);
        }
        let (places, mut models): (Vec<usize>, Vec<E::ActiveModel>) =
            rows.into_iter().map(|row| (row.index, row.model)).unzip();
        for model in &mut models {
            match operation {
                Operation::Update => dao.columns.stamp_update(model)?,
                Operation::Insert | Operation::InsertReturning => dao.columns.stamp_insert(model)?,
            }
        }
        let before = match operation {
            Operation::Update => Call::BeforeUpdate(&mut models),
            Operation::Insert | Operation::InsertReturning => Call::BeforeInsert(&mut models),
        };
        dao.callbacks.rows(session, before).await?;
        Ok(places.into_iter().zip(models).map(|(index, model)| Row { index, model }).collect())
    }

    /// After rows were written. `written` are the rows that came back; an UPDATE gives none, they are read.
    pub(super) async fn call_after(&self, session: &Session, rows: &[Row<E>], written: &[E::Model]) -> Result<()> {
        let Self { dao, operation, .. } = self;
        if dao.callbacks.is_empty() {
            return Ok(());
        }
        if *operation != Operation::Update {
            return dao.callbacks.rows(session, Call::AfterInsert(written)).await;
        }
        let keys = keys_of(rows);
        let dao = dao.within(session);
        for part in keys.chunks(keys_per_statement::<E>(session.capabilities())) {
            let updated = dao.query().filter(among(part, session.backend())).all().await?;
            dao.callbacks.rows(session, Call::AfterUpdate(&updated)).await?;
        }
        Ok(())
    }
}
