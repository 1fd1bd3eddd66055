//! What statements have in common that differ only in their values.

use std::collections::HashSet;

use sea_orm::DbBackend;

use super::tokens::{Kind, Token, tokens};
use crate::hooks::{Access, Fingerprint};

/// The fingerprint of `sql`: values, comments, the lengths of lists and the number of rows are left out.
pub(crate) fn fingerprint(sql: &str, backend: DbBackend) -> Fingerprint {
    let tokens = tokens(sql, backend);
    let access = tokens.split(|token| token.is(";")).map(|one| access(&operation(one), one)).max();
    Fingerprint::new(normalized(&tokens), operation(&tokens), tables(&tokens), access.unwrap_or_default())
}

/// Words that are written in capitals, so that their case makes no difference. Names keep theirs.
const KEYWORDS: [&str; 47] = [
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "OR",
    "NOT",
    "IN",
    "IS",
    "NULL",
    "LIKE",
    "BETWEEN",
    "EXISTS",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "RETURNING",
    "ORDER",
    "BY",
    "GROUP",
    "HAVING",
    "LIMIT",
    "OFFSET",
    "JOIN",
    "LEFT",
    "RIGHT",
    "INNER",
    "OUTER",
    "ON",
    "AS",
    "ASC",
    "DESC",
    "DISTINCT",
    "UNION",
    "ALL",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "WITH",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
];

