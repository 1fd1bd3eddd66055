//! What can be asked of an error, and how the crate makes one.

use std::fmt;

use sea_orm::DbErr;

use super::{Error, ErrorClass};

impl Error {
    /// Adds what was being done, and on which table, unless the error says so already.
    #[must_use]
    pub fn during(self, operation: &'static str, entity: &'static str) -> Self {
        match self {
            Self::Operation { .. }
            | Self::NotFound { .. }
            | Self::NotUnique { .. }
            | Self::MissingCondition { .. }
            | Self::VersionConflict { .. }
            | Self::HeldByDeleted { .. } => self,
            source => Self::Operation { operation, entity, source: Box::new(source) },
        }
    }

    /// The error without the operations and rows around it.
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Operation { source, .. } | Self::Row { source, .. } => source.root(),
            other => other,
        }
    }

    /// The place, from 0, of the row that the error is about, in a call with many rows.
    #[must_use]
    pub fn row(&self) -> Option<usize> {
        match self {
            Self::Row { row, .. } => Some(*row),
            Self::Operation { source, .. } => source.row(),
            _ => None,
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
        let known = match self.root() {
            Self::FlushUnknown { source, .. } => source.as_ref().is_some_and(|source| source.is_disconnect()),
            root => matches!(root, Self::Connect { .. } | Self::CommitUnknown { .. }),
        };
        known || self.class() == Some(ErrorClass::Disconnect)
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

    /// Somebody else has written the row since it was read: read it again, and decide anew.
    #[must_use]
    pub fn is_version_conflict(&self) -> bool {
        matches!(self.root(), Self::VersionConflict { .. })
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    /// For [callbacks](crate::dao::Callbacks) that refuse a write: an error around a text or any other error, which is
    /// found again as the [`source`](std::error::Error::source) of the [root](Self::root).
    #[must_use]
    pub fn refused(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Refused { source: source.into().into() }
    }

    pub(crate) fn config(setting: &'static str, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self::Config { setting, value: value.to_string(), expected: expected.into() }
    }

    pub(crate) fn argument(argument: &'static str, value: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self::InvalidArgument { argument, value: value.to_string(), expected: expected.into() }
    }
}
