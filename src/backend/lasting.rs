//! What SQL leaves behind in its session, wherever it stands in a statement: a lock, a setting, a variable, a temporary
//! table.

use sea_orm::DbBackend;

use super::tokens::{Kind, Text, Token, partners, tokens};

/// Functions that lock, set or open something until the session ends. Locks of a transaction (`pg_advisory_xact_lock`) go
/// with it.
const LASTING: [&str; 9] = [
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "get_lock",
    "setseed",
    "dblink_connect",
    "dblink_connect_u",
    SET_CONFIG,
];

const SET_CONFIG: &str = "set_config";

/// Whether one statement, whatever its first word, changes the session that it runs in by what stands in it.
pub(super) fn leaves_something(sql: &str, backend: DbBackend) -> bool {
    may_leave_something(sql.as_bytes(), backend) && {
        let tokens = tokens(sql, backend);
        let partners = partners(&tokens);
        let text = Text { tokens: &tokens, partners: &partners };
        (0..tokens.len()).any(|at| leaves_something_at(text, at, backend))
    }
}

/// A look at the letters, which is all that most statements cost.
fn may_leave_something(sql: &[u8], backend: DbBackend) -> bool {
    let ends = |at: usize, word: &[u8]| {
        (at + 1).checked_sub(word.len()).is_some_and(|start| sql[start..=at].eq_ignore_ascii_case(word))
    };
    sql.iter().enumerate().any(|(at, byte)| match byte {
        b'k' | b'K' => ends(at, b"lock") || ends(at, b"dblink"),
        b'd' | b'D' => ends(at, b"setseed"),
        b'g' | b'G' => ends(at, SET_CONFIG.as_bytes()) || ends(at, b"pg_setting"),
        b'p' | b'P' => ends(at, b"temp"),
        b'@' | b':' => backend == DbBackend::MySql,
        _ => false,
    })
}

fn leaves_something_at(sql: Text<'_>, at: usize, backend: DbBackend) -> bool {
    let tokens = sql.tokens;
    let token = &tokens[at];
    let next = |word: &str| tokens.get(at + 1).is_some_and(|next| next.is(word));
    if token.is("INTO") {
        let variable = backend == DbBackend::MySql && next("@");
        // A table may be called `temp`.
        let writes = at.checked_sub(1).is_some_and(|before| tokens[before].is("INSERT") || tokens[before].is("MERGE"));
        return variable || backend == DbBackend::Postgres && !writes && makes_temporary(&tokens[at + 1..]);
    }
    if token.is("CREATE") {
        // EXPLAIN ANALYZE runs it.
        return backend == DbBackend::Postgres && at > 0 && names_temporary(&tokens[at + 1..], backend);
    }
    if token.is(":") {
        return backend == DbBackend::MySql && next("=");
    }
    if !token.is_identifier() {
        return false;
    }
    let name = name_of(token);
    if next("(") && LASTING.iter().any(|lasting| name.eq_ignore_ascii_case(lasting)) {
        return !name.eq_ignore_ascii_case(SET_CONFIG) || !is_local(sql, at + 1);
    }
    // The view of the settings takes writes, which are SET.
    name.eq_ignore_ascii_case("pg_settings") && is_updated(tokens, at)
}

/// Whether it is something temporary that CREATE or DROP is about; `sql` is what follows that word.
pub(super) fn is_temporary(sql: &str, backend: DbBackend) -> bool {
    names_temporary(&tokens(sql, backend), backend)
}

