//! What the builders have in common: where the session comes from, the conditions, and which rows exist at all.

use std::{panic::Location, sync::Arc};

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, Statement};

use super::{
    Clause,
    clause::{never, resolve},
};
use crate::{
    convention::{ConventionColumns, Conventions},
    error::{Error, Result},
    session::{CallbackList, Kind, Session, SessionProvider, caller},
};

/// Which rows exist for a query on an entity with soft deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeletedRows {
    /// Deleted rows are left out.
    #[default]
    Excluded,
    /// Deleted rows are rows like the others.
    Included,
    /// Only deleted rows.
    Only,
}

/// What a query leaves to those whose rows it brings along.
#[derive(Clone, Copy)]
pub struct Origin {
    conventions: Conventions,
    location: &'static Location<'static>,
}

impl Origin {
    pub(super) fn of<E: EntityTrait>(scope: &Scope<E>) -> Self {
        Self { conventions: scope.columns.conventions, location: scope.location }
    }
}

/// What the builders have in common.
pub(crate) struct Scope<E: EntityTrait> {
    pub(crate) provider: Arc<dyn SessionProvider>,
    pub(crate) columns: ConventionColumns<E>,
    /// For builders that write.
    pub(super) callbacks: CallbackList<E>,
    pub(super) clauses: Vec<Clause>,
    pub(super) deleted: DeletedRows,
    /// Reads go where writes go.
    pub(super) primary: bool,
    /// No row can match: nothing needs to be sent.
    pub(super) never: bool,
    /// The line that the statements come from.
    location: &'static Location<'static>,
}

impl<E: EntityTrait> Clone for Scope<E> {
    fn clone(&self) -> Self {
        let Self { provider, columns, callbacks, clauses, deleted, primary, never, location } = self;
        Self {
            provider: provider.clone(),
            columns: *columns,
            callbacks: callbacks.clone(),
            clauses: clauses.clone(),
            deleted: *deleted,
            primary: *primary,
            never: *never,
            location,
        }
    }
}

impl<E: EntityTrait> Scope<E> {
    #[track_caller]
    pub(crate) fn new(provider: Arc<dyn SessionProvider>, columns: ConventionColumns<E>) -> Self {
        let deleted = DeletedRows::default();
        let location = caller();
        let callbacks = CallbackList::default();
        Self { provider, columns, callbacks, clauses: Vec::new(), deleted, primary: false, never: false, location }
    }

    /// With what is done before and after a write.
    pub(crate) fn with_callbacks(self, callbacks: CallbackList<E>) -> Self {
        Self { callbacks, ..self }
    }

    /// For the rows of another entity that a query on `origin` brings along.
    pub(super) fn related(session: &Session, origin: Origin) -> Self {
        let Origin { conventions, location } = origin;
        let columns = ConventionColumns::of(conventions);
        Self { location, ..Self::new(Arc::new(session.share()), columns) }
    }

    pub(super) fn session(&self) -> Session {
        self.provider.session().located_at(self.location)
    }

    /// A session for several statements that read on one connection.
    pub(super) fn reading_session(&self) -> Session {
        let session = if self.primary { self.provider.session() } else { self.provider.read_session() };
        session.located_at(self.location)
    }

    /// For one statement that reads: a session of its own gives its connection back before the rows are decoded.
    pub(super) fn read_session(&self) -> Session {
        self.reading_session().for_one_statement()
    }

    /// The caller's conditions, and the one that leaves deleted rows out.
    pub(super) fn all_conditions(&self, backend: DbBackend) -> Result<Condition> {
        self.clone().into_conditions(backend)
    }

    /// As [`all_conditions`](Self::all_conditions), without a copy.
    pub(super) fn into_conditions(self, backend: DbBackend) -> Result<Condition> {
        let conditions = resolve(self.clauses, Condition::all(), backend)?;
        Ok(exclude_deleted(conditions, self.columns.deleted_at, self.deleted))
    }

