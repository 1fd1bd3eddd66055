//! The DAO itself, and what it reads.

use std::{fmt, marker::PhantomData, sync::Arc};

use sea_orm::{EntityTrait, PrimaryKeyTrait};

use super::{
    key::{self, Key},
    lookup::select_by_key,
    write::{during, naming},
};
use crate::{
    backend::{Capabilities, model},
    convention::{ConventionColumns, Conventions},
    error::Result,
    query::{Conditions, CountBuilder, DeleteBuilder, QueryBuilder, RestoreBuilder, Scope, UpdateBuilder},
    session::{CallbackList, Callbacks, Rules, Session, SessionProvider, caller, located},
};

/// The value of an entity's primary key; a tuple for a composite one.
pub(super) type KeyOf<E> = <<E as EntityTrait>::PrimaryKey as PrimaryKeyTrait>::ValueType;

/// Reads and writes the rows of one entity, on whatever session its provider gives.
///
/// A domain DAO is a newtype around it that adds what is special to its domain:
///
/// ```
/// use std::ops::Deref;
/// use sea_dao::{BaseDao, Result, Session, prelude::*};
/// use entities::user;
///
/// pub struct UserDao(BaseDao<user::Entity>);
///
/// impl UserDao {
///     pub fn new(provider: impl SessionProvider + 'static) -> Self { Self(BaseDao::new(provider)) }
///     pub fn within(&self, tx: &Session) -> Self { Self(self.0.within(tx)) }
///
///     pub async fn find_by_phone(&self, phone: &str) -> Result<Option<user::Model>> {
///         self.query().eq(user::Column::Phone, phone).first().await
///     }
/// }
///
/// impl Deref for UserDao {
///     type Target = BaseDao<user::Entity>;
///     fn deref(&self) -> &Self::Target { &self.0 }
/// }
/// ```
///
/// Columns with [conventional names](Conventions) bring their behaviour with them.
pub struct BaseDao<E: EntityTrait> {
    provider: Arc<dyn SessionProvider>,
    pub(super) columns: ConventionColumns<E>,
    pub(super) callbacks: CallbackList<E>,
    entity: PhantomData<fn() -> E>,
}

impl<E: EntityTrait> Clone for BaseDao<E> {
    fn clone(&self) -> Self {
        Self {
            provider: self.provider.clone(),
            columns: self.columns,
            callbacks: self.callbacks.clone(),
            entity: PhantomData,
        }
    }
}

impl<E: EntityTrait> fmt::Debug for BaseDao<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BaseDao({})", E::default().table_name())
    }
}

impl<E: EntityTrait> BaseDao<E> {
    /// On the sessions of `provider`: a [`Database`](crate::Database) for a session per call, a [`Session`] for that one.
    pub fn new(provider: impl SessionProvider + 'static) -> Self {
        Self::with_conventions(provider, Conventions::default())
    }

    /// With other conventional column names.
    pub fn with_conventions(provider: impl SessionProvider + 'static, conventions: Conventions) -> Self {
        let (columns, callbacks) = (ConventionColumns::of(conventions), CallbackList::default());
        Self { provider: Arc::new(provider), columns, callbacks, entity: PhantomData }
    }

    /// The same DAO inside of a session or transaction: it uses that connection and no other. When the transaction has
    /// ended, its calls fail with [`Error::TransactionEnded`](crate::Error::TransactionEnded), as the
    /// [root](crate::Error::root) of what they return.
    #[must_use]
    pub fn within(&self, tx: &Session) -> Self {
        Self { provider: Arc::new(tx.share()), ..self.clone() }
    }

