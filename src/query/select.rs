//! SELECT.

use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, IntoSimpleExpr, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, RelationDef, Select, Statement, TryGetable, TryGetableMany,
    sea_query::{Expr, ExprTrait, Func, IntoCondition, SelectStatement},
};

use super::{
    CountBuilder, Page, Scope,
    page::offset,
    scope::{conditions_in_scope, deleted_rows, table},
};
use crate::{
    backend::{float_type, integer_type},
    error::{Error, Result},
};

/// A query on the rows of `E`.
///
/// Made by [`BaseDao::query`](crate::BaseDao::query); the conditions come from the trait [`Conditions`]. A builder can be
/// cloned and run more than once.
#[must_use = "a query does nothing until it is run"]
pub struct QueryBuilder<E: EntityTrait> {
    scope: Scope<E>,
    select: Select<E>,
    /// DISTINCT, GROUP BY, or something of the caller's: rows can only be counted from outside.
    shaped: bool,
}

conditions_in_scope!(QueryBuilder);

impl<E: EntityTrait> Clone for QueryBuilder<E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), select: self.select.clone(), shaped: self.shaped }
    }
}

impl<E: EntityTrait> QueryBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self { scope, select: E::find(), shaped: false }
    }

    deleted_rows!();

    /// Orders by a column or expression.
    pub fn order_by(mut self, by: impl IntoSimpleExpr, order: Order) -> Self {
        self.select = self.select.order_by(by, order);
        self
    }

    /// Orders by a column or expression, smallest first.
    pub fn order_asc(self, by: impl IntoSimpleExpr) -> Self {
        self.order_by(by, Order::Asc)
    }

    /// Orders by a column or expression, largest first.
    pub fn order_desc(self, by: impl IntoSimpleExpr) -> Self {
        self.order_by(by, Order::Desc)
    }

    /// At most so many rows.
    pub fn limit(mut self, rows: u64) -> Self {
        self.select = self.select.limit(rows);
        self.shaped = true;
        self
    }

    /// Leaves out the first rows.
    pub fn offset(mut self, rows: u64) -> Self {
        self.select = self.select.offset(rows);
        self.shaped = true;
        self
    }

    /// Each row once.
    pub fn distinct(mut self) -> Self {
        self.select = self.select.distinct();
        self.shaped = true;
        self
    }

    /// One row for each value of a column or expression. Say with [`select`](Self::select) which columns are wanted, and
    /// read them with [`all_as`](Self::all_as).
    pub fn group_by(mut self, by: impl IntoSimpleExpr) -> Self {
        self.select = self.select.group_by(by);
        self.shaped = true;
        self
    }

    /// A condition on groups.
    pub fn having(mut self, condition: impl IntoCondition) -> Self {
        self.select = self.select.having(condition);
        self.shaped = true;
        self
    }

    /// Joins along a relation.
    pub fn join(mut self, join: sea_orm::JoinType, relation: RelationDef) -> Self {
        self.select = self.select.join(join, relation);
        self.shaped = true;
        self
    }

    /// Goes on with SeaORM's own builder.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, DatabaseConfig, Result, prelude::*};
    /// # use sea_dao::sea_orm::{QuerySelect, sea_query::LockType};
    /// # use entities::user;
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<Option<user::Model>> {
    /// users.query().eq(user::Column::Id, 1).select(|select| select.lock(LockType::Update)).first().await
    /// # }
    /// ```
    pub fn select(mut self, change: impl FnOnce(Select<E>) -> Select<E>) -> Self {
        self.select = change(self.select);
        self.shaped = true;
        self
    }

    /// SeaORM's own builder with all conditions, to be run on a [`Session`](crate::Session) or
    /// [`Database`](crate::Database).
    pub fn into_select(self) -> Select<E> {
        let conditions = self.scope.into_conditions();
        if conditions.is_empty() { self.select } else { self.select.filter(conditions) }
    }

    /// The statement, without running it.
    #[must_use]
    pub fn build(&self, backend: DbBackend) -> Statement {
        self.clone().into_select().build(backend)
    }

    /// All rows.
    ///
    /// # Errors
    ///
    /// Those of a statement: [`Error::PoolTimeout`], [`Error::Database`] and the others of [`crate::Session::begin`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; in a transaction it aborts the transaction when the statement was under way.
    /// The same holds for all methods that run the query.
    pub async fn all(self) -> Result<Vec<E::Model>> {
        if self.scope.never {
            return Ok(Vec::new());
        }
        let session = self.scope.read_session();
        self.into_select().all(&session).await.map_err(failed::<E>)
    }

    /// All rows as another type, for queries whose columns are not those of the entity.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn all_as<M: FromQueryResult + Send>(self) -> Result<Vec<M>> {
        if self.scope.never {
            return Ok(Vec::new());
        }
        let session = self.scope.read_session();
        self.into_select().into_model::<M>().all(&session).await.map_err(failed::<E>)
    }

    /// Some columns of all rows, as tuples.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn values<T>(self, columns: impl IntoIterator<Item = E::Column>) -> Result<Vec<T>>
    where
        T: TryGetableMany + Send,
    {
        let columns: Vec<_> = columns.into_iter().collect();
        if self.scope.never {
            return Ok(Vec::new());
        }
        let session = self.scope.read_session();
        let select = self.into_select().select_only().columns(columns);
        select.into_tuple::<T>().all(&session).await.map_err(failed::<E>)
    }

    /// The first row, if there is one. Sends LIMIT 1.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn first(self) -> Result<Option<E::Model>> {
        if self.scope.never {
            return Ok(None);
        }
        let session = self.scope.read_session();
        self.into_select().one(&session).await.map_err(failed::<E>)
    }

    /// The only row.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none, [`Error::NotUnique`] when there are more; else as [`all`](Self::all).
    pub async fn one(self) -> Result<E::Model> {
        let mut rows = self.limit(2).all().await?;
        match (rows.pop(), rows.pop()) {
            (None, _) => Err(Error::NotFound { entity: table::<E>(), key: "these conditions".to_owned() }),
            (Some(row), None) => Ok(row),
            (Some(_), Some(_)) => Err(Error::NotUnique { entity: table::<E>() }),
        }
    }

    /// Whether there is any row. Reads no columns and at most one row.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn exists(self) -> Result<bool> {
        if self.scope.never {
            return Ok(false);
        }
        let session = self.scope.read_session();
        let shaped = self.shaped;
        let mut statement = self.into_select().into_query();
        if !shaped {
            statement.clear_selects().expr(Expr::cust("1"));
        }
        statement.limit(1);
        let row = session.query_one(&statement).await.map_err(failed::<E>)?;
        Ok(row.is_some())
    }

    /// How many rows there are.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn count(self) -> Result<u64> {
        if !self.shaped {
            return CountBuilder::new(self.scope).run().await;
        }
        if self.scope.never {
            return Ok(0);
        }
        let session = self.scope.read_session();
        let rows = self.into_select().into_query();
        let count = SelectStatement::new().expr(Expr::cust("COUNT(*)")).from_subquery(rows, "counted").to_owned();
        let row = session.query_one(&count).await.map_err(failed::<E>)?;
        row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0).map(i64::unsigned_abs).map_err(failed::<E>))
    }

    /// Page `page`, counted from 1, of `per_page` rows, and the number of all rows.
    ///
    /// Without an order that tells all rows apart, rows may appear on two pages or on none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for page 0 or a size that is not within 1 to [`MAX_PAGE_SIZE`](super::MAX_PAGE_SIZE);
    /// else as [`all`](Self::all).
    pub async fn page(self, page: u64, per_page: u64) -> Result<Page<E::Model>> {
        let offset = offset(page, per_page)?;
        let total = self.clone().count().await?;
        let items = if offset < total { self.limit(per_page).offset(offset).all().await? } else { Vec::new() };
        Ok(Page { items, total, page, per_page })
    }

    /// The sum of a column of integers; 0 without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn sum(self, column: E::Column) -> Result<i64> {
        let kind = integer_type(self.scope.read_session().backend());
        let sum = Func::sum(column.into_simple_expr());
        Ok(self.aggregate(Expr::expr(sum).cast_as(kind)).await?.unwrap_or(0))
    }

    /// The average of a column of numbers; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn avg(self, column: E::Column) -> Result<Option<f64>> {
        let kind = float_type(self.scope.read_session().backend());
        let average = Func::avg(column.into_simple_expr());
        self.aggregate(Expr::expr(average).cast_as(kind)).await
    }

    /// The smallest value of a column; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn min<V: TryGetable + Send>(self, column: E::Column) -> Result<Option<V>> {
        self.aggregate(Func::min(column.into_simple_expr()).into()).await
    }

    /// The largest value of a column; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn max<V: TryGetable + Send>(self, column: E::Column) -> Result<Option<V>> {
        self.aggregate(Func::max(column.into_simple_expr()).into()).await
    }

    async fn aggregate<V: TryGetable + Send>(self, of: Expr) -> Result<Option<V>> {
        if self.scope.never {
            return Ok(None);
        }
        let session = self.scope.read_session();
        let mut statement = self.into_select().into_query();
        statement.clear_selects().clear_order_by().expr(of);
        let row = session.query_one(&statement).await.map_err(failed::<E>)?;
        row.map_or(Ok(None), |row| row.try_get_by_index::<Option<V>>(0).map_err(failed::<E>))
    }
}

fn failed<E: EntityTrait>(error: sea_orm::DbErr) -> Error {
    Error::from(error).during("select", table::<E>())
}
