//! The bound values of a PostgreSQL statement that has arrays among them.
//!
//! sea-query's own way makes a `Vec` without NULLs out of each array and panics at one; this one sends NULLs as such,
//! encodes each element where it stands, and gives an element that cannot be encoded as an error.

use std::mem::discriminant;

use sea_orm::{
    Value, Values,
    sea_query::{ArrayType, OptionEnum},
};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    Arguments as _, Encode, IntoArguments, Postgres,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgArguments, PgBindIterExt as _},
};

pub(super) fn arguments(values: Values) -> Result<PgArguments, BoxDynError> {
    if values.0.iter().any(|value| matches!(value, Value::Array(..)))
        && let Some(arguments) = with_arrays(&values)?
    {
        return Ok(arguments);
    }
    Ok(IntoArguments::<Postgres>::into_arguments(SqlxValues(values)))
}

/// `None` when there is a value of a type that is not known here; features of SeaORM add some.
fn with_arrays(values: &Values) -> Result<Option<PgArguments>, BoxDynError> {
    let mut arguments = PgArguments::default();
    for value in &values.0 {
        let known = match value {
            Value::Array(of, Some(elements)) => add_array(&mut arguments, of, elements)?,
            single => add_single(&mut arguments, single)?,
        };
        if !known {
            return Ok(None);
        }
    }
    Ok(Some(arguments))
}

/// Calls `$add!` with each variant of a value: a name for what is in it, and that as the driver takes it.
macro_rules! for_each_type {
    ($add:ident, $on:expr, else $unknown:expr) => {
        match $on {
            Kind::Bool => $add!(Bool, |it| *it),
            Kind::TinyInt => $add!(TinyInt, |it| *it),
            Kind::SmallInt => $add!(SmallInt, |it| *it),
            Kind::Int => $add!(Int, |it| *it),
            Kind::BigInt => $add!(BigInt, |it| *it),
            Kind::TinyUnsigned => $add!(TinyUnsigned, |it| i16::from(*it)),
            Kind::SmallUnsigned => $add!(SmallUnsigned, |it| i32::from(*it)),
            Kind::Unsigned => $add!(Unsigned, |it| i64::from(*it)),
            // What does not fit is refused before it comes here.
            Kind::BigUnsigned => $add!(BigUnsigned, |it| i64::try_from(*it).unwrap_or(i64::MAX)),
            Kind::Float => $add!(Float, |it| *it),
            Kind::Double => $add!(Double, |it| *it),
            Kind::String => $add!(String, |it| it.as_str()),
            Kind::Char => $add!(Char, |it| it.to_string()),
            Kind::Bytes => $add!(Bytes, |it| it.as_slice()),
            Kind::Json => $add!(Json, |it| it.as_ref()),
            Kind::ChronoDate => $add!(ChronoDate, |it| *it),
            Kind::ChronoTime => $add!(ChronoTime, |it| *it),
            Kind::ChronoDateTime => $add!(ChronoDateTime, |it| *it),
            Kind::ChronoDateTimeUtc => $add!(ChronoDateTimeUtc, |it| *it),
            Kind::ChronoDateTimeLocal => $add!(ChronoDateTimeLocal, |it| *it),
            Kind::ChronoDateTimeWithTimeZone => $add!(ChronoDateTimeWithTimeZone, |it| *it),
            Kind::TimeDate => $add!(TimeDate, |it| *it),
            Kind::TimeTime => $add!(TimeTime, |it| *it),
            Kind::TimeDateTime => $add!(TimeDateTime, |it| *it),
            Kind::TimeDateTimeWithTimeZone => $add!(TimeDateTimeWithTimeZone, |it| *it),
            Kind::Uuid => $add!(Uuid, |it| *it),
            Kind::Decimal => $add!(Decimal, |it| *it),
            _ => $unknown,
        }
    };
}

use ArrayType as Kind;

fn add_single(arguments: &mut PgArguments, value: &Value) -> Result<bool, BoxDynError> {
    macro_rules! add {
        ($variant:ident, |$it:ident| $inner:expr) => {{
            if let Value::$variant(value) = value {
                arguments.add(value.as_ref().map(|$it| $inner))?;
            }
        }};
    }
    match value {
        Value::Enum(OptionEnum::Some(value)) => arguments.add(value.value.as_ref())?,
        Value::Enum(OptionEnum::None(_)) => arguments.add(None::<&str>)?,
        // An array that is NULL.
        Value::Array(..) => return Ok(false),
        value => for_each_type!(add, value.array_type(), else return Ok(false)),
    }
    Ok(true)
}

/// Writes a single value in its binary form; `None` for a type that is not known here.
pub(super) fn encode(value: &Value, buffer: &mut PgArgumentBuffer) -> Result<Option<IsNull>, BoxDynError> {
    macro_rules! write {
        ($variant:ident, |$it:ident| $inner:expr) => {
            match value {
                Value::$variant(Some($it)) => Some(<_ as Encode<'_, Postgres>>::encode_by_ref(&$inner, buffer)?),
                _ => Some(IsNull::Yes),
            }
        };
    }
    Ok(match value {
        Value::Json(Some(json)) => {
            // As the driver does, which remembers each of them until it knows the column's type.
            buffer.push(1);
            serde_json::to_writer(&mut **buffer, json)?;
            Some(IsNull::No)
        }
        Value::Array(..) | Value::Enum(_) => None,
        value => for_each_type!(write, value.array_type(), else None),
    })
}

fn add_array(arguments: &mut PgArguments, of: &ArrayType, elements: &[Value]) -> Result<bool, BoxDynError> {
    if let Some(first) = elements.first()
        && elements.iter().any(|element| discriminant(element) != discriminant(first))
    {
        return Err("an array with elements of several types".into());
    }
    macro_rules! add {
        ($variant:ident, |$it:ident| $inner:expr) => {{
            let each = elements.iter().map(|element| match element {
                Value::$variant(Some($it)) => Some($inner),
                _ => None,
            });
            arguments.add(each.bind_iter())?;
        }};
    }
    match of {
        Kind::Enum(_) => {
            let each = elements.iter().map(|element| match element {
                Value::Enum(OptionEnum::Some(value)) => Some(value.value.as_ref()),
                _ => None,
            });
            arguments.add(each.bind_iter())?;
        }
        of => for_each_type!(add, of, else return Ok(false)),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use sea_orm::{Value, Values, sea_query::ArrayType};
    use sqlx::Arguments as _;

    use super::arguments;

    fn array(of: ArrayType, elements: Vec<Value>) -> Values {
        Values(vec![Value::Array(of, Some(Box::new(elements)))])
    }

    #[test]
    fn nulls_are_elements_like_others() {
        let values = array(ArrayType::Int, vec![1_i32.into(), None::<i32>.into(), 3_i32.into()]);
        assert_eq!(arguments(values).map(|arguments| arguments.len()).ok(), Some(1));
    }

    #[test]
    fn elements_of_several_types_are_refused() {
        let values = array(ArrayType::Int, vec![1_i32.into(), 2_i64.into()]);
        assert!(arguments(values).is_err());
    }

    #[test]
    fn single_values_stand_beside_arrays() {
        let mut values = array(ArrayType::String, vec!["a".into(), None::<String>.into()]);
        values.0.extend([5_i64.into(), None::<f64>.into(), "b".into()]);
        assert_eq!(arguments(values).map(|arguments| arguments.len()).ok(), Some(4));
    }
}
