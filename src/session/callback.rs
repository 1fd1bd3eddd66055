//! Transactions as callbacks: commit on `Ok`, roll back on everything else.

use std::{fmt, panic::Location};

use sea_orm::{AccessMode, IsolationLevel};

use super::{FlushMode, Session, SessionProvider};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
};

/// An async closure whose future can be named, so that it can be required to be `Send`.
///
/// Implemented for every async closure and function; there is no need to implement it.
pub trait AsyncFunc<A, R>: AsyncFnOnce(A) -> R + FnOnce(A) -> <Self as AsyncFunc<A, R>>::Fut {
    /// The closure's future.
    type Fut: Future<Output = R>;
}

impl<A, R, F, Fut> AsyncFunc<A, R> for F
where
    F: AsyncFnOnce(A) -> R + FnOnce(A) -> Fut,
    Fut: Future<Output = R>,
{
    type Fut = Fut;
}

/// Runs `callback` in one transaction on one connection: commits when it returns `Ok`, rolls back when it returns `Err`,
/// panics, or is cancelled.
///
/// On a session that is in a transaction already, the callback runs behind a savepoint. The callback's result and error
/// come back as they were; the error type is the caller's own. A closure followed by `?` needs its return type written.
///
/// ```
/// # use sea_dao::{DatabaseConfig, Error, execute_transaction};
/// # use sea_dao::sea_orm::ConnectionTrait;
/// #[derive(Debug)]
/// enum AppError { Database(Error), Refused }
///
/// impl From<Error> for AppError {
///     fn from(error: Error) -> Self { Self::Database(error) }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), AppError> {
/// let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// db.session().execute_unprepared("CREATE TABLE note (text TEXT)").await.map_err(Error::from)?;
///
/// let mut tries = 0;
/// let refused = execute_transaction(&db, async |tx| -> Result<(), AppError> {
///     tries += 1;
///     tx.execute_unprepared("INSERT INTO note VALUES ('never seen')").await.map_err(Error::from)?;
///     Err(AppError::Refused)
/// }).await;
/// assert!(matches!(refused, Err(AppError::Refused)));
/// assert_eq!(tries, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The callback's own; those of [`Session::begin`] and [`Session::commit`], among them [`Error::TransactionAborted`] when
/// the callback ignored a failure that aborted the transaction, through `E: From<Error>`.
///
/// # Cancel safety
///
/// Dropping the future rolls back, unless COMMIT is under way.
#[track_caller]
pub fn execute_transaction<P, T, E, F>(provider: &P, callback: F) -> impl Future<Output = Result<T, E>> + Send
where
    P: SessionProvider + ?Sized,
    T: Send,
    E: From<Error> + Send,
    for<'t> F: AsyncFnOnce(&'t Session) -> Result<T, E> + AsyncFunc<&'t Session, Result<T, E>, Fut: Send> + Send,
{
    TransactionBuilder::new(provider).run(callback)
}

/// How a transaction is run: isolation, access mode, flush mode.
#[must_use = "a transaction does nothing until it is run"]
pub struct TransactionBuilder<'p, P: ?Sized> {
    provider: &'p P,
    options: TransactionOptions,
    flush_mode: Option<FlushMode>,
    location: &'static Location<'static>,
}

impl<'p, P: SessionProvider + ?Sized> TransactionBuilder<'p, P> {
    /// For a transaction on a session of `provider`.
    #[track_caller]
    pub fn new(provider: &'p P) -> Self {
        let location = Location::caller();
        Self { provider, options: TransactionOptions::default(), flush_mode: None, location }
    }

    /// The isolation level. SQLite's transactions are serializable, whatever is asked.
    pub fn isolation(mut self, level: IsolationLevel) -> Self {
        self.options.isolation = Some(level);
        self
    }

    /// Whether the transaction may write. On SQLite a read-only transaction takes no write lock, but is not stopped from
    /// writing.
    pub fn access_mode(mut self, mode: AccessMode) -> Self {
        self.options.access = Some(mode);
        self
    }

    /// The same as [`access_mode`](Self::access_mode) with [`AccessMode::ReadOnly`].
    pub fn read_only(self) -> Self {
        self.access_mode(AccessMode::ReadOnly)
    }

    /// When pending writes go out. The session's own mode comes back when the transaction's handle is dropped.
    pub fn flush_mode(mut self, mode: FlushMode) -> Self {
        self.flush_mode = Some(mode);
        self
    }

    /// Begins the transaction; the caller commits it or rolls it back.
    ///
    /// # Errors
    ///
    /// Those of [`Session::begin`]; [`Error::InvalidArgument`] for an isolation level or access mode in a nested
    /// transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no transaction open.
    pub async fn begin(self) -> Result<Session> {
        let session = self.provider.session().located_at(self.location);
        let mut tx = session.into_transaction(self.options).await?;
        if let Some(mode) = self.flush_mode {
            tx.flush_mode_until_dropped(mode);
        }
        Ok(tx)
    }

    /// Runs `callback` in the transaction; see [`execute_transaction`].
    ///
    /// # Errors
    ///
    /// Those of [`execute_transaction`]; [`Error::InvalidArgument`] for an isolation level or access mode in a nested
    /// transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back, unless COMMIT is under way.
    #[expect(clippy::manual_async_fn, reason = "the future has to be Send in generic callers too")]
    pub fn run<T, E, F>(self, callback: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send,
        E: From<Error> + Send,
        for<'t> F: AsyncFnOnce(&'t Session) -> Result<T, E> + AsyncFunc<&'t Session, Result<T, E>, Fut: Send> + Send,
    {
        async move {
            let tx = self.begin().await?;
            // A panic or a drop in here drops `tx`, which rolls back.
            let result = callback(&tx).await;
            match result {
                Ok(value) => {
                    tx.commit().await?;
                    Ok(value)
                }
                Err(error) => {
                    tx.rollback_or_report().await;
                    Err(error)
                }
            }
        }
    }
}

impl<P: ?Sized> fmt::Debug for TransactionBuilder<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder")
            .field("options", &self.options)
            .field("flush_mode", &self.flush_mode)
            .finish_non_exhaustive()
    }
}
