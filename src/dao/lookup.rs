//! SELECT by primary key. Its SQL is the same for all keys of an entity, and is built once.

use std::{
    any::TypeId,
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{Arc, LazyLock, PoisonError, RwLock},
};

use sea_orm::{DbBackend, EntityTrait, IdenStatic, Statement, Values};

use super::{BaseDao, key::Key};
use crate::query::Conditions;

/// The entity, the database, and the column by which deleted rows are left out.
type Place = (TypeId, Discriminant<DbBackend>, Option<&'static str>);

/// Never more than there are entities in the program, times the databases that it uses.
static TEXTS: LazyLock<RwLock<HashMap<Place, Arc<str>>>> = LazyLock::new(RwLock::default);

/// The statement that reads the row with this key, unless it is deleted.
pub(super) fn select_by_key<E: EntityTrait>(dao: &BaseDao<E>, key: Key<E>, backend: DbBackend) -> Statement {
    let deleted_at = dao.columns.deleted_at.map(|column| column.as_str());
    let place = (TypeId::of::<E>(), discriminant(&backend), deleted_at);
    let known = TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
    if let Some(sql) = known {
        return Statement { sql: (*sql).to_owned(), values: Some(values(key)), db_backend: backend };
    }
    let statement = dao.query().filter(key.condition()).limit(1).build(backend);
    // Only as long as the key's values stand where they are expected is the text good for other keys.
    if statement.values.as_ref() == Some(&values(key)) {
        let sql = Arc::from(statement.sql.as_str());
        TEXTS.write().unwrap_or_else(PoisonError::into_inner).insert(place, sql);
    }
    statement
}

/// Those of the key, and the LIMIT.
fn values<E: EntityTrait>(key: Key<E>) -> Values {
    Values(key.into_values().chain([1_u64.into()]).collect())
}
