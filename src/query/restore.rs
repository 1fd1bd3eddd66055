//! Restoring rows that are marked as deleted.

use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, IdenStatic, Statement, StatementBuilder, Value,
    sea_query::{Expr, UpdateStatement},
};

use super::{
    Scope,
    scope::{conditions_in_scope, table},
};
use crate::{
    convention::{no_moment_for, now},
    error::Result,
    session::Kind,
};

/// Restores all rows of `E` that match and are marked as deleted. `updated_at` and `updater_id` are set with it, and with
/// optimistic locking the version is raised.
///
/// ```
/// # use sea_dao::{BaseDao, Result, prelude::*};
/// # use entities::user;
/// # async fn example(users: BaseDao<user::Entity>, monday: sea_dao::sea_orm::prelude::DateTimeUtc) -> Result<u64> {
/// users.restore_where().ge(user::Column::DeletedAt, monday).exec().await
/// # }
/// ```
#[must_use = "nothing is restored until it is run"]
pub struct RestoreBuilder<E: EntityTrait> {
    scope: Scope<E>,
    sets: Vec<(E::Column, Value)>,
    all_rows: bool,
}

conditions_in_scope!(RestoreBuilder);

impl<E: EntityTrait> Clone for RestoreBuilder<E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), sets: self.sets.clone(), all_rows: self.all_rows }
    }
}

impl<E: EntityTrait> RestoreBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self { scope: scope.only_deleted(), sets: Vec::new(), all_rows: false }
    }

    /// Sets these columns as well.
    pub(crate) fn setting(mut self, sets: Vec<(E::Column, Value)>) -> Self {
        self.sets = sets;
        self
    }

    /// Says that all deleted rows are meant.
    pub fn all_rows(mut self) -> Self {
        self.all_rows = true;
        self
    }

    /// The statement, without running it.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`](crate::Error::Unsupported) for an entity without soft deletion, or what this database does not
    /// have; [`Error::MissingCondition`](crate::Error::MissingCondition) without a condition;
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an argument that cannot be used.
    pub fn build(&self, backend: DbBackend) -> Result<Statement> {
        Ok(StatementBuilder::build(&self.statement(backend)?, &backend))
    }

    pub(crate) fn statement(&self, backend: DbBackend) -> Result<UpdateStatement> {
        let deleted_at = self.scope.require_soft_deletion("restore")?;
        self.scope.require_condition("restore", self.all_rows)?;
        let mut statement = UpdateStatement::new();
        statement.table(E::default().table_ref());
        statement.value(deleted_at, no_moment_for::<E>(deleted_at));
        for (column, value) in &self.sets {
            statement.value(*column, column.save_as(Expr::val(value.clone())));
        }
        let given = |column: E::Column| self.sets.iter().any(|(other, _)| other.as_str() == column.as_str());
        for (column, expression) in self.scope.columns.touch(now(), given)? {
            statement.value(column, expression);
        }
        statement.cond_where(self.scope.all_conditions(backend)?);
        Ok(statement)
    }

    /// Restores the rows and gives their number.
    ///
    /// # Errors
    ///
    /// Those of [`build`](Self::build); else the failure of the statement, such as a unique violation where another row
    /// has taken what a restored one would need.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the statement is under way, it is not known whether it took effect; in a transaction the
    /// transaction is aborted.
    pub async fn exec(self) -> Result<u64> {
        let session = self.scope.session();
        let statement = self.statement(session.backend())?;
        if self.scope.never {
            return Ok(0);
        }
        let statement = StatementBuilder::build(&statement, &session.backend());
        let restored = self.scope.execute(session, Kind::Update, statement).await;
        restored.map_err(|error| error.during("restore", table::<E>()))
    }
}
