//! The conditions that all builders share.

use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoSimpleExpr, Related, Value,
    sea_query::{Expr, ExprTrait, IntoCondition},
};

use super::{
    Clause, Group, JsonPath, QueryBuilder, RelatedRows,
    clause::{clause_of, never},
    operand::{eq_ignoring_case, like, like_ignoring_case, like_literally, list, split_nulls},
    subquery::Nulls,
};
use crate::{
    backend::{compared, json},
    convention::{Conventions, is_null},
};

/// Conditions on the columns of `E`, each one narrowing the rows further.
///
/// Values are always bound. NULL is a value like another: `eq(column, None)` is `IS NULL`, and a `None` in a list is
/// found too.
// Each method narrows a builder that is passed on by value, `is_null` too.
#[allow(clippy::wrong_self_convention)]
pub trait Conditions<E: EntityTrait>: Sized {
    /// Adds a condition.
    #[doc(hidden)]
    fn push(&mut self, clause: Clause);

    #[doc(hidden)]
    #[must_use]
    fn with(mut self, clause: impl Into<Clause>) -> Self {
        self.push(clause.into());
        self
    }

    /// Adds a condition, if there is one.
    #[doc(hidden)]
    #[must_use]
    fn with_some(self, clause: Option<Clause>) -> Self {
        match clause {
            Some(clause) => self.with(clause),
            None => self,
        }
    }

    /// The names of the conventional columns.
    #[doc(hidden)]
    fn conventions(&self) -> Conventions;

    /// Notes that no row can match.
    #[doc(hidden)]
    fn push_never(&mut self) {}

    /// Any condition of SeaORM or sea-query, typed columns included: `.filter(user::COLUMN.status.eq(1))`.
    #[must_use]
    fn filter(self, condition: impl IntoCondition) -> Self {
        self.with_some(clause_of(condition))
    }

    /// The column is `value`.
    #[must_use]
    fn eq(self, column: E::Column, value: impl Into<Value>) -> Self {
        let value = value.into();
        if is_null(&value) {
            self.is_null(column)
        } else {
            self.with(Expr::col(column.as_column_ref()).eq(compared(column, &value)))
        }
    }

    /// The column is not `value`. As in SQL, rows in which it is NULL do not match.
    #[must_use]
    fn ne(self, column: E::Column, value: impl Into<Value>) -> Self {
        let value = value.into();
        if is_null(&value) {
            self.is_not_null(column)
        } else {
            self.with(Expr::col(column.as_column_ref()).ne(compared(column, &value)))
        }
    }

    /// The column is greater than `value`.
    #[must_use]
    fn gt(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.with(Expr::col(column.as_column_ref()).gt(compared(column, &value.into())))
    }

    /// The column is at least `value`.
    #[must_use]
    fn ge(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.with(Expr::col(column.as_column_ref()).gte(compared(column, &value.into())))
    }

    /// The column is less than `value`.
    #[must_use]
    fn lt(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.with(Expr::col(column.as_column_ref()).lt(compared(column, &value.into())))
    }

    /// The column is at most `value`.
    #[must_use]
    fn le(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.with(Expr::col(column.as_column_ref()).lte(compared(column, &value.into())))
    }

    /// The column is one of `values`, be they three or three hundred thousand; a `None` among them finds NULL. With no
    /// values nothing matches, and nothing is sent.
    ///
    /// PostgreSQL gets the values as one array, so that lists of any length share one prepared statement. MySQL and SQLite
    /// get up to 8 000 values one by one, and more as one JSON array where they are numbers or text (UUIDs and bytes as
    /// well), for which MariaDB has to be 10.6 or newer; other types, and enums, are limited to the values that one
    /// statement takes: 65 535, on SQLite 32 766. [`crate::query`] says more about long lists.
    #[must_use]
    fn in_<V: Into<Value>>(mut self, column: E::Column, values: impl IntoIterator<Item = V>) -> Self {
        let (values, null) = split_nulls(values);
        match (values.is_empty(), null) {
            (true, false) => {
                self.push_never();
                self.with(never())
            }
            (true, true) => self.is_null(column),
            (false, false) => self.with(list(column, values, false)),
            (false, true) => self.or_(|or| or.with(list(column, values, false)).is_null(column)),
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
            (false, _) => self.with(list(column, values, true)),
        }
    }

