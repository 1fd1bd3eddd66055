//! The one error type of the crate, and what can be asked of it.

mod carried;
mod predicates;
mod timeout;

use std::{sync::Arc, time::Duration};

use sea_orm::DbErr;

pub use timeout::PoolTimeout;

pub(crate) use carried::carried;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, on what, and why.
///
/// Errors of the database keep SeaORM's [`DbErr`] as their source and are classed, so that the predicates
/// ([`is_unique_violation`](Self::is_unique_violation), [`is_retryable`](Self::is_retryable) …) give the same answer on
/// every database. An `Error` converts into a [`DbErr`] and back without loss, so code that is generic over SeaORM's
/// traits can sit between two layers that speak this type.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting has a value that cannot be used.
    #[error("invalid setting {setting} = {value:?}: expected {expected}")]
    Config {
        /// The setting's name.
        setting: &'static str,
        /// The value given, without secrets.
        value: String,
        /// What would have been accepted.
        expected: String,
    },

    /// Something that this database, or this build of the crate, cannot do.
    #[error("not supported: {what}")]
    Unsupported {
        /// What was asked, and what to do instead.
        what: String,
    },

    /// A connection could not be opened.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// The database's URL without its password.
        target: String,
        /// What the driver said.
        source: DbErr,
    },

    /// No connection could be had within `pool_timeout`.
    #[error(transparent)]
    PoolTimeout(Box<PoolTimeout>),

    /// The process has no database yet, or none any more.
    #[error("there is no global database; call sea_dao::global::init first")]
    NotInitialized,

    /// The pool has been closed.
    #[error("the pool is closed")]
    PoolClosed,

    /// The database, or the way to it, failed a statement.
    #[error("{source}")]
    Database {
        /// What kind of failure it is, the same on every database.
        class: ErrorClass,
        /// SeaORM's error, with the driver's error inside.
        source: DbErr,
    },

    /// A statement took longer than `statement_timeout`. Its connection is closed; whether it took effect is not known.
    #[error("no answer within statement_timeout = {limit:?}")]
    StatementTimeout {
        /// The limit.
        limit: Duration,
    },

    /// The transaction cannot go on; it can only be rolled back.
    ///
    /// Committing it returns this error too, even when the code inside the transaction ignored the failure.
    #[error("the transaction is aborted and can only be rolled back: {reason}")]
    TransactionAborted {
        /// The failure that aborted it, or how it was interrupted.
        reason: String,
        /// The failed statement's error, when there was one.
        #[source]
        source: Option<DbErr>,
    },

    /// The handle belongs to a transaction that was committed or rolled back.
    #[error("the transaction has ended; its handle cannot be used any more")]
    TransactionEnded,

    /// The handle belongs to a transaction in which a nested one is open.
    #[error("a nested transaction is open; use its handle, or end it first")]
    NestedTransactionOpen,

    /// Something that only makes sense in a transaction was asked of a session that is in none.
    #[error("the session is not in a transaction")]
    NoTransaction,

    /// Something that must not run in a transaction was asked of a session that is in one.
    #[error("the session is in a transaction")]
    InTransaction,

    /// `commit` or `rollback` was called on a handle that shares somebody else's transaction.
    #[error("only the handle that began the transaction can end it")]
    NotTransactionOwner,

    /// The connection died while COMMIT was under way: the transaction may or may not have been committed.
    #[error("the connection was lost during COMMIT, whether it took effect is not known: {source}")]
    CommitUnknown {
        /// What the driver said.
        source: DbErr,
    },

    /// A BEGIN, COMMIT, ROLLBACK or SAVEPOINT was sent as plain SQL; or, in a transaction on MySQL or MariaDB, a
    /// statement that commits the transaction by itself, such as CREATE TABLE.
    #[error(
        "{keyword} as plain SQL would begin or end a transaction behind the session's back; use begin, commit, rollback or execute_transaction, and change the schema outside of transactions"
    )]
    TransactionControl {
        /// The statement's first keyword.
        keyword: String,
    },

    /// Another statement or stream of the same session is under way.
    #[error(
        "the session is busy with {activity}; a session runs one statement at a time, use one session for each task"
    )]
    SessionBusy {
        /// What the session is doing.
        activity: &'static str,
    },

    /// The session that owned this handle has ended.
    #[error("the session has ended")]
    SessionClosed,

    /// A write by condition without any condition.
    #[error("{operation} on {entity} has no condition; add one, or say all_rows()")]
    MissingCondition {
        /// `update`, `delete`, `restore` or `purge`.
        operation: &'static str,
        /// The table.
        entity: &'static str,
    },

    /// An argument has a value that cannot be used.
    #[error("invalid {argument} = {value}: expected {expected}")]
    InvalidArgument {
        /// The argument's name.
        argument: &'static str,
        /// The value given.
        value: String,
        /// What would have been accepted.
        expected: String,
    },

    /// No row matched where one was needed.
    #[error("no {entity} with {key}")]
    NotFound {
        /// The table.
        entity: &'static str,
        /// The key or condition that found nothing.
        key: String,
    },

    /// Somebody else has written the row since it was read.
    #[error("{entity} with {key} is not at version {expected} any more, but at {found}")]
    VersionConflict {
        /// The table.
        entity: &'static str,
        /// The row's key.
        key: String,
        /// The version that the caller knows.
        expected: String,
        /// The version that the row has.
        found: String,
    },

    /// A row that is marked as deleted holds what a new one would need.
    #[error("a deleted {entity} holds {key}; restore it, purge it, or make the unique index leave deleted rows out")]
    HeldByDeleted {
        /// The table.
        entity: &'static str,
        /// The values that it holds.
        key: String,
    },

    /// The clock stands before the time of an id that was given out: another id might repeat one.
    #[error("the clock is {by:?} behind the ids that were given out")]
    ClockBehind {
        /// How far the ids are ahead of the clock.
        by: Duration,
    },

    /// More than one row matched where at most one may.
    #[error("more than one {entity} matches")]
    NotUnique {
        /// The table.
        entity: &'static str,
    },

    /// A handle to a pending row was read before the flush that writes it.
    #[error("the {entity} has not been flushed yet")]
    NotFlushed {
        /// The table.
        entity: &'static str,
    },

    /// Another error, with the row of a call with many rows that it is about. Nothing of the call was written.
    #[error("row {row}{}: {source}", in_parentheses(.key))]
    Row {
        /// The row's place in the call, from 0.
        row: usize,
        /// Its primary key; empty when the database makes it.
        key: String,
        /// The error itself.
        #[source]
        source: Box<Error>,
    },

    /// A DAO that gets a new session for each call was asked for a write that waits for a flush.
    #[error("{operation} {entity}: a pending write needs a session that goes on; use the DAO within one")]
    NoUnitOfWork {
        /// What was asked.
        operation: &'static str,
        /// The table.
        entity: &'static str,
    },

    /// A handle was asked for a row that is not there: it was expunged, or rolled back with its transaction, or never
    /// flushed.
    #[error("the {entity} was not written: {reason}")]
    WriteUndone {
        /// The table.
        entity: &'static str,
        /// Why not.
        reason: &'static str,
    },

    /// A handle was asked for a row of a flush that ended in [`FlushUnknown`](Self::FlushUnknown), or whose transaction
    /// ended in [`CommitUnknown`](Self::CommitUnknown).
    #[error("whether the {entity} was written is not known")]
    WriteUnknown {
        /// The table.
        entity: &'static str,
    },

    /// The connection was lost, or the future dropped, while a flush was being made permanent: its writes may have taken
    /// effect or not. They are not pending any more.
    #[error("whether a flush of {writes} writes took effect is not known: {reason}")]
    FlushUnknown {
        /// How many writes it had.
        writes: usize,
        /// What interrupted it.
        reason: String,
        /// What failed, when something did.
        #[source]
        source: Option<Box<Error>>,
    },

    /// Rows that are to be written refer to each other in a circle, so that none of them can come first.
    #[error(
        "no order in which to {operation} rows of {entities}: they refer to each other in a circle; write one of them without its reference and set it afterwards"
    )]
    UnorderedWrites {
        /// `insert` or `delete`.
        operation: &'static str,
        /// The tables.
        entities: String,
    },

    /// A callback has refused a write; made by [`refused`](Self::refused).
    #[error("{source}")]
    Refused {
        /// The callback's own error.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },

    /// Another error, with the operation and the entity on which it happened.
    #[error("{operation} {entity}: {source}")]
    Operation {
        /// What was being done, such as `insert`.
        operation: &'static str,
        /// The table.
        entity: &'static str,
        /// The error itself.
        #[source]
        source: Box<Error>,
    },
}

