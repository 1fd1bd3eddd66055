//! Where statements begin and end in SQL text, in each database's own way of quoting and commenting.

use sea_orm::DbBackend;

/// The first word and what follows it.
pub(super) fn first_word(sql: &str) -> (&str, &str) {
    let end = sql.find(|c: char| !is_word(c)).unwrap_or(sql.len());
    sql.split_at(end)
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$')
}

/// The first position from `at` that is neither blank nor comment.
pub(super) fn skip_blanks(sql: &str, mut at: usize, backend: DbBackend) -> usize {
    let bytes = sql.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        if byte.is_ascii_whitespace() || matches!(byte, b'(' | b';' | 0x0b) {
            at += 1;
        } else if rest.starts_with("\u{feff}".as_bytes()) {
            at += '\u{feff}'.len_utf8();
        } else if let Some(opening) = executed_comment(rest, backend) {
            at += opening;
        } else if backend == DbBackend::MySql && rest.starts_with(b"*/") {
            at += 2;
        } else if let Some(length) = comment(rest, backend) {
            at += length;
        } else {
            break;
        }
    }
    at.min(sql.len())
}

/// The length of the opening of a comment whose content MySQL or MariaDB runs.
pub(super) fn executed_comment(rest: &[u8], backend: DbBackend) -> Option<usize> {
    if backend != DbBackend::MySql {
        return None;
    }
    let opening = [&b"/*M!"[..], b"/*!"].into_iter().find(|opening| rest.starts_with(opening))?.len();
    Some(opening + rest[opening..].iter().take_while(|byte| byte.is_ascii_digit()).count())
}

/// The length of the comment that stands here, if one does.
pub(super) fn comment(rest: &[u8], backend: DbBackend) -> Option<usize> {
    let line = || Some(rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len()));
    if rest.starts_with(b"--") {
        // MySQL wants a blank behind it.
        let plain = backend != DbBackend::MySql || rest.get(2).is_none_or(|next| *next <= b' ');
        return if plain { line() } else { None };
    }
    if backend == DbBackend::MySql && rest.starts_with(b"#") {
        return line();
    }
    if !rest.starts_with(b"/*") || executed_comment(rest, backend).is_some() {
        return None;
    }
    // PostgreSQL's comments nest.
    let nests = backend == DbBackend::Postgres;
    let (mut depth, mut at) = (1, 2);
    while at < rest.len() && depth > 0 {
        if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
        } else if nests && rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else {
            at += 1;
        }
    }
    Some(at)
}

/// The position of the first semicolon from `start` that is not quoted, or of the end.
pub(super) fn next_semicolon(sql: &str, start: usize, backend: DbBackend) -> usize {
    let bytes = sql.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let in_word =
            at > start && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] >= 0x80 || bytes[at - 1] == b'_');
        at += match byte {
            b';' => return at,
            b'\'' | b'"' => quoted(rest, byte, backslash_escapes(bytes, start, at, backend)),
            b'`' if backend != DbBackend::Postgres => quoted(rest, byte, false),
            b'[' if backend == DbBackend::Sqlite => quoted(rest, b']', false),
            b'$' if backend == DbBackend::Postgres && !in_word => dollar_quoted(&sql[at..]),
            _ => comment(rest, backend).unwrap_or(1),
        };
    }
    sql.len()
}

/// Whether a backslash in the quoted text at `at` takes the meaning from what follows.
pub(super) fn backslash_escapes(bytes: &[u8], start: usize, at: usize, backend: DbBackend) -> bool {
    match backend {
        DbBackend::MySql => true,
        DbBackend::Postgres => {
            let mut before = bytes[start..at].iter().rev();
            let marked = bytes[at] == b'\'' && before.next().is_some_and(|byte| matches!(byte, b'E' | b'e'));
            marked && before.next().is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte < 0x80)
        }
        _ => false,
    }
}

/// The length of a quoted text, both quotes included.
pub(super) fn quoted(rest: &[u8], closing: u8, backslash_escapes: bool) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        if byte == closing {
            return at + 1;
        }
        at += if byte == b'\\' && backslash_escapes { 2 } else { 1 };
    }
    rest.len()
}

/// The length of a text in dollar quotes, or 1 when none stands here.
pub(super) fn dollar_quoted(rest: &str) -> usize {
    match rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_') {
        Some(length) if rest.as_bytes()[1 + length] == b'$' && !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let tag = &rest[..length + 2];
            rest[tag.len()..].find(tag).map_or(rest.len(), |end| tag.len() + end + tag.len())
        }
        _ => 1,
    }
}
