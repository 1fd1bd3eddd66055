//! The tokens of SQL text, as far as they tell values from names.

use sea_orm::DbBackend;

use super::lexer::{backslash_escapes, comment, dollar_quoted, executed_comment, quoted};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Name,
    /// A number or a quoted text.
    Literal,
    /// Where a bound value goes.
    Placeholder,
    /// One character of anything else.
    Symbol,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'s> {
    pub(super) kind: Kind,
    pub(super) text: &'s str,
    /// Where it begins.
    pub(super) start: usize,
    /// Blanks or comments stand before it.
    pub(super) apart: bool,
}

impl Token<'_> {
    pub(super) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Symbol) && self.text.eq_ignore_ascii_case(text)
    }

    pub(super) fn is_identifier(&self) -> bool {
        matches!(self.kind, Kind::Word | Kind::Name)
    }
}

/// Words that are written in capitals, so that their case makes no difference, and that are no names.
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

/// The keyword that the token is, in capitals.
pub(super) fn keyword(token: &Token<'_>) -> Option<&'static str> {
    KEYWORDS.into_iter().find(|keyword| token.is(keyword))
}

/// Whether the columns of its answer may be all those of a table, as in `SELECT *`.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub(super) fn answers_with_all_columns(sql: &str, backend: DbBackend) -> bool {
    const BEFORE: [&str; 6] = ["SELECT", "DISTINCT", "ALL", "RETURNING", ",", "."];
    let is_star = |pair: &[Token<'_>]| pair[1].is("*") && BEFORE.into_iter().any(|before| pair[0].is(before));
    sql.contains('*') && tokens(sql, backend).windows(2).any(is_star)
}

/// Whether it says ON CONFLICT, as the library's own SQL does or otherwise. The rarest letter is looked for first, which is
/// all that most statements cost.
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
pub(super) fn has_conflict_clause(sql: &str, backend: DbBackend) -> bool {
    let bytes = sql.as_bytes();
    let is_conflict = |at: usize| {
        let word = at.checked_sub("con".len()).and_then(|start| bytes.get(start..start + "conflict".len()));
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"conflict"))
    };
    let may = bytes.iter().enumerate().any(|(at, byte)| matches!(byte, b'f' | b'F') && is_conflict(at));
    let says_so = |pair: &[Token<'_>]| pair[0].is("ON") && pair[1].is("CONFLICT");
    may && (sql.contains(" ON CONFLICT ") || tokens(sql, backend).windows(2).any(says_so))
}

/// The tokens of a text, and where its parentheses and brackets open and close.
#[derive(Clone, Copy)]
pub(super) struct Text<'t> {
    pub(super) tokens: &'t [Token<'t>],
    pub(super) partners: &'t [usize],
}

impl Text<'_> {
    /// Where the parenthesis or bracket that opens at `start` closes.
    pub(super) fn closing(self, start: usize) -> Option<usize> {
        self.partners.get(start).copied().filter(|partner| *partner != NONE && *partner > start)
    }

    /// Where the parenthesis or bracket that closes at `end` opens.
    pub(super) fn opening(self, end: usize) -> Option<usize> {
        self.partners.get(end).copied().filter(|partner| *partner < end)
    }

    /// The comma behind the element that begins at `at`, or `end`; `None` when the element is empty, or longer than this.
    pub(super) fn end_of_element(self, at: usize, end: usize, longest: usize) -> Option<usize> {
        let mut next = at;
        while next < end && !self.tokens[next].is(",") {
            next = self.closing(next).map_or(next + 1, |closing| closing + 1);
        }
        (next > at && next - at <= longest && next <= end).then_some(next)
    }
}

/// No partner: it is no parenthesis, or stands alone.
const NONE: usize = usize::MAX;

/// For each parenthesis and bracket the place of the one that belongs to it.
pub(super) fn partners(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut partners = vec![NONE; tokens.len()];
    let mut open = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        if token.is("(") || token.is("[") {
            open.push(at);
        } else if (token.is(")") || token.is("]"))
            && let Some(opening) = open.pop()
        {
            (partners[opening], partners[at]) = (at, opening);
        }
    }
    partners
}

/// The tokens of `sql`, without blanks and comments. Of a comment whose content MySQL or MariaDB runs, the content stays.
pub(super) fn tokens(sql: &str, backend: DbBackend) -> Vec<Token<'_>> {
    let bytes = sql.as_bytes();
    let mut found: Vec<Token<'_>> = Vec::new();
    let (mut at, mut apart, mut executed) = (0, false, false);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if let Some(length) = blank(rest, backend) {
            (at, apart) = (at + length, true);
            continue;
        }
        if let Some(opening) = executed_comment(rest, backend) {
            (at, apart, executed) = (at + opening, true, true);
            continue;
        }
        if executed && rest.starts_with(b"*/") {
            (at, apart, executed) = (at + 2, true, false);
            continue;
        }
        let (kind, length) = token(sql, at, backend);
        let end = floor(sql, at + length);
        let mut start = at;
        if !apart
            && matches!(kind, Kind::Literal | Kind::Name)
            && let Some(first) = found.pop_if(|last| last.kind == kind && bytes[at] == bytes[at - 1])
        {
            // A quote that is written twice stands within the text.
            (start, apart) = (first.start, first.apart);
        } else if kind == Kind::Literal
            && !apart
            && !bytes[at].is_ascii_digit()
            && let Some(prefix) = found.pop_if(|last| last.kind == Kind::Word)
        {
            // As in E'…', X'…' and _utf8mb4'…'.
            (start, apart) = (prefix.start, prefix.apart);
        }
        found.push(Token { kind, text: &sql[start..end], start, apart });
        (at, apart) = (end, false);
    }
    found
}

