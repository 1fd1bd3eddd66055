//! What statements over many rows need to know of a database.

use sea_orm::{DbErr, RuntimeErr, Value};

use crate::error::{Error, ErrorClass};

/// The values of one column as one bound array; gives them back when they have no array form in which the database
/// takes them just as it takes each by itself.
pub(crate) fn into_array(values: Vec<Value>) -> Result<Value, Vec<Value>> {
    #[cfg(feature = "postgres")]
    {
        use sea_orm::sea_query::ArrayType;
        use std::mem::discriminant;

        let Some(first) = values.first() else { return Err(values) };
        // An array of arrays is taken apart down to its elements; an `i8` has a type of its own there.
        let fits = !matches!(first, Value::Array(..) | Value::TinyInt(_));
        if !fits || values.iter().any(|value| discriminant(value) != discriminant(first)) {
            return Err(values);
        }
        let of = first.array_type();
        let known = matches!(
            of,
            ArrayType::Bool
                | ArrayType::SmallInt
                | ArrayType::Int
                | ArrayType::BigInt
                | ArrayType::TinyUnsigned
                | ArrayType::SmallUnsigned
                | ArrayType::Unsigned
                | ArrayType::BigUnsigned
                | ArrayType::Float
                | ArrayType::Double
                | ArrayType::String
                | ArrayType::Enum(_)
                | ArrayType::Char
                | ArrayType::Bytes
                | ArrayType::Json
                | ArrayType::ChronoDate
                | ArrayType::ChronoTime
                | ArrayType::ChronoDateTime
                | ArrayType::ChronoDateTimeUtc
                | ArrayType::ChronoDateTimeLocal
                | ArrayType::ChronoDateTimeWithTimeZone
                | ArrayType::TimeDate
                | ArrayType::TimeTime
                | ArrayType::TimeDateTime
                | ArrayType::TimeDateTimeWithTimeZone
                | ArrayType::Uuid
                | ArrayType::Decimal
        );
        if known { Ok(Value::Array(of, Some(Box::new(values)))) } else { Err(values) }
    }
    #[cfg(not(feature = "postgres"))]
    Err(values)
}

/// Whether a statement over many rows failed because of what one of the rows holds, so that the others could be written
/// without it.
pub(crate) fn is_because_of_a_row(error: &Error) -> bool {
    match error.root() {
        Error::InvalidArgument { argument: "value", .. } => true,
        Error::Database { class, source } => match class {
            ErrorClass::UniqueViolation
            | ErrorClass::ForeignKeyViolation
            | ErrorClass::NotNullViolation
            | ErrorClass::CheckViolation => true,
            ErrorClass::Other => is_refused_value(source),
            _ => false,
        },
        _ => false,
    }
}

/// Values that are too long, out of range, or not of their type; what a trigger refuses.
fn is_refused_value(source: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = source else {
        return false;
    };
    match error.as_ref() {
        sqlx::Error::Encode(_) => true,
        sqlx::Error::Database(error) => refuses_a_value(error.as_ref()),
        _ => false,
    }
}

fn refuses_a_value(error: &dyn sqlx::error::DatabaseError) -> bool {
    #[cfg(feature = "postgres")]
    if let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
        // Data exceptions, integrity, a view's check, a program's limit, RAISE.
        return ["22", "23", "44", "54", "P0"].iter().any(|class| error.code().starts_with(class));
    }
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        // Too long, out of range, no such enum value, a wrong date or geometry, SIGNAL, not JSON.
        return matches!(
            error.number(),
            1118 | 1230
                | 1264
                | 1265
                | 1292
                | 1366
                | 1367
                | 1406
                | 1411
                | 1416
                | 1441
                | 1526
                | 1644
                | 1690
                | 3140
                | 4078
        );
    }
    #[cfg(feature = "sqlite")]
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        let code: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
        // Too big, a constraint (a trigger's RAISE too), a type that does not fit.
        return matches!(code & 0xff, 18..=20);
    }
    let _ = error;
    false
}
