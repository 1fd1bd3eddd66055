//! Writing one row.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue, ColumnTrait, DbErr, EntityTrait, IntoActiveModel, Iterable,
    PrimaryKeyToColumn, QueryFilter,
};

use super::{BaseDao, base::KeyOf, key::Key};
use crate::{
    convention::has_changes,
    error::{Error, Result},
    query::Conditions,
    session::Session,
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
    pub async fn insert(&self, model: impl IntoActiveModel<E::ActiveModel>) -> Result<E::Model> {
        let mut model = model.into_active_model();
        self.columns.stamp_insert(&mut model);
        let session = self.session();
        model.insert(&session).await.map_err(during::<E>("insert"))
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
    pub async fn update(&self, model: E::ActiveModel) -> Result<E::Model> {
        let session = self.session();
        self.update_on(&session, model).await
    }

    async fn update_on(&self, session: &Session, mut model: E::ActiveModel) -> Result<E::Model> {
        self.columns.stamp_update(&mut model);
        let mut model = model.before_save(session, false).await.map_err(during::<E>("update"))?;
        // What the entity changed by itself is a change too.
        self.columns.stamp_update(&mut model);
        let key = key_of::<E>(&model)?;
        if !has_changes::<E>(&model) {
            let found = self.within(session).query().filter(key.condition()).first().await?;
            return found.ok_or_else(|| not_found::<E>(&key));
        }
        let mut update = E::update(model).validate().map_err(during::<E>("update"))?;
        if let Some(deleted_at) = self.columns.deleted_at {
            update = update.filter(deleted_at.is_null());
        }
        let updated = match update.exec(session).await {
            Err(DbErr::RecordNotUpdated | DbErr::RecordNotFound(_)) => return Err(not_found::<E>(&key)),
            result => result.map_err(during::<E>("update"))?,
        };
        E::ActiveModel::after_save(updated, session, false).await.map_err(during::<E>("update"))
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
    pub async fn save(&self, model: E::ActiveModel) -> Result<E::Model> {
        if Key::<E>::of_active_model(&model).is_none() {
            return self.insert(model).await;
        }
        let session = self.session();
        match self.update_on(&session, model.clone()).await {
            Err(Error::NotFound { .. }) if !is_loaded::<E>(&model) => self.within(&session).insert(model).await,
            result => result,
        }
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
    pub async fn delete(&self, model: &E::Model) -> Result<()> {
        let session = self.session();
        let active = model.clone().into_active_model();
        let active = active.before_delete(&session).await.map_err(during::<E>("delete"))?;
        let key = Key::<E>::of_model(model);
        if self.within(&session).delete_where().filter(key.condition()).exec().await? == 0 {
            return Err(not_found::<E>(&key));
        }
        active.after_delete(&session).await.map_err(during::<E>("delete"))?;
        Ok(())
    }

    /// Deletes the row with this primary key, as [`delete`](Self::delete) does but without the entity's own callbacks.
    /// Gives `false` when there is none.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] around the database's failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    pub async fn delete_by_id(&self, key: impl Into<KeyOf<E>>) -> Result<bool> {
        let deleted = self.delete_where().filter(Key::<E>::of(key.into()).condition()).exec().await?;
        Ok(deleted > 0)
    }
}

pub(super) fn during<E: EntityTrait>(operation: &'static str) -> impl Fn(DbErr) -> Error {
    move |error| Error::from(error).during(operation, E::default().table_name())
}

fn not_found<E: EntityTrait>(key: &Key<E>) -> Error {
    Error::NotFound { entity: E::default().table_name(), key: key.to_string() }
}

fn key_of<E: EntityTrait>(model: &E::ActiveModel) -> Result<Key<E>> {
    Key::of_active_model(model).ok_or_else(|| {
        let expected = format!("the whole primary key of {} to be set", E::default().table_name());
        Error::argument("primary key", "(not set)", expected)
    })
}

/// Whether the model came out of the database: its key was not set by the caller.
fn is_loaded<E: EntityTrait>(model: &E::ActiveModel) -> bool {
    E::PrimaryKey::iter().all(|key| matches!(model.get(key.into_column()), ActiveValue::Unchanged(_)))
}
