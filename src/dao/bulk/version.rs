//! Optimistic locking of many rows.

use sea_orm::{EntityTrait, QuerySelect};

use super::{
    super::{BaseDao, found::find_each, key::Key, version::conflict},
    rows::{Row, keys_of},
    update::{check_all_found, check_each_once},
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
/// [`Error::Row`] for the first row that has another version by now, around [`Error::VersionConflict`], or is not there.
pub(super) async fn check_versions<E: EntityTrait>(session: &Session, dao: &BaseDao<E>, rows: &[Row<E>]) -> Result<()> {
    let Some(version) = dao.columns.checked_version()? else { return Ok(()) };
    let lock = |query: QueryBuilder<E>| query.select(QuerySelect::lock_exclusive);
    let found = Box::pin(find_each(session, dao, &keys_of(rows), lock)).await?;
    check_each_once(rows, &found)?;
    check_found(rows, &found, |row| ExpectedVersion::before(&row.model, version))
}

/// Looks at rows in which nothing is set, as an update of one row does.
///
/// # Errors
///
/// As [`check_versions`], and without optimistic locking those for rows that are not there.
pub(super) async fn check_unchanged<E: EntityTrait>(
    session: &Session,
    dao: &BaseDao<E>,
    rows: &[Row<E>],
) -> Result<()> {
    let version = dao.columns.checked_version()?;
    let found = Box::pin(find_each(session, dao, &keys_of(rows), |query| query)).await?;
    check_each_once(rows, &found)?;
    check_found(rows, &found, |row| version.and_then(|version| ExpectedVersion::known_to(&row.model, version)))
}

fn check_found<E: EntityTrait>(
    rows: &[Row<E>],
    found: &[Option<E::Model>],
    expected: impl Fn(&Row<E>) -> Option<ExpectedVersion<E>>,
) -> Result<()> {
    for (row, model) in rows.iter().zip(found) {
        let Some(model) = model else { return check_all_found(rows, found) };
        if let Some(expected) = expected(row)
            && !expected.is_of(model)
        {
            let conflict = conflict(&Key::of_model(model), &expected, model);
            return Err(Error::Row { row: row.index, key: row.name(), source: Box::new(conflict) });
        }
    }
    Ok(())
}
