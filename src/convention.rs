//! Behaviour that a column's name brings with it, on unmodified generated entities.

use std::str::FromStr;

use sea_orm::{
    ActiveModelTrait, ActiveValue, EntityTrait, Value,
    prelude::{ChronoUtc, TimeDateTime, TimeDateTimeWithTimeZone},
};

/// The names of the columns that bring behaviour with them.
///
/// An entity that has such a column, with a date and time in it, gets the behaviour; no attribute and no trait is needed.
/// Each name can be changed, or switched off with `None`.
///
/// ```
/// use sea_dao::Conventions;
///
/// let conventions = Conventions { deleted_at: None, updated_at: Some("changed_at"), ..Conventions::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conventions {
    /// Rows in which it is not NULL count as deleted: reads, counts, updates and pages leave them out, and deleting sets
    /// it. Default `deleted_at`.
    pub deleted_at: Option<&'static str>,
    /// Set when a row is inserted, unless the caller sets it. Default `created_at`.
    pub created_at: Option<&'static str>,
    /// Set when a row is inserted or updated, unless the caller sets it. Default `updated_at`.
    pub updated_at: Option<&'static str>,
}

impl Default for Conventions {
    fn default() -> Self {
        Self { deleted_at: Some("deleted_at"), created_at: Some("created_at"), updated_at: Some("updated_at") }
    }
}

impl Conventions {
    /// No convention at all.
    pub const NONE: Self = Self { deleted_at: None, created_at: None, updated_at: None };
}

/// The columns of one entity that bring behaviour with them.
pub(crate) struct ConventionColumns<E: EntityTrait> {
    pub(crate) deleted_at: Option<E::Column>,
    pub(crate) created_at: Option<E::Column>,
    pub(crate) updated_at: Option<E::Column>,
}

impl<E: EntityTrait> Clone for ConventionColumns<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E: EntityTrait> Copy for ConventionColumns<E> {}

impl<E: EntityTrait> ConventionColumns<E> {
    pub(crate) fn of(conventions: Conventions) -> Self {
        let Conventions { deleted_at, created_at, updated_at } = conventions;
        let column = |name: Option<&str>| {
            let column = E::Column::from_str(name?).ok()?;
            now_for::<E>(column).is_some().then_some(column)
        };
        Self { deleted_at: column(deleted_at), created_at: column(created_at), updated_at: column(updated_at) }
    }

    /// Sets what an inserted row gets.
    pub(crate) fn stamp_insert(&self, model: &mut E::ActiveModel) {
        for column in [self.created_at, self.updated_at].into_iter().flatten() {
            if model.is_not_set(column) {
                stamp::<E>(model, column);
            }
        }
    }

    /// Sets what an updated row gets.
    pub(crate) fn stamp_update(&self, model: &mut E::ActiveModel) {
        if let Some(column) = self.updated_at
            && model.is_changed()
            && !matches!(model.get(column), ActiveValue::Set(_))
        {
            stamp::<E>(model, column);
        }
    }
}

fn stamp<E: EntityTrait>(model: &mut E::ActiveModel, column: E::Column) {
    if let Some(now) = now_for::<E>(column) {
        // The value was tried on this very column.
        let _ = model.try_set(column, now);
    }
}

/// The time of day in the column's own type; `None` for a column that does not hold one.
pub(crate) fn now_for<E: EntityTrait>(column: E::Column) -> Option<Value> {
    let now = ChronoUtc::now();
    let zoned = TimeDateTimeWithTimeZone::now_utc();
    let candidates = [
        Value::from(now.fixed_offset()),
        Value::from(now),
        Value::from(now.naive_utc()),
        Value::from(zoned),
        Value::from(TimeDateTime::new(zoned.date(), zoned.time())),
    ];
    let mut probe = <E::ActiveModel as ActiveModelTrait>::default();
    candidates.into_iter().find(|candidate| probe.try_set(column, candidate.clone()).is_ok())
}
