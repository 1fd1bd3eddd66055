//! Primary keys, single and composite, as conditions.

use std::{collections::HashSet, fmt};

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, EntityTrait, IdenStatic, Iterable, ModelTrait, PrimaryKeyToColumn,
    PrimaryKeyTrait, Value,
    sea_query::{Expr, ExprTrait, IntoCondition, IntoValueTuple},
};

use crate::{
    backend::{Capabilities, compared, padded},
    convention::{exact_text, integer},
};

/// The columns of a primary key with their values.
pub(crate) struct Key<E: EntityTrait>(Vec<(E::Column, Value)>);

impl<E: EntityTrait> Key<E> {
    pub(crate) fn of(key: <E::PrimaryKey as PrimaryKeyTrait>::ValueType) -> Self {
        Self(columns::<E>().zip(key.into_value_tuple()).collect())
    }

    pub(crate) fn of_model(model: &E::Model) -> Self {
        Self(columns::<E>().map(|column| (column, model.get(column))).collect())
    }

    /// `None` when a part of the key is not set.
    pub(crate) fn of_active_model(model: &E::ActiveModel) -> Option<Self> {
        columns::<E>().map(|column| Some((column, model.get(column).into_value()?))).collect::<Option<_>>().map(Self)
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = (E::Column, &Value)> {
        self.0.iter().map(|(column, value)| (*column, value))
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = Value> {
        self.0.into_iter().map(|(_, value)| value)
    }

    /// Whether a row that has this key shows it as it is written here.
    pub(crate) fn is_exact(&self) -> bool {
        self.0.iter().all(|(_, value)| {
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
                    | Value::Uuid(_)
            )
        })
    }

    /// A text that other keys do not have; [`Display`](fmt::Display) is for messages.
    pub(crate) fn identity(&self) -> String {
        identity(self.0.iter().map(|(_, value)| value))
    }

    /// Those that hold together for the row with this key.
    pub(crate) fn conditions(&self) -> impl Iterator<Item = Expr> {
        self.0.iter().map(|(column, value)| is_part(*column, value))
    }

    pub(crate) fn condition(&self) -> Condition {
        self.conditions().fold(Condition::all(), Condition::add)
    }
}

impl<E: EntityTrait> Clone for Key<E> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: EntityTrait> fmt::Display for Key<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (column, value)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{} = {value}", column.as_str())?;
        }
        Ok(())
    }
}

/// The text of the values of a primary key that other keys do not have.
pub(crate) fn identity<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    values.map(exact_text).collect::<Vec<_>>().join(", ")
}

fn is_part<C: ColumnTrait>(column: C, value: &Value) -> Expr {
    match padded(column, value) {
        Some(padded) => Expr::col(column.as_column_ref()).eq(padded),
        None => column.eq(value.clone()),
    }
}

pub(crate) fn columns<E: EntityTrait>() -> impl Iterator<Item = E::Column> {
    E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column)
}

/// The keys without repetitions, in their order.
pub(crate) fn distinct<E: EntityTrait>(
    keys: impl Iterator<Item = <E::PrimaryKey as PrimaryKeyTrait>::ValueType>,
) -> Vec<Key<E>> {
    without_repetitions(keys.map(Key::of))
}

pub(crate) fn without_repetitions<E: EntityTrait>(keys: impl Iterator<Item = Key<E>>) -> Vec<Key<E>> {
    let mut seen = Seen::default();
    keys.filter(|key| seen.insert(key)).collect()
}

/// Keys of one entity.
#[derive(Default)]
pub(crate) struct Seen {
    /// Those that are one integer, as most are.
    integers: HashSet<i128, foldhash::fast::RandomState>,
    others: HashSet<String>,
}

impl Seen {
    /// Whether the key is new.
    pub(crate) fn insert<E: EntityTrait>(&mut self, key: &Key<E>) -> bool {
        let single = if let [(_, value)] = key.0.as_slice() { integer(value) } else { None };
        match single {
            Some(integer) => self.integers.insert(integer),
            None => self.others.insert(key.identity()),
        }
    }
}

/// A condition that holds for the rows with one of the keys.
pub(crate) fn any_of<E: EntityTrait>(keys: &[Key<E>]) -> Condition {
    let single = columns::<E>().nth(1).is_none();
    match columns::<E>().next() {
        Some(column) if single => {
            let values = keys.iter().flat_map(|key| key.0.iter().map(|(_, value)| value));
            if values.clone().any(|value| padded(column, value).is_some()) {
                let values = values.map(|value| compared(column, value));
                return Expr::col(column.as_column_ref()).is_in(values).into_condition();
            }
            column.is_in(values.cloned()).into_condition()
        }
        // Not every database understands a list of tuples.
        _ => keys.iter().fold(Condition::any(), |any, key| any.add(key.condition())),
    }
}

/// How many keys one statement takes.
pub(crate) fn keys_per_statement<E: EntityTrait>(capabilities: Capabilities) -> usize {
    // An alternative for each composite key makes a deep expression; the depth that SQLite takes is 1 000.
    const COMPOSITE: usize = 200;
    if columns::<E>().nth(1).is_none() { capabilities.bind_limit } else { COMPOSITE }
}
