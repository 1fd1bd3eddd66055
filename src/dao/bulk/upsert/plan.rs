//! What an upsert does with which columns.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, ExprTrait, IdenStatic, ModelTrait, PrimaryKeyToColumn, Value,
    sea_query::{Expr, OnConflict},
};

use super::super::super::{BaseDao, key};
use crate::{
    convention::{is_null, no_moment_for, now},
    error::{Error, Result},
};

/// What an upsert does.
pub(super) struct Plan<E: EntityTrait> {
    pub(super) dao: BaseDao<E>,
    /// The columns that tell which row is in the way.
    pub(super) target: Vec<E::Column>,
    pub(super) change: Change<E>,
    /// Deleted rows that are in the way are restored.
    pub(super) restores: bool,
}

/// What is changed of a row that is there.
pub(super) enum Change<E: EntityTrait> {
    /// What the new row says, but for what belongs to the row that is there.
    AllGiven,
    Only(Vec<E::Column>),
    Nothing,
}

/// What is set in a row that is there.
pub(super) struct Sets<E: EntityTrait> {
    /// From the new row.
    pub(super) columns: Vec<E::Column>,
    /// The column that is emptied to restore the row.
    pub(super) restored: Option<E::Column>,
    /// Rows that are not deleted are left as they are.
    pub(super) only_deleted: bool,
}

impl<E: EntityTrait> Sets<E> {
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty() && self.restored.is_none()
    }
}

impl<E: EntityTrait> Plan<E> {
    pub(super) fn of(dao: BaseDao<E>) -> Self {
        Self { dao, target: key::columns::<E>().collect(), change: Change::AllGiven, restores: false }
    }

    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a target or columns that make no sense.
    pub(super) fn check(&self) -> Result<()> {
        if self.target.is_empty() {
            return Err(Error::argument("conflict target", "no columns", "the columns of a unique key"));
        }
        let Change::Only(columns) = &self.change else { return Ok(()) };
        if columns.is_empty() {
            let expected = "the columns to update; do_nothing() leaves the row as it is";
            return Err(Error::argument("update", "no columns", expected));
        }
        match columns.iter().find(|column| E::PrimaryKey::from_column(**column).is_some()) {
            Some(key) => Err(Error::argument("update", key.as_str(), "columns outside of the primary key")),
            None => Ok(()),
        }
    }

    /// What a row that writes these columns sets in the one that is in its way.
    pub(super) fn sets(&self, written: &[E::Column]) -> Sets<E> {
        let columns = &self.dao.columns;
        let touched = [columns.updated_at, columns.updater_id];
        let kept = [columns.created_at, columns.creator_id, columns.version()];
        let belongs = |column: &E::Column| {
            E::PrimaryKey::from_column(*column).is_some()
                || is_among(*column, &self.target)
                || touched.iter().chain(&kept).flatten().any(|other| is_among(*column, &[*other]))
        };
        let mut set: Vec<E::Column> = match &self.change {
            Change::AllGiven => written.iter().filter(|column| !belongs(column)).copied().collect(),
            Change::Only(only) => only.clone(),
            Change::Nothing => Vec::new(),
        };
        let only_deleted = set.is_empty();
        let restored = columns.deleted_at.filter(|column| self.restores && !is_among(*column, &set));
        if !set.is_empty() || restored.is_some() {
            for column in touched.into_iter().flatten() {
                if is_among(column, written) && !is_among(column, &set) {
                    set.push(column);
                }
            }
        }
        Sets { columns: set, restored, only_deleted }
    }

    /// The clause of an INSERT that writes these columns.
    pub(super) fn on_conflict(&self, written: &[E::Column]) -> Result<OnConflict> {
        let sets = self.sets(written);
        let mut clause = OnConflict::columns(self.target.iter().copied());
        if let Some(deleted_at) = self.dao.columns.deleted_at
            && !self.is_on_primary_key()
        {
            // It finds an index over all rows too. Without the table's name, which is not known there.
            clause.target_and_where(Expr::col(deleted_at).is_null());
        }
        if sets.is_empty() {
            clause.do_nothing();
            return Ok(clause);
        }
        clause.update_columns(sets.columns.iter().copied());
        if let Some(deleted_at) = sets.restored {
            clause.value(deleted_at, no_moment_for::<E>(deleted_at));
        }
        if let Some(version) = self.raised_version(&sets)? {
            let others = |column: E::Column| !is_among(column, &[version]);
            clause.values(self.dao.columns.touch(now(), others)?);
        }
        if let Some(deleted_at) = self.dao.columns.deleted_at {
            if !self.restores {
                clause.action_and_where(deleted_at.is_null());
            } else if sets.only_deleted {
                clause.action_and_where(deleted_at.is_not_null());
            }
        }
        Ok(clause)
    }

    /// The version that an update raises: not one that is set from the new row.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a version column that does not hold integers.
    pub(super) fn raised_version(&self, sets: &Sets<E>) -> Result<Option<E::Column>> {
        let version = self.dao.columns.checked_version()?;
        Ok(version.filter(|column| !is_among(*column, &sets.columns)))
    }

    pub(super) fn is_on_primary_key(&self) -> bool {
        key::columns::<E>().all(|column| is_among(column, &self.target))
            && self.target.iter().all(|column| E::PrimaryKey::from_column(*column).is_some())
    }

    /// The target's values, when all of them are set and none is NULL.
    pub(super) fn target_values(&self, model: &E::ActiveModel) -> Option<Vec<Value>> {
        self.target.iter().map(|column| model.get(*column).into_value().filter(|value| !is_null(value))).collect()
    }

    /// The target's values in a row that was read.
    pub(super) fn values_of(&self, model: &E::Model) -> Vec<Value> {
        self.target.iter().map(|column| model.get(*column)).collect()
    }

    pub(super) fn is_deleted(&self, model: &E::Model) -> bool {
        self.dao.columns.deleted_at.is_some_and(|column| !is_null(&model.get(column)))
    }

    pub(super) fn held_by_deleted(&self, values: &[Value]) -> Error {
        let pairs = self.target.iter().zip(values).map(|(column, value)| format!("{} = {value}", column.as_str()));
        Error::HeldByDeleted { entity: E::default().table_name(), key: pairs.collect::<Vec<_>>().join(", ") }
    }

    pub(super) fn target_names(&self) -> String {
        self.target.iter().map(IdenStatic::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// Says that it happened in an upsert, and not in the INSERT or UPDATE that it is made of.
pub(super) fn failed<E: EntityTrait>(error: Error) -> Error {
    let error = match error {
        Error::Operation { source, .. } => *source,
        error => error,
    };
    error.during("upsert", E::default().table_name())
}

pub(super) fn is_among<C: IdenStatic>(column: C, columns: &[C]) -> bool {
    columns.iter().any(|other| other.as_str() == column.as_str())
}
