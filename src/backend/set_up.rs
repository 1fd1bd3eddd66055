//! The caller's own SQL that sets a new connection up. It may hold secrets, as `PRAGMA key = '…'` does.

use std::sync::Arc;

use sea_orm::{DbBackend, DbErr, RuntimeErr};

use super::{
    errors::status_code,
    input::check_script,
    lexer::{first_word, skip_blanks},
    script::SqlNature,
};
use crate::error::{Error, Result};

const SETTING: &str = "after_connect";

/// One text of `after_connect`.
pub(crate) struct SetUp<'s> {
    sql: &'s str,
    /// From 1.
    number: usize,
    backend: DbBackend,
}

impl<'s> SetUp<'s> {
    /// # Errors
    ///
    /// [`Error::Config`] for SQL that would leave a transaction open, in which everything after it would be lost.
    pub(crate) fn new(sql: &'s str, number: usize, backend: DbBackend) -> Result<Self> {
        let bad =
            |what: &str, expected: &str| Err(Error::config(SETTING, format!("{what} in text {number}"), expected));
        match check_script(sql, backend)? {
            SqlNature::ControlsTransaction(keyword) => {
                bad(&keyword.to_ascii_uppercase(), "SQL that neither begins transactions nor says when they are begun")
            }
            SqlNature::Copies => bad("COPY", "SQL that copies nothing from or to the client"),
            SqlNature::Plain
            | SqlNature::ChangesSession
            | SqlNature::CommitsTransaction(_)
            | SqlNature::CommitsAndChangesSession(_) => Ok(Self { sql, number, backend }),
        }
    }

    pub(crate) fn sql(&self) -> Arc<str> {
        self.sql.into()
    }

    /// What hooks and logs are shown in its place.
    pub(crate) fn shown(&self) -> Arc<str> {
        let (word, _) = first_word(&self.sql[skip_blanks(self.sql, 0, self.backend)..]);
        format!("{} /* {SETTING}, text {} */", word.to_ascii_uppercase(), self.number).into()
    }

    /// The failure with the setting's name, and nothing of what the database has said: it quotes parts of the SQL in more
    /// ways than can be told.
    pub(crate) fn failed(&self, error: Error) -> Error {
        let code = status_code(&error).map(|code| format!(", code {code}")).unwrap_or_default();
        let Error::Database { class, .. } = error else { return error };
        let text = format!(
            "{SETTING}, text {}: {}{code}; the database's message is left out, as it may show what the text says",
            self.number,
            class.name()
        );
        Error::Database { class, source: DbErr::Conn(RuntimeErr::Internal(text)) }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{
        DatabaseBackend::{MySql, Postgres, Sqlite},
        DbErr, RuntimeErr,
    };

    use super::SetUp;
    use crate::error::{Error, ErrorClass};

    #[test]
    fn what_would_leave_a_transaction_open_is_refused() {
        for (backend, sql) in [
            (Postgres, "BEGIN"),
            (Postgres, "SET TIME ZONE 'UTC'; BEGIN"),
            (MySql, "SET autocommit=0"),
            (MySql, "SET SESSION completion_type = CHAIN"),
            (Sqlite, "BEGIN IMMEDIATE"),
        ] {
            let error = SetUp::new(sql, 1, backend).map(drop).expect_err("it leaves a transaction open");
            assert!(matches!(error, Error::Config { setting: "after_connect", .. }), "{sql}: {error:?}");
        }
        for (backend, sql) in [
            (Postgres, "SET TIME ZONE 'UTC'"),
            (MySql, "SET NAMES utf8mb4; SET time_zone = '+00:00'"),
            (MySql, "CREATE TEMPORARY TABLE t (a int)"),
            (Sqlite, "PRAGMA cache_size = -65536"),
        ] {
            assert!(SetUp::new(sql, 1, backend).is_ok(), "{sql}");
        }
    }

    #[test]
    fn values_are_shown_nowhere() {
        let set_up = SetUp::new("  pragma key = 'hunter3'", 2, Sqlite).expect("it leaves none");
        assert_eq!(&*set_up.shown(), "PRAGMA /* after_connect, text 2 */");
        let source = DbErr::Exec(RuntimeErr::Internal("no such column: hunter3".to_owned()));
        let error = set_up.failed(Error::Database { class: ErrorClass::Other, source });
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter3") && text.contains("after_connect, text 2: other"), "{text}");
    }
}
