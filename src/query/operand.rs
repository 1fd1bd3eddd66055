//! What stands to the right of a column in a condition: lists and patterns.

use sea_orm::{
    ColumnTrait, DbBackend, Value,
    sea_query::{BinOper, Expr, ExprTrait, Func, FunctionCall, LikeExpr},
};

use super::Clause;
use crate::{
    backend::{check_lowered, check_pattern, compared, is_pattern_everywhere, list_as_one_value, padded_length},
    convention::is_null,
    error::Result,
};

/// The character that takes the meaning from `%` and `_` in escaped patterns. Unlike a backslash, it is an ordinary
/// character in the string literals of every database.
const ESCAPE: char = '!';

/// The values that are not NULL, and whether there was a NULL.
pub(super) fn split_nulls<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> (Vec<Value>, bool) {
    let (nulls, values): (Vec<Value>, Vec<Value>) = values.into_iter().map(Into::into).partition(is_null);
    (values, !nulls.is_empty())
}

/// One of the values, or none of them.
pub(super) fn list<C: ColumnTrait + Send + Sync + 'static>(column: C, values: Vec<Value>, negated: bool) -> Clause {
    // A value that needs a cast of its own cannot be one among many.
    let plain = values.first().is_some_and(|first| {
        let value = Expr::val(first.clone());
        column.save_as(value.clone()) == value
    });
    if padded_length(column, &values).is_some() {
        let values = values.iter().map(|value| compared(column, value));
        let column = Expr::col(column.as_column_ref());
        return if negated { column.is_not_in(values) } else { column.is_in(values) }.into();
    }
    Clause::late(move |backend| {
        let one =
            if plain { list_as_one_value(backend, Expr::col(column.as_column_ref()), &values, negated) } else { None };
        let each = || values.iter().cloned();
        Ok(one.unwrap_or_else(|| if negated { column.is_not_in(each()) } else { column.is_in(each()) }))
    })
}

/// The column is like `pattern`.
pub(super) fn like(column: impl ColumnTrait, pattern: String) -> Clause {
    matching(pattern, check_pattern, |pattern| column.like(pattern))
}

/// The column is like `text`, taken literally, between wildcards.
pub(super) fn like_literally(column: impl ColumnTrait, before: &str, text: &str, after: &str) -> Clause {
    matching(pattern(before, text, after), check_pattern, |pattern| {
        Expr::col(column.as_column_ref()).like(LikeExpr::new(pattern).escape(ESCAPE))
    })
}

/// As [`like_literally`], in upper and lower case alike. Not ILIKE, which only PostgreSQL has, and for which an ordinary
/// index does not serve.
pub(super) fn like_ignoring_case(column: impl ColumnTrait, before: &str, text: &str, after: &str) -> Clause {
    matching(pattern(before, text, after), check_pattern, |pattern| {
        // The database lowers both: its idea of lower case counts, not Rust's.
        let pattern = Expr::from(Func::lower(Expr::val(pattern)));
        let escaped = pattern.binary(BinOper::Escape, Expr::Constant(ESCAPE.into()));
        Expr::from(lower(column)).binary(BinOper::Like, escaped)
    })
}

/// The column is `text`, in upper and lower case alike.
pub(super) fn eq_ignoring_case(column: impl ColumnTrait, text: String) -> Clause {
    matching(text, check_lowered, |text| lower(column).eq(Func::lower(Expr::val(text))))
}

fn lower(column: impl ColumnTrait) -> FunctionCall {
    Func::lower(Expr::col(column.as_column_ref()))
}

/// A condition on a text that `check` has to let pass.
fn matching(text: String, check: fn(DbBackend, &str) -> Result<()>, write: impl FnOnce(String) -> Expr) -> Clause {
    if is_pattern_everywhere(&text) {
        return write(text).into();
    }
    let condition = write(text.clone());
    Clause::late(move |backend| check(backend, &text).map(|()| condition.clone()))
}

fn pattern(before: &str, text: &str, after: &str) -> String {
    let mut pattern = String::with_capacity(before.len() + text.len() + after.len());
    pattern.push_str(before);
    for character in text.chars() {
        if matches!(character, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(character);
    }
    pattern.push_str(after);
    pattern
}