    /// The column is between `low` and `high`, both included.
    #[must_use]
    fn between(self, column: E::Column, low: impl Into<Value>, high: impl Into<Value>) -> Self {
        let (low, high) = (compared(column, &low.into()), compared(column, &high.into()));
        self.with(Expr::col(column.as_column_ref()).between(low, high))
    }

    /// The column matches `pattern`, in which `%` and `_` are wildcards. For text from a user take
    /// [`contains`](Self::contains) and its like. What a backslash means, and whether `a` matches `A`, is up to the
    /// database.
    #[must_use]
    fn like(self, column: E::Column, pattern: impl Into<String>) -> Self {
        self.with(like(column, pattern.into()))
    }

    /// The column contains `text`, taken literally. Whether `a` is found as `A` is up to the database: not on PostgreSQL,
    /// for the 26 Latin letters on SQLite, by the column's collation on MySQL. The same goes for
    /// [`starts_with`](Self::starts_with) and [`ends_with`](Self::ends_with).
    ///
    /// SQLite takes no NUL byte here and in the others that match a part of a text or ignore its case, and no pattern of
    /// more than 50 000 bytes: [`Error::InvalidArgument`](crate::Error::InvalidArgument) when the query is run.
    #[must_use]
    fn contains(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.with(like_literally(column, "%", text.as_ref(), "%"))
    }

    /// The column starts with `text`, taken literally.
    #[must_use]
    fn starts_with(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.with(like_literally(column, "", text.as_ref(), "%"))
    }

    /// The column ends with `text`, taken literally.
    #[must_use]
    fn ends_with(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.with(like_literally(column, "%", text.as_ref(), ""))
    }

    /// The column is `text` in upper and lower case alike: `LOWER(column) = LOWER(text)`, which an index on
    /// `LOWER(column)` serves. SQLite knows only the case of the 26 Latin letters, in this and the next three.
    #[must_use]
    fn eq_ignore_case(self, column: E::Column, text: impl Into<String>) -> Self {
        self.with(eq_ignoring_case(column, text.into()))
    }

    /// The column contains `text`, taken literally, in upper and lower case alike.
    #[must_use]
    fn contains_ignore_case(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.with(like_ignoring_case(column, "%", text.as_ref(), "%"))
    }

    /// The column starts with `text`, taken literally, in upper and lower case alike.
    #[must_use]
    fn starts_with_ignore_case(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.with(like_ignoring_case(column, "", text.as_ref(), "%"))
    }

    /// The column ends with `text`, taken literally, in upper and lower case alike.
    #[must_use]
    fn ends_with_ignore_case(self, column: E::Column, text: impl AsRef<str>) -> Self {
        self.with(like_ignoring_case(column, "%", text.as_ref(), ""))
    }

    /// The column is NULL.
    #[must_use]
    fn is_null(self, column: E::Column) -> Self {
        self.with(column.is_null())
    }

    /// The column is not NULL.
    #[must_use]
    fn is_not_null(self, column: E::Column) -> Self {
        self.with(column.is_not_null())
    }

    /// At least one of the conditions that `group` adds holds. A group without conditions asks for nothing.
    #[must_use]
    fn or_(self, group: impl FnOnce(Group<E>) -> Group<E>) -> Self {
        let group = group(Group::new(self.conventions()));
        self.with_some(group.into_clause(Condition::any(), false))
    }

    /// All of the conditions that `group` adds hold; useful inside of [`or_`](Self::or_).
    #[must_use]
    fn and_(self, group: impl FnOnce(Group<E>) -> Group<E>) -> Self {
        let group = group(Group::new(self.conventions()));
        self.with_some(group.into_clause(Condition::all(), false))
    }

    /// The conditions that `group` adds do not all hold.
    #[must_use]
    fn not_(self, group: impl FnOnce(Group<E>) -> Group<E>) -> Self {
        let group = group(Group::new(self.conventions()));
        self.with_some(group.into_clause(Condition::all(), true))
    }

