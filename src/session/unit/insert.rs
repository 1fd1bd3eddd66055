//! Inserting the rows of one entity.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, Iterable,
    ModelTrait, Value,
    sea_query::{Expr, InsertStatement},
};

use super::{
    entity::EntityBatch,
    links::{Link, reference},
    runner::Runner,
    slot::{AnySlot, Slot},
};
use crate::{
    backend::{insert_returning, models},
    convention::{ActorId, ConventionColumns, Moment, on_behalf_of},
    error::{Error, Result},
    session::{CallbackList, Session},
};

/// Enough rows to make the round trip count little, few enough to keep the prepared statement small.
const ROWS_PER_STATEMENT: usize = 1_000;

/// A row that is to be inserted.
pub(super) struct Add<E: EntityTrait> {
    pub(super) slot: Arc<Slot<E>>,
    pub(super) source: Source<E>,
    /// The rows that have to be there before it.
    pub(super) before: Vec<Arc<dyn AnySlot>>,
    pub(super) columns: ConventionColumns<E>,
    pub(super) callbacks: CallbackList<E>,
    /// Who asked for it.
    pub(super) actor: Option<ActorId>,
    /// What the flush under way inserts.
    pub(super) ready: Option<E::ActiveModel>,
    /// What is to be called before the write was called.
    pub(super) called: bool,
    pub(super) saved: bool,
}

/// Where the values come from.
pub(super) enum Source<E: EntityTrait> {
    Given(E::ActiveModel),
    /// Made out of the rows before it; `None` as long as one of them is not there.
    Made(Box<dyn Fn() -> Option<E::ActiveModel> + Send>),
}

impl<E: EntityTrait> Add<E> {
    /// Makes the row, if those before it are there.
    pub(super) fn make(&mut self, now: Moment) -> Result<()> {
        if self.ready.is_some() {
            return Ok(());
        }
        let made = match &self.source {
            Source::Given(model) => Some(model.clone()),
            Source::Made(make) => make(),
        };
        let Some(mut model) = made else { return Ok(()) };
        on_behalf_of(self.actor.as_ref(), || self.columns.stamp_insert_at(now, &mut model))?;
        self.ready = Some(model);
        Ok(())
    }

    /// Whether it is made and nothing was called for it.
    pub(super) fn is_new(&self) -> bool {
        self.ready.is_some() && !self.called
    }

    /// Calls what the entity does before a write.
    pub(super) async fn prepare(&mut self, session: &Session) -> Result<()>
    where
        E::ActiveModel: Send,
    {
        if self.is_new()
            && let Some(model) = self.ready.take()
        {
            self.ready = Some(model.before_save(session, true).await?);
            self.called = true;
        }
        Ok(())
    }

    pub(super) fn reset(&mut self) {
        self.ready = None;
        self.called = false;
        self.saved = false;
        self.slot.stage(None);
    }
}

impl<E: EntityTrait> EntityBatch<E> {
    /// What the values of a row provide to others and need of them.
    pub(super) fn references(
        &self,
        links: &[Link],
        value: impl Fn(E::Column) -> Option<Value>,
    ) -> (Vec<String>, Vec<String>) {
        let of = |table: &str, columns: &[String]| reference::<E>(table, columns, &value);
        let provides = links.iter().filter(|link| link.parent == self.key);
        let needs = links.iter().filter(|link| link.child == self.key);
        (
            provides.filter_map(|link| of(&format!("{} {}", link.parent, link.to.join(",")), &link.to)).collect(),
            needs.filter_map(|link| of(&format!("{} {}", link.parent, link.to.join(",")), &link.from)).collect(),
        )
    }

    /// Splits rows by the columns they set, and by what one statement takes. A row stays behind those of the levels
    /// before its own.
    pub(super) fn insert_statements(&self, levels: &[Vec<usize>], bind_limit: usize) -> Vec<Vec<usize>> {
        let mut statements: Vec<(Vec<bool>, Vec<usize>)> = Vec::new();
        for level in levels {
            let first = statements.len().saturating_sub(1);
            for &row in level {
                let Some(model) = &self.adds[row].ready else { continue };
                let set: Vec<bool> = E::Column::iter().map(|column| !model.is_not_set(column)).collect();
                let rows = match set.iter().filter(|set| **set).count() {
                    // DEFAULT VALUES makes one row.
                    0 => 1,
                    columns => (bind_limit / columns).clamp(1, ROWS_PER_STATEMENT),
                };
                let open = statements[first..].iter_mut().find(|(other, part)| part.len() < rows && *other == set);
                match open {
                    Some((_, part)) => part.push(row),
                    None => statements.push((set, vec![row])),
                }
            }
        }
        statements.into_iter().map(|(_, rows)| rows).collect()
    }

    pub(super) async fn insert(&mut self, runner: &Runner<'_>, levels: Vec<Vec<usize>>) -> Result<()>
    where
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        let capabilities = runner.capabilities();
        for rows in self.insert_statements(&levels, capabilities.bind_limit) {
            let sent: Vec<E::ActiveModel> = rows.iter().filter_map(|&row| self.adds[row].ready.clone()).collect();
            let models = if capabilities.insert_returning {
                insert_together::<E>(runner, sent).await?
            } else {
                insert_one_by_one::<E>(runner, sent).await?
            };
            for (row, model) in rows.into_iter().zip(models) {
                self.adds[row].saved = true;
                self.adds[row].slot.stage(Some(model));
            }
        }
        Ok(())
    }
}

