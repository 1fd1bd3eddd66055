//! What runs after the end of a transaction.

use std::{fmt, panic::AssertUnwindSafe};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{runtime::Handle, task::JoinHandle};
use tracing::Instrument;

use super::Session;
use crate::error::{Error, Result};

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionOutcome {
    /// The database has said that it is committed.
    Committed,
    /// Nothing of it was written.
    RolledBack,
    /// The connection was lost, or the future dropped, while COMMIT was under way: it may be committed or not.
    Unknown,
}

impl fmt::Display for TransactionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled back",
            Self::Unknown => "unknown",
        })
    }
}

/// Starts the callback's future, if the outcome is one that it is for.
type Callback = Box<dyn FnOnce(TransactionOutcome) -> Option<BoxFuture<'static, ()>> + Send>;

/// The callbacks of one open transaction or savepoint, in the order in which they were registered.
#[derive(Default)]
pub(super) struct After(Vec<(Callback, Option<TransactionOutcome>)>);

impl After {
    fn push(&mut self, callback: Callback) {
        self.0.push((callback, None));
    }

    /// Takes over the callbacks of a savepoint that has ended; if it was undone, that is their outcome, whatever
    /// becomes of the outer transaction.
    pub(super) fn absorb(&mut self, inner: Self, undone: bool) {
        let known = undone.then_some(TransactionOutcome::RolledBack);
        self.0.extend(inner.0.into_iter().map(|(callback, outcome)| (callback, outcome.or(known))));
    }

    /// Runs the callbacks, one after the other, in a task of their own: neither a panic in one nor a caller that stops
    /// waiting keeps the others from running.
    pub(super) fn start(self, outcome: TransactionOutcome) -> Option<JoinHandle<()>> {
        if self.0.is_empty() {
            return None;
        }
        let Ok(runtime) = Handle::try_current() else {
            let count = self.0.len();
            tracing::warn!(target: "sea_dao::session", count, %outcome, "no runtime to run the transaction's callbacks on");
            return None;
        };
        let work = async move {
            for (callback, known) in self.0 {
                let run = async move {
                    if let Some(work) = callback(known.unwrap_or(outcome)) {
                        work.await;
                    }
                };
                if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                    tracing::error!(target: "sea_dao::session", %outcome, "a callback after the end of a transaction panicked");
                }
            }
        };
        Some(runtime.spawn(work.in_current_span()))
    }

    /// [Starts](Self::start) them and waits for their end.
    pub(super) async fn run(self, outcome: TransactionOutcome) {
        if let Some(task) = self.start(outcome) {
            // A panic was caught inside; a runtime that shuts down takes the callbacks with it.
            let _ = task.await;
        }
    }
}

impl Session {
    /// Runs `callback` once, after the outermost transaction is committed; never when this transaction, or an outer one,
    /// is rolled back.
    ///
    /// The callback runs in a task of its own when the connection was given back (a session that goes on after the
    /// transaction keeps it), and `commit` or `execute_transaction`
    /// waits for it. A panic in it is logged; it changes neither the result of the commit nor the other callbacks, and a
    /// caller that stops waiting does not stop it. When the connection is lost during COMMIT, it is not run:
    /// [`after_end`](Self::after_end) is told.
    ///
    /// ```
    /// # use sea_dao::{DatabaseConfig, Result};
    /// # use std::sync::{Arc, atomic::{AtomicBool, Ordering}};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<()> {
    /// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
    /// let sent = Arc::new(AtomicBool::new(false));
    /// db.execute_transaction(async |tx| -> Result<()> {
    ///     let sent = sent.clone();
    ///     tx.after_commit(async move || sent.store(true, Ordering::SeqCst))
    /// }).await?;
    /// assert!(sent.load(Ordering::SeqCst));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoTransaction`], [`Error::TransactionEnded`].
    pub fn after_commit<F, Fut>(&self, callback: F) -> Result<()>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.after(move |outcome| (outcome == TransactionOutcome::Committed).then(|| callback().boxed()))
    }

    /// Runs `callback` once when this transaction or an outer one was rolled back, whatever the reason, and after the
    /// end of the outermost one. Otherwise as [`after_commit`](Self::after_commit).
    ///
    /// When the transaction's handle is dropped, the callback may run while the database is still rolling back.
    ///
    /// # Errors
    ///
    /// [`Error::NoTransaction`], [`Error::TransactionEnded`].
    pub fn after_rollback<F, Fut>(&self, callback: F) -> Result<()>
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.after(move |outcome| (outcome == TransactionOutcome::RolledBack).then(|| callback().boxed()))
    }

    /// Runs `callback` once after the end of the outermost transaction, and tells it what became of this one. Otherwise
    /// as [`after_commit`](Self::after_commit).
    ///
    /// # Errors
    ///
    /// [`Error::NoTransaction`], [`Error::TransactionEnded`].
    pub fn after_end<F, Fut>(&self, callback: F) -> Result<()>
    where
        F: FnOnce(TransactionOutcome) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.after(move |outcome| Some(callback(outcome).boxed()))
    }

    fn after(
        &self,
        callback: impl FnOnce(TransactionOutcome) -> Option<BoxFuture<'static, ()>> + Send + 'static,
    ) -> Result<()> {
        let id = self.scope.ok_or(Error::NoTransaction)?;
        let mut state = self.core.lock();
        let scope = state.scopes.iter_mut().find(|scope| scope.id == id).ok_or(Error::TransactionEnded)?;
        scope.after.push(Box::new(callback));
        Ok(())
    }
}
