//! Column definitions that differ between databases.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// A nullable point in time.
pub(crate) fn instant_null(backend: DbBackend, name: &'static str) -> ColumnDef {
    instant(backend, name).null().take()
}

/// A point in time that is set when the row is inserted, unless the insert gives one.
pub(crate) fn instant_now(backend: DbBackend, name: &'static str) -> ColumnDef {
    instant(backend, name).not_null().default(now(backend)).take()
}

fn instant(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    match backend {
        // A plain `timestamp` keeps whole seconds there.
        DbBackend::MySql => column.custom("timestamp(6)"),
        _ => column.timestamp_with_time_zone(),
    };
    column
}

fn now(backend: DbBackend) -> Expr {
    match backend {
        // MySQL wants the same precision in the default as in the column.
        DbBackend::MySql => Expr::custom_keyword("CURRENT_TIMESTAMP(6)"),
        // SQLite keeps text and compares it as text, so the default has to be written the way
        // SeaORM writes a value: without a fraction at a whole second. `CURRENT_TIMESTAMP` has a
        // space instead of the `T`, no fraction and no offset, and would sort before every explicit
        // value of the same day.
        DbBackend::Sqlite => Expr::cust("replace(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'), '.000+', '+')"),
        _ => Expr::current_timestamp(),
    }
}
