//! Writing many rows.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, Value,
    sea_query::sea_value_to_json_value,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

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

    /// Inserts rows given as JSON objects, by column name; else as [`insert_many`](Self::insert_many). A column that a row
    /// leaves out takes its default; when its type is an enum or another of your own, the model's field needs
    /// `#[serde(default)]` for that.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] with the row's number, from 0, for what is not an object, has a key that is not a
    /// column, or a value that does not fit; else as [`insert_many`](Self::insert_many).
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    pub async fn insert_json(&self, rows: impl IntoIterator<Item = Json>) -> Result<u64>
    where
        E::Model: DeserializeOwned,
    {
        let placeholders = placeholders::<E>();
        let models: Result<Vec<_>> =
            rows.into_iter().enumerate().map(|(row, json)| from_json::<E>(row, &json, &placeholders)).collect();
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
    for mut rows in statements {
        // A row that sets nothing stands alone, and has SQL of its own.
        let sets_nothing = rows.iter().all(|row| E::Column::iter().all(|column| row.is_not_set(column)));
        let insert = match rows.pop() {
            Some(row) if sets_nothing => E::insert(row).exec_without_returning(session).await,
            last => E::insert_many(rows.into_iter().chain(last)).exec_without_returning(session).await,
        };
        inserted += insert.map_err(during::<E>("insert"))?;
    }
    Ok(inserted)
}

fn from_json<E>(row: usize, json: &Json, placeholders: &Map<String, Json>) -> Result<E::ActiveModel>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + DeserializeOwned,
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
    let read = |keys: &mut dyn Iterator<Item = (&String, &Json)>| {
        let mut whole = placeholders.clone();
        whole.extend(keys.map(|(key, value)| (key.clone(), value.clone())));
        serde_json::from_value::<E::Model>(whole.into())
    };
    let mut model = match read(&mut object.iter()) {
        Ok(model) => model.into_active_model(),
        Err(error) => {
            // Read alone, unless what is missing is a value for another column.
            let alone = |pair| Some((pair, read(&mut std::iter::once(pair)).err()?));
            let culprit = read(&mut std::iter::empty()).ok().and_then(|_| object.iter().find_map(alone));
            let said = culprit.map_or_else(|| error.to_string(), |((key, _), error)| format!("{key}: {error}"));
            return Err(refuse(said, format!("values that fit {entity}")));
        }
    };
    for column in E::Column::iter() {
        match model.take(column).into_value() {
            Some(value) if object.contains_key(column.json_key()) => model.set(column, value),
            _ => model.not_set(column),
        }
    }
    Ok(model)
}

/// A value for each column, so that a row which leaves some out can be read as a model.
fn placeholders<E: EntityTrait>() -> Map<String, Json> {
    let defaults = E::ActiveModel::default_values();
    let each = E::Column::iter()
        .filter_map(|column| Some((column.json_key().to_owned(), placeholder(&defaults.get(column).into_value()?))));
    each.collect()
}

/// As serde reads it: SeaORM writes times and bytes in another form.
fn placeholder(value: &Value) -> Json {
    let written = match value {
        Value::ChronoDate(date) => serde_json::to_value(date),
        Value::ChronoTime(time) => serde_json::to_value(time),
        Value::ChronoDateTime(time) => serde_json::to_value(time),
        Value::ChronoDateTimeUtc(time) => serde_json::to_value(time),
        Value::ChronoDateTimeWithTimeZone(time) => serde_json::to_value(time),
        Value::ChronoDateTimeLocal(time) => serde_json::to_value(time),
        Value::TimeDate(date) => serde_json::to_value(date),
        Value::TimeTime(time) => serde_json::to_value(time),
        Value::TimeDateTime(time) => serde_json::to_value(time),
        Value::TimeDateTimeWithTimeZone(time) => serde_json::to_value(time),
        Value::Bytes(Some(_)) => Ok(Json::Array(Vec::new())),
        other => Ok(sea_value_to_json_value(other)),
    };
    written.unwrap_or_default()
}
