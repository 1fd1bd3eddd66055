//! SELECT: what is asked for.

use std::sync::Arc;

use sea_orm::{
    DbBackend, DbErr, EntityTrait, FromQueryResult, IntoSimpleExpr, QueryResult, QuerySelect, QueryTrait, RelationDef,
    Select, Statement, StatementBuilder,
    sea_query::{IntoCondition, LogicalChainOper, SelectStatement},
};

use super::{
    Scope,
    limit::has_limit,
    lock::Lock,
    order::OrderTerm,
    projection::find,
    scope::{conditions_in_scope, deleted_rows, on_primary},
};
use crate::{
    backend::{Models, has_distinct_on},
    error::{Error, Result},
    session::Session,
};

/// A query on the rows of `E`, read as `M`: the entity's model, or what [`into_model`](Self::into_model) says.
///
/// Made by [`BaseDao::query`](crate::BaseDao::query); the conditions come from the trait
/// [`Conditions`](super::Conditions). A builder can be cloned and run more than once.
#[must_use = "a query does nothing until it is run"]
pub struct QueryBuilder<E: EntityTrait, M = <E as EntityTrait>::Model> {
    pub(super) scope: Scope<E>,
    /// `None` for the plain `E::find()`.
    pub(super) select: Option<Box<Select<E>>>,
    pub(super) orders: Vec<OrderTerm>,
    distinct_on: Vec<E::Column>,
    pub(super) limit: Option<u64>,
    pub(super) offset: Option<u64>,
    pub(super) lock: Option<Lock>,
    /// Other tables take part.
    pub(super) joined: bool,
    /// DISTINCT, GROUP BY, or something of the caller's: rows can only be counted from outside.
    pub(super) shaped: bool,
    /// GROUP BY: a row is not a row of the table any more.
    pub(super) grouped: bool,
    /// Changed through SeaORM's own builder: nobody knows how.
    pub(super) custom: bool,
    /// Makes what reads the rows of a result.
    pub(super) reader: fn() -> RowReader<M>,
}

conditions_in_scope!(QueryBuilder, M);

impl<E: EntityTrait, M> Clone for QueryBuilder<E, M> {
    fn clone(&self) -> Self {
        let Self { scope, select, orders, distinct_on, limit, offset, lock, joined, shaped, grouped, custom, reader } =
            self;
        Self {
            scope: scope.clone(),
            select: select.clone(),
            orders: orders.clone(),
            distinct_on: distinct_on.clone(),
            limit: *limit,
            offset: *offset,
            lock: *lock,
            joined: *joined,
            shaped: *shaped,
            grouped: *grouped,
            custom: *custom,
            reader: *reader,
        }
    }
}

/// Reads the rows of one result, one after the other.
pub(super) type RowReader<M> = Box<dyn FnMut(&QueryResult) -> Result<M, DbErr> + Send>;

fn model_reader<E: EntityTrait>() -> RowReader<E::Model> {
    let mut models = Models::<E>::new();
    Box::new(move |row| models.read(row))
}

