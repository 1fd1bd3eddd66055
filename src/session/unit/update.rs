//! Updating the rows of one entity.

use std::collections::{HashMap, HashSet};

use sea_orm::{
    ColumnTrait, EntityTrait, IdenStatic, Iterable, QueryFilter, QuerySelect, QueryTrait, StatementBuilder,
    sea_query::{Expr, Query, UpdateStatement},
};

use super::{
    entity::EntityBatch,
    keys::{any_of, keys_per_statement, why_not_written},
    runner::Runner,
};
use crate::{backend::models, error::Result, session::key::Key};

impl<E: EntityTrait> EntityBatch<E>
where
    E::Model: Sync,
    E::ActiveModel: Send,
{
    /// Rows that get the same values are updated together.
    pub(super) async fn update(&mut self, runner: &Runner<'_>, rows: Vec<usize>) -> Result<()> {
        for rows in self.update_statements(rows) {
            let versioned = rows.first().is_some_and(|&row| self.edits[row].expected().is_some());
            let size = match versioned && !runner.capabilities().returning {
                // That it has met fewer rows than it should would not tell which.
                true => 1,
                false => keys_per_statement::<E>(runner.capabilities()),
            };
            for rows in rows.chunks(size) {
                self.update_together(runner, rows).await?;
            }
        }
        Ok(())
    }

    fn update_statements(&self, rows: Vec<usize>) -> Vec<Vec<usize>> {
        let mut statements: Vec<(Vec<usize>, HashSet<String>)> = Vec::new();
        let mut by_values: HashMap<String, usize> = HashMap::new();
        for row in rows {
            let edit = &self.edits[row];
            let Some(loaded) = edit.loaded() else { continue };
            let values: Vec<_> = edit.sets().into_iter().map(|(column, value)| (column.as_str(), value)).collect();
            let text = format!("{values:?} {}", edit.guard().is_some());
            let key = shown_key::<E>(loaded);
            match by_values.get(&text) {
                // A row that is edited twice is updated twice.
                Some(&at) if !statements[at].1.contains(&key) => {
                    statements[at].0.push(row);
                    statements[at].1.insert(key);
                }
                _ => {
                    by_values.insert(text, statements.len());
                    statements.push((vec![row], HashSet::from([key])));
                }
            }
        }
        statements.into_iter().map(|(rows, _)| rows).collect()
    }

    async fn update_together(&mut self, runner: &Runner<'_>, rows: &[usize]) -> Result<()> {
        let Some(&first) = rows.first() else { return Ok(()) };
        let backend = runner.backend();
        let loaded: Vec<&E::Model> = rows.iter().filter_map(|&row| self.edits[row].loaded()).collect();
        let mut update = UpdateStatement::new();
        update.table(E::default().table_ref());
        for (column, value) in self.edits[first].sets() {
            update.value(column, column.save_as(Expr::val(value)));
        }
        update.cond_where(any_of::<E>(loaded.iter().copied()));
        let guard = self.edits[first].guard();
        if let Some(deleted_at) = guard {
            update.cond_where(deleted_at.is_null());
        }
        if let Some(expected) = self.edits[first].expected() {
            // Rows that get the same version had the same one.
            update.cond_where(expected.condition());
        }
        let written: Vec<E::Model> = if runner.capabilities().returning {
            let wanted = E::Column::iter().map(|column| column.select_as(column.into_returning_expr(backend)));
            update.returning(Query::returning().exprs(wanted));
            models::<E>(&runner.rows(StatementBuilder::build(&update, &backend)).await?)?
        } else {
            execute_and_read::<E>(runner, &update, &loaded, guard).await?
        };
        if written.is_empty() {
            runner.took_no_effect();
        }
        let mut by_key: HashMap<String, E::Model> =
            written.into_iter().map(|model| (shown_key::<E>(&model), model)).collect();
        let gone: Vec<&E::Model> =
            loaded.iter().copied().filter(|model| !by_key.contains_key(&shown_key::<E>(model))).collect();
        if !gone.is_empty() {
            return Err(why_not_written(runner, &gone, self.edits[first].expected(), guard).await);
        }
        let keys: Vec<String> = loaded.into_iter().map(|model| shown_key::<E>(model)).collect();
        for (&row, key) in rows.iter().zip(keys) {
            self.edits[row].result = by_key.remove(&key);
        }
        Ok(())
    }
}

/// The key as every database gives it back: some end a time at its microseconds. Rows that agree so far are updated one
/// by one.
fn shown_key<E: EntityTrait>(model: &E::Model) -> String {
    Key::<E>::of_model(model).to_string()
}

/// For a database whose UPDATE does not give the rows back: those that it has met.
async fn execute_and_read<E: EntityTrait>(
    runner: &Runner<'_>,
    update: &UpdateStatement,
    loaded: &[&E::Model],
    guard: Option<E::Column>,
) -> Result<Vec<E::Model>> {
    let backend = runner.backend();
    let updated = runner.execute(StatementBuilder::build(update, &backend)).await?;
    if updated == 0 {
        return Ok(Vec::new());
    }
    let select = E::find().filter(any_of::<E>(loaded.iter().copied()));
    if updated >= loaded.len() as u64 {
        return Ok(models::<E>(&runner.rows(select.build(backend)).await?)?);
    }
    // Locked, as a transaction's own view may be older than what the update met.
    let select = guard.into_iter().fold(select.lock_exclusive(), |select, column| select.filter(column.is_null()));
    let mut met = models::<E>(&runner.rows(select.build(backend)).await?)?;
    if met.len() >= loaded.len() {
        // They do not tell which was missed.
        met.clear();
    }
    Ok(met)
}
