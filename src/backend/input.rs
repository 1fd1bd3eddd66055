//! What no driver may be given: it would panic, or send something else than was meant.

use sea_orm::{DbBackend, Statement, Value};

use super::script::{SqlNature, nature_of, nature_of_script};
use crate::error::{Error, Result};

/// The most bound values in one statement.
pub(super) const fn bind_limit(backend: DbBackend) -> usize {
    match backend {
        DbBackend::Sqlite => 32_766,
        _ => 65_535,
    }
}

/// Looks at a statement before it is sent to `backend`, whatever database it was built for.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for a NUL byte in the SQL, more values than the database takes, or a value that it cannot
/// hold.
pub(crate) fn check_statement(statement: &Statement, backend: DbBackend) -> Result<SqlNature<'_>> {
    let Statement { sql, values, db_backend: _ } = statement;
    refuse_nul(sql)?;
    if let Some(values) = values {
        let limit = bind_limit(backend);
        if values.0.len() > limit {
            let given = format!("{} bound values", values.0.len());
            return Err(Error::argument("statement", given, format!("at most {limit}")));
        }
        values.0.iter().try_for_each(|value| refuse_unbindable(value, backend))?;
    }
    // The driver of SQLite runs all statements of a prepared text.
    let several = backend == DbBackend::Sqlite && sql.contains(';');
    Ok(if several { nature_of_script(sql, backend) } else { nature_of(sql, backend) })
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

/// The drivers panic on what does not fit.
fn refuse_unbindable(value: &Value, backend: DbBackend) -> Result<()> {
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
        _ => Ok(()),
    }
}
