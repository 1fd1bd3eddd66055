//! Lists of any length.

use std::mem::discriminant;

use sea_orm::{
    DbBackend, Value,
    sea_query::{BinOper, Expr, ExprTrait},
};
use serde_json::Value as Json;

#[cfg(feature = "postgres")]
use super::bulk::into_array;

/// The most values that MySQL and SQLite are given one by one. Beyond it each length would prepare another long
/// statement, and several such lists fit under the limit of one statement.
const LONGEST: usize = 8_000;

/// Longer lists are rare, and the other values of the statement need room too.
const MOST_FILLED: usize = 1_024;

/// Fills a list up to a power of two with values that it has already, so that few statements have to be prepared.
pub(crate) fn fill_up(values: &mut Vec<Value>) {
    if let Some(last) = values.last().filter(|_| values.len() <= MOST_FILLED).cloned() {
        values.resize(values.len().next_power_of_two(), last);
    }
}

/// `column IN (values)` with the values sent as one: an array, or JSON where there are none and the list is long. `None`
/// when these values are to be sent one by one. None of them is NULL.
pub(crate) fn list_as_one_value(backend: DbBackend, column: Expr, values: &[Value], negated: bool) -> Option<Expr> {
    let first = values.first()?;
    if values.iter().any(|value| discriminant(value) != discriminant(first)) {
        return None;
    }
    match backend {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => array(column, first, values, negated),
        _ if values.len() <= LONGEST => None,
        _ => json(backend, column, first, values, negated),
    }
}

/// <https://www.postgresql.org/docs/current/functions-comparisons.html#FUNCTIONS-COMPARISONS-ANY-SOME>
#[cfg(feature = "postgres")]
fn array(column: Expr, first: &Value, values: &[Value], negated: bool) -> Option<Expr> {
    use sea_orm::sea_query::extension::postgres::PgFunc;

    // An enum is a type of its own, and JSON is not compared with `=`.
    if matches!(first, Value::Enum(_) | Value::Json(_)) {
        return None;
    }
    let array = Expr::val(into_array(values.to_vec()).ok()?);
    Some(if negated { column.ne(PgFunc::all(array)) } else { column.eq(PgFunc::any(array)) })
}

fn json(backend: DbBackend, column: Expr, first: &Value, values: &[Value], negated: bool) -> Option<Expr> {
    let shape = Shape::of(first)?;
    let elements = values.iter().map(element).collect::<Option<Vec<Json>>>()?;
    let rows = match (backend, shape) {
        (DbBackend::Sqlite, Shape::Bytes) => "SELECT unhex(value) FROM json_each(?)".to_owned(),
        (DbBackend::Sqlite, _) => "SELECT value FROM json_each(?)".to_owned(),
        (DbBackend::MySql, Shape::Integer) => json_table("BIGINT", "v"),
        (DbBackend::MySql, Shape::Unsigned) => json_table("BIGINT UNSIGNED", "v"),
        (DbBackend::MySql, Shape::Number) => json_table("DOUBLE", "v"),
        (DbBackend::MySql, Shape::Text) => json_table(&text_type(&elements), "v"),
        (DbBackend::MySql, Shape::Bytes) => json_table(&text_type(&elements), "UNHEX(v)"),
        _ => return None,
    };
    // sea-query puts the parentheses; a second pair would make it a single value.
    let operator = if negated { BinOper::NotIn } else { BinOper::In };
    Some(column.binary(operator, Expr::cust_with_values(rows, [Json::Array(elements).to_string()])))
}

/// <https://mariadb.com/kb/en/json_table/>
fn json_table(column_type: &str, value: &str) -> String {
    format!("SELECT {value} FROM JSON_TABLE(?, '$[*]' COLUMNS (v {column_type} PATH '$')) AS list")
}

/// A type that takes the longest of these texts. MariaDB makes an index over texts that are not too long; without one it
/// goes through the whole list for each row.
fn text_type(texts: &[Json]) -> String {
    const LONGEST_INDEXED: usize = 512;
    let longest = texts.iter().filter_map(Json::as_str).map(|text| text.chars().count()).max().unwrap_or(0);
    match longest.next_power_of_two() {
        length @ ..=LONGEST_INDEXED => format!("VARCHAR({length})"),
        _ => "LONGTEXT".to_owned(),
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Integer,
    Unsigned,
    Number,
    Text,
    Bytes,
}

impl Shape {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(_) | Value::TinyInt(_) | Value::SmallInt(_) | Value::Int(_) | Value::BigInt(_) => Self::Integer,
            Value::TinyUnsigned(_) | Value::SmallUnsigned(_) | Value::Unsigned(_) | Value::BigUnsigned(_) => {
                Self::Unsigned
            }
            Value::Float(_) | Value::Double(_) => Self::Number,
            Value::String(_) | Value::Char(_) => Self::Text,
            Value::Bytes(_) | Value::Uuid(_) => Self::Bytes,
            _ => return None,
        })
    }
}

/// The value as it would be bound; `None` when JSON does not have it.
fn element(value: &Value) -> Option<Json> {
    match value {
        Value::Bool(value) => value.map(|value| i8::from(value).into()),
        Value::TinyInt(value) => value.map(Into::into),
        Value::SmallInt(value) => value.map(Into::into),
        Value::Int(value) => value.map(Into::into),
        Value::BigInt(value) => value.map(Into::into),
        Value::TinyUnsigned(value) => value.map(Into::into),
        Value::SmallUnsigned(value) => value.map(Into::into),
        Value::Unsigned(value) => value.map(Into::into),
        Value::BigUnsigned(value) => value.map(Into::into),
        Value::Float(value) => value.and_then(|value| finite(value.into())),
        Value::Double(value) => value.and_then(finite),
        Value::String(value) => value.clone().map(Into::into),
        Value::Char(value) => value.map(|value| value.to_string().into()),
        Value::Bytes(value) => value.as_ref().map(|bytes| hex(bytes).into()),
        Value::Uuid(value) => value.as_ref().map(|uuid| hex(uuid.as_bytes()).into()),
        _ => None,
    }
}

fn finite(value: f64) -> Option<Json> {
    serde_json::Number::from_f64(value).map(Json::Number)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        for digit in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
        }
        hex
    })
}
