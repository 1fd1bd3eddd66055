//! DELETE of many rows by key.

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::super::{
    BaseDao,
    among::among,
    base::KeyOf,
    key::{self, Key, keys_per_statement},
};
use crate::{error::Result, session::located};

/// For the columns that a soft deletion sets.
const BINDS_BESIDE_KEYS: usize = 16;

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Deletes the rows with these primary keys in one transaction, any number of them, as
    /// [`delete_by_id`](Self::delete_by_id) deletes one. Gives how many there were: keys that are not found, or belong to
    /// deleted rows, are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`](crate::Error::Operation) around the database's failure; nothing is deleted then.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn delete_many<K: Into<KeyOf<E>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<u64>> {
        located(self.delete_keys(key::distinct::<E>(keys.into_iter().map(Into::into))))
    }

    async fn delete_keys(&self, keys: Vec<Key<E>>) -> Result<u64> {
        if keys.is_empty() {
            return Ok(0);
        }
        let session = self.session();
        let most = keys_per_statement::<E>(session.capabilities());
        let parts = keys.chunks(most.saturating_sub(BINDS_BESIDE_KEYS).max(1));
        if parts.len() < 2 && self.callbacks.is_empty() {
            return self.delete_matching(&session, among(&keys, session.backend())).await;
        }
        let tx = session.begin().await?;
        let mut deleted = 0;
        for part in parts {
            match self.delete_matching(&tx, among(part, session.backend())).await {
                Ok(count) => deleted += count,
                Err(error) => {
                    tx.rollback_or_report().await;
                    return Err(error);
                }
            }
        }
        tx.commit().await?;
        Ok(deleted)
    }
}