    pub(super) fn only_deleted(mut self) -> Self {
        self.deleted = DeletedRows::Only;
        self
    }

    /// The column that marks deleted rows.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an entity without one.
    pub(super) fn require_soft_deletion(&self, operation: &'static str) -> Result<E::Column> {
        let missing = || {
            let what = "the entity has no soft deletion; Conventions::deleted_at names the column for it";
            Error::unsupported(format!("{operation}: {what}")).during(operation, table::<E>())
        };
        self.columns.deleted_at.ok_or_else(missing)
    }

    /// Runs a statement that writes, between its callbacks, and gives the number of rows.
    pub(super) async fn execute(&self, session: Session, kind: Kind, statement: Statement) -> Result<u64> {
        let guarded = self.callbacks.guard(session).await?;
        let written = self.execute_on(guarded.session(), kind, statement).await;
        guarded.end(written).await
    }

    async fn execute_on(&self, session: &Session, kind: Kind, statement: Statement) -> Result<u64> {
        if self.callbacks.is_empty() {
            return Ok(session.execute_raw(statement).await?.rows_affected());
        }
        self.callbacks.statement(session, kind, &statement, None).await?;
        let rows = session.execute_raw(statement.clone()).await?.rows_affected();
        self.callbacks.statement(session, kind, &statement, Some(rows)).await?;
        Ok(rows)
    }

    /// # Errors
    ///
    /// [`Error::MissingCondition`] without any condition of the caller's.
    pub(super) fn require_condition(&self, operation: &'static str, all_rows: bool) -> Result<()> {
        if all_rows || !self.clauses.is_empty() {
            return Ok(());
        }
        Err(Error::MissingCondition { operation, entity: table::<E>() })
    }
}

pub(super) fn table<E: EntityTrait>() -> &'static str {
    E::default().table_name()
}

/// The conditions, and the one that says which rows exist.
pub(super) fn exclude_deleted<C: ColumnTrait>(
    conditions: Condition,
    deleted_at: Option<C>,
    deleted: DeletedRows,
) -> Condition {
    match (deleted_at, deleted) {
        (None, DeletedRows::Only) => conditions.add(never()),
        (None, _) | (_, DeletedRows::Included) => conditions,
        (Some(column), DeletedRows::Excluded) => conditions.add(column.is_null()),
        (Some(column), DeletedRows::Only) => conditions.add(column.is_not_null()),
    }
}

/// Methods of every builder that say which rows exist.
macro_rules! deleted_rows {
    ($($deleted:ident).+) => {
        /// Takes deleted rows in. Without soft deletion it changes nothing.
        pub fn with_deleted(mut self) -> Self {
            self.$($deleted).+ = $crate::query::DeletedRows::Included;
            self
        }

        /// Takes only deleted rows. Without soft deletion there are none.
        pub fn only_deleted(mut self) -> Self {
            self.$($deleted).+ = $crate::query::DeletedRows::Only;
            self
        }
    };
}

/// The method of the builders that read.
macro_rules! on_primary {
    () => {
        /// Reads where writes go, [`SessionProvider::session`](crate::SessionProvider::session), and not on a replica:
        /// for what has to see the latest write.
        pub fn on_primary(mut self) -> Self {
            self.scope.primary = true;
            self
        }
    };
}

/// The conditions of a builder go to its scope.
macro_rules! conditions_in_scope {
    ($builder:ident $(, $model:ident)?) => {
        impl<E: sea_orm::EntityTrait $(, $model)?> $crate::query::Conditions<E> for $builder<E $(, $model)?> {
            fn push(&mut self, clause: $crate::query::Clause) {
                self.scope.clauses.push(clause);
            }

            fn push_never(&mut self) {
                self.scope.never = true;
            }

            fn conventions(&self) -> $crate::convention::Conventions {
                self.scope.columns.conventions
            }
        }
    };
}

pub(super) use conditions_in_scope;
pub(super) use deleted_rows;
pub(super) use on_primary;
