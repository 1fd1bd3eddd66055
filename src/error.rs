//! The one error type of the crate, and what can be asked of it.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use sea_orm::{DbErr, RuntimeErr};

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

    /// `commit` or `rollback` was called on a session that is not in a transaction.
    #[error("the session is not in a transaction")]
    NoTransaction,

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

    /// An UPDATE or DELETE without any condition.
    #[error("{operation} on {entity} has no condition; add one, or say all_rows()")]
    MissingCondition {
        /// `update` or `delete`.
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

/// What the pool looked like when an acquire gave up.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "no connection within {waited:.1?}: size {size} of {limit}, overflow {overflow}, checked out {checked_out}, \
     connecting {connecting}, waiting {waiting}{}", last_failure(.last_connect_error)
)]
#[non_exhaustive]
pub struct PoolTimeout {
    /// How long the caller waited.
    pub waited: Duration,
    /// Open connections.
    pub size: usize,
    /// The most that may be open: `pool_size + max_overflow`.
    pub limit: usize,
    /// Open connections beyond `pool_size`.
    pub overflow: usize,
    /// Connections in use.
    pub checked_out: usize,
    /// Connections that were being opened; when the server does not answer, this caller waited for one of them.
    pub connecting: usize,
    /// Callers that were waiting for a connection of somebody else.
    pub waiting: usize,
    /// The last failure to open a connection, when there was one since the last success.
    pub last_connect_error: Option<String>,
}

fn last_failure(error: &Option<String>) -> String {
    error.as_ref().map(|error| format!("; last failure to connect: {error}")).unwrap_or_default()
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

impl Error {
    /// Adds what was being done, and on which table, unless the error says so already.
    #[must_use]
    pub fn during(self, operation: &'static str, entity: &'static str) -> Self {
        match self {
            Self::Operation { .. } | Self::NotFound { .. } | Self::NotUnique { .. } | Self::MissingCondition { .. } => {
                self
            }
            source => Self::Operation { operation, entity, source: Box::new(source) },
        }
    }

    /// The error without the operations around it.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Operation { source, .. } => source.root(),
            other => other,
        }
    }

    /// The class of a database failure; `None` when the database was not the one that failed.
    #[must_use]
    pub fn class(&self) -> Option<ErrorClass> {
        match self.root() {
            Self::Database { class, .. } => Some(*class),
            _ => None,
        }
    }

    /// Waiting was given up: for a connection, for a lock, or by the server for the statement.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self.root(), Self::PoolTimeout(_) | Self::StatementTimeout { .. })
            || matches!(self.class(), Some(ErrorClass::LockTimeout | ErrorClass::StatementCancelled))
    }

    /// A unique or primary key would have held the same value twice.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.class() == Some(ErrorClass::UniqueViolation)
    }

    /// A foreign key would have pointed to nothing.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        self.class() == Some(ErrorClass::ForeignKeyViolation)
    }

    /// A column that takes no NULL was given none or NULL.
    #[must_use]
    pub fn is_not_null_violation(&self) -> bool {
        self.class() == Some(ErrorClass::NotNullViolation)
    }

    /// A CHECK constraint did not hold.
    #[must_use]
    pub fn is_check_violation(&self) -> bool {
        self.class() == Some(ErrorClass::CheckViolation)
    }

    /// The same transaction, run again from its start, may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.class(), Some(ErrorClass::SerializationFailure | ErrorClass::Deadlock | ErrorClass::LockTimeout))
    }

    /// The connection is gone, or could not be opened.
    #[must_use]
    pub fn is_disconnect(&self) -> bool {
        matches!(self.root(), Self::Connect { .. } | Self::CommitUnknown { .. })
            || self.class() == Some(ErrorClass::Disconnect)
    }

    /// No row matched where one was needed.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self.root() {
            Self::NotFound { .. } => true,
            Self::Database { source, .. } => matches!(source, DbErr::RecordNotFound(_) | DbErr::RecordNotUpdated),
            _ => false,
        }
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(crate) fn config(setting: &'static str, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self::Config { setting, value: value.to_string(), expected: expected.into() }
    }

    pub(crate) fn argument(argument: &'static str, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self::InvalidArgument { argument, value: value.to_string(), expected: expected.into() }
    }
}

/// SeaORM's error is given back as it was; an error of this crate travels inside it and is found again on the way back.
impl From<Error> for DbErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Database { source, .. } => source,
            other => {
                DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::AnyDriverError(Box::new(Carried(other))))))
            }
        }
    }
}

/// An [`Error`] on its way through SeaORM.
#[derive(Debug)]
struct Carried(Error);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Carried {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

/// The error of this crate that `error` carries, if it carries one.
pub(crate) fn carried(error: &DbErr) -> Option<Error> {
    let (DbErr::Conn(RuntimeErr::SqlxError(inner))
    | DbErr::Exec(RuntimeErr::SqlxError(inner))
    | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return None;
    };
    match inner.as_ref() {
        sqlx::Error::AnyDriverError(boxed) => boxed.downcast_ref::<Carried>().map(|carried| carried.0.clone()),
        _ => None,
    }
}
