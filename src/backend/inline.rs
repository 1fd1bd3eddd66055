//! SQL with its values in place, to be read and copied.

use sea_orm::{DbBackend, Values};

use super::{
    literal::literal,
    tokens::{Kind, tokens},
};

/// `sql` with each placeholder replaced by its value, so that the database makes of it what it makes of the bound one. A
/// placeholder without a value stays.
pub(crate) fn inline(sql: &str, values: &Values, backend: DbBackend) -> String {
    let mut text = String::with_capacity(sql.len() + 8 * values.0.len());
    let (mut copied, mut next) = (0, 0);
    for token in tokens(sql, backend) {
        if token.kind != Kind::Placeholder {
            continue;
        }
        let number = token.text[1..].parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        let value = values.0.get(number.unwrap_or(next));
        next += 1;
        if let Some(value) = value {
            text.push_str(&sql[copied..token.start]);
            copied = token.start + token.text.len();
            put(&mut text, &literal(value, backend), &sql[copied..]);
        }
    }
    text.push_str(&sql[copied..]);
    text
}

/// Where a placeholder ends is clear, whatever is next to it. A value must not become one with it, nor a minus with
/// another one, which would begin a comment.
fn put(text: &mut String, literal: &str, rest: &str) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if text.ends_with(is_word) || text.ends_with('-') && literal.starts_with('-') {
        text.push(' ');
    }
    if literal.starts_with('-') && rest.starts_with("::") {
        // The cast would be of the number without its sign.
        text.push_str(&format!("({literal})"));
    } else {
        text.push_str(literal);
    }
    if rest.starts_with(is_word) {
        text.push(' ');
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{
        DatabaseBackend::{MySql, Postgres, Sqlite},
        Values,
    };

    use super::inline;

    #[test]
    fn values_stand_in_place_quoted_for_the_database() {
        let values = |text: &str| Values(vec![text.into(), 7.into(), Option::<i32>::None.into()]);
        let sql = "SELECT '?$1', $3, $1 -- $2\nWHERE a ? 'b' AND c = $2";
        assert_eq!(
            inline(sql, &values("it's \\"), Postgres),
            "SELECT '?$1', NULL, E'it''s \\\\' -- $2\nWHERE a ? 'b' AND c = 7"
        );
        let sql = "SELECT '?', ?, ? /* ? */, ?";
        assert_eq!(inline(sql, &values("it's \\"), MySql), "SELECT '?', 'it''s \\\\', 7 /* ? */, NULL");
        assert_eq!(inline(sql, &values("it's \\"), Sqlite), "SELECT '?', 'it''s \\', 7 /* ? */, NULL");
        assert_eq!(inline("SELECT ?2, ?1", &values("a"), Sqlite), "SELECT 7, 'a'");
    }

    #[test]
    fn a_value_stays_apart_from_what_is_next_to_it() {
        let five = Values(vec![(-5).into()]);
        assert_eq!(inline("SELECT 10-$1", &five, Postgres), "SELECT 10- -5");
        assert_eq!(inline("SELECT 10-?, a", &five, Sqlite), "SELECT 10- -5, a");
        assert_eq!(inline("SELECT $1::int2", &five, Postgres), "SELECT (-5)::int2");
        let text = Values(vec!["a".into()]);
        assert_eq!(inline("SELECT 1 WHERE a LIKE?AND b", &text, MySql), "SELECT 1 WHERE a LIKE 'a' AND b");
    }

    #[test]
    fn a_placeholder_without_a_value_stays() {
        let values = Values(vec![1.into()]);
        assert_eq!(inline("SELECT $0, $1, $2", &values, Postgres), "SELECT 1, 1, $2");
        assert_eq!(inline("SELECT ?, ?", &values, MySql), "SELECT 1, ?");
    }
}
