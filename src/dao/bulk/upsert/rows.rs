//! The rows of an upsert before they are sent.

use std::{collections::HashMap, fmt::Write as _};

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, EntityTrait, IdenStatic, IntoActiveModel, Iterable, RelationTrait, Value,
};

use super::{
    super::{
        operation::Operation,
        rows::{Group, Row, by_columns},
    },
    plan::{Change, Plan},
};
use crate::{
    convention::now,
    error::{Error, Result},
    session::Session,
};

/// Rows as they are to be written.
pub(super) struct Ready<E: EntityTrait> {
    /// Those that another row may be in the way of.
    pub(super) targeted: Vec<Group<E>>,
    /// Those that are inserted in any case.
    pub(super) free: Vec<Row<E>>,
}

impl<E: EntityTrait> Ready<E> {
    /// Whether it is one row, and another may be in its way.
    pub(super) fn is_one(&self) -> bool {
        match (self.targeted.as_slice(), self.free.as_slice()) {
            ([group], []) => group.rows.len() == 1,
            ([], [_]) => true,
            _ => false,
        }
    }
}

impl<E> Plan<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Lets the conventions and the entity fill in what they do, and checks the rows.
    ///
    /// # Errors
    ///
    /// [`Error::Row`] for a row that cannot be written, or not beside the others.
    pub(super) async fn prepare(&self, session: &Session, mut models: Vec<E::ActiveModel>) -> Result<Ready<E>> {
        self.call_before_insert(session, &mut models).await?;
        let mut targeted = Vec::with_capacity(models.len());
        let mut free = Vec::new();
        let mut seen = HashMap::with_capacity(models.len());
        let now = now();
        for (index, model) in models.into_iter().enumerate() {
            let prepared = Operation::Insert.prepare(&self.dao, session, now, model).await;
            let model = prepared.map_err(|error| at_place(index, error))?;
            let row = Row { index, model };
            self.check_row(&row).map_err(|error| of_row(&row, error))?;
            let Some(values) = self.target_values(&row.model) else {
                free.push(row);
                continue;
            };
            if let Some(earlier) = seen.insert(text(&values), index) {
                return Err(of_row(&row, self.given_twice(earlier)));
            }
            targeted.push(row);
        }
        let mut targeted = by_columns(targeted, |model, column| Operation::Insert.writes::<E>(model, column));
        if !self.splits(session) {
            targeted.iter_mut().for_each(|group| self.put_in_order(session, &mut group.rows));
        }
        Ok(Ready { targeted, free })
    }

    /// Puts rows in an order that depends on nothing but their targets: two calls with the same rows then wait for each
    /// other, instead of each holding what the other one wants. Rows that may refer to one another stay as they are.
    pub(super) fn put_in_order(&self, session: &Session, rows: &mut [Row<E>]) {
        if session.capabilities().concurrent_writers && !refers_to_itself::<E>() {
            rows.sort_by_cached_key(|row| self.rank(row));
        }
    }

    pub(super) fn rank(&self, row: &Row<E>) -> Vec<Rank> {
        self.target.iter().map(|column| Rank::of(&row.value(*column))).collect()
    }

    fn check_row(&self, row: &Row<E>) -> Result<()> {
        let unset = |columns: &[E::Column]| columns.iter().find(|column| row.model.is_not_set(**column)).copied();
        if !self.is_on_primary_key()
            && let Some(column) = unset(&self.target)
        {
            let expected = "a value for each column of the conflict target; None for NULL";
            return Err(Error::argument("row", format!("{} (not set)", column.as_str()), expected));
        }
        if let Change::Only(columns) = &self.change
            && let Some(column) = unset(columns)
        {
            let expected = "a value for each column that is to be updated";
            return Err(Error::argument("row", format!("{} (not set)", column.as_str()), expected));
        }
        Ok(())
    }

    /// The error of a row for whose target another row of the same call has the same values.
    pub(super) fn given_twice(&self, earlier: usize) -> Error {
        let names = self.target_names();
        Error::argument("row", format!("the same {names} as in row {earlier}"), format!("each {names} once in a call"))
    }
}

/// The error of a row that has no key yet.
pub(super) fn at_place(row: usize, error: Error) -> Error {
    Error::Row { row, key: String::new(), source: Box::new(error) }
}

/// The error of one row.
pub(super) fn of_row<E: EntityTrait>(row: &Row<E>, error: Error) -> Error {
    Error::Row { row: row.index, key: row.name(), source: Box::new(error) }
}

fn refers_to_itself<E: EntityTrait>() -> bool {
    E::Relation::iter().map(|relation| relation.def()).any(|relation| relation.from_tbl == relation.to_tbl)
}

/// The rows in the order in which the caller gave them.
pub(super) fn as_given<E: EntityTrait>(rows: &[Row<E>]) -> Vec<Row<E>> {
    let mut given: Vec<Row<E>> = rows.iter().map(Row::copy).collect();
    given.sort_by_key(|row| row.index);
    given
}

/// Where a value stands among others of its column.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Number(i128),
    Text(String),
}

impl Rank {
    fn of(value: &Value) -> Self {
        match value {
            Value::TinyInt(Some(number)) => Self::Number((*number).into()),
            Value::SmallInt(Some(number)) => Self::Number((*number).into()),
            Value::Int(Some(number)) => Self::Number((*number).into()),
            Value::BigInt(Some(number)) => Self::Number((*number).into()),
            Value::TinyUnsigned(Some(number)) => Self::Number((*number).into()),
            Value::SmallUnsigned(Some(number)) => Self::Number((*number).into()),
            Value::Unsigned(Some(number)) => Self::Number((*number).into()),
            Value::BigUnsigned(Some(number)) => Self::Number((*number).into()),
            Value::String(Some(text)) => Self::Text(text.clone()),
            other => Self::Text(text(std::slice::from_ref(other))),
        }
    }
}

/// Values as something that can be looked up.
pub(super) fn text(values: &[Value]) -> String {
    values.iter().fold(String::new(), |mut text, value| {
        // Writing to a `String` does not fail.
        let _ = write!(text, "{value:?},");
        text
    })
}
