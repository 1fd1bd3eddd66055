//! What is done before and after rows are written.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use sea_orm::{EntityTrait, Statement};

use super::Session;
use crate::error::{Error, Result};

/// What a DAO does before and after it writes rows of `E`: checks, values that follow from others, an audit log, a cache
/// that forgets. A DAO gets them by [`BaseDao::callbacks`](crate::BaseDao::callbacks), and calls them when it writes;
/// [`crate::dao`] says which when. Each method does nothing unless it is written.
///
/// A method gets all rows of one write at once, so that what it sends can be one statement for all of them. Its `session`
/// is the write's own: with callbacks a write is a transaction, or a savepoint of the one that it is in, and an error of a
/// callback undoes all of it, what the callbacks wrote included. [`Error::refused`] makes an error of any text or error.
///
/// ```
/// use sea_dao::{BaseDao, Error, Result, Session, dao::Callbacks, prelude::*};
/// use sea_dao::sea_orm::ActiveValue::Set;
/// use entities::user;
///
/// struct Rules;
///
/// impl Callbacks<user::Entity> for Rules {
///     async fn before_insert(&self, _: &Session, rows: &mut [user::ActiveModel]) -> Result<()> {
///         for row in rows {
///             let name = row.username.try_as_ref().map_or("", |name| name.trim());
///             if name.is_empty() {
///                 return Err(Error::refused("a user needs a name"));
///             }
///             row.username = Set(name.to_owned());
///         }
///         Ok(())
///     }
/// }
///
/// # use migration::MigratorTrait;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let db = sea_dao::DatabaseConfig::new("sqlite::memory:").connect().await?;
/// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
/// let users = BaseDao::<user::Entity>::new(db.clone()).callbacks(Rules);
/// let user = |name: &str| user::ActiveModel { username: Set(name.into()), phone: Set("1".into()), ..Default::default() };
/// assert_eq!(users.insert(user(" ada ")).await?.username, "ada");
/// let refused = users.insert_many([user("bob"), user("")]).await.unwrap_err();
/// assert_eq!(refused.to_string(), "insert user: a user needs a name");
/// assert_eq!(users.count().await?, 1);
/// # Ok(())
/// # }
/// ```
pub trait Callbacks<E: EntityTrait>: Send + Sync + 'static {
    /// Before rows are inserted. What the conventions fill in is set already; what is set here is written.
    ///
    /// [`upsert`](crate::BaseDao::upsert) calls it for all of its rows, as each may be inserted; so do the BEFORE INSERT
    /// triggers of a database.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn before_insert(&self, session: &Session, rows: &mut [E::ActiveModel]) -> impl Future<Output = Result<()>> + Send {
        nothing((session, rows))
    }

    /// After rows were inserted, as they are now.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn after_insert(&self, session: &Session, rows: &[E::Model]) -> impl Future<Output = Result<()>> + Send {
        nothing((session, rows))
    }

    /// Before rows are updated, or restored, each in the columns that are `Set` in it.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn before_update(&self, session: &Session, rows: &mut [E::ActiveModel]) -> impl Future<Output = Result<()>> + Send {
        nothing((session, rows))
    }

    /// After rows were updated, as they are now. Rows in which nothing was to be changed are not among them.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn after_update(&self, session: &Session, rows: &[E::Model]) -> impl Future<Output = Result<()>> + Send {
        nothing((session, rows))
    }

    /// Before rows are deleted, softly or not, as the DAO knows them.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn before_delete(&self, session: &Session, rows: &[E::Model]) -> impl Future<Output = Result<()>> + Send {
        nothing((session, rows))
    }

    /// After rows were deleted, as they were before.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn after_delete(&self, session: &Session, rows: &[E::Model]) -> impl Future<Output = Result<()>> + Send {
        nothing((session, rows))
    }

    /// Before [`update_where`](crate::BaseDao::update_where) or [`restore_where`](crate::BaseDao::restore_where) updates
    /// rows that nobody has read: all that is known is the statement.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn before_update_where(&self, session: &Session, statement: &Statement) -> impl Future<Output = Result<()>> + Send {
        nothing((session, statement))
    }

    /// After [`update_where`](crate::BaseDao::update_where) or [`restore_where`](crate::BaseDao::restore_where) has updated
    /// so many rows.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn after_update_where(
        &self,
        session: &Session,
        statement: &Statement,
        rows: u64,
    ) -> impl Future<Output = Result<()>> + Send {
        nothing((session, statement, rows))
    }

    /// Before [`delete_where`](crate::BaseDao::delete_where) deletes rows that nobody has read, softly or not.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn before_delete_where(&self, session: &Session, statement: &Statement) -> impl Future<Output = Result<()>> + Send {
        nothing((session, statement))
    }

    /// After [`delete_where`](crate::BaseDao::delete_where) has deleted so many rows.
    ///
    /// # Errors
    ///
    /// Those that are to undo the write.
    fn after_delete_where(
        &self,
        session: &Session,
        statement: &Statement,
        rows: u64,
    ) -> impl Future<Output = Result<()>> + Send {
        nothing((session, statement, rows))
    }
}

fn nothing<T>(_: T) -> std::future::Ready<Result<()>> {
    std::future::ready(Ok(()))
}

/// [`Callbacks`] as an object. Each method says what it says there.
trait Erased<E: EntityTrait>: Send + Sync {
    fn rows<'a>(&'a self, session: &'a Session, call: Call<'a, E>) -> BoxFuture<'a, Result<()>>
    where
        E::Model: Sync,
        E::ActiveModel: Send;

    fn statement<'a>(
        &'a self,
        session: &'a Session,
        kind: Kind,
        statement: &'a Statement,
        rows: Option<u64>,
    ) -> BoxFuture<'a, Result<()>>;
}

