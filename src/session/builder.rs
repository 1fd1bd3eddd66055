//! How a transaction is run.

use std::{fmt, time::Duration};

use sea_orm::{AccessMode, IsolationLevel};

use super::{
    AsyncFunc, FlushMode, Propagation, RetryPolicy, RetryingTransaction, Session, SessionProvider,
    caller::caller,
    stage::{Refused, Settings, Stage},
    transaction::LivenessCheck,
};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
};

/// How a transaction is run: isolation, access mode, flush mode, statement timeout, propagation, retry.
#[must_use = "a transaction does nothing until it is run"]
pub struct TransactionBuilder<'p, P: ?Sized> {
    provider: &'p P,
    pub(super) settings: Settings,
}

impl<'p, P: SessionProvider + ?Sized> TransactionBuilder<'p, P> {
    /// For a transaction on a session of `provider`.
    #[track_caller]
    pub fn new(provider: &'p P) -> Self {
        let settings = Settings {
            options: TransactionOptions::default(),
            flush_mode: None,
            propagation: Propagation::default(),
            liveness_check: LivenessCheck::None,
            location: caller(),
        };
        Self { provider, settings }
    }

    /// The isolation level. SQLite's transactions are serializable, whatever is asked.
    pub fn isolation(mut self, level: IsolationLevel) -> Self {
        self.settings.options.isolation = Some(level);
        self
    }

    /// Whether the transaction may write. In one that may not, a write fails with a class of
    /// [`ReadOnly`](crate::error::ErrorClass::ReadOnly); on SQLite it takes no write lock.
    pub fn access_mode(mut self, mode: AccessMode) -> Self {
        self.settings.options.access = Some(mode);
        self
    }

    /// The same as [`access_mode`](Self::access_mode) with [`AccessMode::ReadOnly`].
    pub fn read_only(self) -> Self {
        self.access_mode(AccessMode::ReadOnly)
    }

    /// When pending writes go out. The session's own mode comes back when the transaction's handle is dropped.
    pub fn flush_mode(mut self, mode: FlushMode) -> Self {
        self.settings.flush_mode = Some(mode);
        self
    }

    /// The most that one statement of the transaction may take, in place of the pool's
    /// [`statement_timeout`](crate::PoolConfig::statement_timeout). One that takes longer is
    /// [`Error::StatementTimeout`]; its connection is closed, and with it the transaction is rolled back.
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.settings.options.statement_timeout = Some(limit);
        self
    }

    /// What happens when the provider's session is in a transaction already, and when it is not.
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.settings.propagation = propagation;
        self
    }

    /// Runs the transaction again when it fails in a way that may pass.
    pub fn retry(self, policy: RetryPolicy) -> RetryingTransaction<'p, P> {
        RetryingTransaction::new(self, policy)
    }

    /// Begins the transaction; the caller commits it or rolls it back.
    ///
    /// # Errors
    ///
    /// Those of [`Session::begin`]; [`Error::InvalidArgument`] for options in a nested transaction, and for a
    /// [propagation](Self::propagation) by which there may be nothing to end.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no transaction open.
    pub async fn begin(self) -> Result<Session> {
        let propagation = self.settings.propagation;
        if !matches!(propagation, Propagation::Nested | Propagation::RequiresNew) {
            let expected = "Nested or RequiresNew for a transaction that is ended by its handle";
            return Err(Error::argument("propagation", format!("{propagation:?}"), expected));
        }
        Ok(self.enter().await.map_err(|refused| refused.error)?.into_session())
    }

    pub(super) async fn enter(&self) -> Result<Stage, Refused> {
        Stage::enter(self.provider, &self.settings).await
    }

    /// Runs `callback` in the transaction; see [`execute_transaction`](super::execute_transaction).
    ///
    /// # Errors
    ///
    /// Those of [`execute_transaction`](super::execute_transaction); [`Error::InvalidArgument`] for options where no
    /// outermost transaction is begun; those that [`Propagation`] names.
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
            let stage = self.enter().await.map_err(|refused| refused.error)?;
            // A panic or a drop in here drops the stage, which rolls back.
            let result = stage.run(callback(stage.session())).await;
            stage.leave(result).await.0
        }
    }
}

impl<P: ?Sized> fmt::Debug for TransactionBuilder<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
