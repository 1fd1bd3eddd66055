//! SQL with its values in place, to be read and copied.

use sea_orm::{DbBackend, Statement, Value, Values};

use super::tokens::{Kind, tokens};

/// `sql` with each placeholder replaced by its value as the database would write it, by SeaORM's own rendering. A
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
            text.push_str(&literal(value, backend));
            copied = token.start + token.text.len();
        }
    }
    text.push_str(&sql[copied..]);
    text
}

fn literal(value: &Value, backend: DbBackend) -> String {
    let placeholder = if backend == DbBackend::Postgres { "$1" } else { "?" };
    Statement::from_sql_and_values(backend, placeholder, [value.clone()]).to_string()
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
            "SELECT '?$1', NULL, E'it\\'s \\\\' -- $2\nWHERE a ? 'b' AND c = 7"
        );
        let sql = "SELECT '?', ?, ? /* ? */, ?";
        assert_eq!(inline(sql, &values("it's \\"), MySql), "SELECT '?', 'it\\'s \\\\', 7 /* ? */, NULL");
        assert_eq!(inline(sql, &values("it's \\"), Sqlite), "SELECT '?', 'it''s \\', 7 /* ? */, NULL");
        assert_eq!(inline("SELECT ?2, ?1", &values("a"), Sqlite), "SELECT 7, 'a'");
    }

    #[test]
    fn a_placeholder_without_a_value_stays() {
        let values = Values(vec![1.into()]);
        assert_eq!(inline("SELECT $0, $1, $2", &values, Postgres), "SELECT 1, 1, $2");
        assert_eq!(inline("SELECT ?, ?", &values, MySql), "SELECT 1, ?");
    }
}
