//! What a hook is told.

use std::{fmt, time::Duration};

use sea_orm::Values;

use crate::error::Error;

/// Called before and after each statement that reaches a database.
///
/// Both methods run on the task that sends the statement: keep them short, and hand work that takes time to another
/// task.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use sea_dao::hooks::{SqlHook, StatementInfo, StatementOutcome};
///
/// #[derive(Default)]
/// struct Count(AtomicU64);
///
/// impl SqlHook for Count {
///     fn after(&self, _statement: &StatementInfo<'_>, _outcome: &StatementOutcome<'_>) {
///         self.0.fetch_add(1, Ordering::Relaxed);
///     }
/// }
/// ```
pub trait SqlHook: Send + Sync + 'static {
    /// Called before the statement is sent.
    fn before(&self, statement: &StatementInfo<'_>) {
        let _ = statement;
    }

    /// Called after the answer, a failure, or the cancellation of the statement.
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let _ = (statement, outcome);
    }

    /// Whether this hook reads [`StatementInfo::values`]. They are copied only when some hook does.
    fn needs_values(&self) -> bool {
        false
    }
}

/// How a statement was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatementKind {
    /// A statement whose rows are read into memory.
    Query,
    /// A statement that answers with a number of rows affected.
    Execute,
    /// A statement whose rows are read one by one.
    Stream,
    /// Unprepared SQL, possibly several statements.
    Script,
    /// The start of a transaction.
    Begin,
    /// The end of a transaction that keeps its writes.
    Commit,
    /// The end of a transaction that undoes its writes.
    Rollback,
    /// The start of a nested transaction.
    Savepoint,
    /// The end of a nested transaction that keeps its writes.
    ReleaseSavepoint,
    /// The end of a nested transaction that undoes its writes.
    RollbackToSavepoint,
    /// The pool takes everything from a session that was set in it.
    Reset,
    /// A check that the connection is alive and in step.
    Ping,
}

impl StatementKind {
    /// Whether the statement begins or ends a transaction or a savepoint.
    #[must_use]
    pub fn is_transaction_control(self) -> bool {
        matches!(
            self,
            Self::Begin
                | Self::Commit
                | Self::Rollback
                | Self::Savepoint
                | Self::ReleaseSavepoint
                | Self::RollbackToSavepoint
        )
    }
}

impl fmt::Display for StatementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Execute => "execute",
            Self::Stream => "stream",
            Self::Script => "script",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Savepoint => "savepoint",
            Self::ReleaseSavepoint => "release savepoint",
            Self::RollbackToSavepoint => "rollback to savepoint",
            Self::Reset => "reset",
            Self::Ping => "ping",
        })
    }
}

/// A statement that is about to be sent, or was.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StatementInfo<'a> {
    /// How it was sent.
    pub kind: StatementKind,
    /// The SQL, with placeholders.
    pub sql: &'a str,
    /// The bound values; `None` when there are none, or no hook [needs them](SqlHook::needs_values).
    pub values: Option<&'a Values>,
    /// The session, a number unique in the process; `None` for the pool's own statements.
    pub session: Option<u64>,
    /// The outermost transaction, a number unique in the process.
    pub transaction: Option<u64>,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StatementOutcome<'a> {
    /// How long the session waited for the connection on which this statement was the first.
    pub wait: Duration,
    /// From sending the statement to the end of its answer, on a monotonic clock.
    pub elapsed: Duration,
    /// Rows returned or affected, when it succeeded.
    pub rows: Option<u64>,
    /// Success, failure or cancellation.
    pub completion: Completion<'a>,
}

/// Success, failure or cancellation.
#[derive(Debug, Clone, Copy)]
pub enum Completion<'a> {
    /// The whole answer was read.
    Succeeded,
    /// The statement failed.
    Failed(&'a Error),
    /// The future or stream was dropped before the end of the answer.
    Cancelled,
}
