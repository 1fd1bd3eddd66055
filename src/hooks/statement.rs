//! What a hook is told.

use std::{
    fmt,
    panic::Location,
    sync::{Arc, OnceLock},
    time::Duration,
};

use sea_orm::{DbBackend, Value, Values};

use super::{
    fingerprint::{Endpoint, Fingerprint, Fingerprints},
    observe::Origin,
};
use crate::error::{Error, ErrorClass};

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

    /// Called once for each statement, after its answer was read and, where this crate does that, decoded; or after its
    /// failure or cancellation.
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let _ = (statement, outcome);
    }

    /// Called when a session has ended: no more statements with its number come, but the one that may be under way.
    fn session_ended(&self, session: u64) {
        let _ = session;
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
    /// A COPY that takes its rows from this side.
    Copy,
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
            Self::Copy => "copy",
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

/// The server that runs a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// The one that takes writes.
    Primary,
}

/// A statement that is about to be sent, or was.
#[derive(Clone, Copy)]
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
    /// The server that it is sent to.
    pub target: Target,
    /// The line of the caller's code that it comes from: where the builder, the DAO's call or the transaction begins,
    /// else where the session was made. `None` for SeaORM's calls on a [`Database`](crate::Database) itself, and for
    /// the pool's own statements.
    pub location: Option<&'static Location<'static>>,
    fingerprints: &'a Fingerprints,
    fingerprint: &'a OnceLock<Arc<Fingerprint>>,
}

impl<'a> StatementInfo<'a> {
    pub(super) fn new(
        kind: StatementKind,
        sql: &'a str,
        values: Option<&'a Values>,
        origin: Origin,
        (fingerprints, fingerprint): (&'a Fingerprints, &'a OnceLock<Arc<Fingerprint>>),
    ) -> Self {
        let Origin { session, transaction, location, wait: _ } = origin;
        let target = Target::Primary;
        Self { kind, sql, values, session, transaction, target, location, fingerprints, fingerprint }
    }

    /// What the statement has in common with others that differ only in their values. Made at the first call, and kept
    /// for the SQL texts that were seen lately.
    #[must_use]
    pub fn fingerprint(&self) -> &'a Arc<Fingerprint> {
        self.fingerprint.get_or_init(|| match self.sql {
            // What the driver does without SQL.
            "" => self.fingerprints.of(&self.kind.to_string().to_ascii_uppercase()),
            sql => self.fingerprints.of(sql),
        })
    }

    /// The SQL with its values in place, quoted for its database: to be read, and copied into its console. `None` when
    /// no hook [needs values](SqlHook::needs_values) and there may be some.
    #[must_use]
    pub fn inlined(&self) -> Option<String> {
        self.values.map(|values| self.inlined_with(values))
    }

    pub(super) fn inlined_with(&self, values: &Values) -> String {
        let dialect = self.fingerprints.dialect();
        (dialect.inline)(self.sql, values, dialect.backend)
    }

    /// A value as it stands in [`inlined`](Self::inlined) SQL.
    pub(super) fn literal(&self, value: &Value) -> String {
        let dialect = self.fingerprints.dialect();
        (dialect.literal)(value, dialect.backend)
    }

    /// The database's own code for a failure: the SQLSTATE of PostgreSQL, the number of the others. OpenTelemetry's
    /// `db.response.status_code`.
    #[must_use]
    pub fn status_code(&self, outcome: &StatementOutcome<'_>) -> Option<String> {
        match outcome.completion {
            Completion::Failed(error) => (self.fingerprints.dialect().status_code)(error),
            Completion::Succeeded | Completion::Cancelled => None,
        }
    }

    /// SeaORM's name for the database.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.fingerprints.dialect().backend
    }

    /// OpenTelemetry's name for the database: `postgresql`, `mysql` or `sqlite`.
    #[must_use]
    pub fn system(&self) -> &'static str {
        self.fingerprints.dialect().system
    }

    /// The server and the database on it.
    #[must_use]
    pub fn endpoint(&self) -> &'a Endpoint {
        self.fingerprints.endpoint()
    }
}

impl fmt::Debug for StatementInfo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementInfo")
            .field("kind", &self.kind)
            .field("sql", &self.sql)
            .field("session", &self.session)
            .field("transaction", &self.transaction)
            .field("target", &self.target)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// How a statement ended, and where its time went. The three times do not overlap.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StatementOutcome<'a> {
    /// How long the session waited for the connection on which this statement was the first: for its turn, for the check
    /// of an idle connection, and for a new one to open. Zero for its other statements.
    pub wait: Duration,
    /// From sending the statement to the end of its answer, on a monotonic clock. For a stream the sum of the waits for
    /// each row, without what the caller did in between.
    pub execute: Duration,
    /// From the end of the answer until its rows were values of the caller's type. `None` where this crate does not see
    /// it: SeaORM's own calls on a session, streams, statements that write or failed.
    pub decode: Option<Duration>,
    /// Rows returned or affected, when it succeeded.
    pub rows: Option<u64>,
    /// Success, failure or cancellation.
    pub completion: Completion<'a>,
}

impl StatementOutcome<'_> {
    /// Why it did not succeed, in one word: the name of the error's class, `timeout` after `statement_timeout`, or
    /// `cancelled`. OpenTelemetry's `error.type`.
    #[must_use]
    pub fn error_type(&self) -> Option<&'static str> {
        match self.completion {
            Completion::Succeeded => None,
            Completion::Cancelled => Some("cancelled"),
            Completion::Failed(error) => Some(match error.class() {
                Some(class) => class.name(),
                None if error.is_timeout() => "timeout",
                None => ErrorClass::Other.name(),
            }),
        }
    }

    /// How long the caller waited in all.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.wait + self.execute + self.decode.unwrap_or_default()
    }
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
