//! Rows given as JSON.

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, Value,
    sea_query::sea_value_to_json_value,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::super::BaseDao;
use crate::{
    error::{Error, Result},
    session::located,
};

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
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
    #[track_caller]
    pub fn insert_json(&self, rows: impl IntoIterator<Item = Json>) -> impl Future<Output = Result<u64>>
    where
        E::Model: DeserializeOwned,
    {
        let placeholders = placeholders::<E>();
        let models: Result<Vec<_>> =
            rows.into_iter().enumerate().map(|(row, json)| from_json::<E>(row, &json, &placeholders)).collect();
        located(async move { self.insert_many(models?).await })
    }
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
