//! Versions of rows, for optimistic locking.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, ExprTrait, IdenStatic, IntoSimpleExpr, ModelTrait, Value,
    sea_query::Expr,
};

use super::value::{integer, integer_value, is_null};
use crate::error::{Error, Result};

/// The version of a row as the caller knows it.
pub(crate) struct ExpectedVersion<E: EntityTrait> {
    pub(crate) column: E::Column,
    pub(crate) value: Value,
}

impl<E: EntityTrait> ExpectedVersion<E> {
    /// Holds for the row as the caller knows it.
    pub(crate) fn condition(&self) -> Expr {
        if is_null(&self.value) { self.column.is_null() } else { self.column.eq(self.value.clone()) }
    }

    /// `None` when the model does not know its version.
    pub(crate) fn known_to(model: &E::ActiveModel, column: E::Column) -> Option<Self> {
        model.get(column).into_value().map(|value| Self { column, value })
    }

    /// The version that the caller knew of a model in which the next one is set.
    pub(crate) fn before(model: &E::ActiveModel, column: E::Column) -> Option<Self> {
        let raised = integer(&model.get(column).into_value()?)?;
        let value = integer_value(raised - 1, &E::Model::get_value_type(column))?;
        Some(Self { column, value })
    }

    /// The next version; `None` when the column does not hold it.
    fn raised(&self) -> Option<Value> {
        let known = integer(&self.value).unwrap_or_default();
        integer_value(known + 1, &E::Model::get_value_type(self.column))
    }

    /// Whether a row has the version. No version at all counts as 0.
    pub(crate) fn is_of(&self, row: &E::Model) -> bool {
        integer(&row.get(self.column)).unwrap_or_default() == integer(&self.value).unwrap_or_default()
    }

    /// Takes the version that the caller knows from the model, and sets the next one.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when the model does not know its version, or it cannot be raised.
    pub(super) fn take_and_raise(model: &mut E::ActiveModel, column: E::Column) -> Result<Self> {
        let expected = Self::known_to(model, column).ok_or_else(|| {
            let named = format!("{} of {} to be loaded or set", column.as_str(), E::default().table_name());
            Error::argument("version", "(not set)", named)
        })?;
        model.try_set(column, expected.next()?)?;
        Ok(expected)
    }

    /// The next version.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] when the column does not hold it.
    pub(crate) fn next(&self) -> Result<Value> {
        self.raised().ok_or_else(|| Error::argument("version", &self.value, "a version that can be raised by one"))
    }
}

/// The version plus one; 1 where it is NULL.
pub(super) fn raised(column: impl ColumnTrait) -> Expr {
    column.into_simple_expr().if_null(0).add(1)
}

/// # Errors
///
/// [`Error::InvalidArgument`] for a column that does not hold integers.
pub(super) fn check<E: EntityTrait>(column: E::Column) -> Result<()> {
    let holds = E::Model::get_value_type(column);
    if integer_value(0, &holds).is_some() {
        return Ok(());
    }
    let named = format!("{}.{}, {holds:?}", E::default().table_name(), column.as_str());
    Err(Error::argument("version column", named, "a column of integers"))
}
