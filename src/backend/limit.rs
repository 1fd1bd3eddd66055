//! LIMIT as SQLite likes it.

use std::sync::Arc;

use sea_orm::{Value, Values};

/// Larger ones stay bound: few texts are prepared, whatever numbers a program comes up with.
const LARGEST: u64 = 1_000;

/// The same statement with the number behind LIMIT in its text.
///
/// SQLite plans with that number. When it is bound, each new value prepares the statement again, the same number too: four
/// fifths of the time of a row by its key.
pub(super) fn with_limit_written_out(sql: Arc<str>, mut values: Values) -> (Arc<str>, Option<Values>) {
    const LIMIT: &str = " LIMIT ?";
    const OFFSET: &str = " OFFSET ?";
    let (head, tail) = match sql.strip_suffix(OFFSET) {
        Some(head) => (head, OFFSET),
        None => (&*sql, ""),
    };
    let place = values.0.len().checked_sub(1 + usize::from(!tail.is_empty()));
    if let Some(head) = head.strip_suffix(LIMIT)
        && let Some(place) = place
        && let Some(Value::BigUnsigned(Some(rows))) = values.0.get(place)
        && *rows <= LARGEST
        && binds_each_in_turn(&sql, values.0.len())
    {
        let text = format!("{head} LIMIT {rows}{tail}").into();
        values.0.remove(place);
        return (text, Some(values));
    }
    (sql, Some(values))
}

/// Whether so many placeholders without a number or name stand in the text, and nothing else that might be one, or be none.
fn binds_each_in_turn(sql: &str, values: usize) -> bool {
    let bytes = sql.as_bytes();
    let mut placeholders = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let next = bytes.get(at + 1);
        match byte {
            b'?' if next.is_some_and(u8::is_ascii_digit) => return false,
            b'?' => placeholders += 1,
            b'\'' | b':' | b'@' | b'$' | b'[' | b'`' => return false,
            b'-' if next == Some(&b'-') => return false,
            b'/' if next == Some(&b'*') => return false,
            _ => {}
        }
    }
    placeholders == values
}

#[cfg(test)]
mod tests {
    use sea_orm::{Value, Values};

    use super::with_limit_written_out;

    fn written(sql: &str, values: impl IntoIterator<Item = Value>) -> (String, usize) {
        let (sql, values) = with_limit_written_out(sql.into(), Values(values.into_iter().collect()));
        (sql.to_string(), values.expect("values").0.len())
    }

    #[test]
    fn the_number_stands_in_the_text() {
        let row = written("SELECT \"a\" FROM \"t\" WHERE \"a\" = ? LIMIT ?", [5_i64.into(), 1_u64.into()]);
        assert_eq!(row, ("SELECT \"a\" FROM \"t\" WHERE \"a\" = ? LIMIT 1".to_owned(), 1));
        let page = written("SELECT a FROM t WHERE a = ? LIMIT ? OFFSET ?", [5.into(), 20_u64.into(), 40_u64.into()]);
        assert_eq!(page, ("SELECT a FROM t WHERE a = ? LIMIT 20 OFFSET ?".to_owned(), 2));
    }

    #[test]
    fn what_is_not_plain_stays_as_it_is() {
        for (sql, values) in [
            ("SELECT a FROM t LIMIT ?", vec![1_001_u64.into()]),
            ("SELECT a FROM t LIMIT ?", vec![1_i64.into()]),
            ("SELECT a FROM t LIMIT ?", vec![]),
            ("SELECT a FROM t LIMIT ?", vec![1_u64.into(), 2_u64.into()]),
            ("SELECT ? -- LIMIT ?", vec![1_u64.into()]),
            ("SELECT :a -- LIMIT ?", vec![1_u64.into()]),
            ("SELECT ? /* LIMIT ?", vec![1_u64.into(), 1_u64.into()]),
            ("SELECT '?' FROM t LIMIT ?", vec![1_u64.into(), 1_u64.into()]),
            ("SELECT ?2, ? LIMIT ?", vec![1_u64.into(), 1_u64.into(), 1_u64.into()]),
            ("SELECT a FROM t LIMIT ?1", vec![1_u64.into()]),
            ("SELECT a FROM t OFFSET ?", vec![1_u64.into()]),
        ] {
            let count = values.len();
            assert_eq!(written(sql, values), (sql.to_owned(), count), "{sql}");
        }
    }
}
