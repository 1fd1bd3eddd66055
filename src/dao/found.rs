//! The rows that there are for many keys.

use std::{collections::HashMap, slice};

use sea_orm::EntityTrait;

use super::{
    BaseDao,
    among::among,
    key::{Key, keys_per_statement},
};
use crate::{
    error::Result,
    query::{Conditions, QueryBuilder},
    session::Session,
};

/// Keys without a row that are asked for once more at a time.
const ASKED_AGAIN: usize = 32;

/// The row for each of the keys, in their order; `None` where there is none. `reading` says how they are read.
///
/// It is the database that compares: a text in upper case, or a number with more digits, may be the key of a row that
/// shows it otherwise. Two keys that differ here may have the same row.
pub(super) async fn find_each<E: EntityTrait>(
    session: &Session,
    dao: &BaseDao<E>,
    keys: &[Key<E>],
    reading: impl Fn(QueryBuilder<E>) -> QueryBuilder<E>,
) -> Result<Vec<Option<E::Model>>> {
    let dao = dao.within(session);
    let read = |keys: &[Key<E>]| reading(dao.query().filter(among(keys, session.backend())));
    let mut by_text: HashMap<String, E::Model> = HashMap::with_capacity(keys.len());
    for part in keys.chunks(keys_per_statement::<E>(session.capabilities())) {
        let rows = read(part).all().await?;
        by_text.extend(rows.into_iter().map(|row| (Key::<E>::of_model(&row).identity(), row)));
    }
    let mut found: Vec<Option<E::Model>> = keys.iter().map(|key| by_text.remove(&key.identity())).collect();
    let unfound: Vec<usize> = (0..keys.len()).filter(|at| found[*at].is_none() && !keys[*at].is_exact()).collect();
    for part in unfound.chunks(ASKED_AGAIN) {
        let asked: Vec<Key<E>> = part.iter().map(|at| keys[*at].clone()).collect();
        if read(&asked).first().await?.is_none() {
            continue;
        }
        for (at, key) in part.iter().zip(&asked) {
            found[*at] = read(slice::from_ref(key)).first().await?;
        }
    }
    Ok(found)
}
