//! LIMIT as PostgreSQL likes it.

use std::sync::Arc;

use sea_orm::{Value, Values};

/// The same statement with the number of a last `LIMIT $n` in its text, if it is one that is often used.
///
/// PostgreSQL plans with that number. When it is bound, it makes a plan for each execution, as a plan for any number always
/// looks worse; when it stands in the text, the plan is kept.
pub(super) fn with_usual_limit_written_out(sql: Arc<str>, mut values: Values) -> (Arc<str>, Option<Values>) {
    if let Some(Value::BigUnsigned(Some(rows))) = values.0.last()
        && is_usual(*rows)
        && let Some(head) = head_before_limit(&sql, values.0.len())
    {
        let text = format!("{head} LIMIT {rows}").into();
        values.0.pop();
        return (text, Some(values));
    }
    (sql, Some(values))
}

/// Sizes that people choose, and one row more, by which a page sees that there is a next one. Each number is a statement
/// that is prepared, and a connection keeps only so many.
fn is_usual(rows: u64) -> bool {
    let round =
        |rows: u64| rows <= 10 || rows <= 100 && rows.is_multiple_of(5) || rows <= 1_000 && rows.is_multiple_of(50);
    round(rows) || round(rows.saturating_sub(1))
}

/// What stands before a `LIMIT $n` at the end, when the last value is used only there.
fn head_before_limit(sql: &str, values: usize) -> Option<&str> {
    let (head, number) = sql.rsplit_once(" LIMIT $")?;
    let is_last = number.parse::<usize>() == Ok(values) && !number.starts_with(['+', '0']);
    let used_elsewhere = || head.contains(&format!("${number}")) || head.contains("--") || head.contains("/*");
    (is_last && !used_elsewhere()).then_some(head)
}

#[cfg(test)]
mod tests {
    use sea_orm::{Value, Values};

    use super::with_usual_limit_written_out;

    fn written(sql: &str, values: impl IntoIterator<Item = Value>) -> (String, usize) {
        let (sql, values) = with_usual_limit_written_out(sql.into(), Values(values.into_iter().collect()));
        (sql.to_string(), values.expect("values").0.len())
    }

    #[test]
    fn usual_numbers_stand_in_the_text() {
        for rows in [0_u64, 1, 2, 10, 11, 20, 21, 25, 26, 50, 51, 100, 101, 250, 500, 1_000, 1_001] {
            let (sql, values) = written("SELECT a FROM t WHERE a = $1 LIMIT $2", [5_i64.into(), rows.into()]);
            assert_eq!((sql, values), (format!("SELECT a FROM t WHERE a = $1 LIMIT {rows}"), 1));
        }
        assert_eq!(written("SELECT a FROM t LIMIT $1", [1_u64.into()]), ("SELECT a FROM t LIMIT 1".into(), 0));
    }

    #[test]
    fn what_is_not_plain_or_usual_stays_numbered() {
        for (sql, values) in [
            ("SELECT a FROM t LIMIT $1", vec![12_u64.into()]),
            ("SELECT a FROM t LIMIT $1", vec![105_u64.into()]),
            ("SELECT a FROM t LIMIT $1", vec![1_050_u64.into()]),
            ("SELECT a FROM t LIMIT $1", vec![u64::MAX.into()]),
            ("SELECT a FROM t LIMIT $1", vec![1_i64.into()]),
            ("SELECT a FROM t LIMIT $1", vec![]),
            ("SELECT a FROM t LIMIT $1", vec![Value::BigUnsigned(None)]),
            ("SELECT a FROM t LIMIT $1", vec![1_u64.into(), 2_u64.into()]),
            ("SELECT a FROM t LIMIT $01", vec![1_u64.into()]),
            ("SELECT a FROM t LIMIT $1 FOR UPDATE", vec![1_u64.into()]),
            ("SELECT a FROM t LIMIT $1 OFFSET $2", vec![1_u64.into(), 2_u64.into()]),
            ("SELECT a FROM t WHERE a < $1 LIMIT $1", vec![1_u64.into()]),
            ("SELECT 1 -- LIMIT $1", vec![1_u64.into()]),
            ("SELECT 1 /* LIMIT $1", vec![1_u64.into()]),
            ("SELECT a FROM t OFFSET $1", vec![1_u64.into()]),
        ] {
            let count = values.len();
            assert_eq!(written(sql, values), (sql.to_owned(), count), "{sql}");
        }
    }
}
