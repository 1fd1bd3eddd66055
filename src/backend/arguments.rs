//! The bound values of a PostgreSQL statement.
//!
//! sea-query's own way makes a `Vec` without NULLs out of each array and panics at one; this one sends NULLs as such,
//! encodes each element where it stands, and gives an element that cannot be encoded as an error. It also knows beforehand
//! how much room the values take.

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
    let known = encoded(&values)?;
    Ok(known.unwrap_or_else(|| IntoArguments::<Postgres>::into_arguments(SqlxValues(values))))
}

/// `None` when there is a value of a type that is not known here; features of SeaORM add some.
fn encoded(values: &Values) -> Result<Option<PgArguments>, BoxDynError> {
    let mut arguments = PgArguments::default();
    if !values.0.is_empty() {
        arguments.reserve(values.0.len(), values.0.iter().map(room).sum());
    }
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

/// The bytes that a value takes, at least, if it is not an array.
fn room(value: &Value) -> usize {
    const LENGTH: usize = 4;
    LENGTH
        + match value {
            Value::String(Some(text)) => text.len(),
            Value::Bytes(Some(bytes)) => bytes.len(),
            _ => 8,
        }
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
            if elements.iter().any(|element| !matches!(element, Value::$variant(_))) {
                return Err("an array with elements of another type".into());
            }
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
    use sea_orm::{
        Value, Values,
        prelude::{
            ChronoDate, ChronoDateTime, ChronoDateTimeUtc, ChronoDateTimeWithTimeZone, ChronoTime, Decimal, TimeDate,
            TimeTime, Uuid,
        },
        sea_query::ArrayType,
    };
    use sea_query_sqlx::SqlxValues;
    use sqlx::{Arguments as _, IntoArguments, Postgres};

    use super::{arguments, encoded};

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
        let values = array(ArrayType::Int, vec![2_i64.into(), 3_i64.into()]);
        assert!(arguments(values).is_err());
    }

    #[test]
    fn single_values_stand_beside_arrays() {
        let mut values = array(ArrayType::String, vec!["a".into(), None::<String>.into()]);
        values.0.extend([5_i64.into(), None::<f64>.into(), "b".into()]);
        assert_eq!(arguments(values).map(|arguments| arguments.len()).ok(), Some(4));
    }

    /// Single values, and NULL in each of their types.
    fn singles() -> Vec<Value> {
        let zoned: ChronoDateTimeWithTimeZone = "2024-02-29T23:59:58+05:30".parse().expect("an instant");
        let values: Vec<Value> = vec![
            true.into(),
            (-1_i8).into(),
            i16::MIN.into(),
            i32::MAX.into(),
            i64::MIN.into(),
            u8::MAX.into(),
            u16::MAX.into(),
            u32::MAX.into(),
            5_u64.into(),
            1.5_f32.into(),
            f64::NAN.into(),
            "it's".into(),
            'x'.into(),
            vec![0_u8, 255].into(),
            serde_json::json!({"a": [1, null]}).into(),
            ChronoDate::MIN.into(),
            ChronoTime::MIN.into(),
            ChronoDateTime::default().into(),
            ChronoDateTimeUtc::default().into(),
            zoned.into(),
            TimeDate::MIN.into(),
            TimeTime::MIDNIGHT.into(),
            Uuid::from_u128(7).into(),
            Decimal::new(-12_345, 3).into(),
        ];
        let nulls: Vec<Value> = values.iter().map(Value::as_null).collect();
        values.into_iter().chain(nulls).collect()
    }

    #[test]
    fn single_values_are_encoded_as_sea_query_does() {
        for value in singles() {
            let own = encoded(&Values(vec![value.clone()])).ok().flatten().expect("a type that is known");
            let by_sea_query = IntoArguments::<Postgres>::into_arguments(SqlxValues(Values(vec![value.clone()])));
            assert_eq!(format!("{own:?}"), format!("{by_sea_query:?}"), "{value:?}");
        }
    }
}
