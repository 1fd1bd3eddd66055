//! Values as a database keeps them, where that is not how the driver would write them.

use sea_orm::{DbBackend, DbErr, QueryResult, Value, sea_query::ArrayType};

/// Whether a value of this type may be kept in another form than the one that it is written in when it has been read.
/// SQLite has no times, no decimal numbers and no small floating point ones: it keeps and compares the text or number that
/// somebody wrote.
pub(crate) fn is_kept_otherwise(backend: DbBackend, of: &ArrayType) -> bool {
    backend == DbBackend::Sqlite
        && matches!(
            of,
            ArrayType::ChronoDate
                | ArrayType::ChronoTime
                | ArrayType::ChronoDateTime
                | ArrayType::ChronoDateTimeUtc
                | ArrayType::ChronoDateTimeLocal
                | ArrayType::ChronoDateTimeWithTimeZone
                | ArrayType::TimeDate
                | ArrayType::TimeTime
                | ArrayType::TimeDateTime
                | ArrayType::TimeDateTimeWithTimeZone
                | ArrayType::Decimal
                | ArrayType::Float
        )
}

/// What is kept in a column of such a type.
pub(crate) fn kept(row: &QueryResult, column: &str) -> Result<Value, DbErr> {
    if let Ok(text) = row.try_get::<Option<String>>("", column) {
        return Ok(text.into());
    }
    if let Ok(integer) = row.try_get::<i64>("", column) {
        return Ok(integer.into());
    }
    if let Ok(number) = row.try_get::<f64>("", column) {
        return Ok(number.into());
    }
    row.try_get::<Vec<u8>>("", column).map(Value::from)
}

/// Whether [`kept`] gives such a value.
pub(crate) fn is_kept_value(value: &Value) -> bool {
    matches!(value, Value::String(_) | Value::BigInt(Some(_)) | Value::Double(Some(_)) | Value::Bytes(Some(_)))
}
