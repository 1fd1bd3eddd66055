//! Telling from its text what SQL would do to the session it runs in.

use sea_orm::DbBackend;

use super::{
    lasting::{is_temporary, leaves_something},
    lexer::{first_word, skip_blanks},
    statements::{Part, is_compound, statements},
};

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
    /// It commits the transaction that it runs in, and changes the session.
    CommitsAndChangesSession(&'s str),
    /// It copies rows from or to the client, in a protocol of its own.
    Copies,
}

impl SqlNature<'_> {
    fn and_changes_session(self) -> Self {
        match self {
            Self::Plain => Self::ChangesSession,
            Self::CommitsTransaction(word) => Self::CommitsAndChangesSession(word),
            nature => nature,
        }
    }
}

/// The nature of one statement.
pub(crate) fn nature_of(sql: &str, backend: DbBackend) -> SqlNature<'_> {
    let (word, rest) = first_word(&sql[skip_blanks(sql, 0, backend)..]);
    let everyday = ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].into_iter().any(|everyday| is(word, everyday));
    match if everyday { SqlNature::Plain } else { nature_of_command(word, rest, backend) } {
        nature @ (SqlNature::Plain | SqlNature::CommitsTransaction(_)) if leaves_something(sql, backend) => {
            nature.and_changes_session()
        }
        nature => nature,
    }
}

/// The nature of SQL that may be several statements: the gravest of theirs.
pub(crate) fn nature_of_script(sql: &str, backend: DbBackend) -> SqlNature<'_> {
    let mut gravest = SqlNature::Plain;
    for Part { text, opaque } in statements(sql, backend) {
        let nature = nature_of(text, backend);
        gravest = match (gravest, if opaque { nature.and_changes_session() } else { nature }) {
            (_, control @ (SqlNature::ControlsTransaction(_) | SqlNature::Copies)) => return control,
            (SqlNature::Plain, nature) | (nature, SqlNature::Plain) => nature,
            (SqlNature::CommitsTransaction(word), SqlNature::CommitsTransaction(_)) => {
                SqlNature::CommitsTransaction(word)
            }
            (SqlNature::CommitsTransaction(word) | SqlNature::CommitsAndChangesSession(word), _)
            | (_, SqlNature::CommitsTransaction(word) | SqlNature::CommitsAndChangesSession(word)) => {
                SqlNature::CommitsAndChangesSession(word)
            }
            (nature, _) => nature,
        };
    }
    gravest
}

/// Whether this is one COPY of PostgreSQL's that takes its rows from the client, and nothing else.
pub(crate) fn is_copy_in(sql: &str, backend: DbBackend) -> bool {
    let mut parts = statements(sql, backend);
    let copies = parts.next().is_some_and(|first| nature_of(first.text, backend) == SqlNature::Copies);
    let alone = parts.all(|part| skip_blanks(part.text, 0, backend) == part.text.len());
    copies && alone && words(sql).any(|word| is(word, "STDIN"))
}

fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|character: char| !character.is_alphanumeric() && character != '_')
}

