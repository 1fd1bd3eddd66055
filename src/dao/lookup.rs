//! SELECT by primary key.

use sea_orm::{DbBackend, EntityTrait, IdenStatic, Values};

use super::{
    BaseDao,
    key::Key,
    texts::{Operation, Ready, Shape},
};
use crate::{error::Result, query::Conditions};

/// The statement that reads the row with this key, unless it is deleted.
pub(super) fn select_by_key<E: EntityTrait>(dao: &BaseDao<E>, key: Key<E>, backend: DbBackend) -> Result<Ready> {
    let deleted_at = dao.columns.deleted_at.map(|column| column.as_str());
    let mut shape = Shape::new::<E>(Operation::Select, backend, deleted_at);
    for (place, (column, value)) in key.parts().enumerate() {
        shape.compares(place, column, value);
    }
    if let Some(sql) = shape.known() {
        return Ok(Ready::Known(sql, Values(key.into_values().collect())));
    }
    // No LIMIT: a key has one row at most, and a LIMIT would cost the server a node of its plan.
    let statement = dao.query().filter(key.condition()).build(backend)?;
    shape.keep(&statement, key.into_values());
    Ok(Ready::Built(statement))
}
