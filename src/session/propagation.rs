//! What a transaction does when there is one already, and a provider that knows of it.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use futures_util::future::BoxFuture;

use super::{Session, SessionProvider};

/// What [`TransactionBuilder::run`](super::TransactionBuilder::run) does when its provider's session is in a transaction,
/// and when it is not. The names are Spring's.
///
/// | | in a transaction | outside of one |
/// |---|---|---|
/// | `Nested` (default) | a savepoint | a new transaction |
/// | `Required` | takes part in it | a new transaction |
/// | `RequiresNew` | a new transaction on a second connection | a new transaction |
/// | `Mandatory` | takes part in it | [`Error::NoTransaction`](crate::Error::NoTransaction) |
/// | `Supports` | takes part in it | no transaction |
/// | `NotSupported` | no transaction, on a second connection | no transaction |
/// | `Never` | [`Error::InTransaction`](crate::Error::InTransaction) | no transaction |
///
/// A callback that takes part in a transaction and returns `Err`, panics or is dropped leaves the whole transaction
/// aborted, also when its caller ignores that: commit is [`Error::TransactionAborted`](crate::Error::TransactionAborted)
/// then. With `Nested` only its own part is undone.
///
/// What needs a second connection waits for it like everybody else: a pool that is used up by callers who all want a
/// second one ends in [`Error::PoolTimeout`](crate::Error::PoolTimeout). In SQLite it cannot write while the outer
/// transaction may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Propagation {
    /// A savepoint in the transaction; a new transaction where there is none.
    #[default]
    Nested,
    /// Takes part in the transaction; a new one where there is none.
    Required,
    /// A new transaction on a connection of its own, always.
    RequiresNew,
    /// Takes part in the transaction; an error where there is none.
    Mandatory,
    /// Takes part in the transaction; runs without one where there is none.
    Supports,
    /// Runs without a transaction, always.
    NotSupported,
    /// Runs without a transaction; an error where there is one.
    Never,
}

/// A provider that gives the task's current transaction, and sessions of another provider where there is none.
///
/// Code deep below a transaction joins it without being handed the session: a DAO made on a `Current` runs in the
/// transaction of whoever called. A transaction is current for the length of its callback, when it was
/// [run](super::TransactionBuilder::run) on a `Current`, a clone of it, or a session that came from one. Clones share
/// their transactions; two `Current`s know nothing of each other.
///
/// ```
/// # use sea_dao::{DatabaseConfig, Result, execute_transaction};
/// # use sea_dao::session::{Current, SessionProvider};
/// # use sea_dao::sea_orm::ConnectionTrait;
/// async fn deep_below(db: &impl SessionProvider) -> Result<()> {
///     db.session().execute_unprepared("INSERT INTO note VALUES ('joined')").await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let database = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// let db = Current::new(database);
/// db.session().execute_unprepared("CREATE TABLE note (text TEXT)").await?;
/// execute_transaction(&db, async |tx| -> Result<()> {
///     deep_below(&db).await?;
///     assert_eq!(tx.id(), db.session().id());
///     Ok(())
/// }).await?;
/// # Ok(())
/// # }
/// ```
///
/// What it cannot do:
///
/// - A task that is spawned begins without a current transaction: it is another task, and would be on the transaction's
///   connection at the same time. Hand it a session of its own.
/// - Futures that run at the same time in one task, as with `join!`, share the transaction, which runs one statement at
///   a time: the second is [`Error::SessionBusy`](crate::Error::SessionBusy).
/// - A transaction that was begun by its handle ([`begin`](super::TransactionBuilder::begin)) is not current.
pub struct Current<P> {
    inner: P,
    key: u64,
}

impl<P: SessionProvider> Current<P> {
    /// Gives the sessions of `inner` where no transaction is current.
    pub fn new(inner: P) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self { inner, key: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    fn current(&self) -> Option<Session> {
        let found =
            CURRENT.try_with(|open| open.iter().find(|(key, _)| *key == self.key).map(|(_, session)| session.share()));
        found.ok().flatten()
    }
}

impl<P: SessionProvider> SessionProvider for Current<P> {
    fn session(&self) -> Session {
        self.current().unwrap_or_else(|| self.inner.session().of_current(self.key))
    }

    fn read_session(&self) -> Session {
        self.current().unwrap_or_else(|| self.inner.read_session().of_current(self.key))
    }
}

impl<P: Clone> Clone for Current<P> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), key: self.key }
    }
}

impl<P: fmt::Debug> fmt::Debug for Current<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Current").field(&self.inner).finish()
    }
}

tokio::task_local! {
    /// The current transaction of each `Current`, by its key.
    static CURRENT: Vec<(u64, Session)>;
}

/// Runs `work` with `session` as the current one of `key`.
pub(super) async fn with_current<T>(key: u64, session: Session, work: BoxFuture<'_, T>) -> T {
    let others = CURRENT.try_with(|open| {
        let others = open.iter().filter(|(other, _)| *other != key);
        others.map(|(other, session)| (*other, session.share())).collect()
    });
    let mut open: Vec<_> = others.unwrap_or_default();
    open.push((key, session));
    CURRENT.scope(open, work).await
}
