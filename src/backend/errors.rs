//! What a failure means for the connection and the transaction it happened on.

use std::sync::Arc;

use sea_orm::{DbErr, RuntimeErr};

use crate::error::{Error, ErrorClass, carried};

/// What a failed statement does to the transaction it was part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing: the statement is undone, the transaction goes on.
    None,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    /// Everything up to the innermost savepoint has to be undone.
    AbortsScope,
    /// The database may have undone the whole transaction; it has to be asked.
    #[cfg_attr(not(any(feature = "sqlite", feature = "mysql")), allow(dead_code))]
    Unclear,
    /// The database has undone the whole transaction already, or may have.
    EndsTransaction,
}

/// A failure of the driver, looked at closely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) class: ErrorClass,
    pub(crate) effect: Effect,
    /// The connection cannot be used any more.
    pub(crate) broken: bool,
    /// What broke it may have broken the others.
    pub(crate) spreads: bool,
}

impl Failure {
    pub(crate) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let (class, effect) = classify(error.as_ref());
                let broken = class == ErrorClass::Disconnect || has_lost_its_statements(error.as_ref());
                Self { class, effect: if broken { Effect::EndsTransaction } else { effect }, broken, spreads: broken }
            }
            // The statement was not sent, or its answer was read to the end.
            sqlx::Error::Encode(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::InvalidArgument(_)
            | sqlx::Error::RowNotFound => Self::harmless(ErrorClass::Other),
            #[cfg(feature = "mysql")]
            sqlx::Error::Protocol(message) if super::mysql::is_wrong_number_of_values(message) => {
                Self { class: ErrorClass::Other, effect: Effect::EndsTransaction, broken: true, spreads: false }
            }
            sqlx::Error::Decode(_)
            | sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. } => Self::harmless(ErrorClass::Decode),
            // The thread of one connection of SQLite's.
            sqlx::Error::WorkerCrashed => Self { spreads: false, ..Self::disconnect() },
            _ => Self::disconnect(),
        }
    }

    fn disconnect() -> Self {
        Self { class: ErrorClass::Disconnect, effect: Effect::EndsTransaction, broken: true, spreads: true }
    }

    fn harmless(class: ErrorClass) -> Self {
        Self { class, effect: Effect::None, broken: false, spreads: false }
    }
}

/// Whether opening a connection may succeed a moment later: the server is not there yet, or full.
pub(crate) fn is_transient_connect_failure(error: &sqlx::Error) -> bool {
    match error {
        // A proxy that finds no server behind it takes the call and hangs up, which reads as a broken protocol.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase() || will_pass(error.as_ref()),
        _ => false,
    }
}

/// What sqlx does not know: a server that is full or going down.
fn will_pass(error: &dyn sqlx::error::DatabaseError) -> bool {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return matches!(error.code(), "57P01" | "57P02");
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return super::mysql::is_transient_in_connect_phase(error.number());
    }
    let _ = error;
    false
}

fn classify(error: &dyn sqlx::error::DatabaseError) -> (ErrorClass, Effect) {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return super::postgres::classify(error);
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return super::mysql::classify(error);
    }
    #[cfg(feature = "sqlite")]
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        let code = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
        return super::sqlite::classify(code);
    }
    let _ = error;
    (ErrorClass::Other, Effect::EndsTransaction)
}

/// The connection works, but not with what it has prepared.
fn has_lost_its_statements(error: &dyn sqlx::error::DatabaseError) -> bool {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        return super::postgres::has_lost_its_statements(error);
    }
    let _ = error;
    false
}

/// The crate's error for a failure of the driver; `query` says which of SeaORM's variants holds it.
pub(crate) fn database_error(error: sqlx::Error, class: ErrorClass, query: bool) -> Error {
    let runtime = RuntimeErr::SqlxError(Arc::new(error));
    Error::Database { class, source: if query { DbErr::Query(runtime) } else { DbErr::Exec(runtime) } }
}

/// The database's own code for a failure, as OpenTelemetry wants it: PostgreSQL's SQLSTATE, the numbers of the others.
pub(crate) fn status_code(error: &Error) -> Option<String> {
    let Error::Database { source, .. } = error.root() else { return None };
    let (DbErr::Conn(RuntimeErr::SqlxError(error))
    | DbErr::Exec(RuntimeErr::SqlxError(error))
    | DbErr::Query(RuntimeErr::SqlxError(error))) = source
    else {
        return None;
    };
    let error = error.as_database_error()?;
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return Some(error.number().to_string());
    }
    error.code().map(String::from)
}

/// An error of this crate that travelled through SeaORM comes out as it was; every other one is classed.
impl From<DbErr> for Error {
    fn from(source: DbErr) -> Self {
        if let Some(error) = carried(&source) {
            return error;
        }
        let class = match &source {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => Failure::of(error).class,
            DbErr::TryIntoErr { .. } | DbErr::Type(_) | DbErr::Json(_) => ErrorClass::Decode,
            _ => ErrorClass::Other,
        };
        Error::Database { class, source }
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_crashed_worker_is_the_failure_of_one_connection() {
        let crashed = Failure::of(&sqlx::Error::WorkerCrashed);
        assert!(crashed.broken && !crashed.spreads, "{crashed:?}");
        let cut = Failure::of(&sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()));
        assert!(cut.broken && cut.spreads, "{cut:?}");
    }
}
