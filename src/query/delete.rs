//! DELETE of many rows, soft where the entity has the column for it.

use sea_orm::{
    ConnectionTrait, DbBackend, EntityTrait, ExecResult, Statement, StatementBuilder,
    sea_query::{DeleteStatement, UpdateStatement},
};

use super::{
    Scope,
    scope::{conditions_in_scope, deleted_rows, table},
};
use crate::{
    convention::{moment_for, now},
    error::{Error, Result},
};

/// A deletion of all rows of `E` that match.
///
/// An entity with `deleted_at` keeps its rows: they are marked as deleted. [`hard`](Self::hard) removes them.
#[must_use = "a deletion does nothing until it is run"]
pub struct DeleteBuilder<E: EntityTrait> {
    scope: Scope<E>,
    all_rows: bool,
    hard: bool,
}

conditions_in_scope!(DeleteBuilder);

impl<E: EntityTrait> Clone for DeleteBuilder<E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), all_rows: self.all_rows, hard: self.hard }
    }
}

enum Deletion {
    Soft(UpdateStatement),
    Hard(DeleteStatement),
}

impl<E: EntityTrait> DeleteBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self { scope, all_rows: false, hard: false }
    }

    deleted_rows!();

    /// Removes the rows, also from an entity with soft deletion. Rows that are marked as deleted are still left out,
    /// unless [`with_deleted`](Self::with_deleted) or [`only_deleted`](Self::only_deleted) takes them in.
    pub fn hard(mut self) -> Self {
        self.hard = true;
        self
    }

    /// Says that a deletion without a condition is meant.
    pub fn all_rows(mut self) -> Self {
        self.all_rows = true;
        self
    }

    /// The statement, without running it.
    ///
    /// # Errors
    ///
    /// [`Error::MissingCondition`] without a condition.
    pub fn build(&self, backend: DbBackend) -> Result<Statement> {
        Ok(match self.deletion()? {
            Deletion::Soft(statement) => StatementBuilder::build(&statement, &backend),
            Deletion::Hard(statement) => StatementBuilder::build(&statement, &backend),
        })
    }

    fn deletion(&self) -> Result<Deletion> {
        self.scope.require_condition("delete", self.all_rows)?;
        let conditions = self.scope.all_conditions();
        let soft = self.scope.columns.deleted_at.filter(|_| !self.hard);
        let Some(deleted_at) = soft else {
            let mut statement = DeleteStatement::new();
            statement.from_table(E::default().table_ref());
            if !conditions.is_empty() {
                statement.cond_where(conditions);
            }
            return Ok(Deletion::Hard(statement));
        };
        let mut statement = UpdateStatement::new();
        statement.table(E::default().table_ref());
        let now = now();
        for column in [Some(deleted_at), self.scope.columns.updated_at].into_iter().flatten() {
            if let Some(moment) = moment_for::<E>(column, now) {
                statement.value(column, moment);
            }
        }
        if !conditions.is_empty() {
            statement.cond_where(conditions);
        }
        Ok(Deletion::Soft(statement))
    }

    /// Runs the deletion and gives the number of rows that matched.
    ///
    /// # Errors
    ///
    /// [`Error::MissingCondition`] without a condition; else the failure of the statement.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the statement is under way, it is not known whether the deletion took effect; in a transaction the
    /// transaction is aborted.
    pub async fn exec(self) -> Result<u64> {
        let deletion = self.deletion()?;
        if self.scope.never {
            return Ok(0);
        }
        let session = self.scope.session();
        let result = match deletion {
            Deletion::Soft(statement) => session.execute(&statement).await,
            Deletion::Hard(statement) => session.execute(&statement).await,
        };
        let affected = result.as_ref().map_or(0, ExecResult::rows_affected);
        result.map_err(|error| Error::from(error).during("delete", table::<E>()))?;
        Ok(affected)
    }
}