fn nature_of_command<'s>(word: &'s str, rest: &str, backend: DbBackend) -> SqlNature<'s> {
    const CONTROL: [&str; 9] = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "END", "ABORT", "XA", "START"];
    const SESSION: [&str; 16] = [
        "SET",
        "RESET",
        "DISCARD",
        "LOCK",
        "UNLOCK",
        "LISTEN",
        "UNLISTEN",
        "PRAGMA",
        "ATTACH",
        "DETACH",
        "USE",
        "DECLARE",
        "LOAD",
        "PREPARE",
        "HANDLER",
        "DEALLOCATE",
    ];
    // <https://mariadb.com/kb/en/sql-statements-that-cause-an-implicit-commit/>
    const COMMITTING: [&str; 21] = [
        "CREATE",
        "ALTER",
        "DROP",
        "TRUNCATE",
        "RENAME",
        "GRANT",
        "REVOKE",
        "ANALYZE",
        "OPTIMIZE",
        "REPAIR",
        "CHECK",
        "INSTALL",
        "UNINSTALL",
        "LOCK",
        "FLUSH",
        "RESET",
        "CACHE",
        "BACKUP",
        "CHANGE",
        "STOP",
        "PURGE",
    ];
    if is_compound(word, rest, backend) || backend == DbBackend::MySql && is(word, "GET") {
        // What is in it may be anything; GET DIAGNOSTICS sets variables.
        return SqlNature::ChangesSession;
    }
    if CONTROL.iter().any(|control| is(word, control)) {
        return SqlNature::ControlsTransaction(word);
    }
    let with_client = || words(rest).any(|word| is(word, "STDIN") || is(word, "STDOUT"));
    if backend == DbBackend::Postgres && is(word, "COPY") && with_client() {
        return SqlNature::Copies;
    }
    let rest = &rest[skip_blanks(rest, 0, backend)..];
    let (next, _) = first_word(rest);
    // Without autocommit every statement begins a transaction; a completion_type other than 0 begins one with each commit.
    let begins = ["autocommit", "completion_type"].into_iter().any(|variable| contains(rest, variable));
    if is(word, "PREPARE") && is(next, "TRANSACTION") || backend == DbBackend::MySql && is(word, "SET") && begins {
        return SqlNature::ControlsTransaction(word);
    }
    if backend == DbBackend::MySql && is(word, "SET") && is(next, "PASSWORD") {
        return SqlNature::CommitsTransaction(word);
    }
    let of_transaction = is(word, "LOCK") || is(word, "SET") && (is(next, "LOCAL") || is(next, "CONSTRAINTS"));
    if backend == DbBackend::Postgres && of_transaction {
        // It goes with the transaction.
        return SqlNature::Plain;
    }
    let temporary = (is(word, "CREATE") || is(word, "DROP")) && is_temporary(rest, backend);
    if backend == DbBackend::MySql && !temporary && COMMITTING.iter().any(|committing| is(word, committing)) {
        // FLUSH TABLES … WITH READ LOCK and FOR EXPORT, BACKUP STAGE and BACKUP LOCK hold locks.
        let flush = is(word, "FLUSH") && words(rest).any(|word| is(word, "LOCK") || is(word, "EXPORT"));
        let locks = flush || is(word, "LOCK") || is(word, "BACKUP");
        return if locks { SqlNature::CommitsAndChangesSession(word) } else { SqlNature::CommitsTransaction(word) };
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

fn contains(sql: &str, text: &str) -> bool {
    sql.as_bytes().windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};

    use super::{SqlNature, is_copy_in, nature_of, nature_of_script};

    #[test]
    fn transaction_control_is_found_behind_blanks_and_comments() {
        for sql in [
            "BEGIN",
            "  begin immediate",
            "/* a comment /* */ COMMIT",
            "\u{feff}\u{b}COMMIT",
            "/*M! COMMIT */",
            "SET SESSION sql_mode = '', @@autocommit = 0",
            "-- line\nROLLBACK TO SAVEPOINT a",
            "# line\nstart transaction",
            "/*!40000 BEGIN */",
            "PREPARE TRANSACTION 'x'",
            "SET autocommit=0",
            "SET completion_type = 'CHAIN'",
            "set global @@completion_type=1",
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
            "/*! CREATE */ /*!50000 TEMPORARY */ TABLE a (b int)",
            "SELECT @a := 1",
            "SELECT 1 INTO @a",
            "DO $$ BEGIN PERFORM 1; END $$",
            "DEALLOCATE ALL",
        ] {
            assert_eq!(nature_of(sql, MySql), SqlNature::ChangesSession, "{sql}");
        }
    }

    #[test]
    fn a_copy_with_the_client_is_found() {
        for (sql, nature, copies_in) in [
            ("COPY a FROM STDIN", SqlNature::Copies, true),
            ("/* rows */ copy a (b) from stdin with (format csv); -- all", SqlNature::Copies, true),
            ("COPY a FROM STDIN(FORMAT binary)", SqlNature::Copies, true),
            ("COPY a TO STDOUT", SqlNature::Copies, false),
            ("SELECT 1; COPY a FROM STDIN", SqlNature::Copies, false),
            ("COPY a FROM STDIN; SELECT 1", SqlNature::Copies, false),
            ("COPY a FROM STDIN; COMMIT", SqlNature::Copies, false),
            ("COPY a FROM '/tmp/a'", SqlNature::Plain, false),
            ("SELECT stdin FROM copy", SqlNature::Plain, false),
        ] {
            assert_eq!(nature_of_script(sql, Postgres), nature, "{sql}");
            assert_eq!(is_copy_in(sql, Postgres), copies_in, "{sql}");
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
        for (sql, word) in [
            ("SELECT 1; drop table a; SET b = 1", "drop"),
            ("SET b = 1; drop table a", "drop"),
            ("LOCK TABLES a READ", "LOCK"),
            ("FLUSH TABLES a WITH READ LOCK", "FLUSH"),
            ("FLUSH TABLES a FOR EXPORT", "FLUSH"),
            ("BACKUP STAGE START", "BACKUP"),
            ("BACKUP LOCK a", "BACKUP"),
            ("CREATE TABLE a AS SELECT GET_LOCK('a', 1)", "CREATE"),
            ("ANALYZE SELECT GET_LOCK('a', 1)", "ANALYZE"),
        ] {
            assert_eq!(nature_of_script(sql, MySql), SqlNature::CommitsAndChangesSession(word), "{sql}");
        }
        assert_eq!(nature_of_script("SELECT 1; drop table a; SELECT 2", MySql), SqlNature::CommitsTransaction("drop"));
        assert_eq!(nature_of("FLUSH TABLES", MySql), SqlNature::CommitsTransaction("FLUSH"));
        assert_eq!(nature_of("DROP TEMPORARY TABLE a", MySql), SqlNature::ChangesSession);
        assert_eq!(nature_of("CREATE TABLE a (b int)", Postgres), SqlNature::Plain);
        assert_eq!(nature_of("ALTER TABLE a ADD b int", Sqlite), SqlNature::Plain);
    }

    #[test]
    fn a_definition_does_not_hide_what_follows_it() {
        let trigger = "CREATE TRIGGER a AFTER INSERT ON b BEGIN UPDATE c SET d = 1; END";
        for (behind, nature) in [
            ("", SqlNature::Plain),
            ("; SELECT 1", SqlNature::Plain),
            ("; BEGIN", SqlNature::ControlsTransaction("BEGIN")),
            ("; COMMIT; SELECT 1", SqlNature::ControlsTransaction("COMMIT")),
            ("; PRAGMA foreign_keys = OFF", SqlNature::ChangesSession),
        ] {
            assert_eq!(nature_of_script(&format!("{trigger}{behind}"), Sqlite), nature, "{behind}");
        }
        let opaque = "CREATE TRIGGER a AFTER INSERT ON b BEGIN UPDATE c SET d = 1; COMMIT";
        assert_eq!(nature_of_script(opaque, Sqlite), SqlNature::ChangesSession);
        let procedure = "CREATE PROCEDURE a() SELECT 1";
        assert_eq!(nature_of_script(procedure, MySql), SqlNature::CommitsTransaction("CREATE"));
        for (behind, nature) in [
            ("; START TRANSACTION", SqlNature::ControlsTransaction("START")),
            ("; SET autocommit = 0", SqlNature::ControlsTransaction("SET")),
            ("; SET @a = 1", SqlNature::CommitsAndChangesSession("CREATE")),
        ] {
            assert_eq!(nature_of_script(&format!("{procedure}{behind}"), MySql), nature, "{behind}");
        }
        let package = "CREATE PACKAGE a AS FUNCTION b RETURN int; END";
        assert_eq!(nature_of_script(package, MySql), SqlNature::CommitsAndChangesSession("CREATE"));
    }

    #[test]
    fn a_compound_statement_may_do_anything() {
        for sql in [
            "IF 1 THEN START TRANSACTION; END IF",
            "/* a */ if 1 THEN COMMIT; END IF; SELECT 1",
            "BEGIN NOT ATOMIC SET @a = 'x'; END",
            "a: LOOP LEAVE a; END LOOP",
            "`a` : LOOP LEAVE a; END LOOP",
            "GET DIAGNOSTICS @a = NUMBER",
        ] {
            assert_eq!(nature_of_script(sql, MySql), SqlNature::ChangesSession, "{sql}");
        }
        let sql = "IF 1 THEN SELECT 1; END IF; COMMIT";
        assert_eq!(nature_of_script(sql, MySql), SqlNature::ControlsTransaction("COMMIT"));
        assert_eq!(nature_of("IF 1 THEN COMMIT; END IF", MySql), SqlNature::ChangesSession);
    }

    #[test]
    fn locks_are_found_in_writes_too() {
        let sql = "INSERT INTO a SELECT pg_advisory_lock(1)";
        assert_eq!(nature_of(sql, Postgres), SqlNature::ChangesSession);
    }

    #[test]
    fn transaction_control_is_not_hidden_by_quotes_and_comments_of_other_databases() {
        let hidden = [
            (Postgres, r"SELECT 'a' LIKE'x\'; COMMIT; SELECT '"),
            (Postgres, "SELECT 1 AS a$b$; COMMIT; SELECT 2 AS a$b$"),
            (Postgres, "/* a /* nested */ comment */ COMMIT"),
            (Postgres, "CREATE TEMP TABLE trigger (a int); COMMIT"),
            (MySql, "SELECT 1; /*! */ COMMIT"),
            (MySql, "/*!50003 CREATE*/ /*!50003 TRIGGER a BEFORE INSERT ON b FOR EACH ROW SET @c = 1 */; COMMIT"),
            (Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END; COMMIT"),
            (MySql, "SELECT 1--1; COMMIT"),
            (MySql, "SELECT 1 # '\n; COMMIT; SELECT '1'"),
            (MySql, "SELECT 1 AS $a$; COMMIT; SELECT 2 AS $a$"),
            (Sqlite, "/* /* */ COMMIT"),
            (Sqlite, "SELECT 1 AS [']; COMMIT; SELECT 2 AS [']"),
            (Sqlite, "SELECT 1 AS a$b$; COMMIT; SELECT 2 AS a$b$"),
        ];
        for (backend, sql) in hidden {
            let nature = nature_of_script(sql, backend);
            assert!(matches!(nature, SqlNature::ControlsTransaction("COMMIT")), "{backend:?}: {sql}: {nature:?}");
        }
    }

    #[test]
    fn quoted_semicolons_do_not_end_a_statement() {
        for (backend, sql) in [
            (Postgres, "SELECT $$; COMMIT; $$"),
            (Postgres, r"SELECT E'\'; COMMIT; '"),
            (MySql, "SELECT '\\'; COMMIT; '"),
            (Sqlite, "SELECT 1 AS [; COMMIT; ]"),
            (Sqlite, "SELECT \"; COMMIT; \", `; COMMIT; `"),
        ] {
            assert_eq!(nature_of_script(sql, backend), SqlNature::Plain, "{backend:?}: {sql}");
        }
    }
}
