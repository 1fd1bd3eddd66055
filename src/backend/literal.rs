//! Values as the database writes them.

use std::fmt::{Display, Write};

#[cfg(feature = "postgres")]
use sea_orm::sea_query::ArrayType;
use sea_orm::{DbBackend, Statement, Value, sea_query::OptionEnum};

/// The text that stands for `value` in SQL. The database takes it for what the driver would have sent, which is not what
/// SeaORM's own rendering does for UUIDs, times, arrays, and numbers that are none.
pub(super) fn literal(value: &Value, backend: DbBackend) -> String {
    match (untyped(value, backend), cast(value, backend)) {
        (text, Some(of)) if text != NULL => format!("{text}::{of}"),
        (text, _) => text,
    }
}

const NULL: &str = "NULL";

/// What PostgreSQL would otherwise take for text, or for another kind of number.
fn cast(value: &Value, backend: DbBackend) -> Option<&'static str> {
    if backend != DbBackend::Postgres {
        return None;
    }
    match value {
        #[cfg(feature = "postgres")]
        Value::Array(of, _) => Some(array(of)),
        Value::Float(_) => Some("float4"),
        Value::Double(_) => Some("float8"),
        Value::Bytes(_) => Some("bytea"),
        Value::ChronoDate(_) | Value::TimeDate(_) => Some("date"),
        Value::ChronoTime(_) | Value::TimeTime(_) => Some("time"),
        Value::ChronoDateTime(_) | Value::TimeDateTime(_) => Some("timestamp"),
        Value::ChronoDateTimeUtc(_)
        | Value::ChronoDateTimeLocal(_)
        | Value::ChronoDateTimeWithTimeZone(_)
        | Value::TimeDateTimeWithTimeZone(_) => Some("timestamptz"),
        Value::Uuid(_) => Some("uuid"),
        Value::Json(_) => Some("jsonb"),
        _ => None,
    }
}

/// The type of an array.
#[cfg(feature = "postgres")]
fn array(of: &ArrayType) -> &'static str {
    match of {
        ArrayType::Bool => "bool[]",
        ArrayType::TinyInt | ArrayType::SmallInt | ArrayType::TinyUnsigned => "int2[]",
        ArrayType::Int | ArrayType::SmallUnsigned => "int4[]",
        ArrayType::BigInt | ArrayType::Unsigned | ArrayType::BigUnsigned => "int8[]",
        ArrayType::Float => "float4[]",
        ArrayType::Double => "float8[]",
        ArrayType::Bytes => "bytea[]",
        ArrayType::Json => "jsonb[]",
        ArrayType::ChronoDate | ArrayType::TimeDate => "date[]",
        ArrayType::ChronoTime | ArrayType::TimeTime => "time[]",
        ArrayType::ChronoDateTime | ArrayType::TimeDateTime => "timestamp[]",
        ArrayType::ChronoDateTimeUtc
        | ArrayType::ChronoDateTimeLocal
        | ArrayType::ChronoDateTimeWithTimeZone
        | ArrayType::TimeDateTimeWithTimeZone => "timestamptz[]",
        ArrayType::Uuid => "uuid[]",
        ArrayType::Decimal => "numeric[]",
        _ => "text[]",
    }
}

fn untyped(value: &Value, backend: DbBackend) -> String {
    match value {
        Value::String(Some(text)) => quoted(text, backend),
        Value::Char(Some(character)) => quoted(character.encode_utf8(&mut [0; 4]), backend),
        Value::Enum(OptionEnum::Some(value)) => quoted(&value.value, backend),
        Value::Json(Some(json)) => quoted(&json.to_string(), backend),
        Value::Bytes(Some(bytes)) => binary(bytes, backend),
        Value::Uuid(Some(uuid)) if backend != DbBackend::Postgres => binary(uuid.as_bytes(), backend),
        // What the driver sends, and what the column holds, in full.
        Value::Float(Some(number)) => float(f64::from(*number), number, backend),
        Value::Double(Some(number)) => float(*number, number, backend),
        Value::ChronoDateTime(Some(at)) if backend == DbBackend::Sqlite => quote(at.format("%F %T%.f")),
        Value::ChronoTime(Some(at)) if backend == DbBackend::Sqlite => quote(at.format("%T%.f")),
        Value::ChronoDateTimeUtc(Some(at)) => instant(at.to_rfc3339(), at.naive_utc(), backend),
        Value::ChronoDateTimeLocal(Some(at)) => instant(at.to_rfc3339(), at.naive_utc(), backend),
        Value::ChronoDateTimeWithTimeZone(Some(at)) => instant(at.to_rfc3339(), at.naive_utc(), backend),
        // SQLite compares it as text.
        Value::Decimal(Some(number)) if backend == DbBackend::Sqlite => quote(number),
        #[cfg(feature = "postgres")]
        Value::Array(_, Some(elements)) => {
            let elements: Vec<String> = elements.iter().map(|element| untyped(element, backend)).collect();
            format!("ARRAY[{}]", elements.join(", "))
        }
        // The rest is written in the same way everywhere.
        value => {
            let placeholder = if backend == DbBackend::Postgres { "$1" } else { "?" };
            Statement::from_sql_and_values(backend, placeholder, [value.clone()]).to_string()
        }
    }
}

/// MySQL's drivers send instants as times in UTC.
fn instant(rfc3339: String, utc: impl Display, backend: DbBackend) -> String {
    if backend == DbBackend::MySql { quote(utc) } else { quote(rfc3339) }
}

fn float(number: f64, shown: impl Display, backend: DbBackend) -> String {
    match backend {
        DbBackend::Postgres => quote(shown),
        // SQLite has no other way to write what is endless, and takes what is not a number for NULL.
        DbBackend::Sqlite if number.is_nan() => NULL.to_owned(),
        DbBackend::Sqlite if number.is_infinite() => format!("{}9e999", if number < 0.0 { "-" } else { "" }),
        _ => format!("{number:?}"),
    }
}

fn binary(bytes: &[u8], backend: DbBackend) -> String {
    let (opening, closing) = if backend == DbBackend::Postgres { ("'\\x", "'") } else { ("x'", "'") };
    let mut text = opening.to_owned();
    for byte in bytes {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text.push_str(closing);
    text
}

/// For what has nothing in it that would have to be escaped.
fn quote(text: impl Display) -> String {
    format!("'{text}'")
}

fn quoted(text: &str, backend: DbBackend) -> String {
    let (escapes, prefix) = match backend {
        DbBackend::MySql => (true, ""),
        DbBackend::Postgres => (text.contains(['\\', '\n', '\r', '\t']), "E"),
        _ => (false, ""),
    };
    let mut quoted = if escapes { prefix.to_owned() } else { String::new() };
    quoted.push('\'');
    for character in text.chars() {
        match character {
            '\'' => quoted.push_str("''"),
            '\\' if escapes => quoted.push_str("\\\\"),
            '\n' if escapes => quoted.push_str("\\n"),
            '\r' if escapes => quoted.push_str("\\r"),
            '\t' if escapes => quoted.push_str("\\t"),
            '\0' if escapes => quoted.push_str("\\0"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}
