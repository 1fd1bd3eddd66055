//! What statements have in common that differ only in their values.

use sea_orm::DbBackend;

use super::{
    tables::tables,
    tokens::{Kind, Text, Token, keyword, partners, tokens},
};
use crate::hooks::{Access, Fingerprint};

/// The fingerprint of `sql`: values, comments, the lengths of lists and the number of rows are left out. It takes a time
/// that grows with the length of `sql` and no faster, whatever stands in it.
pub(crate) fn fingerprint(sql: &str, backend: DbBackend) -> Fingerprint {
    let tokens = tokens(sql, backend);
    let partners = partners(&tokens);
    let text = Text { tokens: &tokens, partners: &partners };
    let access = tokens.split(|token| token.is(";")).map(|one| access(&operation(one), one)).max();
    Fingerprint::new(normalized(text, 0, tokens.len()), operation(&tokens), tables(text), access.unwrap_or_default())
}

/// Constants that are words.
const CONSTANTS: [&str; 3] = ["NULL", "TRUE", "FALSE"];

/// The tokens from `at` to before `end`, written without what makes no difference.
fn normalized(sql: Text<'_>, mut at: usize, end: usize) -> String {
    let tokens = &sql.tokens[..end];
    let mut text = String::new();
    let mut previous: Option<&Token<'_>> = None;
    let mut signed_apart = false;
    while let Some(token) = tokens.get(at) {
        if is_sign(previous, token, tokens.get(at + 1)) {
            signed_apart = token.apart;
            at += 1;
            continue;
        }
        if needs_space(previous, token, std::mem::take(&mut signed_apart) || token.apart) {
            text.push(' ');
        }
        if is_value(previous, token) {
            text.push('?');
        } else if let Some(keyword) = keyword(token) {
            text.push_str(keyword);
        } else {
            text.push_str(token.text);
        }
        previous = Some(token);
        at += 1;
        let is_list = token.is("IN") || token.is("ARRAY");
        if is_list && let Some((list, end)) = list(sql, at) {
            text.push_str(&list);
            previous = tokens.get(end);
            at = end + 1;
        }
        if token.is(")") && sql.opening(at - 1).is_some_and(|open| open > 0 && tokens[open - 1].is("VALUES")) {
            // The other rows of VALUES say nothing new.
            while tokens.get(at).is_some_and(|token| token.is(","))
                && tokens.get(at + 1).is_some_and(|token| token.is("("))
                && let Some(end) = sql.closing(at + 1)
            {
                previous = tokens.get(end);
                at = end + 1;
            }
        }
    }
    while text.ends_with(';') {
        text.pop();
    }
    text
}

/// Whether the token is a part of the number that follows it.
fn is_sign(previous: Option<&Token<'_>>, token: &Token<'_>, next: Option<&Token<'_>>) -> bool {
    matches!(token.text, "-" | "+")
        && next.is_some_and(|next| next.kind == Kind::Literal)
        && previous.is_none_or(|before| match before.kind {
            Kind::Symbol => !matches!(before.text, ")" | "]"),
            Kind::Word => keyword(before).is_some_and(|keyword| keyword != "NULL"),
            Kind::Name | Kind::Literal | Kind::Placeholder => false,
        })
}

fn is_value(previous: Option<&Token<'_>>, token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Literal | Kind::Placeholder => true,
        // Not in IS NULL, NOT NULL and ON DELETE SET NULL.
        Kind::Word => {
            CONSTANTS.iter().any(|constant| token.is(constant))
                && !previous.is_some_and(|before| ["IS", "NOT", "SET", "."].iter().any(|word| before.is(word)))
        }
        Kind::Name | Kind::Symbol => false,
    }
}

fn needs_space(previous: Option<&Token<'_>>, token: &Token<'_>, apart: bool) -> bool {
    let Some(previous) = previous else { return false };
    match (previous.text, token.text) {
        ("(" | "[" | ".", _) | (_, ")" | "]" | "," | "." | ";") => false,
        (",", _) => true,
        _ => apart,
    }
}

