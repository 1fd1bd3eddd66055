//! DELETE of many rows, soft where the entity has the column for it.

use sea_orm::{
    DbBackend, EntityTrait, Statement, StatementBuilder,
    sea_query::{DeleteStatement, UpdateStatement},
};

use super::{
    Scope,
    scope::{conditions_in_scope, deleted_rows, table},
};
use crate::{
    convention::{moment_for, now},
    error::Result,
    session::Kind,
};

/// A deletion of all rows of `E` that match.
///
/// An entity with `deleted_at` keeps its rows: they are marked as deleted. [`hard`](Self::hard) removes them.
#[must_use = "a deletion does nothing until it is run"]
pub struct DeleteBuilder<E: EntityTrait> {
    scope: Scope<E>,
    all_rows: bool,
    hard: bool,
    /// Only what soft deletion has marked is meant to go.
    purges: bool,
}

conditions_in_scope!(DeleteBuilder);

impl<E: EntityTrait> Clone for DeleteBuilder<E> {
    fn clone(&self) -> Self {
        Self { scope: self.scope.clone(), all_rows: self.all_rows, hard: self.hard, purges: self.purges }
    }
}

enum Deletion {
    Soft(UpdateStatement),
    Hard(DeleteStatement),
}

impl<E: EntityTrait> DeleteBuilder<E> {
    pub(crate) fn new(scope: Scope<E>) -> Self {
        Self { scope, all_rows: false, hard: false, purges: false }
    }

    /// Of rows that are marked as deleted, for good.
    pub(crate) fn purging(scope: Scope<E>) -> Self {
        Self { scope: scope.only_deleted(), all_rows: false, hard: true, purges: true }
    }

    deleted_rows!(scope.deleted);

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
    /// [`Error::MissingCondition`](crate::Error::MissingCondition) without a condition,
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for an argument that cannot be used,
    /// [`Error::Unsupported`](crate::Error::Unsupported) for what this database does not have, and to purge an entity
    /// without soft deletion.
    pub fn build(&self, backend: DbBackend) -> Result<Statement> {
        Ok(match self.deletion(backend)? {
            Deletion::Soft(statement) => StatementBuilder::build(&statement, &backend),
            Deletion::Hard(statement) => StatementBuilder::build(&statement, &backend),
        })
    }

    fn deletion(&self, backend: DbBackend) -> Result<Deletion> {
        if self.purges {
            self.scope.require_soft_deletion("purge")?;
        }
        self.scope.require_condition(self.operation(), self.all_rows)?;
        let conditions = self.scope.all_conditions(backend)?;
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
        if let Some(moment) = moment_for::<E>(deleted_at, now) {
            statement.value(deleted_at, moment);
        }
        for (column, expression) in self.scope.columns.touch(now, |_| false)? {
            statement.value(column, expression);
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
    /// Those of [`build`](Self::build); else the failure of the statement.
    ///
    /// # Cancel safety
    ///
    /// Dropped while the statement is under way, it is not known whether the deletion took effect; in a transaction the
    /// transaction is aborted.
    pub async fn exec(self) -> Result<u64> {
        let operation = self.operation();
        let session = self.scope.session();
        let statement = self.build(session.backend())?;
        if self.scope.never {
            return Ok(0);
        }
        self.scope
            .execute(session, Kind::Delete, statement)
            .await
            .map_err(|error| error.during(operation, table::<E>()))
    }

    fn operation(&self) -> &'static str {
        if self.purges { "purge" } else { "delete" }
    }
}
