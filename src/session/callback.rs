//! Transactions as callbacks: commit on `Ok`, roll back on everything else.

use super::{Session, SessionProvider, TransactionBuilder};
use crate::error::{Error, Result};

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

/// An async closure that can be called again, and whose future can be named: what [`AsyncFunc`] is for one that is called
/// once.
///
/// Implemented for every async function, and for every async closure that only reads what it captures. One that is
/// declared `async move` and owns something has to be given a reference to it instead; what is to be changed goes into an
/// atomic or a mutex.
pub trait RepeatableAsyncFunc<A, R>: AsyncFn(A) -> R + Fn(A) -> <Self as RepeatableAsyncFunc<A, R>>::Fut {
    /// The closure's future.
    type Fut: Future<Output = R>;
}

impl<A, R, F, Fut> RepeatableAsyncFunc<A, R> for F
where
    F: AsyncFn(A) -> R + Fn(A) -> Fut,
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