/// The list that begins at `start` and where it ends, when it holds values and lists of values, or the same with each value,
/// as in `CAST(? AS mood), CAST(? AS mood)`.
fn list(sql: Text<'_>, start: usize) -> Option<(String, usize)> {
    /// What is longer is written out.
    const LONGEST: usize = 16;
    let end = sql.closing(start)?;
    let inside = &sql.tokens[start + 1..end];
    let is_part = |token: &Token<'_>| is_value(None, token) || matches!(token.text, "," | "(" | ")" | "-" | "+");
    if !inside.is_empty() && inside.iter().all(is_part) {
        let nested = inside[0].is("(");
        return Some((if nested { " ((?, …), …)" } else { " (?, …)" }.to_owned(), end));
    }
    let first_end = sql.end_of_element(start + 1, end, LONGEST)?;
    let first = &sql.tokens[start + 1..first_end];
    if !first.iter().any(|token| is_value(None, token))
        || ["SELECT", "WITH", "VALUES"].iter().any(|word| first[0].is(word))
    {
        return None;
    }
    let mut at = first_end;
    while at < end {
        let next = sql.end_of_element(at + 1, end, LONGEST)?;
        if !is_alike(first, &sql.tokens[at + 1..next]) {
            return None;
        }
        at = next;
    }
    Some((format!(" ({}, …)", normalized(sql, start + 1, first_end)), end))
}

/// Whether both differ only in their values.
fn is_alike(one: &[Token<'_>], other: &[Token<'_>]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            one.text.eq_ignore_ascii_case(other.text) || is_value(None, one) && is_value(None, other)
        })
}

/// The statement's verb, in capitals; for WITH, the one that it is for.
fn operation(tokens: &[Token<'_>]) -> String {
    let first = tokens.iter().find(|token| token.kind == Kind::Word).map_or("", |token| token.text);
    if !first.eq_ignore_ascii_case("WITH") {
        return first.to_ascii_uppercase();
    }
    let mut depth = 0_usize;
    for token in tokens {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 && VERBS.iter().any(|verb| token.is(verb)) => return token.text.to_ascii_uppercase(),
            _ => {}
        }
    }
    "WITH".to_owned()
}

const VERBS: [&str; 5] = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"];

