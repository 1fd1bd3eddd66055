//! Writing many rows.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, TryIntoModel,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{BaseDao, write::during};
use crate::{
    error::{Error, Result},
    session::{Session, execute_transaction},
};

/// Enough rows to make the round trip count little, few enough to keep the prepared statement small.
const ROWS_PER_STATEMENT: usize = 1_000;

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send,
{
    /// Inserts any number of rows, all or none of them, in as few statements as the database allows, and gives their
    /// number. A column that a row does not set takes its default, whatever the other rows set. No rows: nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Error::Operation`] around the database's failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    pub async fn insert_many<M>(&self, models: impl IntoIterator<Item = M>) -> Result<u64>
    where
        M: IntoActiveModel<E::ActiveModel>,
    {
        let mut models: Vec<_> = models.into_iter().map(IntoActiveModel::into_active_model).collect();
        let session = self.session();
        for model in &mut models {
            self.columns.stamp_insert(model);
        }
        let mut ready = Vec::with_capacity(models.len());
        for model in models {
            ready.push(model.before_save(&session, true).await.map_err(during::<E>("insert"))?);
        }
        let statements = self.statements(ready);
        match statements.len() {
            0 => Ok(0),
            1 => insert_all::<E>(&session, statements).await,
            _ => {
                execute_transaction(&session, async move |tx| -> Result<u64> { insert_all::<E>(tx, statements).await })
                    .await
            }
        }
    }

    /// Inserts rows given as JSON objects, by column name; else as [`insert_many`](Self::insert_many).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] with the row's number, from 0, for what is not an object, has a key that is not a
    /// column, or a value that does not fit; else as [`insert_many`](Self::insert_many).
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    pub async fn insert_json(&self, rows: impl IntoIterator<Item = serde_json::Value>) -> Result<u64>
    where
        E::Model: Serialize + DeserializeOwned,
        E::ActiveModel: TryIntoModel<E::Model>,
    {
        let models: Result<Vec<_>> =
            rows.into_iter().enumerate().map(|(row, json)| from_json::<E>(row, json)).collect();
        self.insert_many(models?).await
    }

    /// Splits the rows by the columns they set, and each part by what one statement takes.
    fn statements(&self, models: Vec<E::ActiveModel>) -> Vec<Vec<E::ActiveModel>> {
        let mut groups: Vec<(Vec<bool>, Vec<E::ActiveModel>)> = Vec::new();
        for model in models {
            let set: Vec<bool> = E::Column::iter().map(|column| !model.is_not_set(column)).collect();
            match groups.iter_mut().find(|(other, _)| *other == set) {
                Some((_, group)) => group.push(model),
                None => groups.push((set, vec![model])),
            }
        }
        let bind_limit = self.capabilities().bind_limit;
        let mut statements = Vec::new();
        for (set, group) in groups {
            let rows = match set.iter().filter(|set| **set).count() {
                // DEFAULT VALUES makes one row.
                0 => 1,
                columns => (bind_limit / columns).clamp(1, ROWS_PER_STATEMENT),
            };
            let mut rest = group.into_iter();
            loop {
                let part: Vec<_> = rest.by_ref().take(rows).collect();
                if part.is_empty() {
                    break;
                }
                statements.push(part);
            }
        }
        statements
    }
}

async fn insert_all<E>(session: &Session, statements: Vec<Vec<E::ActiveModel>>) -> Result<u64>
where
    E: EntityTrait,
    E::ActiveModel: Send,
{
    let mut inserted = 0;
    for rows in statements {
        let insert = E::insert_many(rows);
        inserted += insert.exec_without_returning(session).await.map_err(during::<E>("insert"))?;
    }
    Ok(inserted)
}

fn from_json<E>(row: usize, json: serde_json::Value) -> Result<E::ActiveModel>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Serialize + DeserializeOwned,
    E::ActiveModel: TryIntoModel<E::Model>,
{
    let entity = E::default().table_name();
    let refuse = |value: String, expected: String| Error::InvalidArgument {
        argument: "rows",
        value: format!("row {row}: {value}"),
        expected,
    };
    let Some(object) = json.as_object() else {
        return Err(refuse(json.to_string(), format!("an object with columns of {entity}")));
    };
    if let Some(key) = object.keys().find(|key| !E::Column::iter().any(|column| column.json_key() == key.as_str())) {
        return Err(refuse(format!("key {key:?}"), format!("a column of {entity}")));
    }
    E::ActiveModel::from_json(json).map_err(|error| refuse(error.to_string(), format!("values that fit {entity}")))
}
