//! Conditions on JSON columns.

use sea_orm::{
    DbBackend, Value,
    sea_query::{Expr, ExprTrait},
};
use serde_json::{Number, Value as Json};

use crate::error::{Error, Result};

/// One step into a JSON document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(u32),
}

/// What stands at the path is this text, number, boolean or null.
pub(crate) fn equals(backend: DbBackend, column: Expr, path: &[Step], value: &Json) -> Result<Expr> {
    if value.is_array() || value.is_object() {
        return Err(Error::argument("json_eq", value, "a text, number, boolean or null; json_contains takes others"));
    }
    match backend {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => Ok(at_path(column, path).eq(Expr::val(value.clone()))),
        DbBackend::Sqlite => {
            let path = path_text(backend, path)?;
            let kind = typed("json_type(?, ?)", &column, &path);
            let found = typed("json_extract(?, ?)", &column, &path);
            Ok(match value {
                Json::Null => kind.eq("null"),
                Json::Bool(value) => kind.eq(value.to_string()),
                Json::Number(number) => {
                    let equal = kind.clone().is_in(["integer", "real"]).and(found.eq(number_value(number)));
                    // Integers beyond its own are numbers with a fraction there.
                    match is_within(number, i64::MAX.unsigned_abs()) {
                        true => equal,
                        false => equal.and(has_digits(kind, ["integer"], typed("? -> ?", &column, &path), number)),
                    }
                }
                _ => kind.eq("text").and(found.eq(value.as_str())),
            })
        }
        _ => {
            let path = path_text(backend, path)?;
            let kind = typed("JSON_TYPE(JSON_EXTRACT(?, ?))", &column, &path);
            let text = typed("JSON_UNQUOTE(JSON_EXTRACT(?, ?))", &column, &path);
            Ok(match value {
                Json::Null => kind.eq("NULL"),
                Json::Bool(value) => kind.eq("BOOLEAN").and(text.eq(value.to_string())),
                Json::Number(number) => {
                    let equal = kind
                        .clone()
                        .is_in(["INTEGER", "UNSIGNED INTEGER", "DOUBLE", "DECIMAL"])
                        .and(typed("JSON_EXTRACT(?, ?)", &column, &path).eq(number_value(number)));
                    // MariaDB compares a text with a number by what a double holds of both.
                    match is_within(number, 1 << 53) {
                        true => equal,
                        false => equal.and(has_digits(kind, ["INTEGER", "UNSIGNED INTEGER"], text, number)),
                    }
                }
                _ => kind.eq("STRING").and(text.eq(value.as_str())),
            })
        }
    }
}

/// There is something at the path.
pub(crate) fn has(backend: DbBackend, column: Expr, path: &[Step]) -> Result<Expr> {
    match backend {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => Ok(at_path(column, path).is_not_null()),
        DbBackend::Sqlite => Ok(typed("json_type(?, ?)", &column, &path_text(backend, path)?).is_not_null()),
        _ => Ok(typed("JSON_EXTRACT(?, ?)", &column, &path_text(backend, path)?).is_not_null()),
    }
}

/// The column contains the value.
pub(crate) fn contains(backend: DbBackend, column: Expr, value: &Json) -> Result<Expr> {
    match backend {
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => {
            use sea_orm::sea_query::extension::postgres::PgBinOper;
            Ok(column.cast_as("jsonb").binary(PgBinOper::Contains, Expr::val(value.clone())))
        }
        DbBackend::Sqlite => Err(Error::unsupported("json_contains on SQLite; json_eq asks for a value at a path")),
        _ => Ok(Expr::cust_with_exprs("JSON_CONTAINS(?, ?)", [column, Expr::val(value.to_string())])),
    }
}

#[cfg(feature = "postgres")]
fn at_path(column: Expr, path: &[Step]) -> Expr {
    use sea_orm::sea_query::BinOper;

    let steps = path.iter().map(|step| match step {
        Step::Key(key) => key.clone(),
        Step::Index(index) => index.to_string(),
    });
    column.cast_as("jsonb").binary(BinOper::Custom("#>"), Expr::val(steps.collect::<Vec<String>>()))
}

fn typed(call: &'static str, column: &Expr, path: &str) -> Expr {
    Expr::cust_with_exprs(call, [column.clone(), Expr::val(path)])
}

/// Whether the number has a fraction, or is no larger than `most` and no smaller than the opposite.
fn is_within(number: &Number, most: u64) -> bool {
    number.as_i64().map_or(number.is_f64(), |integer| integer.unsigned_abs() <= most)
}

/// What stands there is no integer, or has just these digits.
fn has_digits<const N: usize>(kind: Expr, integers: [&'static str; N], text: Expr, number: &Number) -> Expr {
    kind.is_not_in(integers).or(text.eq(number.to_string()))
}

fn number_value(number: &Number) -> Value {
    match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.into(),
        (None, number) => number.into(),
    }
}

/// The path as SQLite and MySQL write it.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for a key that cannot be written in it: the two differ in what a backslash means there.
fn path_text(backend: DbBackend, path: &[Step]) -> Result<String> {
    let mysql = backend == DbBackend::MySql;
    path.iter().try_fold("$".to_owned(), |mut text, step| {
        match step {
            Step::Key(key) if key.contains(['"', '\\']) => {
                let expected = "a key without quotes and backslashes on this database";
                return Err(Error::argument("json path", key.escape_debug(), expected));
            }
            // The path ends there.
            Step::Key(key) if !mysql && key.contains('\0') => {
                let expected = "a key without NUL bytes on this database";
                return Err(Error::argument("json path", key.escape_debug(), expected));
            }
            // MariaDB takes it for a place counted from the end, in quotes too.
            Step::Key(key) if mysql && key.starts_with('-') => {
                let expected = "a key that does not begin with a minus on this database";
                return Err(Error::argument("json path", key.escape_debug(), expected));
            }
            // A control character has to be written as in JSON there.
            Step::Key(key) if mysql => text.push_str(&format!(".{}", Json::from(key.as_str()))),
            Step::Key(key) => text.push_str(&format!(".\"{key}\"")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
        Ok(text)
    })
}