fn names_temporary(tokens: &[Token<'_>], backend: DbBackend) -> bool {
    let is_one_of = |token: &Token<'_>, words: &[&str]| words.iter().any(|word| token.is(word));
    let first = tokens.iter().find(|token| !is_one_of(token, &["OR", "REPLACE", "LOCAL", "GLOBAL"]));
    let named = tokens.iter().position(|token| is_one_of(token, &["(", "AS", "ON"])).unwrap_or(tokens.len());
    let in_schema = tokens[..named].windows(2).any(is_in_temporary_schema);
    first.is_some_and(|first| is_one_of(first, &["TEMP", "TEMPORARY"])) || backend != DbBackend::MySql && in_schema
}

/// Whether the table is temporary that SELECT makes; the tokens are those behind INTO.
fn makes_temporary(tokens: &[Token<'_>]) -> bool {
    let of_name = |token: &&Token<'_>| !["LOCAL", "GLOBAL", "TABLE"].into_iter().any(|word| token.is(word));
    let Some(at) = tokens.iter().position(|token| of_name(&token)) else { return false };
    let says_so = tokens[at].is("TEMP") || tokens[at].is("TEMPORARY");
    says_so || tokens.get(at..at + 2).is_some_and(is_in_temporary_schema)
}

fn is_in_temporary_schema(pair: &[Token<'_>]) -> bool {
    let name = name_of(&pair[0]);
    let temporary = ["temp", "pg_temp"].into_iter().any(|schema| name.eq_ignore_ascii_case(schema));
    temporary && pair[0].is_identifier() && pair[1].is(".")
}

/// Whether the third argument of the call whose parenthesis opens here is a literal true: what it sets then goes with the
/// transaction.
fn is_local(sql: Text<'_>, open: usize) -> bool {
    let Some(end) = sql.closing(open) else { return false };
    let mut at = open + 1;
    for _ in 0..2 {
        match sql.end_of_element(at, end, end) {
            Some(comma) => at = comma + 1,
            None => return false,
        }
    }
    let Some([argument]) = sql.tokens.get(at..end) else { return false };
    argument.is("TRUE") || ["'t'", "'true'"].iter().any(|text| argument.text.eq_ignore_ascii_case(text))
}

fn is_updated(tokens: &[Token<'_>], mut at: usize) -> bool {
    while let Some(before) = at.checked_sub(1) {
        if !(tokens[before].is(".") || tokens[before].is("ONLY") || name_of(&tokens[before]) == "pg_catalog") {
            return tokens[before].is("UPDATE");
        }
        at = before;
    }
    false
}

/// The name without its quotes.
fn name_of<'s>(token: &Token<'s>) -> &'s str {
    let quoted = token.kind == Kind::Name && token.text.len() > 1;
    if quoted { token.text.get(1..token.text.len() - 1).unwrap_or_default() } else { token.text }
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};

    use super::{is_temporary, leaves_something};

    #[test]
    fn what_lasts_is_found_wherever_it_stands() {
        for (backend, sql) in [
            (MySql, "VALUES (GET_LOCK('a', 1))"),
            (MySql, "REPLACE INTO t SELECT get_lock('a', 1)"),
            (MySql, "SELECT GET_LOCK /* x */ ('a', 1)"),
            (MySql, "/*! SELECT GET_LOCK('a', 1) */"),
            (MySql, "SELECT 7 INTO\n@x"),
            (MySql, "SELECT @a:=1"),
            (MySql, "SELECT 7 INTO /*! @x */"),
            (MySql, "SELECT GET_LOCK/*M!100100('a', 0)*/"),
            (Postgres, "VALUES (pg_advisory_lock(1))"),
            (Postgres, "EXPLAIN ANALYZE SELECT pg_advisory_lock(1)"),
            (
                Postgres,
                "MERGE INTO t USING (SELECT pg_catalog.pg_try_advisory_lock(1)) s ON true WHEN MATCHED THEN DELETE",
            ),
            (Postgres, r#"SELECT "pg_advisory_lock"(1)"#),
            (Postgres, "SELECT pg_advisory_lock_shared/**/(1)"),
            (Postgres, "UPDATE ONLY pg_catalog.pg_settings SET setting = 'x' WHERE name = 'y'"),
            (Postgres, "SELECT 1 AS a INTO TEMP b"),
            (Postgres, "SELECT 1 AS a INTO LOCAL TEMPORARY TABLE b"),
            (Postgres, "SELECT 1 AS a INTO pg_temp.b"),
            (Postgres, "SELECT 1 AS a INTO TABLE \"pg_temp\" . b"),
            (Postgres, "EXPLAIN ANALYZE CREATE TEMP TABLE b AS SELECT 1 AS a"),
            (Postgres, "explain (analyze) create table pg_temp.b AS SELECT 1 AS a"),
            (Postgres, "SELECT setseed(0.5)"),
            (Postgres, "SELECT public.dblink_connect('a', $1)"),
            (Postgres, "SELECT set_config('a', $1, false)"),
            (Postgres, "SELECT set_config('a', 'true', $1)"),
            (Postgres, "SELECT set_config('a', 'b', true), set_config('a', 'b', false)"),
        ] {
            assert!(leaves_something(sql, backend), "{sql}");
        }
    }

    #[test]
    fn what_only_looks_like_it_leaves_nothing() {
        for (backend, sql) in [
            (Postgres, "INSERT INTO block(id) VALUES (1)"),
            (MySql, "INSERT INTO block(id) VALUES (1)"),
            (Postgres, "WITH lock (a) AS (SELECT 1) SELECT a FROM lock"),
            (Postgres, "SELECT pg_advisory_xact_lock(1), pg_advisory_xact_lock_shared(2)"),
            (Postgres, "SELECT set_config('app.user_id', $1, true)"),
            (Postgres, "SELECT SET_CONFIG('a', concat('b', 'c'), 'T')"),
            (Postgres, "SELECT 'pg_advisory_lock(1)' -- pg_advisory_lock(1)"),
            (Postgres, "SELECT a::text FROM t WHERE b @> '{}' FOR UPDATE SKIP LOCKED"),
            (Postgres, "SELECT setting FROM pg_settings WHERE name LIKE 'temp%'"),
            (Postgres, "INSERT INTO temperature VALUES (1)"),
            (Postgres, "INSERT INTO temp VALUES (1)"),
            (Postgres, "INSERT INTO pg_temp.a VALUES (1)"),
            (Postgres, "SELECT temp INTO TABLE a FROM pg_temp.b"),
            (Postgres, "SELECT setseed, a FROM dblink('b', 'SELECT 1') AS t(a int)"),
            (Postgres, "EXPLAIN ANALYZE CREATE TABLE a AS SELECT temp.b FROM temp"),
            (MySql, "SELECT 'a:=b', ':= INTO @x'"),
            (MySql, "SELECT a */*! 2, @x */ FROM t"),
            (Sqlite, "SELECT :a, @b FROM t"),
        ] {
            assert!(!leaves_something(sql, backend), "{sql}");
        }
    }

    #[test]
    fn what_is_temporary_is_found() {
        for (backend, definition) in [
            (Postgres, " TABLE pg_temp.x (a int)"),
            (Postgres, " TABLE IF NOT EXISTS \"pg_temp\" . x (a int)"),
            (Postgres, "/**/TEMP/**/TABLE x (a int)"),
            (Sqlite, " TABLE temp.x (a int)"),
            (Sqlite, "/**/TEMPORARY/**/TABLE x (a int)"),
            (MySql, " OR REPLACE TEMPORARY TABLE x (a int)"),
            (MySql, " /*! TEMPORARY */ TABLE x (a int)"),
            (MySql, " /*M!100100 TEMPORARY*/ TABLE x (a int)"),
        ] {
            assert!(is_temporary(definition, backend), "{definition}");
        }
        for definition in
            [" TABLE x (temp int)", " INDEX temp ON x (a)", " VIEW x AS SELECT 1 AS a, 2 AS b, temp.c FROM temp"]
        {
            assert!(!is_temporary(definition, Postgres), "{definition}");
        }
    }
}
