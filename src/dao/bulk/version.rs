//! Optimistic locking of many rows.

use std::collections::HashMap;

use sea_orm::{EntityTrait, QuerySelect};

use super::{
    super::{
        BaseDao,
        key::{Key, any_of, keys_per_statement},
        version::conflict,
    },
    rows::Row,
};
use crate::{
    convention::ExpectedVersion,
    error::{Error, Result},
    query::Conditions,
    session::Session,
};

/// Locks the rows until the transaction ends, and compares their versions with those that were raised. That an UPDATE has
/// met fewer rows than it should would not tell which.
///
/// # Errors
///
/// [`Error::Row`] around [`Error::VersionConflict`] for the first row that has another version by now.
pub(super) async fn check_versions<E: EntityTrait>(session: &Session, dao: &BaseDao<E>, rows: &[Row<E>]) -> Result<()> {
    let Some(version) = dao.columns.checked_version()? else { return Ok(()) };
    let dao = dao.within(session);
    let keys: Vec<Key<E>> = rows.iter().filter_map(|row| Key::of_active_model(&row.model)).collect();
    let mut found: HashMap<String, E::Model> = HashMap::with_capacity(keys.len());
    for part in keys.chunks(keys_per_statement::<E>(session.capabilities())) {
        let locked = dao.query().filter(any_of(part)).select(QuerySelect::lock_exclusive).all().await?;
        found.extend(locked.into_iter().map(|model| (Key::<E>::of_model(&model).to_string(), model)));
    }
    for row in rows {
        // A row that is not there is missed by the update.
        if let Some(found) = found.get(&row.name())
            && let Some(expected) = ExpectedVersion::<E>::before(&row.model, version)
            && !expected.is_of(found)
        {
            let conflict = conflict(&Key::of_model(found), &expected, found);
            return Err(Error::Row { row: row.index, key: row.name(), source: Box::new(conflict) });
        }
    }
    Ok(())
}
