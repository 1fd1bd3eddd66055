//! Dates that a database, or its driver, does not take.

use sea_orm::{
    DbBackend, Value,
    prelude::{ChronoDate, TimeDate},
};

use crate::error::{Error, Result};

/// The drivers panic at such a date, leave it out, or send another one.
///
/// # Errors
///
/// [`Error::InvalidArgument`].
pub(super) fn refuse_beyond(value: &Value, backend: DbBackend) -> Result<()> {
    let (takes, years) = match backend {
        DbBackend::MySql => (is_of_four_digits(value), "within the years 0 to 9999 in UTC"),
        DbBackend::Sqlite => (is_rfc_3339(value), "within the years 0 to 9999, with an offset of whole minutes"),
        _ => (is_in_utc(value), "within the years -9999 to 9999 in UTC"),
    };
    if takes { Ok(()) } else { Err(Error::argument("value", "a date out of range", format!("one {years}"))) }
}

/// Whether the date that is sent has a year of at most four digits.
fn is_of_four_digits(value: &Value) -> bool {
    match value {
        Value::ChronoDate(Some(date)) => chrono(*date),
        Value::ChronoDateTime(Some(moment)) => chrono(moment.date()),
        Value::ChronoDateTimeUtc(Some(instant)) => chrono(instant.naive_utc().date()),
        Value::ChronoDateTimeLocal(Some(instant)) => chrono(instant.naive_utc().date()),
        Value::ChronoDateTimeWithTimeZone(Some(instant)) => chrono(instant.naive_utc().date()),
        Value::TimeDate(Some(date)) => time(*date),
        Value::TimeDateTime(Some(moment)) => time(moment.date()),
        Value::TimeDateTimeWithTimeZone(Some(instant)) => instant.checked_to_utc().is_some_and(|utc| time(utc.date())),
        _ => true,
    }
}

/// Whether the driver can write an instant of the crate `time` as a text.
fn is_rfc_3339(value: &Value) -> bool {
    let Value::TimeDateTimeWithTimeZone(Some(instant)) = value else { return true };
    time(instant.date()) && instant.offset().seconds_past_minute() == 0
}

/// Whether the driver can turn an instant of the crate `time` into one in UTC.
fn is_in_utc(value: &Value) -> bool {
    let Value::TimeDateTimeWithTimeZone(Some(instant)) = value else { return true };
    instant.checked_to_utc().is_some()
}

fn chrono(date: ChronoDate) -> bool {
    let (first, last) = (ChronoDate::from_ymd_opt(0, 1, 1), ChronoDate::from_ymd_opt(9999, 12, 31));
    (first..=last).contains(&Some(date))
}

fn time(date: TimeDate) -> bool {
    (0..=9999).contains(&date.year())
}
