//! COUNT.

use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, IntoSimpleExpr, Statement, StatementBuilder,
    sea_query::{Expr, ExprTrait, Func, SelectStatement},
};

use super::{
    Scope,
    scope::{conditions_in_scope, deleted_rows, on_primary, table},
};
use crate::error::{Error, Result};

/// A count of the rows of `E`. It is run by `.await`.
///
/// ```
/// # use sea_dao::{BaseDao, Result, prelude::*};
/// # use entities::user;
/// # async fn example(users: BaseDao<user::Entity>) -> Result<()> {
/// let all = users.count().await?;
/// let active = users.count().eq(user::Column::Status, 1).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a count does nothing until it is awaited"]
pub struct CountBuilder<E: EntityTrait> {
    scope: Scope<E>,
    column: Option<E::Column>,
    distinct: bool,
}

conditions_in_scope!(CountBuilder);

impl<E: EntityTrait> Clone for CountBuilder<E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), column: self.column, distinct: self.distinct }
    }
}

impl<E: EntityTrait> CountBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self { scope, column: None, distinct: false }
    }

    deleted_rows!(scope.deleted);
    on_primary!();

    /// Counts the rows in which this column is not NULL.
    pub fn column(mut self, column: E::Column) -> Self {
        self.column = Some(column);
        self
    }

    /// Counts the different values of this column, NULL not among them.
    pub fn distinct(mut self, column: E::Column) -> Self {
        self.column = Some(column);
        self.distinct = true;
        self
    }

    /// The statement, without running it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for what this database does not have, [`Error::InvalidArgument`] for an argument that cannot
    /// be used.
    pub fn build(&self, backend: DbBackend) -> Result<Statement> {
        Ok(StatementBuilder::build(&self.statement(backend)?, &backend))
    }

    fn statement(&self, backend: DbBackend) -> Result<SelectStatement> {
        let counted = match self.column {
            None => Expr::cust("COUNT(*)"),
            Some(column) if self.distinct => Func::count_distinct(column.into_simple_expr()).into(),
            Some(column) => Expr::expr(column.into_simple_expr()).count(),
        };
        let mut statement = SelectStatement::new();
        statement.expr(counted).from(E::default().table_ref());
        let conditions = self.scope.all_conditions(backend)?;
        if !conditions.is_empty() {
            statement.cond_where(conditions);
        }
        Ok(statement)
    }

    pub(super) async fn run(self) -> Result<u64> {
        if self.scope.never {
            return Ok(0);
        }
        let failed = |error| Error::from(error).during("count", table::<E>());
        let session = self.scope.read_session();
        let statement = self.statement(session.backend())?;
        let row = session.query_one(&statement).await.map_err(failed)?;
        row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0).map(i64::unsigned_abs).map_err(failed))
    }
}

impl<E: EntityTrait> IntoFuture for CountBuilder<E> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'static, Result<u64>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