impl<E: EntityTrait> QueryBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self {
            scope,
            select: None,
            orders: Vec::new(),
            distinct_on: Vec::new(),
            limit: None,
            offset: None,
            lock: None,
            joined: false,
            shaped: false,
            grouped: false,
            custom: false,
            reader: model_reader::<E>,
        }
    }
}

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    deleted_rows!(scope.deleted);
    on_primary!();

    /// Reads the rows as another type: a projection, groups, columns of joined tables. The columns are found by their
    /// names.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use sea_dao::sea_orm::{ColumnTrait, FromQueryResult, QuerySelect};
    /// # use entities::user;
    /// #[derive(FromQueryResult)]
    /// struct PerStatus { status: i16, users: i64 }
    ///
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<Vec<PerStatus>> {
    /// users.query()
    ///     .select(|select| select.select_only().column(user::Column::Status).column_as(user::Column::Id.count(), "users"))
    ///     .group_by(user::Column::Status)
    ///     .into_model::<PerStatus>()
    ///     .all().await
    /// # }
    /// ```
    pub fn into_model<N: FromQueryResult + Send>(self) -> QueryBuilder<E, N> {
        let Self { scope, select, orders, distinct_on, limit, offset, lock, joined, shaped, grouped, custom, .. } =
            self;
        let reader = || -> RowReader<N> { Box::new(|row| N::from_query_result(row, "")) };
        QueryBuilder {
            scope,
            select,
            orders,
            distinct_on,
            limit,
            offset,
            lock,
            joined,
            shaped,
            grouped,
            custom,
            reader,
        }
    }

    /// Each row once.
    pub fn distinct(mut self) -> Self {
        self = self.change(QuerySelect::distinct);
        self.shaped = true;
        self
    }

    /// The first row, by the query's order, of those that are equal in these columns; the order begins with them.
    ///
    /// Only PostgreSQL has it; elsewhere it is [`Error::Unsupported`] when the query is run.
    pub fn distinct_on(mut self, columns: impl IntoIterator<Item = E::Column>) -> Self {
        self.distinct_on = columns.into_iter().collect();
        self.shaped = true;
        self
    }

    /// One row for each value of a column or expression. Say with [`select`](Self::select) which columns are wanted, and
    /// with [`into_model`](Self::into_model) as what they are read.
    pub fn group_by(mut self, by: impl IntoSimpleExpr) -> Self {
        self = self.change(|select| select.group_by(by));
        self.shaped = true;
        self.grouped = true;
        self
    }

    /// A condition on groups.
    pub fn having(mut self, condition: impl IntoCondition) -> Self {
        self = self.change(|select| select.having(condition));
        self.shaped = true;
        self
    }

    /// Joins along a relation. A row comes as often as the joined table has rows for it: to ask only whether there is one,
    /// take [`has_related`](super::Conditions::has_related). Of the joined table, rows that are marked as deleted are among
    /// them; `has_related` leaves them out.
    pub fn join(mut self, join: sea_orm::JoinType, relation: RelationDef) -> Self {
        self = self.change(|select| select.join(join, relation));
        self.joined = true;
        self
    }

    /// Goes on with SeaORM's own builder.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use sea_dao::sea_orm::{JoinType, QuerySelect, RelationTrait};
    /// # use entities::{customer_order, user};
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<Vec<user::Model>> {
    /// users.query().select(|select| select.join(JoinType::LeftJoin, user::Relation::CustomerOrder.def())).all().await
    /// # }
    /// ```
    pub fn select(mut self, change: impl FnOnce(Select<E>) -> Select<E>) -> Self {
        let orders = std::mem::take(&mut self.orders);
        self = self.change(|mut select| {
            for term in orders {
                term.add_to(QueryTrait::query(&mut select));
            }
            change(select)
        });
        self.shaped = true;
        self.custom = true;
        self
    }

    /// SeaORM's own builder with all conditions, to be run on a [`Session`](crate::Session) or
    /// [`Database`](crate::Database) of the same kind.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what this database does not have, [`Error::InvalidArgument`] for an argument that cannot
    /// be used.
    pub fn into_select(self) -> Result<Select<E>> {
        let backend = self.scope.read_session().backend();
        let (select, rest) = self.into_parts();
        let mut select = select.map_or_else(E::find, |select| *select);
        rest.add_to(QueryTrait::query(&mut select), backend, Share::Part)?;
        Ok(select)
    }

    /// The statement, without running it. It is made from a copy of the builder;
    /// [`into_statement`](Self::into_statement) does without.
    ///
    /// # Errors
    ///
    /// As [`into_select`](Self::into_select).
    pub fn build(&self, backend: DbBackend) -> Result<Statement> {
        self.clone().into_statement(backend)
    }

    /// The statement that runs the query: what all methods that run it build.
    ///
    /// # Errors
    ///
    /// As [`into_select`](Self::into_select).
    pub fn into_statement(self, backend: DbBackend) -> Result<Statement> {
        Ok(StatementBuilder::build(&self.into_whole(backend)?, &backend))
    }

    /// The statement when no more conditions come.
    pub(super) fn into_whole(self, backend: DbBackend) -> Result<SelectStatement> {
        let plain = if self.select.is_none() { find::<E>(backend) } else { None };
        let Some(mut statement) = plain else { return self.into_sea_query(backend) };
        self.add_to(&mut statement, backend, Share::Whole)?;
        Ok(statement)
    }

    pub(super) fn into_sea_query(self, backend: DbBackend) -> Result<SelectStatement> {
        let (select, rest) = self.into_parts();
        let plain = || find::<E>(backend).unwrap_or_else(|| E::find().into_query());
        let mut statement = select.map_or_else(plain, |select| select.into_query());
        rest.add_to(&mut statement, backend, Share::Part)?;
        Ok(statement)
    }

    pub(super) fn change(mut self, change: impl FnOnce(Select<E>) -> Select<E>) -> Self {
        let select = self.select.take().map_or_else(E::find, |select| *select);
        self.select = Some(Box::new(change(select)));
        self
    }

    /// What SeaORM's builder holds, and what is added to it at last.
    fn into_parts(mut self) -> (Option<Box<Select<E>>>, Self) {
        (self.select.take(), self)
    }

    fn add_to(self, statement: &mut SelectStatement, backend: DbBackend, share: Share) -> Result<()> {
        let Self { scope, orders, distinct_on, limit, offset, lock, .. } = self;
        let conditions = scope.into_conditions(backend)?;
        match share {
            _ if conditions.is_empty() => {}
            Share::Part => {
                statement.cond_where(conditions);
            }
            // Written as it is; a condition would be copied first.
            Share::Whole => {
                statement.and_or_where(LogicalChainOper::And(conditions.into()));
            }
        }
        if !distinct_on.is_empty() {
            if !has_distinct_on(backend) {
                return Err(Error::unsupported("distinct_on on this database; group_by and min or max may do"));
            }
            statement.distinct_on(distinct_on.into_iter().map(|column| sea_orm::ColumnTrait::as_column_ref(&column)));
        }
        for term in orders {
            term.add_to(statement);
        }
        if let Some(rows) = offset {
            statement.offset(rows);
            if limit.is_none() && !has_limit(statement) {
                // Not every database knows OFFSET without LIMIT.
                statement.limit(i64::MAX.unsigned_abs());
            }
        }
        if let Some(rows) = limit {
            statement.limit(rows);
        }
        if let Some(lock) = lock {
            lock.add_to(statement, backend)?;
        }
        Ok(())
    }

    /// Reads only these columns.
    pub(super) fn selecting(self, columns: &[E::Column]) -> Self {
        self.change(|select| select.select_only().columns(columns.iter().copied()))
    }

    /// On a session of its own or of the caller's, for several statements on one connection.
    pub(super) fn pinned(self) -> (Session, Self) {
        let session = self.scope.reading_session();
        let query = self.on(&session);
        (session, query)
    }

    /// On this session.
    pub(super) fn on(mut self, session: &Session) -> Self {
        self.scope.provider = Arc::new(session.share());
        self
    }

    pub(super) fn is_distinct_on(&self) -> bool {
        !self.distinct_on.is_empty()
    }

    /// Whether the rows are those that match the conditions, neither fewer nor others.
    pub(super) fn is_plain(&self) -> bool {
        !self.shaped && self.limit.is_none() && self.offset.is_none()
    }
}

/// What the conditions of a query are among those of its statement.
#[derive(Debug, Clone, Copy)]
enum Share {
    /// Others may be there, or come.
    Part,
    Whole,
}

/// Whether there is an ORDER BY.
pub(super) fn has_order(statement: &SelectStatement) -> bool {
    let mut without = statement.clone();
    without.clear_order_by();
    without != *statement
}

/// Whether each row comes once.
pub(super) fn is_distinct(statement: &SelectStatement) -> bool {
    let mut distinct = statement.clone();
    distinct.distinct();
    distinct == *statement
}
