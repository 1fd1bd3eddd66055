//! Words that differ between the databases.

use sea_orm::DbBackend;

/// The type to which a sum of integers is cast, so that it can be read as one.
pub(crate) fn integer_type(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::MySql => "SIGNED",
        _ => "BIGINT",
    }
}

/// The type to which an average is cast, so that it can be read as a number.
pub(crate) fn float_type(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::MySql => "DOUBLE",
        DbBackend::Postgres => "DOUBLE PRECISION",
        _ => "REAL",
    }
}
