//! Texts that a database's LIKE and LOWER take.

use sea_orm::DbBackend;

use crate::error::{Error, Result};

/// The most bytes of a pattern of SQLite's LIKE: <https://www.sqlite.org/limits.html>, 5.
const LONGEST: usize = 50_000;

/// Whether every database takes this pattern.
pub(crate) fn is_pattern_everywhere(pattern: &str) -> bool {
    pattern.len() <= LONGEST && !pattern.contains('\0')
}

/// Looks at a pattern for LIKE.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for one that the database would cut off, or refuse.
pub(crate) fn check_pattern(backend: DbBackend, pattern: &str) -> Result<()> {
    check_lowered(backend, pattern)?;
    if backend == DbBackend::Sqlite && pattern.len() > LONGEST {
        let expected = format!("at most {LONGEST} on this database, with an escape before each %, _ and !");
        return Err(Error::argument("pattern", format!("{} bytes", pattern.len()), expected));
    }
    Ok(())
}

/// Looks at a text for LOWER.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for one that the database would cut off.
pub(crate) fn check_lowered(backend: DbBackend, text: &str) -> Result<()> {
    match text.find('\0') {
        // LIKE and LOWER end a text there: what is left would match far more.
        Some(at) if backend == DbBackend::Sqlite => {
            let expected = "a text without NUL bytes on this database";
            Err(Error::argument("pattern", format!("a NUL byte at {at}"), expected))
        }
        _ => Ok(()),
    }
}
