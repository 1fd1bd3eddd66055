//! Telling from its text what SQL would do to the session it runs in.

use sea_orm::DbBackend;

/// What a piece of SQL does beside reading and writing rows, with the keyword that tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SqlNature<'s> {
    /// Nothing that outlives the statement.
    Plain,
    /// It changes the session: a setting, a lock, a temporary table. Nobody else may get the connection afterwards.
    ChangesSession,
    /// It begins or ends a transaction or a savepoint.
    ControlsTransaction(&'s str),
    /// It commits the transaction that it runs in.
    CommitsTransaction(&'s str),
}

/// The nature of one statement.
pub(crate) fn nature_of(sql: &str, backend: DbBackend) -> SqlNature<'_> {
    let (word, rest) = first_word(&sql[skip_blanks(sql, 0)..]);
    if ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].into_iter().any(|everyday| is(word, everyday)) {
        nature_of_query(rest, backend)
    } else {
        nature_of_command(word, rest, backend)
    }
}

/// The nature of SQL that may be several statements: the gravest of theirs.
pub(crate) fn nature_of_script(sql: &str, backend: DbBackend) -> SqlNature<'_> {
    let mut gravest = SqlNature::Plain;
    let mut start = 0;
    while start < sql.len() {
        let end = end_of_statement(sql, start, backend);
        gravest = match (nature_of(&sql[start..end], backend), gravest) {
            (control @ SqlNature::ControlsTransaction(_), _) => return control,
            (commits @ SqlNature::CommitsTransaction(_), _) | (_, commits @ SqlNature::CommitsTransaction(_)) => {
                commits
            }
            (SqlNature::Plain, earlier) => earlier,
            (SqlNature::ChangesSession, _) => SqlNature::ChangesSession,
        };
        start = end + 1;
    }
    gravest
}

fn nature_of_command<'s>(word: &'s str, rest: &str, backend: DbBackend) -> SqlNature<'s> {
    const CONTROL: [&str; 9] = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT", "XA", "START"];
    const SESSION: [&str; 15] = [
        "SET", "RESET", "DISCARD", "LOCK", "UNLOCK", "LISTEN", "UNLISTEN", "PRAGMA", "ATTACH", "DETACH", "USE",
        "DECLARE", "LOAD", "PREPARE", "HANDLER",
    ];
    // <https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>
    const COMMITTING: [&str; 13] = [
        "CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK",
        "INSTALL", "LOCK",
    ];
    if CONTROL.iter().any(|control| is(word, control)) {
        return SqlNature::ControlsTransaction(word);
    }
    let (next, _) = first_word(&rest[skip_blanks(rest, 0)..]);
    if is(word, "PREPARE") && is(next, "TRANSACTION") || is(word, "SET") && is(next, "AUTOCOMMIT") {
        return SqlNature::ControlsTransaction(word);
    }
    let of_transaction = is(word, "LOCK") || is(word, "SET") && (is(next, "LOCAL") || is(next, "CONSTRAINTS"));
    if backend == DbBackend::Postgres && of_transaction {
        // It goes with the transaction.
        return SqlNature::Plain;
    }
    // As in CREATE OR REPLACE TEMPORARY and CREATE LOCAL TEMP.
    let temporary = (is(word, "CREATE") || is(word, "DROP"))
        && rest.split_whitespace().take(3).any(|word| is(word, "TEMP") || is(word, "TEMPORARY"));
    if backend == DbBackend::MySql && !temporary && COMMITTING.iter().any(|committing| is(word, committing)) {
        return SqlNature::CommitsTransaction(word);
    }
    if temporary || SESSION.iter().any(|session| is(word, session)) {
        return SqlNature::ChangesSession;
    }
    if is(word, "DO") || is(word, "CALL") || is(word, "EXECUTE") {
        // A procedure may do anything.
        return SqlNature::ChangesSession;
    }
    SqlNature::Plain
}

