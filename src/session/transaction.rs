//! Beginning and ending transactions and savepoints.

use sea_orm::{AccessMode, DbErr, RuntimeErr};

use super::{
    Session,
    core::{Abort, Scope, next_id},
    lease::{Lease, Purpose, savepoint, undo_savepoint},
    unit::Queue,
};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
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
        let mut lease = Lease::take(&self.core, self.scope, "a begin", Purpose::Statement).await?;
        let id = next_id();
        let depth = self.core.lock().scopes.len();
        let begun = if depth == 0 {
            let sql = self.core.pool.begin_sql(&options)?;
            // Dropped here, the connection is closed: nobody gets it with the transaction open.
            let read_only = options.access == Some(AccessMode::ReadOnly);
            lease.connection()?.begin(sql, id, read_only).await
        } else {
            let sql = format!("SAVEPOINT {}", savepoint(depth));
            lease.connection()?.savepoint(StatementKind::Savepoint, sql).await
        };
        lease.check(begun)?;
        self.core.lock().scopes.push(Scope { id, aborted: None, queue: Queue::default() });
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
    /// [`Error::NestedTransactionOpen`] when a nested transaction is open; everything is rolled back then too.
    /// [`Error::NoTransaction`], [`Error::NotTransactionOwner`], [`Error::TransactionEnded`]. The failure of a flush,
    /// or of the database, after which everything is rolled back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before COMMIT is sent rolls back. Dropped while COMMIT is under way, it is not known whether
    /// the transaction was committed.
    pub async fn commit(self) -> Result<()> {
        let id = self.owned_scope()?;
        let abort = {
            let state = self.core.lock();
            state.check_turn(self.scope)?;
            state.abort().cloned()
        };
        if abort.is_none() {
            Box::pin(self.flush()).await?;
        }
        let mut lease = Lease::take(&self.core, self.scope, "a commit", Purpose::End).await?;
        let abort = self.core.lock().abort().cloned();
        if let Some(abort) = abort {
            if let Err(error) = self.undo(&mut lease, id).await {
                tracing::warn!(target: "sea_dao::session", %error, "rollback failed; the connection is closed");
            }
            return Err(abort.to_error());
        }
        lease.tidy().await?;
        let depth = self.core.lock().scopes.len() - 1;
        let committed = if depth == 0 {
            lease.connection()?.commit().await
        } else {
            let sql = format!("RELEASE SAVEPOINT {}", savepoint(depth));
            lease.connection()?.savepoint(StatementKind::ReleaseSavepoint, sql).await
        };
        let committed = lease.check(committed);
        // A transaction that could not be committed goes with its connection, which is rolled back or closed.
        let released = self.core.lock().end_scope(id);
        drop(released);
        match committed {
            Err(Error::Database { source, class: crate::error::ErrorClass::Disconnect }) if depth == 0 => {
                Err(Error::CommitUnknown { source })
            }
            // Its connection is closed without an answer.
            Err(error @ Error::StatementTimeout { .. }) if depth == 0 => {
                Err(Error::CommitUnknown { source: DbErr::Conn(RuntimeErr::Internal(error.to_string())) })
            }
            committed => committed,
        }
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
        let mut lease = Lease::take(&self.core, self.scope, "a rollback", Purpose::End).await?;
        self.undo(&mut lease, id).await
    }

    /// Rolls back after a failure that is more important than whatever happens here.
    pub(super) async fn rollback_or_report(self) {
        if let Err(error) = self.rollback().await {
            tracing::warn!(target: "sea_dao::session", %error, "rollback failed; the connection is closed");
        }
    }

    async fn undo(&self, lease: &mut Lease, id: u64) -> Result<()> {
        let (depth, lost) = {
            let state = self.core.lock();
            (state.scopes.len() - 1, state.lost.is_some())
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
        let mut state = self.core.lock();
        if let Err(error) = &undone
            && depth > 0
        {
            state.lose(Abort::failed(error));
        }
        if state.roll_back_to.is_some_and(|pending| pending >= depth) {
            state.roll_back_to = None;
        }
        let released = state.end_scope(id);
        drop(state);
        drop(released);
        undone
    }
}
