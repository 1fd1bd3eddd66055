//! Restoring deleted rows, and removing them for good.

use sea_orm::{
    ActiveModelBehavior, Condition, ConnectionTrait, EntityTrait, FromQueryResult, IntoActiveModel, QuerySelect,
    sea_query::Query,
};

use super::{
    BaseDao,
    base::KeyOf,
    change::whole_row,
    key::Key,
    version::conflict,
    write::{during, naming},
};
use crate::{
    convention::ExpectedVersion,
    error::{Error, Result},
    query::Conditions,
    session::{Session, located},
};

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    /// Restores a row that is marked as deleted, and gives it back as it is now. `updated_at` and `updater_id` are set,
    /// and with [optimistic locking](Self::optimistic_lock) the version is checked and raised. The entity's own callbacks
    /// do not run.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, DatabaseConfig, Result};
    /// # use sea_dao::sea_orm::ActiveValue::Set;
    /// # use entities::user;
    /// # use migration::MigratorTrait;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    /// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
    /// # let users = BaseDao::<user::Entity>::new(db.clone());
    /// # let ada = user::ActiveModel { username: Set("ada".into()), phone: Set("1".into()), ..Default::default() };
    /// let ada = users.insert(ada).await?;
    /// users.delete(&ada).await?;
    /// let ada = users.restore(&ada).await?;
    /// assert_eq!(ada.deleted_at, None);
    ///
    /// users.delete(&ada).await?;
    /// users.purge(&ada).await?;
    /// assert_eq!(users.count().with_deleted().await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such row, or it is not deleted; [`Error::VersionConflict`];
    /// [`Error::Unsupported`] for an entity without soft deletion; [`Error::Operation`] around the database's failure,
    /// such as a unique violation where another row has taken what this one would need.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn restore(&self, model: &E::Model) -> impl Future<Output = Result<E::Model>> {
        located(self.restore_row(model))
    }

    async fn restore_row(&self, model: &E::Model) -> Result<E::Model> {
        let session = self.session();
        let dao = self.within(&session);
        let key = Key::<E>::of_model(model);
        let expected = self.columns.expect(model).map_err(naming::<E>("restore"))?;
        let builder = dao.restore_where().filter(key.condition()).filter(known(expected.as_ref()));
        let restored = if session.support_returning() {
            let mut statement = builder.statement(session.backend())?;
            statement.returning(Query::returning().exprs(whole_row::<E>(session.backend())));
            let row = session.query_one(&statement).await.map_err(during::<E>("restore"))?;
            row.map(|row| E::Model::from_query_result(&row, "")).transpose().map_err(during::<E>("restore"))?
        } else if builder.exec().await? > 0 {
            dao.query().filter(key.condition()).first().await?
        } else {
            None
        };
        match restored {
            Some(restored) => Ok(restored),
            None => Err(self.why_not_met(&session, &key, expected).await),
        }
    }

    /// Restores the row with this primary key. Gives `false` when there is none, or it is not deleted.
    ///
    /// # Errors
    ///
    /// Those of [`restore`](Self::restore), but for [`Error::NotFound`] and [`Error::VersionConflict`].
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn restore_by_id(&self, key: impl Into<KeyOf<E>>) -> impl Future<Output = Result<bool>> {
        let restoration = self.restore_where().filter(Key::<E>::of(key.into()).condition());
        async move { Ok(restoration.exec().await? > 0) }
    }

    /// Removes a row that is marked as deleted. One that is not has to be deleted first, or removed by
    /// [`delete_where().hard()`](crate::query::DeleteBuilder::hard). With [optimistic locking](Self::optimistic_lock) the
    /// version is checked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no such row, or it is not deleted; [`Error::VersionConflict`];
    /// [`Error::Unsupported`] for an entity without soft deletion, whose rows are removed by [`delete`](Self::delete);
    /// [`Error::Operation`] around the database's failure, such as a foreign key violation where rows refer to this one.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn purge(&self, model: &E::Model) -> impl Future<Output = Result<()>> {
        located(self.purge_row(model))
    }

    async fn purge_row(&self, model: &E::Model) -> Result<()> {
        let session = self.session();
        let key = Key::<E>::of_model(model);
        let builder = self.within(&session).purge_where().filter(key.condition());
        // Asked before the entity is told.
        builder.build(session.backend())?;
        let active = model.clone().into_active_model();
        let active = active.before_delete(&session).await.map_err(during::<E>("purge"))?;
        let expected = self.columns.expect(model).map_err(naming::<E>("purge"))?;
        if builder.filter(known(expected.as_ref())).exec().await? == 0 {
            return Err(self.why_not_met(&session, &key, expected).await);
        }
        active.after_delete(&session).await.map_err(during::<E>("purge"))?;
        Ok(())
    }

    /// Removes the row with this primary key, as [`purge`](Self::purge) does but without the entity's own callbacks.
    /// Gives `false` when there is none, or it is not deleted.
    ///
    /// # Errors
    ///
    /// Those of [`purge`](Self::purge), but for [`Error::NotFound`] and [`Error::VersionConflict`].
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn purge_by_id(&self, key: impl Into<KeyOf<E>>) -> impl Future<Output = Result<bool>> {
        let deletion = self.purge_where().filter(Key::<E>::of(key.into()).condition());
        async move { Ok(deletion.exec().await? > 0) }
    }

    /// The error for a deleted row that a write did not meet.
    async fn why_not_met(&self, session: &Session, key: &Key<E>, expected: Option<ExpectedVersion<E>>) -> Error {
        let entity = E::default().table_name();
        let not_found = || Error::NotFound { entity, key: format!("{key} that is marked as deleted") };
        let Some(expected) = expected else { return not_found() };
        let row = self.within(session).query().only_deleted().filter(key.condition());
        // Locked, as a transaction's own view may be older than what the write met.
        match row.select(QuerySelect::lock_exclusive).first().await {
            Ok(Some(row)) => conflict(key, &expected, &row),
            Ok(None) => not_found(),
            Err(error) => error,
        }
    }
}

fn known<E: EntityTrait>(expected: Option<&ExpectedVersion<E>>) -> Condition {
    expected.iter().fold(Condition::all(), |all, expected| all.add(expected.condition()))
}