/// Functions that a query can call to change the session, told by the ends of their names, and MySQL's variables.
fn nature_of_query(sql: &str, backend: DbBackend) -> SqlNature<'static> {
    if backend == DbBackend::MySql && [":=", "INTO @", "into @"].into_iter().any(|assigns| sql.contains(assigns)) {
        return SqlNature::ChangesSession;
    }
    const SUFFIXES: [&str; 3] = ["set_config", "lock", "lock_shared"];
    let changes = sql.match_indices('(').any(|(parenthesis, _)| {
        let before = sql[..parenthesis].trim_end();
        let ends_with = |suffix: &str| {
            let tail = before.len().checked_sub(suffix.len()).and_then(|start| before.get(start..));
            tail.is_some_and(|tail| is(tail, suffix))
        };
        // A lock of the transaction goes with it.
        SUFFIXES.into_iter().any(ends_with) && !ends_with("xact_lock") && !ends_with("xact_lock_shared")
    });
    if changes { SqlNature::ChangesSession } else { SqlNature::Plain }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn first_word(sql: &str) -> (&str, &str) {
    let end = sql.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(sql.len());
    sql.split_at(end)
}

/// The first position from `at` that is neither blank nor comment.
fn skip_blanks(sql: &str, mut at: usize) -> usize {
    let bytes = sql.as_bytes();
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        if byte.is_ascii_whitespace() || matches!(byte, b'(' | b';') {
            at += 1;
        } else if rest.starts_with(b"--") || *byte == b'#' {
            at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
        } else if rest.starts_with(b"/*!") {
            // MySQL runs what stands in such a comment.
            at += 3 + rest[3..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        } else if rest.starts_with(b"/*") {
            at = end_of_comment(bytes, at);
        } else {
            break;
        }
    }
    at.min(sql.len())
}

/// The position after the comment at `at`; PostgreSQL's comments nest.
fn end_of_comment(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The position of the semicolon that ends the statement at `start`, or of the end.
fn end_of_statement(sql: &str, start: usize, backend: DbBackend) -> usize {
    if holds_statements(&sql[start..]) {
        return sql.len();
    }
    let bytes = sql.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at = match byte {
            b';' => return at,
            b'\'' | b'"' | b'`' => {
                let escape_string = byte == b'\'' && at > start && matches!(bytes[at - 1], b'E' | b'e');
                let backslash = match backend {
                    DbBackend::MySql => byte != b'`',
                    DbBackend::Postgres => escape_string,
                    _ => false,
                };
                end_of_quoted(bytes, at, backslash)
            }
            b'-' if rest.starts_with(b"--") => at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with(b"/*") && !rest.starts_with(b"/*!") => end_of_comment(bytes, at),
            b'$' => end_of_dollar_quoted(sql, at),
            _ => at + 1,
        };
    }
    sql.len()
}

/// Whether it is the definition of a trigger or routine, whose body has semicolons, BEGIN and END of its own.
fn holds_statements(sql: &str) -> bool {
    let (word, rest) = first_word(&sql[skip_blanks(sql, 0)..]);
    const DEFINED: [&str; 4] = ["TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"];
    is(word, "CREATE")
        && rest.split_whitespace().take(4).any(|word| DEFINED.into_iter().any(|defined| is(word, defined)))
}

fn end_of_quoted(bytes: &[u8], start: usize, backslash_escapes: bool) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == quote {
            return at + 1;
        }
        at += if byte == b'\\' && backslash_escapes { 2 } else { 1 };
    }
    bytes.len()
}

