//! The statements of a script, also those that hold statements of their own: definitions of triggers and routines, and
//! MariaDB's compound statements.

use sea_orm::DbBackend;

use super::{
    blocks::{end_of_block, start_of_body},
    lexer::{first_word, next_semicolon, skip_blanks},
    tokens::{Text, Token, partners, tokens},
};

/// One statement of a script.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'s> {
    pub(super) text: &'s str,
    /// Where it ends cannot be told: what follows it is in it too.
    pub(super) opaque: bool,
}

/// The statements of `sql`, one after the other.
pub(super) fn statements(sql: &str, backend: DbBackend) -> impl Iterator<Item = Part<'_>> {
    let mut start = 0;
    let mut of_all = None;
    std::iter::from_fn(move || {
        let rest = sql.get(start..).filter(|rest| !rest.is_empty())?;
        let end = if may_hold_statements(rest, backend) {
            let (tokens, partners) = of_all.get_or_insert_with(|| with_partners(sql, backend));
            end_of_holder(sql, Text { tokens, partners }, start, backend)
        } else {
            Some(next_semicolon(sql, start, backend))
        };
        let text = &sql[start..end.unwrap_or(sql.len())];
        start += text.len() + 1;
        Some(Part { text, opaque: end.is_none() })
    })
}

/// Whether a statement with these beginnings is one of MariaDB's compound statements, which routines have elsewhere.
pub(super) fn is_compound(word: &str, rest: &str, backend: DbBackend) -> bool {
    const COMPOUND: [&str; 6] = ["IF", "CASE", "LOOP", "WHILE", "FOR", "REPEAT"];
    if backend != DbBackend::MySql {
        return false;
    }
    let after = &rest[skip_blanks(rest, 0, backend)..];
    let labelled = if word.is_empty() { rest.starts_with('`') } else { after.starts_with(':') };
    let without_transaction = word.eq_ignore_ascii_case("BEGIN") && first_word(after).0.eq_ignore_ascii_case("NOT");
    labelled || without_transaction || COMPOUND.into_iter().any(|compound| word.eq_ignore_ascii_case(compound))
}

/// Whether a statement of `sql` makes, changes or drops something that has a name.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub(super) fn has_definition(sql: &str, backend: DbBackend) -> bool {
    const DEFINING: [&str; 3] = ["CREATE", "ALTER", "DROP"];
    let defines = |sql: &str| {
        let (word, _) = first_word(&sql[skip_blanks(sql, 0, backend)..]);
        DEFINING.into_iter().any(|defining| word.eq_ignore_ascii_case(defining))
    };
    defines(sql) || sql.contains(';') && statements(sql, backend).any(|part| defines(part.text))
}

fn may_hold_statements(sql: &str, backend: DbBackend) -> bool {
    let (word, rest) = first_word(&sql[skip_blanks(sql, 0, backend)..]);
    word.eq_ignore_ascii_case("CREATE")
        || backend == DbBackend::MySql && word.eq_ignore_ascii_case("ALTER")
        || is_compound(word, rest, backend)
}

fn with_partners(sql: &str, backend: DbBackend) -> (Vec<Token<'_>>, Vec<usize>) {
    let tokens = tokens(sql, backend);
    let partners = partners(&tokens);
    (tokens, partners)
}

/// The position of the semicolon that ends the statement at `start`, which may hold others, or of the end. `None` when it
/// cannot be told.
fn end_of_holder(sql: &str, text: Text<'_>, start: usize, backend: DbBackend) -> Option<usize> {
    let tokens = text.tokens;
    let mut first = tokens.partition_point(|token| token.start < start);
    while tokens.get(first).is_some_and(|token| token.is(";") || token.is("(")) {
        first += 1;
    }
    let plain = || Some((first..tokens.len()).find(|at| tokens[*at].is(";")).unwrap_or(tokens.len()));
    let end = match (backend, defined(tokens, first, backend)) {
        (DbBackend::MySql, Some(kind)) => start_of_body(text, kind).and_then(|body| end_of_block(tokens, body)),
        (DbBackend::MySql, None) if !(tokens.get(first)?.is("CREATE") || tokens.get(first)?.is("ALTER")) => {
            end_of_block(tokens, first)
        }
        (DbBackend::Postgres, Some(kind)) => match atomic(text, kind) {
            Some(body) => end_of_list(tokens, body),
            None => plain(),
        },
        (_, Some(kind)) => end_of_list(tokens, kind),
        (_, None) => plain(),
    };
    end.map(|end| tokens.get(end).map_or(sql.len(), |semicolon| semicolon.start))
}

