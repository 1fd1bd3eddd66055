//! Beginning and ending transactions and savepoints.

use std::mem;

use sea_orm::{DbErr, RuntimeErr};

use super::{
    Session, TransactionOutcome,
    after::After,
    core::{Abort, Core, Scope, next_id},
    lease::{Lease, Purpose, savepoint, undo_savepoint},
};
use crate::{
    backend::TransactionOptions,
    error::{Error, ErrorClass, Result},
    hooks::StatementKind,
};

impl Session {
    /// Begins a transaction, or a savepoint when this handle stands for a transaction already.
    ///
    /// While the returned session is open, this handle refuses statements with [`Error::NestedTransactionOpen`].
    ///
    /// # Errors
    ///
    /// As for a statement: [`Error::PoolTimeout`], [`Error::Connect`], [`Error::SessionBusy`],
    /// [`Error::TransactionAborted`], [`Error::TransactionEnded`], [`Error::NestedTransactionOpen`], or the database's
    /// own failure.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no transaction open.
    pub async fn begin(&self) -> Result<Session> {
        self.begin_with(TransactionOptions::default()).await
    }

    pub(super) async fn begin_with(&self, options: TransactionOptions) -> Result<Session> {
        if self.scope.is_some() && options != TransactionOptions::default() {
            return Err(Error::argument(
                "transaction options",
                format!("{options:?}"),
                "none in a nested transaction: it is part of the outer one",
            ));
        }
        if self.must_flush() {
            // What is pending belongs to the outer transaction, not to the one that begins.
            Box::pin(self.flush()).await?;
        }
        let mut lease = Lease::take(self, "a begin", Purpose::Statement).await?;
        let id = next_id();
        let depth = self.core.lock().scopes.len();
        let begun = if depth == 0 {
            // Dropped here, the connection is closed: nobody gets it with the transaction open.
            let sql = self.core.pool.begin_sql(&options)?;
            lease.begin(self, sql, id, &options).await
        } else {
            let sql = format!("SAVEPOINT {}", savepoint(depth));
            lease.connection()?.savepoint(StatementKind::Savepoint, sql).await
        };
        lease.check(begun)?;
        {
            let mut state = self.core.lock();
            // The outer transaction, or the session, may have ended meanwhile; its connection is rolled back then.
            state.check_turn(self.scope)?;
            if depth == 0 && !self.flushing {
                state.known.clear();
            }
            state.scopes.push(Scope::new(id, self.flushing));
        }
        let mut tx = self.share();
        tx.scope = Some(id);
        tx.ends_scope = true;
        Ok(tx)
    }

    /// Begins a transaction that ends this session with it.
    pub(super) async fn into_transaction(self, options: TransactionOptions) -> Result<Session> {
        let mut tx = self.begin_with(options).await?;
        self.hand_over(&mut tx);
        Ok(tx)
    }

    /// Lets `tx`, a transaction of this session, end the session in this handle's stead.
    pub(super) fn hand_over(mut self, tx: &mut Session) {
        tx.ends_session = std::mem::take(&mut self.ends_session);
    }

    /// Writes what is pending and commits; for a nested transaction, makes its writes part of the outer one.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionAborted`] when a failure has aborted the transaction, even if it was ignored: nothing was
    /// written, everything is rolled back. [`Error::CommitUnknown`] when the connection was lost meanwhile, or
    /// given up after `statement_timeout`.
    /// [`Error::NestedTransactionOpen`] when a nested transaction is open, [`Error::SessionBusy`] when a statement, a stream
    /// or a flush of it is under way; everything is rolled back then too.
    /// [`Error::NoTransaction`], [`Error::NotTransactionOwner`], [`Error::TransactionEnded`]. The failure of a flush,
    /// or of the database, after which everything is rolled back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before COMMIT is sent rolls back. Dropped while COMMIT is under way, it is not known whether
    /// the transaction was committed.
    pub async fn commit(self) -> Result<()> {
        self.commit_as(LivenessCheck::None).await
    }

    pub(super) async fn commit_as(self, check: LivenessCheck) -> Result<()> {
        let id = self.owned_scope()?;
        let abort = {
            let state = self.core.lock();
            state.check_turn(self.scope)?;
            state.abort().cloned()
        };
        if abort.is_none()
            && let Err(error) = Box::pin(self.flush_before_commit()).await
        {
            self.rollback_or_report().await;
            return Err(error);
        }
        let mut lease = Lease::take(&self, "a commit", Purpose::End).await?;
        let abort = self.core.lock().abort().cloned();
        if let Some(abort) = abort {
            if let Err(error) = self.undo(lease, id).await {
                tracing::warn!(target: "sea_dao::session", %error, "rollback failed; the connection is closed");
            }
            return Err(abort.to_error());
        }
        lease.tidy().await?;
        let depth = self.core.lock().depth(id)?;
        if depth > 0 {
            return self.release(lease, id, depth).await;
        }
        if check == LivenessCheck::Ping {
            let alive = lease.connection()?.ping().await;
            lease.check(alive)?;
        }
        self.commit_outermost(lease, id).await
    }

