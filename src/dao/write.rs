//! Writing one row.

use std::slice;

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait,
    IntoActiveModel, Iterable, PrimaryKeyToColumn, QueryFilter,
};

use super::{BaseDao, base::KeyOf, change, key::Key};
use crate::{
    backend::model as model_of,
    convention::has_changes,
    error::{Error, Result},
    query::Conditions,
    session::{Call, Session, located},
};

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    /// Inserts a row and gives it back as it was written, with what the database filled in. A key that is set is taken
    /// as it is; a row that exists is never updated.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] around the database's failure: see [`Error::is_unique_violation`],
    /// [`Error::is_foreign_key_violation`], [`Error::is_not_null_violation`].
    ///
    /// # Cancel safety
    ///
    /// Dropped while the statement is under way, it is not known whether the row was inserted; in a transaction the
    /// transaction is aborted. The same holds for all methods that write.
    #[track_caller]
    pub fn insert(&self, model: impl IntoActiveModel<E::ActiveModel>) -> impl Future<Output = Result<E::Model>> {
        located(self.insert_row(model.into_active_model()))
    }

    async fn insert_row(&self, mut model: E::ActiveModel) -> Result<E::Model> {
        self.columns.stamp_insert(&mut model).map_err(naming::<E>("insert"))?;
        let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("insert"))?;
        let inserted = self.insert_on(guarded.session(), model).await;
        guarded.end(inserted).await
    }

    async fn insert_on(&self, session: &Session, mut model: E::ActiveModel) -> Result<E::Model> {
        let before = Call::BeforeInsert(slice::from_mut(&mut model));
        self.callbacks.rows(session, before).await.map_err(naming::<E>("insert"))?;
        let inserted = self.insert_told(session, model).await?;
        let after = Call::AfterInsert(slice::from_ref(&inserted));
        self.callbacks.rows(session, after).await.map_err(naming::<E>("insert"))?;
        Ok(inserted)
    }

    /// With SeaORM's own callbacks.
    async fn insert_told(&self, session: &Session, model: E::ActiveModel) -> Result<E::Model> {
        if !session.capabilities().insert_returning {
            return model.insert(session).await.map_err(during::<E>("insert"));
        }
        let model = model.before_save(session, true).await.map_err(during::<E>("insert"))?;
        let statement = change::insert::<E>(model, session.backend()).map_err(during::<E>("insert"))?;
        let row = statement.query_one(session).await.map_err(naming::<E>("insert"))?;
        // As SeaORM says it.
        let row = row.ok_or_else(|| DbErr::RecordNotFound("Failed to find inserted item".to_owned()));
        let inserted = row.and_then(|row| model_of::<E>(&row)).map_err(during::<E>("insert"))?;
        E::ActiveModel::after_save(inserted, session, true).await.map_err(during::<E>("insert"))
    }

    /// Updates the columns that are set, and gives the row back as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such row, or it is deleted; [`Error::InvalidArgument`] when the primary key is
    /// not set; [`Error::Operation`] around the database's failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn update(&self, model: E::ActiveModel) -> impl Future<Output = Result<E::Model>> {
        located(async move {
            let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("update"))?;
            let updated = self.update_on(guarded.session(), model).await;
            guarded.end(updated).await
        })
    }

    async fn update_on(&self, session: &Session, mut model: E::ActiveModel) -> Result<E::Model> {
        self.columns.stamp_update(&mut model).map_err(naming::<E>("update"))?;
        let before = Call::BeforeUpdate(slice::from_mut(&mut model));
        self.callbacks.rows(session, before).await.map_err(naming::<E>("update"))?;
        let mut model = model.before_save(session, false).await.map_err(during::<E>("update"))?;
        // What the entity changed by itself is a change too.
        self.columns.stamp_update(&mut model).map_err(naming::<E>("update"))?;
        let key = key_of::<E>(&model)?;
        if !has_changes::<E>(&model) {
            let found = self.within(session).query().filter(key.condition()).first().await?;
            let found = found.ok_or_else(|| not_found::<E>(&key))?;
            return self.check_version(&key, &model, found);
        }
        let expected = self.columns.expect_and_raise(&mut model).map_err(naming::<E>("update"))?;
        let updated = if session.support_returning() {
            let statement = change::update(model, &key, self.columns.deleted_at, expected.as_ref(), session.backend());
            let row = statement.query_one(session).await.map_err(naming::<E>("update"))?;
            row.map(|row| model_of::<E>(&row)).transpose()
        } else {
            let mut update = E::update(model).validate().map_err(during::<E>("update"))?;
            if let Some(deleted_at) = self.columns.deleted_at {
                update = update.filter(deleted_at.is_null());
            }
            if let Some(expected) = &expected {
                update = update.filter(expected.condition());
            }
            match update.exec(session).await {
                Err(DbErr::RecordNotUpdated | DbErr::RecordNotFound(_)) => Ok(None),
                result => result.map(Some),
            }
        };
        let Some(updated) = updated.map_err(during::<E>("update"))? else {
            return Err(self.why_not_written(session, &key, expected).await);
        };
        let updated = E::ActiveModel::after_save(updated, session, false).await.map_err(during::<E>("update"))?;
        let after = Call::AfterUpdate(slice::from_ref(&updated));
        self.callbacks.rows(session, after).await.map_err(naming::<E>("update"))?;
        Ok(updated)
    }

    /// Updates the row with this primary key, or inserts it when there is none. Without a key it inserts.
    ///
    /// # Errors
    ///
    /// Those of [`update`](Self::update) and [`insert`](Self::insert). A unique violation also when another session
    /// inserts the same key at the same time, or the row is deleted.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn save(&self, model: E::ActiveModel) -> impl Future<Output = Result<E::Model>> {
        located(self.save_row(model))
    }

    async fn save_row(&self, model: E::ActiveModel) -> Result<E::Model> {
        let Some(key) = Key::<E>::of_active_model(&model) else { return self.insert_row(model).await };
        let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("save"))?;
        let saved = self.save_on(guarded.session(), &key, model).await;
        guarded.end(saved).await
    }

    async fn save_on(&self, session: &Session, key: &Key<E>, mut model: E::ActiveModel) -> Result<E::Model> {
        // Asked for beforehand: the entity's callbacks are told what they are called for, and run once.
        if is_loaded::<E>(&model) || self.within(session).query().filter(key.condition()).exists().await? {
            return self.update_on(session, model).await;
        }
        self.columns.stamp_insert(&mut model).map_err(naming::<E>("insert"))?;
        self.insert_on(session, model).await
    }

    /// Deletes a row: marks it as deleted when the entity has `deleted_at`, removes it otherwise.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such row, or it is deleted already; [`Error::Operation`] around the
    /// database's failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn delete(&self, model: &E::Model) -> impl Future<Output = Result<()>> {
        located(self.delete_row(model))
    }

    async fn delete_row(&self, model: &E::Model) -> Result<()> {
        let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("delete"))?;
        let deleted = self.delete_on(guarded.session(), model).await;
        guarded.end(deleted).await
    }

    async fn delete_on(&self, session: &Session, model: &E::Model) -> Result<()> {
        let before = Call::BeforeDelete(slice::from_ref(model));
        self.callbacks.rows(session, before).await.map_err(naming::<E>("delete"))?;
        let active = model.clone().into_active_model();
        let active = active.before_delete(session).await.map_err(during::<E>("delete"))?;
        let key = Key::<E>::of_model(model);
        let expected = self.columns.expect(model).map_err(naming::<E>("delete"))?;
        if let (Some(_), Some(expected)) = (self.columns.deleted_at, &expected) {
            // Not every database refuses a number that its column's type does not hold.
            expected.next().map_err(naming::<E>("delete"))?;
        }
        let known = expected.iter().fold(Condition::all(), |all, expected| all.add(expected.condition()));
        let delete = self.quietly_within(session).delete_where().filter(key.condition()).filter(known);
        if delete.exec().await? == 0 {
            return Err(self.why_not_written(session, &key, expected).await);
        }
        active.after_delete(session).await.map_err(during::<E>("delete"))?;
        let after = Call::AfterDelete(slice::from_ref(model));
        self.callbacks.rows(session, after).await.map_err(naming::<E>("delete"))
    }

    /// Deletes the row with this primary key, as [`delete`](Self::delete) does but without the entity's own
    /// `before_delete` and `after_delete`. The DAO's [callbacks](Self::callbacks) are called: the row is read for them first.
    /// Gives `false` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] around the database's failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn delete_by_id(&self, key: impl Into<KeyOf<E>>) -> impl Future<Output = Result<bool>> {
        let key = Key::<E>::of(key.into());
        located(async move {
            let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("delete"))?;
            let deleted = self.delete_matching(guarded.session(), key.condition()).await;
            Ok(guarded.end(deleted).await? > 0)
        })
    }

    /// Deletes rows between the callbacks, which are shown the rows.
    pub(super) async fn delete_matching(&self, session: &Session, which: Condition) -> Result<u64> {
        let quiet = self.quietly_within(session);
        let delete = quiet.delete_where().filter(which.clone());
        if self.callbacks.is_empty() {
            return delete.exec().await;
        }
        let rows = quiet.query().filter(which).for_update().all().await?;
        self.callbacks.rows(session, Call::BeforeDelete(&rows)).await.map_err(naming::<E>("delete"))?;
        let deleted = delete.exec().await?;
        self.callbacks.rows(session, Call::AfterDelete(&rows)).await.map_err(naming::<E>("delete"))?;
        Ok(deleted)
    }
}

/// [`during`] for errors of this crate.
pub(super) fn naming<E: EntityTrait>(operation: &'static str) -> impl Fn(Error) -> Error {
    move |error| error.during(operation, E::default().table_name())
}

pub(super) fn during<E: EntityTrait>(operation: &'static str) -> impl Fn(DbErr) -> Error {
    move |error| naming::<E>(operation)(error.into())
}

pub(super) fn not_found<E: EntityTrait>(key: &Key<E>) -> Error {
    Error::NotFound { entity: E::default().table_name(), key: key.to_string() }
}

pub(super) fn key_of<E: EntityTrait>(model: &E::ActiveModel) -> Result<Key<E>> {
    Key::of_active_model(model).ok_or_else(|| {
        let expected = format!("the whole primary key of {} to be set", E::default().table_name());
        Error::argument("primary key", "(not set)", expected)
    })
}

/// Whether the model came out of the database: its key was not set by the caller.
fn is_loaded<E: EntityTrait>(model: &E::ActiveModel) -> bool {
    E::PrimaryKey::iter().all(|key| matches!(model.get(key.into_column()), ActiveValue::Unchanged(_)))
}
