//! Rows in the order of their keys.

use std::collections::HashMap;

use sea_orm::EntityTrait;

use super::{
    BaseDao,
    base::KeyOf,
    key::{Key, without_repetitions},
};
use crate::{error::Result, query::Conditions, session::located};

impl<E: EntityTrait> BaseDao<E> {
    /// A row for each of these primary keys, in their order: `None` where there is none, and the same row again where a
    /// key comes again. Any number of keys; else as [`find_by_ids`](Self::find_by_ids).
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result};
    /// # use entities::country;
    /// # async fn example(countries: BaseDao<country::Entity>) -> Result<()> {
    /// let found = countries.find_by_ids_in_order(["NO", "??", "NO"]).await?;
    /// assert_eq!(found.len(), 3);
    /// assert!(found[1].is_none() && found[0] == found[2]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of a statement.
    ///
    /// # Cancel safety
    ///
    /// As [`find_by_id`](Self::find_by_id).
    #[track_caller]
    pub fn find_by_ids_in_order<K: Into<KeyOf<E>>>(
        &self,
        keys: impl IntoIterator<Item = K>,
    ) -> impl Future<Output = Result<Vec<Option<E::Model>>>> {
        let keys: Vec<Key<E>> = keys.into_iter().map(|key| Key::of(key.into())).collect();
        located(async move {
            let rows = self.rows_with(&without_repetitions(keys.iter().cloned())).await?;
            let mut found: HashMap<String, Option<E::Model>> =
                rows.into_iter().map(|row| (Key::<E>::of_model(&row).identity(), Some(row))).collect();
            // What differs here may be the same to the database: a text in upper case, a time with more digits.
            let missing = keys.iter().filter(|key| !key.is_exact() && !found.contains_key(&key.identity()));
            let missing = without_repetitions(missing.cloned());
            if !missing.is_empty() && !found.is_empty() && !self.rows_with(&missing).await?.is_empty() {
                for key in missing {
                    let row = self.query().filter(key.condition()).first().await?;
                    found.insert(key.identity(), row);
                }
            }
            Ok(keys.iter().map(|key| found.get(&key.identity()).cloned().flatten()).collect())
        })
    }
}
