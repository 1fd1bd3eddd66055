//! Restoring deleted rows, and removing them for good.

use std::slice;

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue, Condition, ConnectionTrait, EntityTrait, IdenStatic,
    IntoActiveModel, Iterable, PrimaryKeyToColumn, QuerySelect, Value, sea_query::Query,
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
    backend::model as model_of,
    convention::{ExpectedVersion, no_moment_for},
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
    /// Restores a row that is marked as deleted, and gives it back as it is now. `updated_at` and `updater_id` are set,
    /// and with [optimistic locking](Self::optimistic_lock) the version is checked and raised. To the DAO's
    /// [callbacks](Self::callbacks) it is an update; the entity's own do not run.
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
        let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("restore"))?;
        let restored = self.restore_on(guarded.session(), model).await;
        guarded.end(restored).await
    }

    async fn restore_on(&self, session: &Session, model: &E::Model) -> Result<E::Model> {
        let dao = self.quietly_within(session);
        let key = Key::<E>::of_model(model);
        let expected = self.columns.expect(model).map_err(naming::<E>("restore"))?;
        let builder = dao.restore_where().filter(key.condition()).filter(known(expected.as_ref()));
        // Asked before the callbacks are told.
        builder.build(session.backend())?;
        let builder = builder.setting(self.call_before_restore(session, model).await.map_err(naming::<E>("restore"))?);
        let restored = if session.support_returning() {
            let mut statement = builder.statement(session.backend())?;
            statement.returning(Query::returning().exprs(whole_row::<E>(session.backend())));
            let row = session.query_one(&statement).await.map_err(during::<E>("restore"))?;
            row.map(|row| model_of::<E>(&row)).transpose().map_err(during::<E>("restore"))?
        } else if builder.exec().await? > 0 {
            dao.query().filter(key.condition()).first().await?
        } else {
            None
        };
        let Some(restored) = restored else { return Err(self.why_not_met(session, &key, expected).await) };
        let after = Call::AfterUpdate(slice::from_ref(&restored));
        self.callbacks.rows(session, after).await.map_err(naming::<E>("restore"))?;
        Ok(restored)
    }

    /// To the callbacks it is an update; what they set is to be written too.
    async fn call_before_restore(&self, session: &Session, model: &E::Model) -> Result<Vec<(E::Column, Value)>> {
        let Some(deleted_at) = self.columns.deleted_at.filter(|_| !self.callbacks.is_empty()) else {
            return Ok(Vec::new());
        };
        let mut active = model.clone().into_active_model();
        active.try_set(deleted_at, no_moment_for::<E>(deleted_at))?;
        self.columns.stamp_update(&mut active)?;
        self.callbacks.rows(session, Call::BeforeUpdate(slice::from_mut(&mut active))).await?;
        let sets = E::Column::iter().filter_map(|column| match active.take(column) {
            _ if E::PrimaryKey::from_column(column).is_some() || column.as_str() == deleted_at.as_str() => None,
            ActiveValue::Set(value) => Some((column, value)),
            _ => None,
        });
        Ok(sets.collect())
    }

    /// Restores the row with this primary key, as [`restore`](Self::restore) does; for the DAO's
    /// [callbacks](Self::callbacks) the row is read first. Gives `false` when there is none, or it is not deleted.
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
        let which = Key::<E>::of(key.into()).condition();
        located(async move {
            let guarded = self.callbacks.guard(self.session()).await.map_err(naming::<E>("restore"))?;
            let restored = self.restore_matching(guarded.session(), which).await;
            guarded.end(restored).await
        })
    }

    async fn restore_matching(&self, session: &Session, which: Condition) -> Result<bool> {
        let quiet = self.quietly_within(session);
        if self.callbacks.is_empty() {
            return Ok(quiet.restore_where().filter(which).exec().await? > 0);
        }
        // Asked before the row is.
        quiet.restore_where().filter(which.clone()).build(session.backend())?;
        match quiet.query().only_deleted().filter(which).for_update().first().await? {
            Some(row) => self.restore_on(session, &row).await.map(|_| true),
            None => Ok(false),
        }
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