fn end_of_dollar_quoted(sql: &str, start: usize) -> usize {
    let tag_length = sql[start + 1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    match tag_length {
        Some(length) if sql.as_bytes()[start + 1 + length] == b'$' => {
            let tag = &sql[start..start + length + 2];
            match sql[start + tag.len()..].find(tag) {
                Some(end) => start + tag.len() + end + tag.len(),
                None => sql.len(),
            }
        }
        _ => start + 1,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};

    use super::{SqlNature, nature_of, nature_of_script};

    #[test]
    fn transaction_control_is_found_behind_blanks_and_comments() {
        for sql in [
            "BEGIN",
            "  begin immediate",
            "/* a /* nested */ comment */ COMMIT",
            "-- line\nROLLBACK TO SAVEPOINT a",
            "# line\nstart transaction",
            "/*!40000 BEGIN */",
            "PREPARE TRANSACTION 'x'",
            "SET autocommit=0",
            "(COMMIT)",
        ] {
            assert!(matches!(nature_of(sql, MySql), SqlNature::ControlsTransaction(_)), "{sql}");
        }
    }

    #[test]
    fn changes_of_the_session_are_found() {
        for sql in [
            "SET search_path = a",
            "select pg_advisory_lock(1)",
            "SELECT pg_try_advisory_lock($1)",
            "SELECT GET_LOCK('a', 1)",
            "SELECT set_config('a', 'b', false)",
            "PRAGMA foreign_keys = OFF",
            "CREATE TEMP TABLE a (b int)",
            "CREATE OR REPLACE TEMPORARY TABLE a (b int)",
            "CREATE LOCAL TEMP VIEW a AS SELECT 1",
            "SELECT @a := 1",
            "SELECT 1 INTO @a",
            "DO $$ BEGIN PERFORM 1; END $$",
        ] {
            assert_eq!(nature_of(sql, MySql), SqlNature::ChangesSession, "{sql}");
        }
    }

    #[test]
    fn everyday_statements_are_plain() {
        for sql in [
            "SELECT 1",
            "SELECT \"user\".\"begin\" FROM \"user\" WHERE \"set_a\" = 'COMMIT'",
            "INSERT INTO a VALUES ('BEGIN')",
            "WITH begin AS (SELECT 1) SELECT * FROM begin",
            "UPDATE a SET b = 1",
            "DELETE FROM a",
            "",
        ] {
            assert_eq!(nature_of(sql, MySql), SqlNature::Plain, "{sql}");
        }
    }

    #[test]
    fn each_statement_of_a_script_is_looked_at() {
        for (sql, nature) in [
            ("SELECT 1; BEGIN; SELECT 2", SqlNature::ControlsTransaction("BEGIN")),
            ("SELECT ';BEGIN'; SELECT 2", SqlNature::Plain),
            ("SELECT $a$ ; BEGIN $a$; SELECT 2", SqlNature::Plain),
            ("SELECT $1; SET a = 1;", SqlNature::ChangesSession),
            ("SELECT 1; -- ; BEGIN\n SELECT 2", SqlNature::Plain),
            ("SELECT \"a;BEGIN\"; COMMIT", SqlNature::ControlsTransaction("COMMIT")),
        ] {
            assert_eq!(nature_of_script(sql, Postgres), nature, "{sql}");
        }
    }

    #[test]
    fn each_database_quotes_in_its_own_way() {
        let sql = r"SELECT 'a\'; BEGIN; SELECT '";
        assert_eq!(nature_of_script(sql, MySql), SqlNature::Plain);
        assert_eq!(nature_of_script(sql, Sqlite), SqlNature::ControlsTransaction("BEGIN"));
        assert_eq!(nature_of_script(sql, Postgres), SqlNature::ControlsTransaction("BEGIN"));
        assert_eq!(nature_of_script(r"SELECT E'a\'; BEGIN; SELECT '", Postgres), SqlNature::Plain);
    }

    #[test]
    fn what_goes_with_the_transaction_is_plain() {
        assert_eq!(nature_of("SET LOCAL statement_timeout = 1", Postgres), SqlNature::Plain);
        assert_eq!(nature_of("SET LOCAL sort_buffer_size = 1", MySql), SqlNature::ChangesSession);
        assert_eq!(nature_of("SELECT pg_advisory_xact_lock(1)", Postgres), SqlNature::Plain);
    }

    #[test]
    fn definitions_commit_where_they_do() {
        assert_eq!(nature_of("CREATE TABLE a (b int)", MySql), SqlNature::CommitsTransaction("CREATE"));
        assert_eq!(nature_of_script("SELECT 1; drop table a; SET b = 1", MySql), SqlNature::CommitsTransaction("drop"));
        assert_eq!(nature_of("LOCK TABLES a READ", MySql), SqlNature::CommitsTransaction("LOCK"));
        assert_eq!(nature_of("DROP TEMPORARY TABLE a", MySql), SqlNature::ChangesSession);
        assert_eq!(nature_of("CREATE TABLE a (b int)", Postgres), SqlNature::Plain);
        assert_eq!(nature_of("ALTER TABLE a ADD b int", Sqlite), SqlNature::Plain);
    }

    #[test]
    fn the_body_of_a_trigger_is_not_taken_for_statements() {
        let sql = "CREATE TRIGGER a AFTER INSERT ON b BEGIN UPDATE c SET d = 1; END; SELECT 1";
        assert_eq!(nature_of_script(sql, Sqlite), SqlNature::Plain);
    }

    #[test]
    fn locks_are_found_in_writes_too() {
        let sql = "INSERT INTO a SELECT pg_advisory_lock(1)";
        assert_eq!(nature_of(sql, Postgres), SqlNature::ChangesSession);
    }
}
