//! Conditions over many keys whose SQL depends little on how many they are.

use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, Value,
    sea_query::{Expr, IntoCondition},
};

use super::key::{self, Key, any_of};
use crate::backend::{fill_up, list_as_one_value, padded_length};

/// A condition that holds for the rows with one of the keys: one array where the database has them; elsewhere a list that is
/// filled up to a power of two, so that few statements have to be prepared. At least one key.
pub(super) fn among<E: EntityTrait>(keys: &[Key<E>], backend: DbBackend) -> Condition {
    let mut columns = key::columns::<E>();
    let (Some(column), None) = (columns.next(), columns.next()) else { return any_of(keys) };
    let mut values: Vec<Value> = keys.iter().flat_map(Key::parts).map(|(_, value)| value.clone()).collect();
    if padded_length(column, &values).is_some() {
        return any_of(keys);
    }
    // A cast that the entity asks for is one of each value.
    if column.save_as(Expr::val(1)) == Expr::val(1)
        && let Some(condition) = list_as_one_value(backend, Expr::col(column.as_column_ref()), &values, false)
    {
        return condition.into_condition();
    }
    fill_up(&mut values);
    column.is_in(values).into_condition()
}
