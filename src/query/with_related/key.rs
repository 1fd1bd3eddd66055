//! The values by which rows belong together.

use sea_orm::{
    Condition, DbBackend, DbErr, QueryResult, Value,
    dynamic::{FieldType, ModelType},
    sea_query::{ArrayType, Expr, ExprTrait, IntoCondition, IntoIden},
};

use crate::{
    backend::{fill_up, list_as_one_value},
    convention::is_null,
};

/// The values by which rows belong together. Numbers of different types are the same when they are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Vec<Value>);

impl Key {
    /// `None` when one of the values is NULL: such a row belongs to nothing.
    pub(super) fn of(values: Vec<Value>) -> Option<Self> {
        (!values.iter().any(is_null)).then(|| Self(values.into_iter().map(alike).collect()))
    }
}

/// Values of the same number or text as values of the same type.
fn alike(value: Value) -> Value {
    match value {
        Value::TinyInt(Some(number)) => i64::from(number).into(),
        Value::SmallInt(Some(number)) => i64::from(number).into(),
        Value::Int(Some(number)) => i64::from(number).into(),
        Value::TinyUnsigned(Some(number)) => i64::from(number).into(),
        Value::SmallUnsigned(Some(number)) => i64::from(number).into(),
        Value::Unsigned(Some(number)) => i64::from(number).into(),
        Value::Char(Some(character)) => character.to_string().into(),
        other => other,
    }
}

/// Whether equal values of this type are equal in Rust as well, however the other table's column is declared.
pub(super) fn is_exact(kind: &ArrayType) -> bool {
    is_integer(kind) || matches!(kind, ArrayType::Uuid)
}

pub(super) fn is_integer(kind: &ArrayType) -> bool {
    use ArrayType::{BigInt, Int, SmallInt, SmallUnsigned, TinyInt, TinyUnsigned, Unsigned};
    matches!(kind, TinyInt | SmallInt | Int | BigInt | TinyUnsigned | SmallUnsigned | Unsigned)
}

/// Where the key stands in a statement's rows.
pub(super) struct Part {
    /// What is compared with the values.
    pub(super) column: Expr,
    /// What is read.
    pub(super) selected: Expr,
    /// As what it is read.
    pub(super) kind: ArrayType,
    /// Binds a value as one of the column's type.
    pub(super) cast: Box<dyn Fn(&Value) -> Expr + Send + Sync>,
}

/// The name under which a part of the key is read.
pub(super) fn name(part: usize) -> String {
    format!("sea_dao_key_{part}")
}

/// Reads the keys of rows.
pub(super) struct Reader(ModelType);

impl Reader {
    pub(super) fn of(parts: &[Part]) -> Self {
        let fields = parts.iter().enumerate().map(|(number, part)| {
            let kind = if part.kind == ArrayType::Char { ArrayType::String } else { part.kind.clone() };
            FieldType::new(name(number).into_iden(), kind)
        });
        Self(ModelType { fields: fields.collect() })
    }

    pub(super) fn read(&self, row: &QueryResult) -> Result<Option<Key>, DbErr> {
        let values = self.0.from_query_result(row, "")?;
        Ok(Key::of(values.fields.into_iter().map(|field| field.value).collect()))
    }
}

/// How many keys go into one statement. More than these of a composite key would make an expression too deep for SQLite.
const COMPOSITE: usize = 128;

/// The keys of each statement.
pub(super) fn parts_of<'k>(parts: &[Part], keys: &'k [Key], backend: DbBackend, bind_limit: usize) -> Vec<&'k [Key]> {
    let most = match parts {
        [part] if one_value(part, keys, backend).is_some() => keys.len(),
        // The query has values of its own.
        [_] => bind_limit / 2,
        _ => COMPOSITE,
    };
    keys.chunks(most.max(1)).collect()
}

/// Holds for rows with one of the keys.
pub(super) fn any_of(parts: &[Part], keys: &[Key], backend: DbBackend) -> Condition {
    if let [part] = parts {
        return one_value(part, keys, backend).unwrap_or_else(|| one_by_one(part, keys)).into_condition();
    }
    keys.iter().fold(Condition::any(), |any, key| {
        let whole = parts
            .iter()
            .zip(&key.0)
            .fold(Condition::all(), |all, (part, value)| all.add(part.column.clone().eq((part.cast)(value))));
        any.add(whole)
    })
}

fn one_value(part: &Part, keys: &[Key], backend: DbBackend) -> Option<Expr> {
    let values: Vec<Value> = values(keys).collect();
    let is_plain = |value: &Value| (part.cast)(value) == Expr::val(value.clone());
    // A cast that the entity asks for is one of each value; other values than texts have none of their own.
    let plain = is_plain(&1.into())
        && values
            .iter()
            .all(|value| !matches!(value, Value::String(Some(text)) if text.ends_with(' ')) || is_plain(value));
    plain.then(|| list_as_one_value(backend, part.column.clone(), &values, false)).flatten()
}

fn one_by_one(part: &Part, keys: &[Key]) -> Expr {
    let mut values: Vec<Value> = values(keys).collect();
    fill_up(&mut values);
    part.column.clone().is_in(values.iter().map(|value| (part.cast)(value)))
}

fn values(keys: &[Key]) -> impl Iterator<Item = Value> {
    keys.iter().flat_map(|key| &key.0).cloned()
}
