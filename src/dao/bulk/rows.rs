//! Rows of a call, and those among them that can be written by one statement.

use sea_orm::{ActiveModelTrait, EntityTrait, Iterable, Value, prelude::Json};

use super::super::key::Key;
use crate::backend::into_array;

/// One row of a call.
pub(super) struct Row<E: EntityTrait> {
    /// From 0, in the order in which the caller gave the rows.
    pub(super) index: usize,
    pub(super) model: E::ActiveModel,
}

impl<E: EntityTrait> Row<E> {
    /// Its primary key for a message: empty when the database makes it.
    pub(super) fn name(&self) -> String {
        Key::<E>::of_active_model(&self.model).map(|key| key.to_string()).unwrap_or_default()
    }

    pub(super) fn copy(&self) -> Self {
        Self { index: self.index, model: self.model.clone() }
    }

    /// What is written to `column`; NULL when nothing is.
    pub(super) fn value(&self, column: E::Column) -> Value {
        self.model.get(column).into_value().unwrap_or(Value::Bool(None))
    }
}

/// The primary keys of rows that have them.
pub(super) fn keys_of<E: EntityTrait>(rows: &[Row<E>]) -> Vec<Key<E>> {
    rows.iter().filter_map(|row| Key::of_active_model(&row.model)).collect()
}

/// Rows that write the same columns.
pub(super) struct Group<E: EntityTrait> {
    pub(super) columns: Vec<E::Column>,
    pub(super) rows: Vec<Row<E>>,
    writes: Vec<bool>,
}

/// Rows by the columns that they write; within a group they keep their order.
pub(super) struct Groups<E: EntityTrait> {
    groups: Vec<Group<E>>,
    /// Where the last row went: most write what the one before them did.
    last: usize,
    /// How many rows are expected.
    most: usize,
}

impl<E: EntityTrait> Groups<E> {
    pub(super) fn with_capacity(most: usize) -> Self {
        Self { groups: Vec::new(), last: 0, most }
    }

    pub(super) fn push(&mut self, row: Row<E>, writes: impl Fn(&E::ActiveModel, E::Column) -> bool) {
        let fits = |group: &Group<E>| {
            E::Column::iter().zip(&group.writes).all(|(column, written)| writes(&row.model, column) == *written)
        };
        if !self.groups.get(self.last).is_some_and(fits) {
            self.last = self.groups.iter().position(fits).unwrap_or(self.groups.len());
        }
        if self.last == self.groups.len() {
            let written: Vec<bool> = E::Column::iter().map(|column| writes(&row.model, column)).collect();
            let columns = E::Column::iter().zip(&written).filter_map(|(column, written)| written.then_some(column));
            let most = if self.groups.is_empty() { self.most } else { 0 };
            let rows = Vec::with_capacity(most);
            self.groups.push(Group { columns: columns.collect(), rows, writes: written });
        }
        self.groups[self.last].rows.push(row);
    }

    pub(super) fn into_vec(self) -> Vec<Group<E>> {
        self.groups
    }
}

/// Splits rows by the columns that they write; within a group they keep their order.
pub(super) fn by_columns<E: EntityTrait>(
    rows: Vec<Row<E>>,
    writes: impl Fn(&E::ActiveModel, E::Column) -> bool,
) -> Vec<Group<E>> {
    let mut groups = Groups::with_capacity(rows.len());
    for row in rows {
        groups.push(row, &writes);
    }
    groups.into_vec()
}

/// About how many bytes a value takes on its way to the database.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::String(Some(text)) => text.len() + 8,
        Value::Bytes(Some(bytes)) => bytes.len() + 8,
        Value::Json(Some(json)) => json_weight(json),
        _ => 12,
    }
}

fn json_weight(json: &Json) -> usize {
    match json {
        Json::String(text) => text.len() + 4,
        Json::Array(elements) => elements.iter().map(json_weight).sum::<usize>() + 4,
        Json::Object(members) => {
            members.iter().map(|(key, value)| key.len() + json_weight(value) + 4).sum::<usize>() + 4
        }
        _ => 12,
    }
}

/// A statement with arrays is as long as one without, and the server keeps it prepared; beyond this it is not faster.
pub(super) const ROWS_PER_ARRAY: usize = 10_000;

/// What the server is asked to take in one message: far below the least that any takes by default.
pub(super) const WEIGHT_LIMIT: usize = 8 << 20;

/// The values of the first of the rows, an array for each column, with their number; `None` when a column has none.
pub(super) fn take_columns<E: EntityTrait>(
    columns: &[E::Column],
    rows: &[Row<E>],
    value: impl Fn(&Row<E>, E::Column) -> Value,
) -> Option<(usize, Vec<Value>)> {
    let most = rows.len().min(ROWS_PER_ARRAY);
    let mut arrays: Vec<Vec<Value>> = columns.iter().map(|_| Vec::with_capacity(most)).collect();
    let (mut count, mut total) = (0, 0);
    while count < most && total < WEIGHT_LIMIT {
        for (column, array) in columns.iter().zip(&mut arrays) {
            let value = value(&rows[count], *column);
            total += weight(&value);
            array.push(value);
        }
        count += 1;
    }
    arrays.into_iter().map(|array| into_array(array).ok()).collect::<Option<_>>().map(|arrays| (count, arrays))
}

/// Statements of more rows are not faster.
const ROWS_PER_LIST: usize = 1_024;

/// The values of the first of the rows. Their number is a power of two, so that a database has to prepare no more than a
/// dozen statements for each shape of rows, however many rows come.
pub(super) fn take_rows<E: EntityTrait>(
    columns: &[E::Column],
    rows: &[Row<E>],
    most: usize,
    value: impl Fn(&Row<E>, E::Column) -> Value,
) -> Vec<Vec<Value>> {
    let most = power_of_two(rows.len().min(most).min(ROWS_PER_LIST));
    let mut total = 0;
    let mut taken = Vec::with_capacity(most);
    for row in &rows[..most] {
        if total >= WEIGHT_LIMIT {
            break;
        }
        let values: Vec<Value> = columns.iter().map(|column| value(row, *column)).collect();
        total += values.iter().map(weight).sum::<usize>();
        taken.push(values);
    }
    taken.truncate(power_of_two(taken.len()));
    taken
}

/// The greatest power of two that is not greater; 1 for 0.
fn power_of_two(number: usize) -> usize {
    1 << number.max(1).ilog2()
}