fn normalized(tokens: &[Token<'_>]) -> String {
    let mut text = String::new();
    let mut at = 0;
    let mut previous: Option<&Token<'_>> = None;
    let mut signed_apart = false;
    while let Some(token) = tokens.get(at) {
        let is_value = matches!(token.kind, Kind::Literal | Kind::Placeholder);
        let signed = matches!(token.text, "-" | "+")
            && tokens.get(at + 1).is_some_and(|next| next.kind == Kind::Literal)
            && previous.is_none_or(|before| matches!(before.text, "(" | "," | "=" | "<" | ">" | "["));
        if signed {
            signed_apart = token.apart;
            at += 1;
            continue;
        }
        if needs_space(previous, token, std::mem::take(&mut signed_apart) || token.apart) {
            text.push(' ');
        }
        if is_value {
            text.push('?');
        } else if let Some(keyword) = KEYWORDS.iter().find(|keyword| token.is(keyword)) {
            text.push_str(keyword);
        } else {
            text.push_str(token.text);
        }
        previous = Some(token);
        at += 1;
        let is_list = previous.is_some_and(|token| token.is("IN") || token.is("ARRAY"));
        if is_list && let Some(end) = list_of_values(tokens, at) {
            let nested = tokens.get(at + 1).is_some_and(|token| token.is("("));
            text.push_str(if nested { " ((?, …), …)" } else { " (?, …)" });
            previous = tokens.get(end);
            at = end + 1;
        }
        if token.is(")") && opens_row(tokens, at - 1) {
            // The other rows of VALUES say nothing new.
            while tokens.get(at).is_some_and(|token| token.is(","))
                && tokens.get(at + 1).is_some_and(|token| token.is("("))
                && let Some(end) = closing(tokens, at + 1)
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

fn needs_space(previous: Option<&Token<'_>>, token: &Token<'_>, apart: bool) -> bool {
    let Some(previous) = previous else { return false };
    match (previous.text, token.text) {
        ("(" | "[" | ".", _) | (_, ")" | "]" | "," | "." | ";") => false,
        (",", _) => true,
        _ => apart,
    }
}

/// The end of the list that begins at `start`, when it holds nothing but values and lists of values.
fn list_of_values(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    let end = closing(tokens, start)?;
    let inside = &tokens[start + 1..end];
    let is_part = |token: &Token<'_>| {
        matches!(token.kind, Kind::Literal | Kind::Placeholder) || matches!(token.text, "," | "(" | ")" | "-" | "+")
    };
    (!inside.is_empty() && inside.iter().all(is_part)).then_some(end)
}

/// Where the parenthesis or bracket that opens at `start` closes.
fn closing(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    if !tokens.get(start)?.is("(") && !tokens[start].is("[") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(start) {
        if token.is("(") || token.is("[") {
            depth += 1;
        } else if token.is(")") || token.is("]") {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Whether the parenthesis that closes at `end` is the first row of VALUES.
fn opens_row(tokens: &[Token<'_>], end: usize) -> bool {
    let mut depth = 0_usize;
    for at in (0..=end).rev() {
        if tokens[at].is(")") {
            depth += 1;
        } else if tokens[at].is("(") {
            depth -= 1;
            if depth == 0 {
                return at > 0 && tokens[at - 1].is("VALUES");
            }
        }
    }
    false
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

/// The tables named, each once, in the order of the text.
fn tables(tokens: &[Token<'_>]) -> Vec<String> {
    let defined = common_tables(tokens);
    let mut found: Vec<String> = Vec::new();
    // For each open parenthesis whether it is that of a function whose arguments are set apart by FROM.
    let mut open: Vec<bool> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let follows = |words: &[&str]| before(1).is_some_and(|before| words.iter().any(|word| before.is(word)));
        match token.text {
            "(" => open.push(follows(&["EXTRACT", "SUBSTRING", "TRIM", "OVERLAY", "POSITION"])),
            ")" => drop(open.pop()),
            _ if token.is("FROM") && !follows(&["DISTINCT"]) && !open.last().is_some_and(|function| *function) => {
                let mut next = at + 1;
                while let Some((name, end)) = table(tokens, next, false) {
                    found.extend(name);
                    let Some(comma) = behind_alias(tokens, end) else { break };
                    next = comma + 1;
                }
            }
            _ if token.is("JOIN") => found.extend(table(tokens, at + 1, false).and_then(|(name, _)| name)),
            _ if token.is("INTO") || token.is("TABLE") => {
                found.extend(table(tokens, at + 1, true).and_then(|(name, _)| name));
            }
            _ if token.is("UPDATE") && !follows(&["FOR", "KEY", "DO", "ON"]) => {
                found.extend(table(tokens, at + 1, true).and_then(|(name, _)| name));
            }
            _ => {}
        }
    }
    let mut seen = HashSet::new();
    found.retain(|name| !defined.contains(name) && seen.insert(name.clone()));
    found
}

/// The table named at `at` and the end of its name; no name for what is called like a function.
fn table(tokens: &[Token<'_>], mut at: usize, takes_columns: bool) -> Option<(Option<String>, usize)> {
    while tokens.get(at).is_some_and(|token| ["ONLY", "LATERAL", "IF", "NOT", "EXISTS"].iter().any(|w| token.is(w))) {
        at += 1;
    }
    let mut name = unquoted(tokens.get(at).filter(|token| token.is_identifier())?);
    at += 1;
    while tokens.get(at).is_some_and(|token| token.is("."))
        && let Some(part) = tokens.get(at + 1).filter(|token| token.is_identifier())
    {
        name = format!("{name}.{}", unquoted(part));
        at += 2;
    }
    if !takes_columns
        && tokens.get(at).is_some_and(|token| token.is("("))
        && let Some(end) = closing(tokens, at)
    {
        return Some((None, end + 1));
    }
    Some((Some(name), at))
}

/// The comma behind the table's alias, when there is one.
fn behind_alias(tokens: &[Token<'_>], mut at: usize) -> Option<usize> {
    if tokens.get(at)?.is("AS") {
        at += 1;
    }
    if tokens.get(at)?.is_identifier() {
        at += 1;
    }
    tokens.get(at)?.is(",").then_some(at)
}

fn unquoted(token: &Token<'_>) -> String {
    if token.kind != Kind::Name || token.text.len() < 2 {
        return token.text.to_owned();
    }
    token.text[1..token.text.len() - 1].replace("\"\"", "\"").replace("``", "`")
}

/// The names that WITH gives to queries.
fn common_tables(tokens: &[Token<'_>]) -> HashSet<String> {
    if !tokens.first().is_some_and(|token| token.is("WITH")) {
        return HashSet::new();
    }
    let names = tokens.iter().enumerate().filter(|(at, token)| {
        let mut next = at + 1;
        if let Some(end) = closing(tokens, next) {
            next = end + 1;
        }
        token.is_identifier()
            && tokens.get(next).is_some_and(|token| token.is("AS"))
            && tokens[next + 1..]
                .iter()
                .find(|token| !token.is("NOT") && !token.is("MATERIALIZED"))
                .is_some_and(|token| token.is("("))
    });
    names.map(|(_, token)| unquoted(token)).collect()
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
