//! Which of the rows that came back is which of those that were given.
//!
//! No database promises an order for what RETURNING gives, nor for the keys that it generates in one statement. So each
//! row that comes back has to show that it is the one it is taken for.

use std::{collections::HashMap, fmt::Write as _};

use sea_orm::{ColumnTrait, EntityTrait, IdenStatic, ModelTrait, PrimaryKeyTrait, Value};

use super::rows::Row;
use crate::{convention::integer, session::key};

/// The rows that came back in the order of those that were given; `None` when that cannot be told for sure.
pub(super) fn match_rows<E: EntityTrait>(
    columns: &[E::Column],
    given: &[Row<E>],
    returned: Vec<E::Model>,
) -> Option<Vec<E::Model>> {
    if returned.len() != given.len() {
        return None;
    }
    let unique = unique_columns::<E>(columns, &given[0]);
    let exact = exact_columns::<E>(columns, &given[0]);
    match unique {
        Some(unique) if agree::<E>(&unique, given, &returned) => Some(returned),
        // A trigger may give one row what another has, so the rest has to agree too.
        Some(unique) => by_value(&unique, given, returned).filter(|matched| agree::<E>(&exact, given, matched)),
        // Rows that agree in all that was given are the same row to the caller, but for their generated keys.
        None => (agree::<E>(&exact, given, &returned) && keys_rise::<E>(&returned)).then_some(returned),
    }
}

/// What tells a row from every other: its primary key, or a column that is unique.
fn unique_columns<E: EntityTrait>(columns: &[E::Column], first: &Row<E>) -> Option<Vec<E::Column>> {
    let is_given = |column: &E::Column| columns.iter().any(|other| other.as_str() == column.as_str());
    let key: Vec<E::Column> = key::columns::<E>().collect();
    if key.iter().all(is_given) {
        return Some(key);
    }
    // Several rows may have NULL in a column that takes it.
    let tells = |column: &&E::Column| {
        let definition = column.def();
        definition.is_unique() && !definition.is_null() && is_exact(&first.value(**column))
    };
    columns.iter().find(tells).map(|column| vec![*column])
}

fn agree<E: EntityTrait>(columns: &[E::Column], given: &[Row<E>], returned: &[E::Model]) -> bool {
    let mut pairs = given.iter().zip(returned);
    pairs.all(|(row, model)| columns.iter().all(|column| row.value(*column) == model.get(*column)))
}

/// The columns in which a value comes back just as it was given.
fn exact_columns<E: EntityTrait>(columns: &[E::Column], first: &Row<E>) -> Vec<E::Column> {
    columns.iter().copied().filter(|column| is_exact(&first.value(*column))).collect()
}

/// Numbers with a fraction and times may be rounded; JSON may be written otherwise.
fn is_exact(value: &Value) -> bool {
    matches!(
        value,
        Value::Bool(_)
            | Value::TinyInt(_)
            | Value::SmallInt(_)
            | Value::Int(_)
            | Value::BigInt(_)
            | Value::TinyUnsigned(_)
            | Value::SmallUnsigned(_)
            | Value::Unsigned(_)
            | Value::BigUnsigned(_)
            | Value::String(_)
            | Value::Char(_)
            | Value::Bytes(_)
            | Value::Uuid(_)
            | Value::Enum(_)
    )
}

/// Generated keys that rise show that the rows were written in the order in which they came back.
fn keys_rise<E: EntityTrait>(returned: &[E::Model]) -> bool {
    let mut key = key::columns::<E>();
    let (Some(column), None, true) = (key.next(), key.next(), E::PrimaryKey::auto_increment()) else { return true };
    let numbers: Option<Vec<i128>> = returned.iter().map(|model| integer(&model.get(column))).collect();
    numbers.is_some_and(|numbers| numbers.is_sorted_by(|a, b| a < b))
}

fn by_value<E: EntityTrait>(unique: &[E::Column], given: &[Row<E>], returned: Vec<E::Model>) -> Option<Vec<E::Model>> {
    let text = |values: &mut dyn Iterator<Item = Value>| {
        values.fold(String::new(), |mut text, value| {
            let _ = write!(text, "{value:?},");
            text
        })
    };
    let mut known: HashMap<String, E::Model> =
        returned.into_iter().map(|model| (text(&mut unique.iter().map(|column| model.get(*column))), model)).collect();
    given.iter().map(|row| known.remove(&text(&mut unique.iter().map(|column| row.value(*column))))).collect()
}