fn in_parentheses(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!(" ({key})") }
}

/// The kind of a database failure, the same on every database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorClass {
    /// A unique or primary key would hold the same value twice.
    UniqueViolation,
    /// A foreign key points to nothing, or a row that is pointed to would go.
    ForeignKeyViolation,
    /// A NULL in a column that does not take it.
    NotNullViolation,
    /// A CHECK constraint does not hold.
    CheckViolation,
    /// The isolation level could not be kept; run the transaction again.
    SerializationFailure,
    /// A deadlock was broken at this transaction's cost; run it again.
    Deadlock,
    /// A lock was not had in time.
    LockTimeout,
    /// The statement took longer than the server allows, or was cancelled.
    StatementCancelled,
    /// The connection is gone.
    Disconnect,
    /// A write on a server or in a transaction that only reads.
    ReadOnly,
    /// The answer could not be read into the type asked for.
    Decode,
    /// Anything else.
    Other,
}

impl ErrorClass {
    /// The class as one word, such as `unique_violation`: for labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UniqueViolation => "unique_violation",
            Self::ForeignKeyViolation => "foreign_key_violation",
            Self::NotNullViolation => "not_null_violation",
            Self::CheckViolation => "check_violation",
            Self::SerializationFailure => "serialization_failure",
            Self::Deadlock => "deadlock",
            Self::LockTimeout => "lock_timeout",
            Self::StatementCancelled => "statement_cancelled",
            Self::Disconnect => "disconnect",
            Self::ReadOnly => "read_only",
            Self::Decode => "decode",
            Self::Other => "other",
        }
    }
}