/// Inserts rows that set the same columns, and gives them as they were written, in the same order.
async fn insert_together<E>(runner: &Runner<'_>, sent: Vec<E::ActiveModel>) -> Result<Vec<E::Model>>
where
    E: EntityTrait,
    E::ActiveModel: Send,
{
    let mut insert = InsertStatement::new();
    insert.into_table(E::default().table_ref()).or_default_values();
    let columns: Vec<E::Column> =
        E::Column::iter().filter(|column| sent.first().is_some_and(|model| !model.is_not_set(*column))).collect();
    insert.columns(columns.iter().copied());
    for model in sent.iter().filter(|_| !columns.is_empty()) {
        let values = columns.iter().filter_map(|column| Some(column.save_as(Expr::val(value::<E>(model, *column)?))));
        insert.values(values).map_err(|error| Error::argument("row", error, "a value for each column"))?;
    }
    let backend = runner.backend();
    let wanted = E::Column::iter().map(|column| column.select_as(column.into_returning_expr(backend)));
    let rows = runner.rows(insert_returning(insert, wanted, backend)).await?;
    let models = models::<E>(&rows)?;
    if models.len() != sent.len() {
        let expected = format!("{} rows, as many as were sent", sent.len());
        return Err(Error::argument("INSERT's answer", format!("{} rows", models.len()), expected));
    }
    Ok(in_order_of::<E>(&sent, models))
}

/// For a database that does not tell what it has generated for several rows.
async fn insert_one_by_one<E>(runner: &Runner<'_>, sent: Vec<E::ActiveModel>) -> Result<Vec<E::Model>>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel>,
    E::ActiveModel: Send,
{
    let mut models = Vec::with_capacity(sent.len());
    for model in sent {
        models.push(E::insert(model).exec_with_returning(runner.session()).await?);
    }
    Ok(models)
}

/// Puts the rows that came back in the order of those that were sent. No database promises an order; where the values do
/// not tell, because the database has changed some of them, they are taken as they came.
fn in_order_of<E: EntityTrait>(sent: &[E::ActiveModel], models: Vec<E::Model>) -> Vec<E::Model> {
    let is_same = |(sent, model): (&E::ActiveModel, &E::Model)| {
        E::Column::iter().all(|column| value::<E>(sent, column).is_none_or(|value| value == model.get(column)))
    };
    if sent.iter().zip(&models).all(is_same) {
        return models;
    }
    let columns: Vec<E::Column> =
        E::Column::iter().filter(|column| sent.iter().any(|model| !model.is_not_set(*column))).collect();
    let mut by_values: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (index, model) in models.iter().enumerate() {
        let values: Vec<Value> = columns.iter().map(|column| model.get(*column)).collect();
        by_values.entry(format!("{values:?}")).or_default().push_back(index);
    }
    let order: Option<Vec<usize>> = sent
        .iter()
        .map(|sent| {
            let values: Option<Vec<Value>> = columns.iter().map(|column| value::<E>(sent, *column)).collect();
            by_values.get_mut(&format!("{:?}", values?))?.pop_front()
        })
        .collect();
    let Some(order) = order else { return models };
    let mut models: Vec<Option<E::Model>> = models.into_iter().map(Some).collect();
    order.into_iter().filter_map(|index| models[index].take()).collect()
}

fn value<E: EntityTrait>(model: &E::ActiveModel, column: E::Column) -> Option<Value> {
    match model.get(column) {
        ActiveValue::Set(value) | ActiveValue::Unchanged(value) => Some(value),
        ActiveValue::NotSet => None,
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::ActiveValue::Set;

    use super::in_order_of;

    mod thing {
        use sea_orm::entity::prelude::*;

        #[derive(Debug, Clone, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "thing")]
        pub(super) struct Model {
            #[sea_orm(primary_key)]
            pub(super) id: i64,
            pub(super) name: String,
            pub(super) size: Option<i32>,
        }

        #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
        pub(super) enum Relation {}

        impl ActiveModelBehavior for ActiveModel {}
    }

    fn sent(name: &str, size: Option<i32>) -> thing::ActiveModel {
        thing::ActiveModel { name: Set(name.to_owned()), size: Set(size), ..Default::default() }
    }

    fn came(id: i64, name: &str, size: Option<i32>) -> thing::Model {
        thing::Model { id, name: name.to_owned(), size }
    }

    fn ids(sent: &[thing::ActiveModel], came: Vec<thing::Model>) -> Vec<i64> {
        in_order_of::<thing::Entity>(sent, came).into_iter().map(|model| model.id).collect()
    }

    #[test]
    fn rows_that_come_in_another_order_are_told_by_their_values() {
        let rows = [sent("a", Some(1)), sent("b", None), sent("b", Some(1))];
        assert_eq!(ids(&rows, vec![came(1, "a", Some(1)), came(2, "b", None), came(3, "b", Some(1))]), [1, 2, 3]);
        assert_eq!(ids(&rows, vec![came(3, "b", Some(1)), came(1, "a", Some(1)), came(2, "b", None)]), [1, 2, 3]);
    }

    #[test]
    fn equal_rows_are_given_once_each() {
        let rows = [sent("a", None), sent("b", None), sent("a", None)];
        assert_eq!(ids(&rows, vec![came(2, "b", None), came(1, "a", None), came(3, "a", None)]), [1, 2, 3]);
    }

    #[test]
    fn rows_that_the_database_has_changed_are_taken_as_they_come() {
        let rows = [sent("a", None), sent("b", None)];
        assert_eq!(ids(&rows, vec![came(1, "A", None), came(2, "B", None)]), [1, 2]);
    }
}
