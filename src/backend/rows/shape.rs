//! What a model is made of.

use std::sync::{Mutex, PoisonError};

use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};

use super::cell::{self, Cells, LastType};

/// A model that is nothing but its columns.
pub(super) struct Shape<E: EntityTrait> {
    columns: Vec<Column<E>>,
    names: Vec<&'static str>,
    /// NULL, or nothing that is costly to copy, in every column.
    blank: Mutex<E::Model>,
}

struct Column<E: EntityTrait> {
    column: E::Column,
    /// NULL as a value of its type.
    kind: Value,
    optional: bool,
    last_type: LastType,
    /// How many of its values were seen to be read in the same way as SeaORM does.
    proofs: u8,
}

/// So many values have to be read in both ways before it is done in one: a type of the caller's own may differ in some.
const ENOUGH: u8 = 16;

/// Why a row was not read.
pub(super) enum Misread {
    /// It has a value in a column of which too few were seen until now.
    Unproven,
    Unreadable,
}

/// The names of the entity's columns, in their order.
pub(super) fn names<E: EntityTrait>() -> Vec<&'static str> {
    E::Column::iter().map(|column| column.as_str()).collect()
}

impl<E: EntityTrait> Shape<E> {
    /// The shape of a model that SeaORM has made of a row, if the model proves to be nothing but its columns: its `Debug`,
    /// as it is derived, shows just these, with values as the plain types show them; and reading the row by position gives
    /// the same.
    pub(super) fn learn(model: &E::Model, row: &dyn Cells, before: Option<&Self>) -> Option<Self> {
        let values: Vec<Value> = E::Column::iter().map(|column| model.get(column)).collect();
        let text = format!("{model:?}");
        if !shows_just(&text, &values) {
            return None;
        }
        let mut blank = model.clone();
        let columns = E::Column::iter().zip(values).enumerate().map(|(place, (column, value))| {
            let kind = value.as_null();
            let optional = blank.try_set(column, kind.clone()).is_ok();
            if !optional {
                // It stays as it is where this is not a value of its type.
                let _ = blank.try_set(column, cell::blank(&kind));
            }
            let proofs = before.map_or(0, |before| before.columns[place].proofs) + u8::from(value != kind);
            Column { column, kind, optional, last_type: LastType::default(), proofs: proofs.min(ENOUGH) }
        });
        let columns = columns.collect();
        let shape = Self { columns, names: names::<E>(), blank: Mutex::new(blank) };
        let read = shape.fits(row).then(|| shape.read_proven(&shape.blank(), row, 0).ok())??;
        (format!("{read:?}") == text).then_some(shape)
    }

    pub(super) fn blank(&self) -> E::Model {
        self.blank.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the row has the columns of the model, in its order and in types that its own are read from.
    pub(super) fn fits(&self, row: &dyn Cells) -> bool {
        row.begins_with(&self.names)
            && self.columns.iter().enumerate().all(|(place, column)| row.fits(&column.kind, place, &column.last_type))
    }

    /// Reads a row that [fits](Self::fits).
    pub(super) fn read(&self, blank: &E::Model, row: &dyn Cells) -> Result<E::Model, Misread> {
        self.read_proven(blank, row, ENOUGH)
    }

    fn read_proven(&self, blank: &E::Model, row: &dyn Cells, enough: u8) -> Result<E::Model, Misread> {
        let mut model = blank.clone();
        let mut has_value = false;
        for (place, Column { column, kind, optional, proofs, .. }) in self.columns.iter().enumerate() {
            match row.read(kind, place) {
                Some(Some(_)) if *proofs < enough => return Err(Misread::Unproven),
                Some(Some(value)) => model.try_set(*column, value).map_err(|_| Misread::Unreadable)?,
                Some(None) if *optional => continue,
                _ => return Err(Misread::Unreadable),
            }
            has_value = true;
        }
        // SeaORM takes a row of nothing but NULL for none.
        if has_value { Ok(model) } else { Err(Misread::Unreadable) }
    }
}

/// Whether `text` is what the derived `Debug` writes of a struct that has these values, in plain types and options of them,
/// and nothing else.
fn shows_just(text: &str, values: &[Value]) -> bool {
    let Some(mut rest) = after_name(text, " { ") else { return false };
    for (place, value) in values.iter().enumerate() {
        let Some(shown) = cell::debug(value) else { return false };
        let Some(field) = after_name(rest, ": ") else { return false };
        let end = if place + 1 < values.len() { ", " } else { " }" };
        let after = match &shown {
            None => field.strip_prefix("None"),
            Some(shown) => match field.strip_prefix(shown.as_str()) {
                None => {
                    field.strip_prefix("Some(").and_then(|some| some.strip_prefix(shown.as_str())?.strip_prefix(')'))
                }
                after => after,
            },
        };
        let Some(after) = after.and_then(|after| after.strip_prefix(end)) else { return false };
        rest = after;
    }
    rest.is_empty() && !values.is_empty()
}

/// What follows a name and this.
fn after_name<'t>(text: &'t str, separator: &str) -> Option<&'t str> {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_' && character != '#')?;
    if end == 0 { None } else { text[end..].strip_prefix(separator) }
}
