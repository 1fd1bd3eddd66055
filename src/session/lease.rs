//! The session's connection for the length of one statement.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::consume_budget;

use super::{
    Session,
    core::{Abort, Core, Slot},
};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
    hooks::StatementKind,
    pool::PooledConnection,
};

/// What a statement takes from the 128 units that tokio lets a task have before another one's turn.
const BUDGET_PER_STATEMENT: u32 = 8;

/// What the holder of a lease is going to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Run a statement: refused in an aborted transaction.
    Statement,
    /// End the transaction, whatever became of it.
    End,
}

/// The session's connection for the length of one statement. However it is dropped, the session knows afterwards what
/// became of the connection and of the open transactions.
pub(super) struct Lease {
    core: Arc<Core>,
    connection: Option<PooledConnection>,
    /// How long the pool was waited for, when the connection came from it for this statement: nothing was done on it yet.
    waited: Option<Duration>,
}

impl Lease {
    /// Takes the connection, or the session's first one from the pool.
    ///
    /// # Errors
    ///
    /// When it is not the handle's turn, another statement is under way, the transaction is aborted, or no connection
    /// can be had.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost by dropping the future while it waits for a connection.
    pub(super) async fn take(session: &Session, activity: &'static str, purpose: Purpose) -> Result<Self> {
        let core = &session.core;
        let held = {
            let mut state = core.lock();
            state.check_turn(session.scope)?;
            if purpose == Purpose::Statement
                && let Some(abort) = state.abort()
            {
                return Err(abort.to_error());
            }
            if purpose == Purpose::Statement && !matches!(state.slot, Slot::Busy(_)) {
                state.begin_statement();
            }
            match mem::replace(&mut state.slot, Slot::Busy(activity)) {
                Slot::Busy(activity) => {
                    state.slot = Slot::Busy(activity);
                    return Err(Error::SessionBusy { activity });
                }
                Slot::Held(connection) => Some(connection),
                Slot::Empty if state.scopes.is_empty() => None,
                Slot::Empty => {
                    state.slot = Slot::Empty;
                    return match (purpose, &state.lost) {
                        (Purpose::End, _) => Ok(Self { core: core.clone(), connection: None, waited: None }),
                        (_, Some(abort)) => Err(abort.to_error()),
                        (_, None) => Err(Abort::interrupted().to_error()),
                    };
                }
            }
        };
        // From here on the slot is busy until the lease is dropped.
        let mut lease = Self { core: core.clone(), connection: held, waited: None };
        share_the_turn().await;
        match &mut lease.connection {
            None => lease.acquire(session, Duration::ZERO).await?,
            Some(held) => held.called_from(session.location),
        }
        if purpose == Purpose::Statement {
            lease.tidy().await?;
        }
        Ok(lease)
    }

    async fn acquire(&mut self, session: &Session, before: Duration) -> Result<()> {
        let started = Instant::now();
        let mut connection = self.core.pool.acquire_after(before).await?;
        let waited = started.elapsed();
        self.waited = Some(before + waited);
        connection.borrowed_by(self.core.id, self.core.location, waited);
        connection.called_from(session.location);
        self.connection = Some(connection);
        Ok(())
    }

    /// Begins a transaction. On a connection that turns out to have died while it lay idle, BEGIN has done nothing, so that
    /// it may be sent on another one.
    pub(super) async fn begin(
        &mut self,
        session: &Session,
        sql: Arc<str>,
        id: u64,
        options: &TransactionOptions,
    ) -> Result<()> {
        let begun = self.connection()?.begin(sql.clone(), id, options).await;
        match (begun, self.waited) {
            (Err(error), Some(waited)) if error.is_disconnect() && !self.has_connection() => {
                self.connection = None;
                self.acquire(session, waited).await?;
                self.connection()?.begin(sql, id, options).await
            }
            (begun, _) => begun,
        }
    }

    /// Finishes what handles that were dropped could not await.
    pub(super) async fn tidy(&mut self) -> Result<()> {
        if self.connection()?.is_undrained() {
            let settled = self.connection()?.settle().await;
            self.check(settled)?;
        }
        let roll_back_to = self.core.lock().roll_back_to;
        if let Some(depth) = roll_back_to {
            let rolled_back =
                self.connection()?.savepoint(StatementKind::RollbackToSavepoint, undo_savepoint(depth)).await;
            if let Err(error) = rolled_back {
                // Writes that should be gone may still be there.
                self.core.lock().lose(Abort::failed(&error));
                return Err(error);
            }
            self.core.lock().roll_back_to = None;
        }
        Ok(())
    }

    /// The connection, unless the transaction lost it.
    pub(super) fn connection(&mut self) -> Result<&mut PooledConnection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(self.core.lock().lost.clone().unwrap_or_else(Abort::interrupted).to_error()),
        }
    }

    pub(super) fn has_connection(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.is_usable())
    }

    /// Notes what a failure did to the open transactions.
    pub(super) fn check<T>(&mut self, result: Result<T>) -> Result<T> {
        if let (Err(error), Some(connection)) = (&result, &self.connection) {
            self.core.lock().note(connection.last_effect(), error);
        }
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let connection = self.connection.take();
        let mut state = self.core.lock();
        let released = match connection {
            None => {
                state.slot = Slot::Empty;
                None
            }
            Some(connection) if !connection.is_usable() => {
                state.slot = Slot::Empty;
                state.lose(Abort::interrupted());
                Some(connection)
            }
            Some(connection) => {
                let abandoned = connection.is_in_transaction() && state.scopes.is_empty();
                let done = state.release_after_statement && state.scopes.is_empty();
                if state.closed || abandoned || done {
                    state.slot = Slot::Empty;
                    Some(connection)
                } else {
                    state.slot = Slot::Held(connection);
                    None
                }
            }
        };
        drop(state);
        drop(released);
    }
}

/// A server that is near may have answered before the task looks, so that it never waits: without this it would run a
/// hundred statements while others have not run one.
async fn share_the_turn() {
    for _ in 0..BUDGET_PER_STATEMENT {
        consume_budget().await;
    }
}

/// The name of the savepoint that opens the transaction at `depth`; the outermost has depth 0 and none.
pub(super) fn savepoint(depth: usize) -> String {
    format!("sea_dao_{depth}")
}

/// Undoes what came after the savepoint, and the savepoint itself.
pub(super) fn undo_savepoint(depth: usize) -> String {
    let name = savepoint(depth);
    format!("ROLLBACK TO SAVEPOINT {name}; RELEASE SAVEPOINT {name}")
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        pin::pin,
        sync::atomic::{AtomicUsize, Ordering::Relaxed},
        task::Poll,
    };

    use super::share_the_turn;

    #[tokio::test]
    async fn a_task_that_never_waits_gives_way_after_some_statements() {
        const FOR_EVER: usize = 1_000;
        // A task of its own has its whole budget.
        let task = tokio::spawn(async {
            let statements = AtomicUsize::new(0);
            let mut work = pin!(async {
                while statements.load(Relaxed) < FOR_EVER {
                    share_the_turn().await;
                    statements.fetch_add(1, Relaxed);
                }
            });
            poll_fn(|context| Poll::Ready(work.as_mut().poll(context).is_pending())).await;
            statements.load(Relaxed)
        });
        let statements = task.await.expect("a task that ends");
        assert!((4..64).contains(&statements), "{statements} statements in one turn");
    }
}
