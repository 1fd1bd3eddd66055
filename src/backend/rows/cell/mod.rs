//! One column of one row, read by its position.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::{fmt, sync::atomic::AtomicU32};

use sea_orm::{DbBackend, QueryResult, Value, prelude::Json};

/// A driver's row.
pub(super) trait Cells {
    fn database(&self) -> DbBackend;

    fn result_id(&self) -> ResultId;

    /// Whether the first columns have these names, in this order.
    fn begins_with(&self, names: &[&str]) -> bool;

    /// Whether the column's type is one that values like `kind` are read from.
    fn fits(&self, kind: &Value, place: usize, last: &LastType) -> bool;

    /// Reads a value like `kind` from a column that [fits](Self::fits); `Some(None)` is NULL, `None` that it cannot be read.
    fn read(&self, kind: &Value, place: usize) -> Option<Option<Value>>;
}

/// `None` for a row of another kind.
pub(super) fn cells(row: &QueryResult) -> Option<&dyn Cells> {
    #[cfg(feature = "postgres")]
    if let Some(row) = row.try_as_pg_row() {
        return Some(row);
    }
    #[cfg(feature = "mysql")]
    if let Some(row) = row.try_as_mysql_row() {
        return Some(row);
    }
    #[cfg(feature = "sqlite")]
    if let Some(row) = row.try_as_sqlite_row() {
        return Some(row);
    }
    let _ = row;
    None
}

/// The number of the type that a column had when it was last found to fit, 0 at first.
#[derive(Debug, Default)]
pub(super) struct LastType(
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only PostgreSQL numbers its types"))] AtomicU32,
);

/// Tells the results apart of which rows are held at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResultId(usize);

/// The types that SeaORM reads as a driver gives them, but for JSON, whose values are boxed.
macro_rules! plain_types {
    ($with:ident! $arguments:tt $($more:ident)*) => {
        $with! { $arguments
            $($more)* Bool SmallInt Int BigInt Float Double String Bytes Uuid
            ChronoDate ChronoTime ChronoDateTime ChronoDateTimeUtc ChronoDateTimeLocal
            TimeDate TimeTime TimeDateTime TimeDateTimeWithTimeZone
        }
    };
}

/// `$read` as a value of the same type as `$kind`.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
macro_rules! read_plain {
    (($kind:expr, $read:expr) $($variant:ident)*) => {
        match $kind {
            $(Value::$variant(_) => $read.map(|value: Option<_>| value.map(|value| Value::$variant(Some(value)))),)*
            Value::Json(_) => $read.map(|value: Option<_>| value.map(|value| Value::Json(Some(Box::new(value))))),
            _ => None,
        }
    };
}

/// `$fits` of an option of the type that `$kind` has.
#[cfg(any(feature = "postgres", feature = "mysql"))]
macro_rules! fits_plain {
    (($kind:expr, $fits:expr) $($variant:ident)*) => {
        match $kind {
            $(Value::$variant(value) => $fits(value),)*
            Value::Json(_) => $fits(&None::<sea_orm::prelude::Json>),
            _ => false,
        }
    };
}

macro_rules! debug_plain {
    (($value:expr) $($variant:ident)*) => {
        match $value {
            $(Value::$variant(value) => Some(shown(value)),)*
            Value::Json(value) => Some(shown(value)),
            _ => None,
        }
    };
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
use fits_plain;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use {plain_types, read_plain};

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn result_id(row: &impl sqlx::Row) -> ResultId {
    ResultId(row.columns().as_ptr().addr())
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
fn begins_with(row: &impl sqlx::Row, names: &[&str]) -> bool {
    use sqlx::Column;

    let Some((first, others)) = row.columns().split_at_checked(names.len()) else { return false };
    // Of two columns with one name SeaORM reads the last.
    first.iter().zip(names).all(|(column, name)| column.name() == *name)
        && others.iter().all(|column| !names.contains(&column.name()))
}

/// The value as its own `Debug` shows it, `Some(None)` for NULL.
pub(super) fn debug(value: &Value) -> Option<Option<String>> {
    plain_types!(debug_plain!(value) Decimal ChronoDateTimeWithTimeZone)
}

fn shown(value: &Option<impl fmt::Debug>) -> Option<String> {
    value.as_ref().map(|value| format!("{value:?}"))
}

/// A value of the type that is cheap to copy; the kind itself where all are.
pub(super) fn blank(kind: &Value) -> Value {
    match kind {
        Value::String(_) => Value::String(Some(String::new())),
        Value::Bytes(_) => Value::Bytes(Some(Vec::new())),
        Value::Json(_) => Value::Json(Some(Box::new(Json::Null))),
        kind => kind.clone(),
    }
}
