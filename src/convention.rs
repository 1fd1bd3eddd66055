//! Behaviour that a column's name brings with it, on unmodified generated entities.

use std::str::FromStr;

use sea_orm::{
    ActiveModelTrait, ActiveValue, EntityTrait, Iterable, PrimaryKeyToColumn, Value,
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
            moment_for::<E>(column, now()).is_some().then_some(column)
        };
        Self { deleted_at: column(deleted_at), created_at: column(created_at), updated_at: column(updated_at) }
    }

    /// Sets what an inserted row gets.
    pub(crate) fn stamp_insert(&self, model: &mut E::ActiveModel) {
        let now = now();
        for column in [self.created_at, self.updated_at].into_iter().flatten() {
            if model.is_not_set(column) {
                stamp::<E>(model, column, now);
            }
        }
    }

    /// Sets what an updated row gets.
    pub(crate) fn stamp_update(&self, model: &mut E::ActiveModel) {
        if let Some(column) = self.updated_at
            && has_changes::<E>(model)
            && !matches!(model.get(column), ActiveValue::Set(_))
        {
            stamp::<E>(model, column, now());
        }
    }
}

/// Whether an update would set anything; the key itself is not updated.
pub(crate) fn has_changes<E: EntityTrait>(model: &E::ActiveModel) -> bool {
    E::Column::iter()
        .filter(|column| E::PrimaryKey::from_column(*column).is_none())
        .any(|column| matches!(model.get(column), ActiveValue::Set(_)))
}

fn stamp<E: EntityTrait>(model: &mut E::ActiveModel, column: E::Column, moment: Moment) {
    if let Some(value) = moment_for::<E>(column, moment) {
        // The value was tried on this very column.
        let _ = model.try_set(column, value);
    }
}

/// A point in time.
pub(crate) type Moment = sea_orm::prelude::ChronoDateTimeUtc;

/// The present, in whole microseconds: the databases keep no more. Columns that are set together get the same one.
pub(crate) fn now() -> Moment {
    let now = ChronoUtc::now();
    Moment::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

/// A point in time in the column's own type; `None` for a column that does not hold one.
pub(crate) fn moment_for<E: EntityTrait>(column: E::Column, moment: Moment) -> Option<Value> {
    let nanoseconds = i128::from(moment.timestamp_micros()) * 1_000;
    let zoned = TimeDateTimeWithTimeZone::from_unix_timestamp_nanos(nanoseconds).ok()?;
    let candidates = [
        Value::from(moment.fixed_offset()),
        Value::from(moment),
        Value::from(moment.naive_utc()),
        Value::from(zoned),
        Value::from(TimeDateTime::new(zoned.date(), zoned.time())),
    ];
    let mut probe = <E::ActiveModel as ActiveModelTrait>::default();
    candidates.into_iter().find(|candidate| probe.try_set(column, candidate.clone()).is_ok())
}
