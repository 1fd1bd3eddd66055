//! The conditions that all builders share.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoSimpleExpr, Value,
    sea_query::{Expr, ExprTrait, IntoCondition, LikeExpr},
};

/// The character that takes the meaning from `%` and `_` in escaped patterns. Unlike a backslash, it is an ordinary
/// character in the string literals of every database.
const ESCAPE: char = '!';

/// Conditions on the columns of `E`, each one narrowing the rows further.
///
/// Values are always bound. NULL is a value like another: `eq(column, None)` is `IS NULL`, and a `None` in a list is
/// found too.
// Each method narrows a builder that is passed on by value, `is_null` too.
#[allow(clippy::wrong_self_convention)]
pub trait Conditions<E: EntityTrait>: Sized {
    /// Adds a condition.
    #[doc(hidden)]
    fn push(&mut self, condition: Condition);

    /// Notes that no row can match.
    #[doc(hidden)]
    fn push_never(&mut self) {}

    /// Any condition of SeaORM or sea-query.
    #[must_use]
    fn filter(mut self, condition: impl IntoCondition) -> Self {
        let condition = condition.into_condition();
        if !condition.is_empty() {
            self.push(condition);
        }
        self
    }

    /// The column is `value`.
    #[must_use]
    fn eq(self, column: E::Column, value: impl Into<Value>) -> Self {
        let value = value.into();
        if is_null(&value) { self.is_null(column) } else { self.filter(column.eq(value)) }
    }

    /// The column is not `value`. As in SQL, rows in which it is NULL do not match.
    #[must_use]
    fn ne(self, column: E::Column, value: impl Into<Value>) -> Self {
        let value = value.into();
        if is_null(&value) { self.is_not_null(column) } else { self.filter(column.ne(value)) }
    }

    /// The column is greater than `value`.
    #[must_use]
    fn gt(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.filter(column.gt(value.into()))
    }

    /// The column is at least `value`.
    #[must_use]
    fn ge(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.filter(column.gte(value.into()))
    }

    /// The column is less than `value`.
    #[must_use]
    fn lt(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.filter(column.lt(value.into()))
    }

    /// The column is at most `value`.
    #[must_use]
    fn le(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.filter(column.lte(value.into()))
    }

    /// The column is one of `values`. With no values nothing matches, and nothing is sent. More values than one statement
    /// takes (65 535; 32 766 on SQLite) are refused; for keys, [`BaseDao::find_by_ids`](crate::BaseDao::find_by_ids) takes
    /// any number.
    #[must_use]
    fn in_<V: Into<Value>>(mut self, column: E::Column, values: impl IntoIterator<Item = V>) -> Self {
        let (values, null) = split_nulls(values);
        match (values.is_empty(), null) {
            (true, false) => {
                self.push_never();
                self.filter(never())
            }
            (true, true) => self.is_null(column),
            (false, false) => self.filter(column.is_in(values)),
            (false, true) => self.filter(Condition::any().add(column.is_in(values)).add(column.is_null())),
        }
    }

    /// The column is none of `values`. With no values everything matches; rows in which it is NULL match only then.
    #[must_use]
    fn not_in<V: Into<Value>>(self, column: E::Column, values: impl IntoIterator<Item = V>) -> Self {
        let (values, null) = split_nulls(values);
        match (values.is_empty(), null) {
            (true, false) => self,
            (true, true) => self.is_not_null(column),
            // NULL is never "not in" a list, so that a NULL in the list excludes nothing more.
            (false, _) => self.filter(column.is_not_in(values)),
        }
    }

    /// The column is between `low` and `high`, both included.
    #[must_use]
    fn between(self, column: E::Column, low: impl Into<Value>, high: impl Into<Value>) -> Self {
        self.filter(column.between(low.into(), high.into()))
    }

    /// The column matches `pattern`, in which `%` and `_` are wildcards. For text from a user take
    /// [`contains`](Self::contains) and its like. What a backslash means, and whether `a` matches `A`, is up to the
    /// database.
    #[must_use]
    fn like(self, column: E::Column, pattern: impl Into<String>) -> Self {
        let pattern: String = pattern.into();
        self.filter(column.like(pattern))
    }

    /// The column contains `text`, taken literally. Whether `a` is found as `A` is up to the database: not on PostgreSQL,
    /// for the 26 Latin letters on SQLite, by the column's collation on MySQL. The same goes for
    /// [`starts_with`](Self::starts_with) and [`ends_with`](Self::ends_with).
    #[must_use]
    fn contains(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.filter(like_literally(column, "%", text.as_ref(), "%"))
    }

    /// The column starts with `text`, taken literally.
    #[must_use]
    fn starts_with(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.filter(like_literally(column, "", text.as_ref(), "%"))
    }

    /// The column ends with `text`, taken literally.
    #[must_use]
    fn ends_with(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.filter(like_literally(column, "%", text.as_ref(), ""))
    }

    /// The column is NULL.
    #[must_use]
    fn is_null(self, column: E::Column) -> Self {
        self.filter(column.is_null())
    }

    /// The column is not NULL.
    #[must_use]
    fn is_not_null(self, column: E::Column) -> Self {
        self.filter(column.is_not_null())
    }

    /// At least one of the conditions that `group` adds holds. A group without conditions asks for nothing.
    #[must_use]
    fn or_(self, group: impl FnOnce(Group<E>) -> Group<E>) -> Self {
        self.filter(group(Group::new(Condition::any())).condition)
    }

    /// All of the conditions that `group` adds hold; useful inside of [`or_`](Self::or_).
    #[must_use]
    fn and_(self, group: impl FnOnce(Group<E>) -> Group<E>) -> Self {
        self.filter(group(Group::new(Condition::all())).condition)
    }

    /// The conditions that `group` adds do not all hold.
    #[must_use]
    fn not_(self, group: impl FnOnce(Group<E>) -> Group<E>) -> Self {
        let condition = group(Group::new(Condition::all())).condition;
        if condition.is_empty() { self } else { self.filter(condition.not()) }
    }
}

/// Conditions inside of [`or_`](Conditions::or_), [`and_`](Conditions::and_) or [`not_`](Conditions::not_).
#[derive(Debug, Clone)]
pub struct Group<E: EntityTrait> {
    condition: Condition,
    entity: std::marker::PhantomData<E>,
}

impl<E: EntityTrait> Group<E> {
    fn new(condition: Condition) -> Self {
        Self { condition, entity: std::marker::PhantomData }
    }
}

impl<E: EntityTrait> Conditions<E> for Group<E> {
    fn push(&mut self, condition: Condition) {
        let all = std::mem::replace(&mut self.condition, Condition::all());
        self.condition = all.add(condition);
    }
}

/// A condition that no row meets.
pub(super) fn never() -> Expr {
    Expr::cust("1 = 0")
}

fn is_null(value: &Value) -> bool {
    *value == value.as_null()
}

fn split_nulls<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> (Vec<Value>, bool) {
    let (nulls, values): (Vec<Value>, Vec<Value>) = values.into_iter().map(Into::into).partition(is_null);
    (values, !nulls.is_empty())
}

fn like_literally(column: impl ColumnTrait, before: &str, text: &str, after: &str) -> Expr {
    let mut pattern = String::with_capacity(before.len() + text.len() + after.len());
    pattern.push_str(before);
    for character in text.chars() {
        if matches!(character, '%' | '_' | ESCAPE) {
            pattern.push(ESCAPE);
        }
        pattern.push(character);
    }
    pattern.push_str(after);
    column.into_simple_expr().like(LikeExpr::new(pattern).escape(ESCAPE))
}
