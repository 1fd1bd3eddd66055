//! UPDATE of many rows.

use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, IdenStatic, Statement, StatementBuilder, Value,
    sea_query::{Expr, UpdateStatement},
};

use super::{
    Scope,
    scope::{conditions_in_scope, deleted_rows, table},
};
use crate::{
    convention::now,
    error::{Error, Result},
    session::Kind,
};

/// An update of all rows of `E` that match.
///
/// `updated_at` and `updater_id` are set with it, and with optimistic locking the version is raised, unless the caller
/// sets them. Deleted rows are left out.
///
/// ```
/// # use sea_dao::{BaseDao, Result, prelude::*};
/// # use entities::user;
/// # async fn example(users: BaseDao<user::Entity>) -> Result<u64> {
/// users.update_where().eq(user::Column::Status, 0).set(user::Column::Status, 1).exec().await
/// # }
/// ```
#[must_use = "an update does nothing until it is run"]
pub struct UpdateBuilder<E: EntityTrait> {
    scope: Scope<E>,
    sets: Vec<(E::Column, Expr)>,
    all_rows: bool,
}

conditions_in_scope!(UpdateBuilder);

impl<E: EntityTrait> Clone for UpdateBuilder<E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), sets: self.sets.clone(), all_rows: self.all_rows }
    }
}

impl<E: EntityTrait> UpdateBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self { scope, sets: Vec::new(), all_rows: false }
    }

    deleted_rows!(scope.deleted);

    /// Sets a column to a value.
    pub fn set(self, column: E::Column, value: impl Into<Value>) -> Self {
        self.set_expr(column, Expr::val(value.into()))
    }

    /// Sets a column to an expression, such as the column itself plus one.
    pub fn set_expr(mut self, column: E::Column, expression: Expr) -> Self {
        self.sets.retain(|(other, _)| other.as_str() != column.as_str());
        self.sets.push((column, column.save_as(expression)));
        self
    }

    /// Says that an update without a condition is meant.
    pub fn all_rows(mut self) -> Self {
        self.all_rows = true;
        self
    }

    /// The statement, without running it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when nothing is set or an argument cannot be used, [`Error::MissingCondition`] without a
    /// condition, [`Error::Unsupported`] for what this database does not have.
    pub fn build(&self, backend: DbBackend) -> Result<Statement> {
        Ok(StatementBuilder::build(&self.statement(backend)?, &backend))
    }

    fn statement(&self, backend: DbBackend) -> Result<UpdateStatement> {
        if self.sets.is_empty() {
            let expected = "at least one column set".to_owned();
            return Err(Error::InvalidArgument { argument: "update", value: "no columns".to_owned(), expected });
        }
        self.scope.require_condition("update", self.all_rows)?;
        let mut statement = UpdateStatement::new();
        statement.table(E::default().table_ref());
        for (column, expression) in &self.sets {
            statement.value(*column, expression.clone());
        }
        let given = |column: E::Column| self.sets.iter().any(|(other, _)| other.as_str() == column.as_str());
        for (column, expression) in self.scope.columns.touch(now(), given)? {
            statement.value(column, expression);
        }
        let conditions = self.scope.all_conditions(backend)?;
        if !conditions.is_empty() {
            statement.cond_where(conditions);
        }
        Ok(statement)
    }

    /// Runs the update and gives the number of rows that matched.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build); else the failure of the statement.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the statement is under way, it is not known whether the update took effect; in a transaction the
    /// transaction is aborted.
    pub async fn exec(self) -> Result<u64> {
        let session = self.scope.session();
        let statement = self.build(session.backend())?;
        if self.scope.never {
            return Ok(0);
        }
        self.scope.execute(session, Kind::Update, statement).await.map_err(|error| error.during("update", table::<E>()))
    }
}
