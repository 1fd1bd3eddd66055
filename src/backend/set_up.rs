//! The caller's own SQL that sets a new connection up. It may hold secrets, as `PRAGMA key = '…'` does.

use std::sync::Arc;

use sea_orm::{DbBackend, DbErr, RuntimeErr};

use super::{
    input::check_script,
    lexer::{first_word, skip_blanks},
    script::SqlNature,
    tokens::{Kind, tokens},
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

    /// What hooks and logs are shown in its place.
    pub(crate) fn shown(&self) -> Arc<str> {
        let (word, _) = first_word(&self.sql[skip_blanks(self.sql, 0, self.backend)..]);
        format!("{} /* {SETTING}, text {} */", word.to_ascii_uppercase(), self.number).into()
    }

    /// The failure with the setting's name, and without the values that the database has quoted.
    pub(crate) fn failed(&self, error: Error) -> Error {
        let Error::Database { class, source } = error else { return error };
        let mut message = source.to_string();
        for token in tokens(self.sql, self.backend).iter().filter(|token| token.kind == Kind::Literal) {
            let value = token.text.trim_matches(['\'', '"']);
            // A shorter one is no secret, and a part of many words.
            if value.len() > 3 {
                message = message.replace(value, "***");
            }
        }
        let text = format!("{SETTING}, text {}: {message}", self.number);
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
        let source = DbErr::Exec(RuntimeErr::Internal("near \"'hunter3'\": syntax error".to_owned()));
        let error = set_up.failed(Error::Database { class: ErrorClass::Other, source });
        let text = format!("{error} {error:?}");
        assert!(!text.contains("hunter3") && text.contains("after_connect, text 2"), "{text}");
        assert!(text.contains("syntax error"), "{text}");
    }
}