    /// With optimistic locking by this column, a number that every write of a row raises by one.
    ///
    /// [`update`](Self::update) and [`delete`](Self::delete) of a row that was read before are refused with
    /// [`Error::VersionConflict`](crate::Error::VersionConflict) when somebody else has written it meanwhile;
    /// [`update_where`](Self::update_where) and [`delete_where`](Self::delete_where), which know no version, raise it.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, DatabaseConfig, Result};
    /// # use sea_dao::sea_orm::{ActiveValue::Set, IntoActiveModel};
    /// # use entities::user;
    /// # use migration::MigratorTrait;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    /// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
    /// let users = BaseDao::<user::Entity>::new(db.clone()).optimistic_lock(user::Column::Version);
    /// # let ada = user::ActiveModel { username: Set("ada".into()), phone: Set("1".into()), ..Default::default() };
    /// # let ada = users.insert(ada).await?;
    ///
    /// let first = user::ActiveModel { status: Set(2), ..ada.clone().into_active_model() };
    /// let second = user::ActiveModel { status: Set(3), ..ada.into_active_model() };
    /// assert_eq!(users.update(first).await?.version, 1);
    /// assert!(users.update(second).await.is_err_and(|error| error.is_version_conflict()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn optimistic_lock(self, version: E::Column) -> Self {
        Self { columns: self.columns.with_version(version), ..self }
    }

    /// With what is done before and after each of its writes, behind what it has already; see [`Callbacks`].
    #[must_use]
    pub fn callbacks(mut self, callbacks: impl Callbacks<E>) -> Self {
        self.callbacks.push(callbacks);
        self
    }

    /// A session of the DAO's provider.
    #[must_use]
    pub fn session(&self) -> Session {
        self.provider.session()
    }

    /// A query.
    #[track_caller]
    pub fn query(&self) -> QueryBuilder<E> {
        QueryBuilder::new(self.scope())
    }

    /// A count; `.await` runs it.
    #[track_caller]
    pub fn count(&self) -> CountBuilder<E> {
        CountBuilder::new(self.scope())
    }

    /// An update of the rows that match.
    #[track_caller]
    pub fn update_where(&self) -> UpdateBuilder<E> {
        UpdateBuilder::new(self.scope())
    }

    /// A deletion of the rows that match; soft, when the entity has `deleted_at`.
    #[track_caller]
    pub fn delete_where(&self) -> DeleteBuilder<E> {
        DeleteBuilder::new(self.scope())
    }

    /// Restores the rows that match and are marked as deleted.
    #[track_caller]
    pub fn restore_where(&self) -> RestoreBuilder<E> {
        RestoreBuilder::new(self.scope())
    }

    /// Removes the rows that match and are marked as deleted, for good. Of an entity without soft deletion it is
    /// [`Error::Unsupported`](crate::Error::Unsupported): [`delete_where`](Self::delete_where) removes its rows.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use entities::user;
    /// # async fn example(users: BaseDao<user::Entity>, a_year_ago: sea_dao::sea_orm::prelude::DateTimeUtc) -> Result<u64> {
    /// users.purge_where().lt(user::Column::DeletedAt, a_year_ago).exec().await
    /// # }
    /// ```
    #[track_caller]
    pub fn purge_where(&self) -> DeleteBuilder<E> {
        DeleteBuilder::purging(self.scope())
    }

    /// The row with this primary key, unless it is deleted.
    ///
    /// # Errors
    ///
    /// Those of a statement.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; in a transaction it aborts the transaction when the statement was under way.
    #[track_caller]
    pub fn find_by_id(&self, key: impl Into<KeyOf<E>>) -> impl Future<Output = Result<Option<E::Model>>> + Send {
        let key = Key::<E>::of(key.into());
        let session = self.provider.read_session().located_at(caller()).for_one_statement();
        let statement = select_by_key(self, key, session.backend());
        async move {
            let row = statement?.query_one(&session).await.map_err(naming::<E>("select"))?;
            row.map(|row| model::<E>(&row)).transpose().map_err(during::<E>("select"))
        }
    }

    /// The rows with these primary keys, each one once, in no particular order. Any number of keys; those that are not
    /// found are left out.
    ///
    /// # Errors
    ///
    /// Those of a statement.
    ///
    /// # Cancel safety
    ///
    /// As [`find_by_id`](Self::find_by_id).
    #[track_caller]
    pub fn find_by_ids<K: Into<KeyOf<E>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<E::Model>>> {
        let keys = key::distinct::<E>(keys.into_iter().map(Into::into));
        located(async move { self.rows_with(&keys).await })
    }

    /// The rows with these keys, as [`find_by_ids`](Self::find_by_ids) gives them.
    pub(super) async fn rows_with(&self, keys: &[Key<E>]) -> Result<Vec<E::Model>> {
        let mut rows = Vec::with_capacity(keys.len());
        // One session, so that all parts are read on the same connection.
        let session = self.provider.read_session();
        let dao = self.within(&session);
        for part in keys.chunks(key::keys_per_statement::<E>(self.capabilities())) {
            rows.extend(dao.query().filter(key::any_of(part)).all().await?);
        }
        Ok(rows)
    }

    /// Whether there is a row with this primary key that is not deleted.
    ///
    /// # Errors
    ///
    /// Those of a statement.
    ///
    /// # Cancel safety
    ///
    /// As [`find_by_id`](Self::find_by_id).
    #[track_caller]
    pub fn exists(&self, key: impl Into<KeyOf<E>>) -> impl Future<Output = Result<bool>> {
        self.query().filter(Key::<E>::of(key.into()).condition()).exists()
    }

    #[track_caller]
    fn scope(&self) -> Scope<E> {
        Scope::new(self.provider.clone(), self.columns).with_callbacks(self.callbacks.clone())
    }

    /// The same DAO on this session, for writes whose callbacks are called elsewhere.
    pub(super) fn quietly_within(&self, session: &Session) -> Self {
        Self { callbacks: CallbackList::default(), ..self.within(session) }
    }

    pub(super) fn rules(&self) -> Rules<E> {
        Rules { columns: self.columns, callbacks: self.callbacks.clone() }
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.provider.session().capabilities()
    }
}
