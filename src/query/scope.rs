//! What the builders have in common: where the session comes from, the conditions, and which rows exist at all.

use std::sync::Arc;

use sea_orm::{ColumnTrait, Condition, EntityTrait};

use super::conditions::never;
use crate::{
    convention::ConventionColumns,
    error::{Error, Result},
    session::{Session, SessionProvider},
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

/// What the builders have in common.
pub(crate) struct Scope<E: EntityTrait> {
    pub(crate) provider: Arc<dyn SessionProvider>,
    pub(crate) columns: ConventionColumns<E>,
    pub(super) condition: Condition,
    pub(super) deleted: DeletedRows,
    /// No row can match: nothing needs to be sent.
    pub(super) never: bool,
}

impl<E: EntityTrait> Clone for Scope<E> {
    fn clone(&self) -> Self {
        Self {
            provider: self.provider.clone(),
            columns: self.columns,
            condition: self.condition.clone(),
            deleted: self.deleted,
            never: self.never,
        }
    }
}

impl<E: EntityTrait> Scope<E> {
    pub(crate) fn new(provider: Arc<dyn SessionProvider>, columns: ConventionColumns<E>) -> Self {
        Self { provider, columns, condition: Condition::all(), deleted: DeletedRows::default(), never: false }
    }

    pub(super) fn push(&mut self, condition: Condition) {
        let all = std::mem::replace(&mut self.condition, Condition::all());
        self.condition = all.add(condition);
    }

    pub(super) fn session(&self) -> Session {
        self.provider.session()
    }

    /// For one statement that reads: a session of its own gives its connection back before the rows are decoded.
    pub(super) fn read_session(&self) -> Session {
        self.provider.read_session().for_one_statement()
    }

    /// The caller's conditions, and the one that leaves deleted rows out.
    pub(super) fn all_conditions(&self) -> Condition {
        self.clone().into_conditions()
    }

    /// As [`all_conditions`](Self::all_conditions), without a copy.
    pub(super) fn into_conditions(self) -> Condition {
        let condition = self.condition;
        match (self.columns.deleted_at, self.deleted) {
            (None, DeletedRows::Only) => condition.add(never()),
            (None, _) | (_, DeletedRows::Included) => condition,
            (Some(column), DeletedRows::Excluded) => condition.add(column.is_null()),
            (Some(column), DeletedRows::Only) => condition.add(column.is_not_null()),
        }
    }

    /// # Errors
    ///
    /// [`Error::MissingCondition`] without any condition of the caller's.
    pub(super) fn require_condition(&self, operation: &'static str, all_rows: bool) -> Result<()> {
        if all_rows || !self.condition.is_empty() {
            return Ok(());
        }
        Err(Error::MissingCondition { operation, entity: table::<E>() })
    }
}

pub(super) fn table<E: EntityTrait>() -> &'static str {
    E::default().table_name()
}

/// Methods of every builder that say which rows exist.
macro_rules! deleted_rows {
    () => {
        /// Takes deleted rows in. Without soft deletion it changes nothing.
        pub fn with_deleted(mut self) -> Self {
            self.scope.deleted = $crate::query::DeletedRows::Included;
            self
        }

        /// Takes only deleted rows. Without soft deletion there are none.
        pub fn only_deleted(mut self) -> Self {
            self.scope.deleted = $crate::query::DeletedRows::Only;
            self
        }
    };
}

/// The conditions of a builder go to its scope.
macro_rules! conditions_in_scope {
    ($builder:ident) => {
        impl<E: sea_orm::EntityTrait> $crate::query::Conditions<E> for $builder<E> {
            fn push(&mut self, condition: sea_orm::Condition) {
                self.scope.push(condition);
            }

            fn push_never(&mut self) {
                self.scope.never = true;
            }
        }
    };
}

pub(super) use conditions_in_scope;
pub(super) use deleted_rows;
