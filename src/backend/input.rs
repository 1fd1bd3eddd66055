//! What no driver may be given: it would panic, or send something else than was meant.

use std::sync::Arc;

use sea_orm::{DbBackend, Statement, Value, Values};

use super::{
    calendar::refuse_beyond,
    script::{SqlNature, nature_of, nature_of_script},
    tokens::placeholders,
};
use crate::error::{Error, Result};

/// The most bound values in one statement.
pub(super) const fn bind_limit(backend: DbBackend) -> usize {
    match backend {
        DbBackend::Sqlite => 32_766,
        _ => 65_535,
    }
}

/// SQL that does nothing beside reading and writing rows, found out once for all the times it runs.
#[derive(Debug, Clone)]
pub(crate) struct PlainSql(Arc<str>);

impl PlainSql {
    /// `None` when there is more to `sql` than that, or something wrong with it.
    pub(crate) fn new(sql: &str, backend: DbBackend) -> Option<Self> {
        let plain = refuse_nul(sql).is_ok() && nature(sql, backend) == SqlNature::Plain;
        plain.then(|| Self(sql.into()))
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> Arc<str> {
        self.0
    }
}

/// Looks at a statement before it is sent to `backend`, whatever database it was built for.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for a NUL byte in the SQL, more values than the database takes, a value that it cannot hold,
/// or on SQLite another number of values than the SQL has places for.
pub(crate) fn check_statement(statement: &Statement, backend: DbBackend) -> Result<SqlNature<'_>> {
    let Statement { sql, values, db_backend: _ } = statement;
    refuse_nul(sql)?;
    if let Some(values) = values {
        check_values(values, backend)?;
    }
    if backend == DbBackend::Sqlite {
        refuse_wrong_number(sql, values.as_ref().map_or(0, |values| values.0.len()))?;
    }
    Ok(nature(sql, backend))
}

/// Looks at the values of a statement before it is sent to `backend`.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for more values than the database takes, or a value that it cannot hold.
pub(crate) fn check_values(values: &Values, backend: DbBackend) -> Result<()> {
    let limit = bind_limit(backend);
    if values.0.len() > limit {
        let given = format!("{} bound values", values.0.len());
        return Err(Error::argument("statement", given, format!("at most {limit}")));
    }
    values.0.iter().try_for_each(|value| refuse_unbindable(value, backend))
}

/// The driver of SQLite takes NULL for a value that is missing, and passes over one too many.
fn refuse_wrong_number(sql: &str, given: usize) -> Result<()> {
    let (mut plain, mut expected) = (0, 0);
    for placeholder in placeholders(sql, DbBackend::Sqlite) {
        let place = match placeholder.strip_prefix(['?', '$']) {
            Some("") => {
                plain += 1;
                Some(plain)
            }
            number => number.and_then(|number| number.parse().ok()).filter(|place| *place > 0),
        };
        let Some(place) = place else {
            return Err(Error::argument("statement", placeholder, "?, ?1 or $1 where a value goes"));
        };
        expected = expected.max(place);
    }
    if given == expected {
        return Ok(());
    }
    Err(Error::argument(
        "statement",
        format!("{given} bound values"),
        format!("{expected}, as many as the SQL has places"),
    ))
}

fn nature(sql: &str, backend: DbBackend) -> SqlNature<'_> {
    // The driver of SQLite runs all statements of a prepared text.
    let several = backend == DbBackend::Sqlite && sql.contains(';');
    if several { nature_of_script(sql, backend) } else { nature_of(sql, backend) }
}

/// Looks at unprepared SQL before it is sent.
pub(crate) fn check_script(sql: &str, backend: DbBackend) -> Result<SqlNature<'_>> {
    refuse_nul(sql)?;
    Ok(nature_of_script(sql, backend))
}

/// The protocols end a text at NUL: what stands behind it would be read as something else.
fn refuse_nul(sql: &str) -> Result<()> {
    match sql.find('\0') {
        Some(at) => Err(Error::argument("sql", format!("a NUL byte at {at}"), "SQL without NUL bytes")),
        None => Ok(()),
    }
}

/// The drivers panic on what does not fit, or leave it out.
pub(super) fn refuse_unbindable(value: &Value, backend: DbBackend) -> Result<()> {
    match value {
        // Integers are signed there.
        Value::BigUnsigned(Some(number)) if backend != DbBackend::MySql && i64::try_from(*number).is_err() => {
            Err(Error::argument("value", number, format!("at most {}", i64::MAX)))
        }
        #[cfg(feature = "postgres")]
        Value::Array(_, elements) => {
            if backend != DbBackend::Postgres {
                return Err(Error::argument("value", "an array", "a single value: this database has no arrays"));
            }
            elements.iter().flat_map(|elements| elements.iter()).try_for_each(|value| refuse_unbindable(value, backend))
        }
        value => refuse_beyond(value, backend),
    }
}