    /// Makes a nested transaction part of the outer one.
    async fn release(self, mut lease: Lease, id: u64, depth: usize) -> Result<()> {
        let sql = format!("RELEASE SAVEPOINT {}", savepoint(depth));
        let released = lease.connection()?.savepoint(StatementKind::ReleaseSavepoint, sql).await;
        let released = lease.check(released);
        let ended = {
            let mut state = self.core.lock();
            let outcome = match &released {
                Ok(()) => TransactionOutcome::Committed,
                Err(error) => {
                    // What should be gone would stay in the outer transaction.
                    state.lose(Abort::failed(error));
                    TransactionOutcome::RolledBack
                }
            };
            state.end_scope(id, outcome)
        };
        ended.let_go();
        released
    }

    async fn commit_outermost(self, mut lease: Lease, id: u64) -> Result<()> {
        let connection = lease.connection()?;
        // Whoever stops waiting, or ends the session meanwhile: the callbacks are told what is known of this COMMIT.
        let mut ending = Ending::of(&self.core, id);
        let committed = connection.commit().await;
        let committed = match lease.check(committed) {
            Err(Error::Database { source, class: ErrorClass::Disconnect }) => Err(Error::CommitUnknown { source }),
            // Its connection is closed without an answer.
            Err(error @ Error::StatementTimeout { .. }) => {
                Err(Error::CommitUnknown { source: DbErr::Conn(RuntimeErr::Internal(error.to_string())) })
            }
            committed => committed,
        };
        ending.outcome = match &committed {
            Ok(()) => TransactionOutcome::Committed,
            Err(Error::CommitUnknown { .. }) => TransactionOutcome::Unknown,
            Err(_) => TransactionOutcome::RolledBack,
        };
        // A transaction that could not be committed goes with its connection, which is rolled back or closed.
        let ended = self.core.lock().end_scope(id, ending.outcome);
        ended.let_go();
        drop((lease, self));
        ending.run().await;
        committed
    }

    /// Undoes everything since [`begin`](Self::begin).
    ///
    /// # Errors
    ///
    /// [`Error::NoTransaction`], [`Error::NotTransactionOwner`], [`Error::TransactionEnded`],
    /// [`Error::NestedTransactionOpen`], [`Error::SessionBusy`], or the failure of the ROLLBACK itself: the connection is
    /// closed then, which rolls back too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back as well.
    pub async fn rollback(self) -> Result<()> {
        let id = self.owned_scope()?;
        let lease = Lease::take(&self, "a rollback", Purpose::End).await?;
        self.undo(lease, id).await
    }

    /// Rolls back after a failure that is more important than whatever happens here.
    pub(crate) async fn rollback_or_report(self) {
        if let Err(error) = self.rollback().await {
            tracing::warn!(target: "sea_dao::session", %error, "rollback failed; the connection is closed");
        }
    }

    async fn undo(self, mut lease: Lease, id: u64) -> Result<()> {
        let (depth, lost) = {
            let state = self.core.lock();
            (state.depth(id)?, state.lost.is_some())
        };
        let undone = if !lease.has_connection() {
            // The database rolls back when the connection goes.
            Ok(())
        } else if depth == 0 {
            let connection = lease.connection()?;
            match connection.settle().await {
                Ok(()) => connection.rollback().await,
                failed => failed,
            }
        } else if lost {
            // The savepoint is gone with everything else.
            Ok(())
        } else {
            let connection = lease.connection()?;
            match connection.settle().await {
                Ok(()) => connection.savepoint(StatementKind::RollbackToSavepoint, undo_savepoint(depth)).await,
                failed => failed,
            }
        };
        let mut ended = {
            let mut state = self.core.lock();
            if let Err(error) = &undone
                && depth > 0
            {
                state.lose(Abort::failed(error));
            }
            if state.roll_back_to.is_some_and(|pending| pending >= depth) {
                state.roll_back_to = None;
            }
            state.end_scope(id, TransactionOutcome::RolledBack)
        };
        let after = mem::take(&mut ended.after);
        ended.let_go();
        drop((lease, self));
        after.run(TransactionOutcome::RolledBack).await;
        undone
    }
}

/// Whether the connection is looked at before COMMIT is sent, so that one that was dead before is told from one that died
/// during COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LivenessCheck {
    None,
    Ping,
}

/// The callbacks of a transaction whose COMMIT is under way.
struct Ending {
    after: After,
    outcome: TransactionOutcome,
}

impl Ending {
    fn of(core: &Core, id: u64) -> Self {
        let mut state = core.lock();
        let scope = state.scopes.iter_mut().find(|scope| scope.id == id);
        let after = scope.map(|scope| mem::take(&mut scope.after)).unwrap_or_default();
        Self { after, outcome: TransactionOutcome::Unknown }
    }

    async fn run(mut self) {
        mem::take(&mut self.after).run(self.outcome).await;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        mem::take(&mut self.after).start(self.outcome);
    }
}
