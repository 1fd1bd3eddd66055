//! Points in time, in whatever type a column holds them.

use sea_orm::{
    EntityTrait, ModelTrait, Value,
    prelude::{ChronoDateTimeLocal, ChronoUtc, TimeDateTime, TimeDateTimeWithTimeZone},
    sea_query::ArrayType,
};

/// A point in time.
pub(crate) type Moment = sea_orm::prelude::ChronoDateTimeUtc;

/// The present, in whole microseconds: the databases keep no more. Columns that are set together get the same one.
pub(crate) fn now() -> Moment {
    let now = ChronoUtc::now();
    Moment::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

/// A point in time in the column's own type; `None` for a column that does not hold one. A type without a zone gets the
/// time in UTC, a type with a zone of its own the time there.
pub(crate) fn moment_for<E: EntityTrait>(column: E::Column, moment: Moment) -> Option<Value> {
    Some(match E::Model::get_value_type(column) {
        ArrayType::ChronoDateTimeWithTimeZone => moment.fixed_offset().into(),
        ArrayType::ChronoDateTimeUtc => moment.into(),
        ArrayType::ChronoDateTimeLocal => ChronoDateTimeLocal::from(moment).into(),
        ArrayType::ChronoDateTime => moment.naive_utc().into(),
        ArrayType::TimeDateTimeWithTimeZone => zoned(moment)?.into(),
        ArrayType::TimeDateTime => {
            let zoned = zoned(moment)?;
            TimeDateTime::new(zoned.date(), zoned.time()).into()
        }
        _ => return None,
    })
}

/// No point in time, NULL, in the column's own type.
pub(crate) fn no_moment_for<E: EntityTrait>(column: E::Column) -> Value {
    moment_for::<E>(column, Moment::UNIX_EPOCH).map_or(Value::Bool(None), |moment| moment.as_null())
}

/// Whether a column holds points in time.
pub(super) fn holds_moments<E: EntityTrait>(column: E::Column) -> bool {
    moment_for::<E>(column, Moment::UNIX_EPOCH).is_some()
}

fn zoned(moment: Moment) -> Option<TimeDateTimeWithTimeZone> {
    TimeDateTimeWithTimeZone::from_unix_timestamp_nanos(i128::from(moment.timestamp_micros()) * 1_000).ok()
}
