//! The DAO itself, and what it reads.

use std::{fmt, marker::PhantomData, sync::Arc};

use sea_orm::{EntityTrait, FromQueryResult, PrimaryKeyTrait};

use super::{
    key::{self, Key},
    lookup::select_by_key,
    write::during,
};
use crate::{
    backend::Capabilities,
    convention::{ConventionColumns, Conventions},
    error::Result,
    query::{Conditions, CountBuilder, DeleteBuilder, QueryBuilder, Scope, UpdateBuilder},
    session::{Session, SessionProvider},
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
    entity: PhantomData<fn() -> E>,
}

impl<E: EntityTrait> Clone for BaseDao<E> {
    fn clone(&self) -> Self {
        Self { provider: self.provider.clone(), columns: self.columns, entity: PhantomData }
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
        Self { provider: Arc::new(provider), columns: ConventionColumns::of(conventions), entity: PhantomData }
    }

    /// The same DAO inside of a session or transaction: it uses that connection and no other. When the transaction has
    /// ended, its calls fail with [`Error::TransactionEnded`](crate::Error::TransactionEnded), as the
    /// [root](crate::Error::root) of what they return.
    #[must_use]
    pub fn within(&self, tx: &Session) -> Self {
        Self { provider: Arc::new(tx.share()), columns: self.columns, entity: PhantomData }
    }

    /// A session of the DAO's provider.
    #[must_use]
    pub fn session(&self) -> Session {
        self.provider.session()
    }

    /// A query.
    pub fn query(&self) -> QueryBuilder<E> {
        QueryBuilder::new(self.scope())
    }

    /// A count; `.await` runs it.
    pub fn count(&self) -> CountBuilder<E> {
        CountBuilder::new(self.scope())
    }

    /// An update of the rows that match.
    pub fn update_where(&self) -> UpdateBuilder<E> {
        UpdateBuilder::new(self.scope())
    }

    /// A deletion of the rows that match; soft, when the entity has `deleted_at`.
    pub fn delete_where(&self) -> DeleteBuilder<E> {
        DeleteBuilder::new(self.scope())
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
    pub async fn find_by_id(&self, key: impl Into<KeyOf<E>>) -> Result<Option<E::Model>> {
        let key = Key::<E>::of(key.into());
        let session = self.provider.read_session().for_one_statement();
        let statement = select_by_key(self, key, session.backend());
        E::Model::find_by_statement(statement).one(&session).await.map_err(during::<E>("select"))
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
    pub async fn find_by_ids<K: Into<KeyOf<E>>>(&self, keys: impl IntoIterator<Item = K>) -> Result<Vec<E::Model>> {
        let keys = key::distinct::<E>(keys.into_iter().map(Into::into));
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
    pub async fn exists(&self, key: impl Into<KeyOf<E>>) -> Result<bool> {
        self.query().filter(Key::<E>::of(key.into()).condition()).exists().await
    }

    fn scope(&self) -> Scope<E> {
        Scope::new(self.provider.clone(), self.columns)
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.provider.session().capabilities()
    }
}
