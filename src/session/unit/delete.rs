//! Deleting the rows of one entity.

use std::collections::{BTreeMap, HashMap};

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, Condition, EntityTrait, IdenStatic, IntoActiveModel, ModelTrait,
    StatementBuilder,
    sea_query::{DeleteStatement, UpdateStatement},
};

use super::{
    entity::EntityBatch,
    identity::key_of_model,
    keys::{any_of, keys_per_statement, why_not_written},
    links::Link,
    rows::Node,
    rules::Rules,
    runner::Runner,
};
use crate::{
    convention::{ActorId, ConventionColumns, ExpectedVersion, current_actor, moment_for, now, on_behalf_of},
    error::Result,
    session::{CallbackList, Session},
};

/// A row that is to be deleted.
pub(super) struct Removal<E: EntityTrait> {
    pub(super) model: E::Model,
    pub(super) key: String,
    /// The column that marks it as deleted; none, and the row is removed.
    pub(super) soft: Option<E::Column>,
    pub(super) columns: ConventionColumns<E>,
    pub(super) callbacks: CallbackList<E>,
    /// Who asked for it.
    actor: Option<ActorId>,
    /// What the entity's own callbacks are given.
    pub(super) active: Option<E::ActiveModel>,
    pub(super) done: bool,
}

impl<E: EntityTrait> Removal<E> {
    pub(super) fn new(model: E::Model, rules: Rules<E>, hard: bool) -> Self {
        let Rules { columns, callbacks } = rules;
        let soft = columns.deleted_at.filter(|_| !hard);
        let key = key_of_model::<E>(&model);
        Self { key, model, soft, columns, callbacks, actor: current_actor(), active: None, done: false }
    }

    pub(super) fn is_hard(&self) -> bool {
        self.soft.is_none()
    }

    /// Whether nothing was called for it.
    pub(super) fn is_new(&self) -> bool {
        self.active.is_none()
    }

    /// Calls what the entity does before a row is deleted.
    pub(super) async fn prepare(&mut self, session: &Session) -> Result<()>
    where
        E::Model: IntoActiveModel<E::ActiveModel> + Sync,
        E::ActiveModel: Send,
    {
        if self.is_new() {
            self.active = Some(self.model.clone().into_active_model().before_delete(session).await?);
        }
        Ok(())
    }

    pub(super) fn reset(&mut self) {
        self.active = None;
        self.done = false;
    }
}

impl<E: EntityTrait> EntityBatch<E> {
    /// Asking twice is asking once, and removing a row is more than marking it.
    pub(super) fn push_removal(&mut self, removal: Removal<E>) {
        match self.removal_at.get(&removal.key) {
            Some(&at) if removal.is_hard() => self.removals[at] = removal,
            Some(_) => {}
            None => {
                self.removal_at.insert(removal.key.clone(), self.removals.len());
                self.removals.push(removal);
            }
        }
    }

    pub(super) fn removal_nodes(&self, links: &[Link]) -> Vec<Node> {
        let left = self.removals.iter().enumerate().filter(|(_, removal)| !removal.done);
        let edited = if links.is_empty() { HashMap::new() } else { self.rows_edited() };
        left.map(|(row, removal)| {
            let model = edited.get(&removal.key).copied().unwrap_or(&removal.model);
            self.removal_node(row, removal, model, links)
        })
        .collect()
    }

    /// The rows that an edit in this flush has changed, by their keys.
    fn rows_edited(&self) -> HashMap<String, &E::Model> {
        let rows = self.edits.iter().filter_map(|edit| edit.result.as_ref());
        rows.map(|row| (key_of_model::<E>(row), row)).collect()
    }

    fn removal_node(&self, row: usize, removal: &Removal<E>, model: &E::Model, links: &[Link]) -> Node {
        let value = |column| Some(model.get(column));
        // A row that is only marked stays, and so does what refers to it.
        let links = if removal.is_hard() { links } else { &[] };
        let (provides, needs) = self.references(links, value);
        Node { row, provides, needs, ..Node::default() }
    }

    pub(super) async fn delete(&mut self, runner: &Runner<'_>, rows: Vec<usize>) -> Result<()>
    where
        E::Model: Sync,
        E::ActiveModel: Send,
    {
        let edited = self.versions_edited();
        let mut kinds: BTreeMap<String, (Option<ExpectedVersion<E>>, Vec<usize>)> = BTreeMap::new();
        for row in rows {
            let removal = &self.removals[row];
            let mut expected = removal.columns.expect(&removal.model)?;
            if let Some((before, row)) = edited.get(&removal.key)
                && expected.as_ref().is_some_and(|expected| expected.value == before.value)
            {
                expected = removal.columns.expect(row)?;
            }
            let version = expected.as_ref().map(|expected| &expected.value);
            let soft = removal.soft.map(|column| column.as_str());
            let kind = format!("{soft:?} {version:?} {:?}", removal.actor);
            kinds.entry(kind).or_insert_with(|| (expected, Vec::new())).1.push(row);
        }
        for (expected, rows) in kinds.into_values() {
            for rows in rows.chunks(keys_per_statement::<E>(runner.capabilities())) {
                self.delete_together(runner, expected.as_ref(), rows).await?;
            }
        }
        Ok(())
    }

    /// The rows whose version was raised by an edit in this flush, by their keys, with the version before it.
    fn versions_edited(&self) -> HashMap<String, (&ExpectedVersion<E>, &E::Model)> {
        let edited = self.edits.iter().filter_map(|edit| {
            let (before, row) = (edit.expected()?, edit.result.as_ref()?);
            Some((key_of_model::<E>(row), (before, row)))
        });
        edited.collect()
    }

    async fn delete_together(
        &mut self,
        runner: &Runner<'_>,
        expected: Option<&ExpectedVersion<E>>,
        rows: &[usize],
    ) -> Result<()>
    where
        E::Model: Sync,
        E::ActiveModel: Send,
    {
        let Some(&first) = rows.first() else { return Ok(()) };
        let condition = any_of::<E>(rows.iter().map(|&row| &self.removals[row].model));
        let backend = runner.backend();
        let Removal { soft, columns, actor, .. } = &self.removals[first];
        let soft = *soft;
        let known = expected.iter().fold(Condition::all(), |all, expected| all.add(expected.condition()));
        let statement = match soft {
            None => {
                let mut delete = DeleteStatement::new();
                delete.from_table(E::default().table_ref()).cond_where(condition);
                if !known.is_empty() {
                    delete.cond_where(known);
                }
                StatementBuilder::build(&delete, &backend)
            }
            Some(deleted_at) => {
                let mut update = UpdateStatement::new();
                update.table(E::default().table_ref()).cond_where(condition);
                let now = now();
                update.values(moment_for::<E>(deleted_at, now).map(|moment| (deleted_at, moment.into())));
                let given = |column: E::Column| column.as_str() == deleted_at.as_str();
                update.values(on_behalf_of(actor.as_ref(), || columns.touch(now, given))?);
                update.cond_where(deleted_at.is_null());
                if !known.is_empty() {
                    update.cond_where(known);
                }
                StatementBuilder::build(&update, &backend)
            }
        };
        let affected = runner.execute(statement).await?;
        if affected == 0 {
            runner.took_no_effect();
        }
        if affected < rows.len() as u64 {
            let models: Vec<&E::Model> = rows.iter().map(|&row| &self.removals[row].model).collect();
            return Err(why_not_written(runner, &models, expected, soft).await);
        }
        for &row in rows {
            self.removals[row].done = true;
        }
        Ok(())
    }
}