/// What is about to happen to rows, or has happened to them.
pub(crate) enum Call<'a, E: EntityTrait> {
    BeforeInsert(&'a mut [E::ActiveModel]),
    AfterInsert(&'a [E::Model]),
    BeforeUpdate(&'a mut [E::ActiveModel]),
    AfterUpdate(&'a [E::Model]),
    BeforeDelete(&'a [E::Model]),
    AfterDelete(&'a [E::Model]),
}

impl<E: EntityTrait> Call<'_, E> {
    fn is_empty(&self) -> bool {
        match self {
            Self::BeforeInsert(rows) | Self::BeforeUpdate(rows) => rows.is_empty(),
            Self::AfterInsert(rows) | Self::AfterUpdate(rows) | Self::BeforeDelete(rows) | Self::AfterDelete(rows) => {
                rows.is_empty()
            }
        }
    }

    fn again(&mut self) -> Call<'_, E> {
        match self {
            Self::BeforeInsert(rows) => Call::BeforeInsert(rows),
            Self::AfterInsert(rows) => Call::AfterInsert(rows),
            Self::BeforeUpdate(rows) => Call::BeforeUpdate(rows),
            Self::AfterUpdate(rows) => Call::AfterUpdate(rows),
            Self::BeforeDelete(rows) => Call::BeforeDelete(rows),
            Self::AfterDelete(rows) => Call::AfterDelete(rows),
        }
    }
}

/// What a statement does to rows that nobody has read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Update,
    Delete,
}

impl<E: EntityTrait, C: Callbacks<E>> Erased<E> for C {
    fn rows<'a>(&'a self, session: &'a Session, call: Call<'a, E>) -> BoxFuture<'a, Result<()>>
    where
        E::Model: Sync,
        E::ActiveModel: Send,
    {
        match call {
            Call::BeforeInsert(rows) => Box::pin(self.before_insert(session, rows)),
            Call::AfterInsert(rows) => Box::pin(self.after_insert(session, rows)),
            Call::BeforeUpdate(rows) => Box::pin(self.before_update(session, rows)),
            Call::AfterUpdate(rows) => Box::pin(self.after_update(session, rows)),
            Call::BeforeDelete(rows) => Box::pin(self.before_delete(session, rows)),
            Call::AfterDelete(rows) => Box::pin(self.after_delete(session, rows)),
        }
    }

    fn statement<'a>(
        &'a self,
        session: &'a Session,
        kind: Kind,
        statement: &'a Statement,
        rows: Option<u64>,
    ) -> BoxFuture<'a, Result<()>> {
        match (kind, rows) {
            (Kind::Update, None) => Box::pin(self.before_update_where(session, statement)),
            (Kind::Update, Some(rows)) => Box::pin(self.after_update_where(session, statement, rows)),
            (Kind::Delete, None) => Box::pin(self.before_delete_where(session, statement)),
            (Kind::Delete, Some(rows)) => Box::pin(self.after_delete_where(session, statement, rows)),
        }
    }
}

/// The callbacks of a DAO, in the order in which it got them.
pub(crate) struct CallbackList<E: EntityTrait>(Vec<Arc<dyn Erased<E>>>);

impl<E: EntityTrait> Default for CallbackList<E> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<E: EntityTrait> Clone for CallbackList<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: EntityTrait> fmt::Debug for CallbackList<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallbackList({})", self.0.len())
    }
}

impl<E: EntityTrait> CallbackList<E> {
    pub(crate) fn push(&mut self, callbacks: impl Callbacks<E>) {
        self.0.push(Arc::new(callbacks));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are the same objects in the same order.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(one, other)| Arc::ptr_eq(one, other))
    }

    /// Calls one after the other, until one fails.
    pub(crate) async fn rows(&self, session: &Session, mut call: Call<'_, E>) -> Result<()>
    where
        E::Model: Sync,
        E::ActiveModel: Send,
    {
        if call.is_empty() {
            return Ok(());
        }
        for callbacks in &self.0 {
            callbacks.rows(session, call.again()).await?;
        }
        Ok(())
    }

    /// As [`rows`](Self::rows): before the statement, and after it when there is a number of rows.
    pub(crate) async fn statement(
        &self,
        session: &Session,
        kind: Kind,
        statement: &Statement,
        rows: Option<u64>,
    ) -> Result<()> {
        for callbacks in &self.0 {
            callbacks.statement(session, kind, statement, rows).await?;
        }
        Ok(())
    }

    /// What a write runs on: a transaction, or savepoint, of its own when there are callbacks that may undo it.
    pub(crate) async fn guard(&self, session: Session) -> Result<Guarded> {
        let tx = if self.is_empty() { None } else { Some(session.begin().await?) };
        Ok(Guarded { session, tx })
    }
}

/// What a write with callbacks runs on.
pub(crate) struct Guarded {
    session: Session,
    tx: Option<Session>,
}

impl Guarded {
    pub(crate) fn session(&self) -> &Session {
        self.tx.as_ref().unwrap_or(&self.session)
    }

    /// Keeps what was written, or undoes it.
    pub(crate) async fn end<T, X: From<Error>>(self, written: Result<T, X>) -> Result<T, X> {
        let Some(tx) = self.tx else { return written };
        match written {
            Ok(written) => {
                tx.commit().await?;
                Ok(written)
            }
            Err(error) => {
                tx.rollback_or_report().await;
                Err(error)
            }
        }
    }
}