fn access(operation: &str, tokens: &[Token<'_>]) -> Access {
    match operation {
        "SELECT" | "VALUES" | "WITH" | "TABLE" | "SHOW" | "EXPLAIN" | "DESCRIBE" | "DESC" => {
            let writes = tokens
                .windows(2)
                .any(|pair| pair[0].is("(") && VERBS[1..].iter().any(|verb| pair[1].is(verb)) || pair[0].is("ANALYZE"));
            let keeps = operation == "SELECT" && tokens.iter().any(|token| token.is("INTO"));
            if writes || keeps { Access::Write } else { Access::Read }
        }
        "" | "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "SET" | "RESET" | "PRAGMA"
        | "DISCARD" | "USE" | "PING" => Access::Neither,
        _ => Access::Write,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::{MySql, Postgres, Sqlite};

    use super::fingerprint;
    use crate::hooks::Access;

    #[test]
    fn values_comments_and_lengths_are_left_out() {
        for (sql, expected) in [
            ("SELECT * FROM t WHERE a = 1 AND b = 'it''s' -- why", "SELECT * FROM t WHERE a = ? AND b = ?"),
            ("select  *\nfrom t /* a */ where a = -1.5e-3;", "SELECT * FROM t WHERE a = ?"),
            ("SELECT a - 1 FROM t LIMIT $1 OFFSET $2", "SELECT a - ? FROM t LIMIT ? OFFSET ?"),
            ("SELECT a FROM t WHERE id IN ($1)", "SELECT a FROM t WHERE id IN (?, …)"),
            ("SELECT a FROM t WHERE id IN (1, -2,3 , 'x')", "SELECT a FROM t WHERE id IN (?, …)"),
            ("SELECT a FROM t WHERE (x, y) IN ((1, 2), (3, 4))", "SELECT a FROM t WHERE (x, y) IN ((?, …), …)"),
            ("SELECT a FROM t WHERE id IN (SELECT 1)", "SELECT a FROM t WHERE id IN (SELECT ?)"),
            ("INSERT INTO t (a, b) VALUES ($1, $2)", "INSERT INTO t (a, b) VALUES (?, ?)"),
            ("INSERT INTO t (a, b) VALUES (1, 2), (DEFAULT, f(3)), (4, 5)", "INSERT INTO t (a, b) VALUES (?, ?)"),
            ("INSERT INTO t (a) VALUES (1), (2) RETURNING id", "INSERT INTO t (a) VALUES (?) RETURNING id"),
            ("SELECT ARRAY[1, 2]::int[] || $1", "SELECT ARRAY (?, …)::int[] || ?"),
            ("SELECT f(1, 2)", "SELECT f(?, ?)"),
            ("SELECT x'ff', E'a\\'b', $tag$ it's $tag$", "SELECT ?, ?, ?"),
            ("SELECT \"a'1\", 'ä€' FROM \"T\"", "SELECT \"a'1\", ? FROM \"T\""),
            ("SELECT 'not closed", "SELECT ?"),
            ("SELECT a FROM t WHERE a IN (1, NULL, TRUE)", "SELECT a FROM t WHERE a IN (?, …)"),
            ("SELECT a FROM t WHERE a IN (CAST($1 AS \"m\"))", "SELECT a FROM t WHERE a IN (CAST(? AS \"m\"), …)"),
            (
                "SELECT a FROM t WHERE a IN (CAST($1 AS \"m\"), CAST($2 AS \"m\")) AND b",
                "SELECT a FROM t WHERE a IN (CAST(? AS \"m\"), …) AND b",
            ),
            ("SELECT a FROM t WHERE a NOT IN ($1::uuid, $2::uuid)", "SELECT a FROM t WHERE a NOT IN (?::uuid, …)"),
            ("SELECT a FROM t WHERE a IN (lower($1), upper($2))", "SELECT a FROM t WHERE a IN (lower(?), upper(?))"),
            ("SELECT a FROM t WHERE a IN (b, c)", "SELECT a FROM t WHERE a IN (b, c)"),
            ("SELECT a FROM t WHERE a BETWEEN -1 AND -2 LIMIT -1", "SELECT a FROM t WHERE a BETWEEN ? AND ? LIMIT ?"),
            (
                "SELECT CASE WHEN a THEN -1 ELSE +2 END, a * -1, a - -1",
                "SELECT CASE WHEN a THEN ? ELSE ? END, a * ?, a - ?",
            ),
            ("SELECT f(a) - 1, a[1] - 1, 2 - 1", "SELECT f(a) - ?, a[?] - ?, ? - ?"),
            ("UPDATE t SET a = TRUE, b = null WHERE c IS NULL", "UPDATE t SET a = ?, b = ? WHERE c IS NULL"),
            ("SELECT a FROM t WHERE a IS NOT TRUE AND b = false", "SELECT a FROM t WHERE a IS NOT TRUE AND b = ?"),
            ("BEGIN", "BEGIN"),
            ("", ""),
        ] {
            assert_eq!(&*fingerprint(sql, Postgres).text, expected, "{sql}");
        }
        assert_eq!(&*fingerprint("SELECT \"a\\\"b\", `c` # 1", MySql).text, "SELECT ?, `c`");
        assert_eq!(&*fingerprint("SELECT ?1, :name, [a 1]", Sqlite).text, "SELECT ?, ?, [a 1]");
        let values = "INSERT INTO t (a) VALUES (?) ON DUPLICATE KEY UPDATE a = VALUES(a), b = VALUES(b)";
        assert_eq!(&*fingerprint(values, MySql).text, values);
    }

    #[test]
    fn the_id_depends_on_the_folded_text_alone() {
        let id = |sql| fingerprint(sql, Sqlite).id;
        assert_eq!(id("SELECT a FROM t WHERE id = 1"), id("select a from t  where id = 'x'"));
        assert_ne!(id("SELECT a FROM t WHERE id = 1"), id("SELECT b FROM t WHERE id = 1"));
        // Kept by whoever stores it: it must not change from one version to the next.
        assert_eq!(id("SELECT 1"), 0x199e_7dca_63ea_8858);
        let long = format!("SELECT {}", "a, ".repeat(5_000));
        let cut = fingerprint(&long, Sqlite).text;
        assert!(cut.chars().count() == 4_001 && cut.ends_with('…'));
        assert_ne!(id(&long), id(&format!("{long} FROM t")));
    }

    #[test]
    fn what_is_long_or_nested_is_read_once() {
        const LONG: usize = 200_000;
        let opened = |text: &str| text.repeat(LONG / text.len());
        let nested = |text: &str| opened(text) + &")".repeat(LONG / text.len());
        // Were any part of them read again for each of its parts, this would take hours.
        for sql in [
            nested("("),
            nested("IN("),
            nested("VALUES("),
            nested("SELECT f("),
            opened("IN("),
            opened("ARRAY["),
            opened("VALUES (1),("),
            opened("FROM f("),
            opened("FROM a,b,"),
            opened("FROM f(),"),
            opened("FROM ONLY "),
            opened("WITH a(") + &opened("a(") + "AS",
            opened("a AS NOT "),
            opened("a."),
            opened("FROM a.b.") + &opened("c."),
            opened("$a$b"),
            opened("/*"),
            opened("'"),
        ] {
            assert!(fingerprint(&sql, Postgres).text.len() <= 4 * 4_001);
        }
    }

    #[test]
    fn what_is_kept_of_a_statement_is_bounded() {
        let long = "ä".repeat(100_000);
        let many: String = (0..1_000).map(|number| format!(" JOIN table_{number} ON TRUE")).collect();
        let found = fingerprint(&format!("{long} FROM {long}.{long}.{long}{many}"), Sqlite);
        assert_eq!((found.text.chars().count(), found.operation.chars().count()), (4_001, 33));
        assert_eq!((found.tables.len(), found.tables[0].chars().count(), &*found.tables[1]), (32, 129, "table_0"));
    }

    #[test]
    fn tables_operation_and_access_are_read_from_the_text() {
        use Access::{Neither, Read, Write};
        for (sql, operation, tables, access) in [
            ("SELECT * FROM \"user\" AS u JOIN public.\"order\" o ON TRUE", "SELECT", "user public.order", Read),
            ("SELECT * FROM a, b AS c, (SELECT 1 FROM d) x", "SELECT", "a b d", Read),
            ("SELECT extract(year FROM a) FROM t WHERE x IS DISTINCT FROM y", "SELECT", "t", Read),
            ("SELECT * FROM generate_series(1, 2), t FOR UPDATE", "SELECT", "t", Read),
            ("SELECT 1 INTO kept FROM t", "SELECT", "kept t", Write),
            ("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", "INSERT", "t", Write),
            ("UPDATE ONLY t SET a = 1 FROM o", "UPDATE", "t o", Write),
            ("UPDATE LOW_PRIORITY IGNORE t SET a = 1", "UPDATE", "t", Write),
            ("UPDATE OR REPLACE t SET a = 1", "UPDATE", "t", Write),
            ("COPY s.t (a) FROM STDIN", "COPY", "s.t", Write),
            ("LOAD DATA INFILE 'f' INTO TABLE t", "LOAD", "t", Write),
            ("MERGE INTO t USING s ON TRUE WHEN MATCHED THEN UPDATE SET a = 1", "MERGE", "t", Write),
            ("DELETE FROM t WHERE id IN (SELECT id FROM t)", "DELETE", "t", Write),
            ("WITH x AS (SELECT 1 FROM a) SELECT * FROM x, b", "SELECT", "a b", Read),
            ("WITH RECURSIVE n (i) AS (SELECT 1) SELECT * FROM n", "SELECT", "", Read),
            ("WITH x AS (DELETE FROM a RETURNING 1) SELECT * FROM x", "SELECT", "a", Write),
            ("EXPLAIN ANALYZE DELETE FROM t", "EXPLAIN", "t", Write),
            ("SET TIME ZONE 'UTC'", "SET", "", Neither),
            ("SELECT 1; DROP TABLE t", "SELECT", "t", Write),
            ("commit", "COMMIT", "", Neither),
        ] {
            let found = fingerprint(sql, Postgres);
            assert_eq!(
                (&*found.operation, found.tables.join(" "), found.access),
                (operation, tables.to_owned(), access),
                "{sql}"
            );
        }
        assert_eq!(fingerprint("SELECT 1 FROM a, b", Postgres).summary(), "SELECT a b");
    }
}
