//! Values in the type of the column that is to hold them.

use sea_orm::{EntityTrait, IdenStatic, ModelTrait, Value, sea_query::ArrayType};

use crate::error::{Error, Result};

/// `value` in the column's own type. An integer fits a column of integers that is wide enough; everything else fits its
/// own type only.
///
/// # Errors
///
/// [`Error::InvalidArgument`] about `argument` when it does not fit.
pub(super) fn fit<E: EntityTrait>(column: E::Column, value: &Value, argument: &'static str) -> Result<Value> {
    let wanted = E::Model::get_value_type(column);
    let fitted = match integer(value) {
        Some(number) => integer_value(number, &wanted),
        None => (value.array_type() == wanted).then(|| value.clone()),
    };
    fitted.ok_or_else(|| {
        let table = E::default().table_name();
        Error::argument(argument, value, format!("a value that fits {table}.{}, {wanted:?}", column.as_str()))
    })
}

pub(crate) fn is_null(value: &Value) -> bool {
    *value == value.as_null()
}

/// A text that differs for values that differ. What a value shows of itself ends at the microseconds of a time.
pub(crate) fn exact_text(value: &Value) -> String {
    match value {
        Value::Char(Some(letter)) => format!("{letter:?}"),
        _ => match nanoseconds(value) {
            Some(nanoseconds) => format!("{value} {nanoseconds}"),
            None => value.to_string(),
        },
    }
}

/// Those of the second of a time.
fn nanoseconds(value: &Value) -> Option<String> {
    const CHRONO: &str = "%9f";
    Some(match value {
        Value::ChronoTime(Some(time)) => time.format(CHRONO).to_string(),
        Value::ChronoDateTime(Some(time)) => time.format(CHRONO).to_string(),
        Value::ChronoDateTimeUtc(Some(time)) => time.format(CHRONO).to_string(),
        Value::ChronoDateTimeLocal(Some(time)) => time.format(CHRONO).to_string(),
        Value::ChronoDateTimeWithTimeZone(Some(time)) => time.format(CHRONO).to_string(),
        Value::TimeTime(Some(time)) => format!("{:09}", time.nanosecond()),
        Value::TimeDateTime(Some(time)) => format!("{:09}", time.nanosecond()),
        Value::TimeDateTimeWithTimeZone(Some(time)) => format!("{:09}", time.nanosecond()),
        _ => return None,
    })
}

/// An integer of any type; `None` for NULL too.
pub(crate) fn integer(value: &Value) -> Option<i128> {
    match *value {
        Value::TinyInt(number) => number.map(Into::into),
        Value::SmallInt(number) => number.map(Into::into),
        Value::Int(number) => number.map(Into::into),
        Value::BigInt(number) => number.map(Into::into),
        Value::TinyUnsigned(number) => number.map(Into::into),
        Value::SmallUnsigned(number) => number.map(Into::into),
        Value::Unsigned(number) => number.map(Into::into),
        Value::BigUnsigned(number) => number.map(Into::into),
        _ => None,
    }
}

/// An integer in the type of a column; `None` when that does not hold it.
pub(super) fn integer_value(number: i128, wanted: &ArrayType) -> Option<Value> {
    Some(match wanted {
        ArrayType::TinyInt => i8::try_from(number).ok()?.into(),
        ArrayType::SmallInt => i16::try_from(number).ok()?.into(),
        ArrayType::Int => i32::try_from(number).ok()?.into(),
        ArrayType::BigInt => i64::try_from(number).ok()?.into(),
        ArrayType::TinyUnsigned => u8::try_from(number).ok()?.into(),
        ArrayType::SmallUnsigned => u16::try_from(number).ok()?.into(),
        ArrayType::Unsigned => u32::try_from(number).ok()?.into(),
        ArrayType::BigUnsigned => u64::try_from(number).ok()?.into(),
        _ => return None,
    })
}
