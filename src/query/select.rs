//! SELECT.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, EntityTrait, FromQueryResult, IntoSimpleExpr, Order, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, RelationDef, Select, Statement, TryGetableMany,
    sea_query::{Expr, IntoCondition, SelectStatement},
};

use super::{
    CountBuilder, Page, Scope,
    page::offset,
    scope::{conditions_in_scope, deleted_rows, table},
};
use crate::error::{Error, Result};

/// A query on the rows of `E`.
///
/// Made by [`BaseDao::query`](crate::BaseDao::query); the conditions come from the trait
/// [`Conditions`](super::Conditions). A builder can be
/// cloned and run more than once.
#[must_use = "a query does nothing until it is run"]
pub struct QueryBuilder<E: EntityTrait> {
    pub(super) scope: Scope<E>,
    select: Select<E>,
    limit: Option<u64>,
    offset: Option<u64>,
    /// Other tables take part.
    joined: bool,
    /// DISTINCT, GROUP BY, or something of the caller's: rows can only be counted from outside.
    shaped: bool,
    /// GROUP BY: a row is not a row of the table any more.
    pub(super) grouped: bool,
}

conditions_in_scope!(QueryBuilder);

impl<E: EntityTrait> Clone for QueryBuilder<E> {
    fn clone(&self) -> Self {
        let Self { scope, select, limit, offset, joined, shaped, grouped } = self;
        let (scope, select) = (scope.clone(), select.clone());
        Self { scope, select, limit: *limit, offset: *offset, joined: *joined, shaped: *shaped, grouped: *grouped }
    }
}

impl<E: EntityTrait> QueryBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        let select = E::find();
        Self { scope, select, limit: None, offset: None, joined: false, shaped: false, grouped: false }
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
        self.limit = Some(rows);
        self
    }

    /// Leaves out the first rows.
    pub fn offset(mut self, rows: u64) -> Self {
        self.offset = Some(rows);
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
        self.grouped = true;
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
        self.joined = true;
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
        let mut select = if conditions.is_empty() { self.select } else { self.select.filter(conditions) };
        if let Some(rows) = self.offset {
            select = select.offset(rows);
            if self.limit.is_none() && !has_limit(&select) {
                // Not every database knows OFFSET without LIMIT.
                select = select.limit(i64::MAX.unsigned_abs());
            }
        }
        match self.limit {
            Some(rows) => select.limit(rows),
            None => select,
        }
    }

    /// Whether no row can match, so that nothing needs to be sent.
    pub(super) fn is_empty(&self) -> bool {
        self.scope.never || self.limit == Some(0)
    }

    /// Whether the rows are those that match the conditions, neither fewer nor others.
    pub(super) fn is_plain(&self) -> bool {
        !self.shaped && self.limit.is_none() && self.offset.is_none()
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
        if self.is_empty() {
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
        if self.is_empty() {
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
        if self.is_empty() {
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
        if self.is_empty() {
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
        let most = self.limit.map_or(2, |rows| Ord::min(rows, 2));
        let mut rows = self.limit(most).all().await?;
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
        if self.is_empty() {
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
        let plain = self.is_plain();
        if plain && !self.joined {
            return CountBuilder::new(self.scope).run().await;
        }
        if self.is_empty() {
            return Ok(0);
        }
        let session = self.scope.read_session();
        let mut rows = self.into_select().into_query();
        let counted = Expr::cust("COUNT(*)");
        let count = if plain {
            rows.clear_selects().clear_order_by().expr(counted).to_owned()
        } else {
            SelectStatement::new().expr(counted).from_subquery(rows, MATCHING).to_owned()
        };
        let row = session.query_one(&count).await.map_err(failed::<E>)?;
        row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0).map(i64::unsigned_abs).map_err(failed::<E>))
    }

    /// Page `page`, counted from 1, of `per_page` rows, and the number of all rows.
    ///
    /// Without an order that tells all rows apart, rows may appear on two pages or on none. A limit and an offset of the
    /// query give way to those of the page.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for page 0 or a size that is not within 1 to [`MAX_PAGE_SIZE`](super::MAX_PAGE_SIZE);
    /// else as [`all`](Self::all).
    pub async fn page(mut self, page: u64, per_page: u64) -> Result<Page<E::Model>> {
        let offset = offset(page, per_page)?;
        (self.limit, self.offset) = (None, None);
        let total = self.clone().count().await?;
        let items = if offset < total { self.limit(per_page).offset(offset).all().await? } else { Vec::new() };
        Ok(Page { items, total, page, per_page })
    }
}

/// The name of a query whose rows are counted or added up.
pub(super) const MATCHING: &str = "matching";

/// Whether a limit has been set on SeaORM's builder itself, which does not tell.
fn has_limit<E: EntityTrait>(select: &Select<E>) -> bool {
    let mut without = QueryTrait::as_query(select).clone();
    without.reset_limit();
    without != *QueryTrait::as_query(select)
}

pub(super) fn failed<E: EntityTrait>(error: DbErr) -> Error {
    Error::from(error).during("select", table::<E>())
}
