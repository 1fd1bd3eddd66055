//! Rows by their primary keys.

use sea_orm::{ColumnTrait, Condition, EntityTrait, ModelTrait, QueryFilter, QuerySelect, QueryTrait};

use super::runner::Runner;
use crate::{
    backend::{Capabilities, Models},
    convention::ExpectedVersion,
    error::Error,
    session::key::{self, Key},
};

/// A condition that holds for these rows.
pub(super) fn any_of<'m, E: EntityTrait>(models: impl Iterator<Item = &'m E::Model>) -> Condition
where
    E::Model: 'm,
{
    key::any_of(&models.map(Key::<E>::of_model).collect::<Vec<_>>())
}

/// How many keys one statement takes, beside a few values of its own.
pub(super) fn keys_per_statement<E: EntityTrait>(capabilities: Capabilities) -> usize {
    const OWN: usize = 1_000;
    key::keys_per_statement::<E>(capabilities).min(capabilities.bind_limit - OWN)
}

/// The error for rows of which at least one is not there, is marked in `deleted_at`, or has another version by now. Those
/// that were written MUST NOT be among them, unless they are gone or marked since.
pub(super) async fn why_not_written<E: EntityTrait>(
    runner: &Runner<'_>,
    models: &[&E::Model],
    expected: Option<&ExpectedVersion<E>>,
    deleted_at: Option<E::Column>,
) -> Error
where
    E::Model: Sync,
{
    let Some(expected) = expected else { return not_found::<E>(models) };
    // A deleted row counts as gone. Locked, as a transaction's own view may be older than what the write met.
    let select = E::find().filter(any_of::<E>(models.iter().copied())).lock_exclusive();
    let select = deleted_at.into_iter().fold(select, |select, column| select.filter(column.is_null()));
    let found = match runner.rows(select.build(runner.backend())).await {
        Ok(found) => found,
        Err(error) => return error,
    };
    runner.took_no_effect();
    let mut read = Models::<E>::new();
    let mut rows = found.iter().filter_map(|row| read.read(row).ok());
    match rows.find(|row| !expected.is_of(row)) {
        None => not_found::<E>(models),
        Some(row) => Error::VersionConflict {
            entity: E::default().table_name(),
            key: Key::<E>::of_model(&row).to_string(),
            expected: expected.value.to_string(),
            found: row.get(expected.column).to_string(),
        },
    }
}

fn not_found<E: EntityTrait>(models: &[&E::Model]) -> Error {
    const SHOWN: usize = 5;
    let keys: Vec<String> = models.iter().take(SHOWN).map(|model| Key::<E>::of_model(model).to_string()).collect();
    let rest = models.len().saturating_sub(SHOWN);
    let more = if rest == 0 { String::new() } else { format!(" … and {rest} more") };
    let key = match models.len() {
        1 => keys.concat(),
        _ => format!("one of {}{more}", keys.join("; ")),
    };
    Error::NotFound { entity: E::default().table_name(), key }
}