/// Where the values of `sql` go, as they are written.
pub(super) fn placeholders(sql: &str, backend: DbBackend) -> impl Iterator<Item = &str> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(rest) = sql.as_bytes().get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(length) = blank(rest, backend) {
                at += length;
                continue;
            }
            let (kind, length) = token(sql, at, backend);
            let start = at;
            at = floor(sql, start + length);
            if kind == Kind::Placeholder {
                return Some(&sql[start..at]);
            }
        }
        None
    })
}

/// A token never ends within a character.
fn floor(sql: &str, at: usize) -> usize {
    (at.min(sql.len())..=sql.len()).find(|end| sql.is_char_boundary(*end)).unwrap_or(sql.len())
}

fn blank(rest: &[u8], backend: DbBackend) -> Option<usize> {
    let first = *rest.first()?;
    match first {
        0xef if rest.starts_with("\u{feff}".as_bytes()) => Some('\u{feff}'.len_utf8()),
        0x0b => Some(1),
        _ if first.is_ascii_whitespace() => Some(1),
        _ => comment(rest, backend),
    }
}

/// The kind and length of the token that begins at `at`.
fn token(sql: &str, at: usize, backend: DbBackend) -> (Kind, usize) {
    let bytes = sql.as_bytes();
    let rest = &bytes[at..];
    let run = |from: usize, belongs: fn(u8) -> bool| from + rest[from..].iter().take_while(|b| belongs(**b)).count();
    match rest[0] {
        b'\'' => (Kind::Literal, quoted(rest, b'\'', backslash_escapes(bytes, 0, at, backend))),
        b'"' if backend == DbBackend::MySql => (Kind::Literal, quoted(rest, b'"', true)),
        b'"' => (Kind::Name, quoted(rest, b'"', false)),
        b'`' if backend != DbBackend::Postgres => (Kind::Name, quoted(rest, b'`', false)),
        b'[' if backend == DbBackend::Sqlite => (Kind::Name, quoted(rest, b']', false)),
        b'$' if backend == DbBackend::Postgres => match dollar_quoted(&sql[at..]) {
            1 => (Kind::Placeholder, run(1, |byte| byte.is_ascii_digit())),
            length => (Kind::Literal, length),
        },
        b'?' if backend != DbBackend::Postgres => (Kind::Placeholder, run(1, |byte| byte.is_ascii_digit())),
        b':' | b'@' | b'$' if backend == DbBackend::Sqlite && run(1, is_word) > 1 => {
            (Kind::Placeholder, run(1, is_word))
        }
        b'0'..=b'9' => (Kind::Literal, number(rest)),
        b'.' if rest.get(1).is_some_and(u8::is_ascii_digit) && !follows_name(bytes, at) => {
            (Kind::Literal, number(rest))
        }
        byte if is_word(byte) => (Kind::Word, run(1, |byte| is_word(byte) || byte == b'$')),
        _ => (Kind::Symbol, 1),
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

fn follows_name(bytes: &[u8], at: usize) -> bool {
    at > 0 && (is_word(bytes[at - 1]) || matches!(bytes[at - 1], b'"' | b'`' | b']'))
}

/// The length of a number: `1`, `.5`, `1.5e-3`, `0xff`, `1_000`.
fn number(rest: &[u8]) -> usize {
    let hexadecimal = rest.len() > 1 && rest[0] == b'0' && matches!(rest[1], b'x' | b'X');
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        let signed = matches!(byte, b'+' | b'-') && matches!(rest[at - 1], b'e' | b'E') && !hexadecimal;
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || signed) {
            break;
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use sea_orm::DatabaseBackend::Sqlite;

    use super::{answers_with_all_columns, has_conflict_clause};

    #[test]
    fn a_conflict_clause_is_found_however_it_is_written() {
        for sql in [
            "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING",
            "insert into t values (1) on conflict (a) do nothing",
            "INSERT INTO t VALUES (1)\nON /* x */\nConflict(a) DO NOTHING",
        ] {
            assert!(has_conflict_clause(sql, Sqlite), "{sql}");
        }
        for sql in ["SELECT conflict FROM conflicts", "INSERT INTO t VALUES ('ON CONFLICT')", "fl", "f"] {
            assert!(!has_conflict_clause(sql, Sqlite), "{sql}");
        }
    }

    #[test]
    fn a_star_that_stands_for_columns_is_told_from_others() {
        for sql in [
            "SELECT * FROM t",
            "select distinct\n*from t",
            "SELECT 1, * FROM t",
            "SELECT t./* x */* FROM t",
            "INSERT INTO t VALUES (1) RETURNING *",
            "SELECT 2 * (SELECT a FROM (SELECT ALL * FROM t))",
        ] {
            assert!(answers_with_all_columns(sql, Sqlite), "{sql}");
        }
        for sql in [
            "SELECT COUNT(*) FROM t",
            "SELECT a * b, 2 * 3 FROM t",
            "SELECT '*', \"SELECT *\" FROM t -- SELECT *",
            "SELECT 'SELECT *'",
            "",
        ] {
            assert!(!answers_with_all_columns(sql, Sqlite), "{sql}");
        }
    }
}