/// Where the kind of what is defined stands, if its definition may hold statements.
fn defined(tokens: &[Token<'_>], first: usize, backend: DbBackend) -> Option<usize> {
    const MODIFIERS: [&str; 5] = ["OR", "REPLACE", "TEMP", "TEMPORARY", "AGGREGATE"];
    /// `CURRENT_USER()`, `a@127.0.0.1`.
    const LONGEST_DEFINER: usize = 12;
    let kinds: &[&str] = match backend {
        DbBackend::Postgres => &["FUNCTION", "PROCEDURE"],
        DbBackend::MySql => &["TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "PACKAGE"],
        _ => &["TRIGGER"],
    };
    let is_kind = |at: &usize| kinds.iter().any(|kind| tokens[*at].is(kind));
    let modifies = |at: &usize| MODIFIERS.into_iter().any(|modifier| tokens[*at].is(modifier));
    if !(tokens.get(first)?.is("CREATE") || tokens.get(first)?.is("ALTER")) {
        return None;
    }
    let at = (first + 1..tokens.len()).find(|at| !modifies(at))?;
    if backend == DbBackend::MySql && tokens[at].is("DEFINER") {
        let ends = |at: &usize| [";", "VIEW", "SQL"].into_iter().any(|word| tokens[*at].is(word)) || is_kind(at);
        return (at + 1..tokens.len()).take(LONGEST_DEFINER).find(ends).filter(is_kind);
    }
    Some(at).filter(is_kind)
}

/// Where the body of a function of PostgreSQL's begins that is no text in quotes.
fn atomic(text: Text<'_>, mut at: usize) -> Option<usize> {
    while let Some(token) = text.tokens.get(at).filter(|token| !token.is(";")) {
        let next = text.tokens.get(at + 1);
        if token.is("BEGIN") && next.is_some_and(|next| next.is("ATOMIC")) {
            return Some(at + 1);
        }
        at = text.closing(at).unwrap_or(at) + 1;
    }
    None
}

/// Which token ends the list of statements: no statement in it begins with END, and no other END stands behind a semicolon.
fn end_of_list(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    let is_end = |at: &usize| tokens[*at].is("END") && (tokens[at - 1].is(";") || tokens[at - 1].is("ATOMIC"));
    let end = (start + 1..tokens.len()).find(is_end)?;
    Some((end..tokens.len()).find(|at| tokens[*at].is(";")).unwrap_or(tokens.len()))
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};

    use super::{Part, statements};

    #[test]
    fn a_statement_that_holds_others_ends_where_it_ends() {
        for (backend, sql) in [
            (Sqlite, "CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT CASE 1 WHEN 2 THEN 3 END; SELECT 1; END"),
            (Sqlite, "\u{feff}create temp trigger if not exists end after insert on b begin select begin from c; end"),
            (Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END"),
            (
                Postgres,
                "CREATE OR REPLACE PROCEDURE f(a int) BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
            ),
            (Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE sql RETURN CASE WHEN true THEN 1 END"),
            (Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ BEGIN; SELECT 1; $$"),
            (Postgres, "CREATE TABLE a (begin int)"),
            (MySql, "CREATE TRIGGER a BEFORE INSERT ON b FOR EACH ROW SET NEW.c = CASE WHEN 1 THEN 2 END"),
            (MySql, "CREATE TRIGGER a BEFORE INSERT ON b FOR EACH ROW FOLLOWS c UPDATE d SET begin = 1"),
            (MySql, "CREATE DEFINER = `a`@`b` TRIGGER a BEFORE INSERT ON b FOR EACH ROW BEGIN SET NEW.a = 1; END"),
            (MySql, "CREATE DEFINER=CURRENT_USER() PROCEDURE a() x: BEGIN BEGIN END; SELECT 1; END x"),
            (
                MySql,
                "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER c BEFORE INSERT ON d FOR EACH ROW \
                 BEGIN SET NEW.a = 1; END */",
            ),
            (
                MySql,
                "CREATE FUNCTION a(b INT, c VARCHAR(9)) RETURNS VARCHAR(9) CHARACTER SET utf8mb4 DETERMINISTIC \
                 COMMENT 'x;' BEGIN IF b THEN RETURN IF(b, c, 1); ELSEIF c THEN RETURN 2; END IF; RETURN 3; END",
            ),
            (
                MySql,
                "CREATE PROCEDURE a() BEGIN DECLARE d INT; DECLARE c CURSOR FOR SELECT 1; \
                 DECLARE EXIT HANDLER FOR SQLEXCEPTION, NOT FOUND BEGIN ROLLBACK; END; \
                 DECLARE CONTINUE HANDLER FOR 1062 SET d = CASE WHEN 1 THEN 2 END; \
                 x: LOOP LEAVE x; END LOOP x; WHILE d DO SET d = 0; DO 1; END WHILE; \
                 REPEAT SET d = REPEAT('a', 3); UNTIL CASE WHEN d THEN 1 ELSE 2 END END REPEAT; \
                 FOR i IN 1..3 DO SELECT i FOR UPDATE; END FOR; \
                 CASE d WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE; END",
            ),
            (MySql, "CREATE EVENT a ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM b; END"),
            (MySql, "ALTER EVENT a ON SCHEDULE EVERY 1 DAY DO IF 1 THEN DELETE FROM b; END IF"),
            (MySql, "CREATE FUNCTION a RETURNS STRING SONAME 'b.so'"),
            (MySql, "ALTER TABLE a ADD begin INT"),
            (MySql, "CREATE DEFINER = a SQL SECURITY DEFINER VIEW b AS SELECT 1"),
            (MySql, "BEGIN NOT ATOMIC SET @a = 1; SELECT 1; END"),
            (MySql, "a: WHILE 0 DO SELECT 1; END WHILE a"),
            (MySql, "IF 1 THEN IF 2 THEN COMMIT; END IF; END IF"),
        ] {
            for behind in ["", ";", "; COMMIT", " ; SELECT 1; END"] {
                let script = format!("SELECT 0;\n{sql}{behind}");
                let part = statements(&script, backend).nth(1).expect("two statements");
                assert_eq!((part.text.trim_matches(['\n', ' ']), part.opaque), (sql, false), "{backend:?}: {script}");
            }
        }
    }

    #[test]
    fn what_has_no_clear_end_is_one_with_what_follows() {
        for (backend, sql) in [
            (Sqlite, "CREATE TRIGGER a AFTER INSERT ON b BEGIN SELECT 1; COMMIT"),
            (Postgres, "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; COMMIT"),
            (MySql, "CREATE PROCEDURE a() BEGIN IF 1 THEN SELECT 1; END; COMMIT"),
            (MySql, "CREATE PROCEDURE a AS b INT; BEGIN SELECT 1; END; COMMIT"),
            (MySql, "CREATE FUNCTION a(b INT) RETURNS INT IS c INT; BEGIN RETURN 1; END; COMMIT"),
            (MySql, "CREATE OR REPLACE PACKAGE a AS FUNCTION b RETURN int; END; COMMIT"),
            (MySql, "IF 1 THEN SELECT 1; COMMIT"),
        ] {
            let all: Vec<Part<'_>> = statements(sql, backend).collect();
            assert!(matches!(all[..], [Part { text, opaque: true }] if text == sql), "{sql}: {all:?}");
        }
    }
}
