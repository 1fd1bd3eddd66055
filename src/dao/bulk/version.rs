//! Optimistic locking of many rows.

use sea_orm::{EntityTrait, QuerySelect};

use super::{
    super::{BaseDao, found::find_each, key::Key, version::conflict},
    rows::{Row, keys_of},
    update::check_each_once,
};
use crate::{
    convention::ExpectedVersion,
    error::{Error, Result},
    query::QueryBuilder,
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
    let lock = |query: QueryBuilder<E>| query.select(QuerySelect::lock_exclusive);
    let found = Box::pin(find_each(session, dao, &keys_of(rows), lock)).await?;
    check_each_once(rows, &found)?;
    for (row, found) in rows.iter().zip(&found) {
        // A row that is not there is missed by the update.
        if let Some(found) = found
            && let Some(expected) = ExpectedVersion::<E>::before(&row.model, version)
            && !expected.is_of(found)
        {
            let conflict = conflict(&Key::of_model(found), &expected, found);
            return Err(Error::Row { row: row.index, key: row.name(), source: Box::new(conflict) });
        }
    }
    Ok(())
}