    /// There is a row of `R` that belongs to this one, along the relation that the entity declares, and meets the
    /// conditions that `rows` adds. It is an EXISTS: each row comes once, however many belong to it.
    ///
    /// Deleted rows of `R` do not count, by the conventional name of its column, unless `rows` says
    /// [`with_deleted`](RelatedRows::with_deleted).
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use entities::{customer_order, user};
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<Vec<user::Model>> {
    /// // Who has an order of more than 100?
    /// users.query()
    ///     .has_related::<customer_order::Entity>(|orders| orders.gt(customer_order::Column::Total, 100))
    ///     .all().await
    /// # }
    /// ```
    ///
    /// A relation of a table to itself is [`Error::Unsupported`](crate::Error::Unsupported) when the query is run.
    #[must_use]
    fn has_related<R: EntityTrait>(self, rows: impl FnOnce(RelatedRows<R>) -> RelatedRows<R>) -> Self
    where
        E: Related<R>,
    {
        let clause = rows(RelatedRows::new(self.conventions())).exists_for::<E>();
        self.with(clause)
    }

    /// The column is among the values of a column of another query.
    #[must_use]
    fn in_subquery<F: EntityTrait, M: 'static>(
        self,
        column: E::Column,
        query: QueryBuilder<F, M>,
        selected: F::Column,
    ) -> Self {
        self.with(Clause::late(move |backend| {
            Ok(column.in_subquery(query.clone().into_values(selected, Nulls::Kept, backend)?))
        }))
    }

    /// The column is not among the values of a column of another query. NULLs among those exclude nothing; rows in which
    /// the column itself is NULL do not match.
    #[must_use]
    fn not_in_subquery<F: EntityTrait, M: 'static>(
        self,
        column: E::Column,
        query: QueryBuilder<F, M>,
        selected: F::Column,
    ) -> Self {
        self.with(Clause::late(move |backend| {
            Ok(column.not_in_subquery(query.clone().into_values(selected, Nulls::LeftOut, backend)?))
        }))
    }

    /// The other query has a row. A condition of it that names a column of this one ties them together:
    /// `.filter(Expr::col(order::Column::UserId.as_column_ref()).equals(user::Column::Id.as_column_ref()))`.
    #[must_use]
    fn where_exists<F: EntityTrait, M: 'static>(self, query: QueryBuilder<F, M>) -> Self {
        self.with(Clause::late(move |backend| Ok(Expr::exists(query.clone().into_existence(backend)?))))
    }

    /// The value at a path in a column of JSON is this text, number, boolean or null: a number is not the text of it.
    /// Rows without the path match neither this nor its negation.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*, query::JsonPath};
    /// # use entities::user;
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<Vec<user::Model>> {
    /// users.query()
    ///     .json_eq(user::Column::Profile, ["address", "city"], "Oslo")
    ///     .json_eq(user::Column::Profile, JsonPath::from("scores").index(0), 5)
    ///     .all().await
    /// # }
    /// ```
    ///
    /// An array or object as the value, on MySQL and SQLite a quote or backslash in a key, and on SQLite a NUL, is
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when the query is run.
    #[must_use]
    fn json_eq(self, column: E::Column, path: impl Into<JsonPath>, value: impl Into<serde_json::Value>) -> Self {
        let (path, value) = (path.into(), value.into());
        self.with(Clause::late(move |backend| json::equals(backend, column.into_simple_expr(), path.steps(), &value)))
    }

    /// There is something at a path in a column of JSON, be it null.
    #[must_use]
    fn json_has(self, column: E::Column, path: impl Into<JsonPath>) -> Self {
        let path = path.into();
        self.with(Clause::late(move |backend| json::has(backend, column.into_simple_expr(), path.steps())))
    }

    /// A column of JSON contains `value`: objects by their keys, arrays by their elements. PostgreSQL's `@>`, MySQL's
    /// `JSON_CONTAINS`; on SQLite, which has neither, [`Error::Unsupported`](crate::Error::Unsupported) when the query is
    /// run.
    #[must_use]
    fn json_contains(self, column: E::Column, value: impl Into<serde_json::Value>) -> Self {
        let value = value.into();
        self.with(Clause::late(move |backend| json::contains(backend, column.into_simple_expr(), &value)))
    }
}
