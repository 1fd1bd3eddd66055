//! Which tables a statement names.

use std::collections::HashSet;

use super::tokens::{Kind, Text, Token, keyword};

/// So many names are looked at, of which some may be the same.
const MOST: usize = 256;
/// No database has names of more parts.
const MOST_PARTS: usize = 4;

/// The tables named, each once, in the order of the text.
pub(super) fn tables(sql: Text<'_>) -> Vec<String> {
    let tokens = sql.tokens;
    let defined = common_tables(sql);
    let mut found: Vec<String> = Vec::new();
    // For each open parenthesis whether it is that of a function whose arguments are set apart by FROM.
    let mut open: Vec<bool> = Vec::new();
    if tokens.first().is_some_and(|token| token.is("COPY")) {
        // What follows TO or FROM is a file or a stream.
        return table(sql, 1, true).and_then(|(name, _)| name).into_iter().collect();
    }
    for (at, token) in tokens.iter().enumerate() {
        if found.len() >= MOST {
            break;
        }
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at));
        let follows = |words: &[&str]| before(1).is_some_and(|before| words.iter().any(|word| before.is(word)));
        match token.text {
            "(" => open.push(follows(&["EXTRACT", "SUBSTRING", "TRIM", "OVERLAY", "POSITION"])),
            ")" => drop(open.pop()),
            _ if token.is("FROM") && !follows(&["DISTINCT"]) && !open.last().is_some_and(|function| *function) => {
                let mut next = at + 1;
                while found.len() < MOST
                    && let Some((name, end)) = table(sql, next, false)
                {
                    found.extend(name);
                    let Some(comma) = behind_alias(tokens, end) else { break };
                    next = comma + 1;
                }
            }
            _ if token.is("JOIN") => found.extend(table(sql, at + 1, false).and_then(|(name, _)| name)),
            _ if token.is("INTO") || token.is("TABLE") => {
                found.extend(table(sql, at + 1, true).and_then(|(name, _)| name));
            }
            _ if token.is("UPDATE") && !follows(&["FOR", "KEY", "DO", "ON"]) => {
                found.extend(table(sql, at + 1, true).and_then(|(name, _)| name));
            }
            _ => {}
        }
    }
    let mut seen = HashSet::new();
    found.retain(|name| !defined.contains(name) && seen.insert(name.clone()));
    found
}

/// The table named at `at` and the end of its name; no name for what is called like a function.
fn table(sql: Text<'_>, mut at: usize, takes_columns: bool) -> Option<(Option<String>, usize)> {
    let tokens = sql.tokens;
    let modifiers = ["ONLY", "LATERAL", "IF", "NOT", "EXISTS"];
    let of_writes = ["IGNORE", "LOW_PRIORITY", "OR", "REPLACE", "ROLLBACK", "ABORT", "FAIL", "TABLE"];
    while tokens.get(at).is_some_and(|token| {
        modifiers.iter().any(|word| token.is(word)) || takes_columns && of_writes.iter().any(|word| token.is(word))
    }) {
        at += 1;
    }
    let mut name = unquoted(tokens.get(at).filter(|token| token.is_identifier() && keyword(token).is_none())?);
    let mut parts = 1;
    at += 1;
    while tokens.get(at).is_some_and(|token| token.is("."))
        && let Some(part) = tokens.get(at + 1).filter(|token| token.is_identifier())
    {
        if parts < MOST_PARTS {
            name = format!("{name}.{}", unquoted(part));
        }
        parts += 1;
        at += 2;
    }
    if !takes_columns
        && tokens.get(at).is_some_and(|token| token.is("("))
        && let Some(end) = sql.closing(at)
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
fn common_tables(sql: Text<'_>) -> HashSet<String> {
    let tokens = sql.tokens;
    if !tokens.first().is_some_and(|token| token.is("WITH")) {
        return HashSet::new();
    }
    let names = tokens.iter().enumerate().filter(|(at, token)| {
        let mut next = at + 1;
        if let Some(end) = sql.closing(next) {
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
