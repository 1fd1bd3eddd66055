//! Why a row was not written: it is gone, or it is another one by now.

use sea_orm::{EntityTrait, ModelTrait, QuerySelect};

use super::{BaseDao, key::Key, write::not_found};
use crate::{
    convention::ExpectedVersion,
    error::{Error, Result},
    query::Conditions,
    session::Session,
};

impl<E: EntityTrait> BaseDao<E> {
    /// The error for a row that a write did not find.
    pub(super) async fn why_not_written(
        &self,
        session: &Session,
        key: &Key<E>,
        expected: Option<ExpectedVersion<E>>,
    ) -> Error {
        let Some(expected) = expected else { return not_found(key) };
        // Locked, as a transaction's own view may be older than what the write met.
        let row = self.within(session).query().filter(key.condition()).select(QuerySelect::lock_exclusive);
        match row.first().await {
            Ok(Some(row)) => conflict(key, &expected, &row),
            Ok(None) => not_found(key),
            Err(error) => error,
        }
    }

    /// The row as it is, for an update that changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::VersionConflict`] when the caller knows another version of it.
    pub(super) fn check_version(&self, key: &Key<E>, model: &E::ActiveModel, row: E::Model) -> Result<E::Model> {
        match self.columns.known(model)? {
            Some(known) if !known.is_of(&row) => Err(conflict(key, &known, &row)),
            _ => Ok(row),
        }
    }
}

pub(super) fn conflict<E: EntityTrait>(key: &Key<E>, expected: &ExpectedVersion<E>, row: &E::Model) -> Error {
    Error::VersionConflict {
        entity: E::default().table_name(),
        key: key.to_string(),
        expected: expected.value.to_string(),
        found: row.get(expected.column).to_string(),
    }
}
