//! Looking up what is in the way first: then UPDATE of what is there, and INSERT of what is not.
//!
//! For databases whose INSERT cannot say which unique key it means, and for callbacks, which are told what happens to a
//! row. Whatever is in the way by another key makes the INSERT or UPDATE fail, as it should.

use std::collections::HashMap;

use sea_orm::{ActiveModelBehavior, ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait};

use super::{
    super::{
        super::{key::Key, write::not_found},
        engine::{Written, write_ready},
        insert::after_insert,
        operation::Operation,
        rows::{Group, Row},
    },
    lookup::{Reading, Standing},
    plan::{Plan, Sets},
    rows::{as_given, of_row},
    run::{Attempt, Failure},
};
use crate::{
    convention::no_moment_for,
    error::{Error, Result},
    session::Session,
};

/// A row that was given, and the one that is in its way.
type Pair<'g, E> = (&'g Row<E>, <E as EntityTrait>::Model);

impl<E> Plan<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Writes rows inside of a transaction.
    pub(super) async fn write_split(
        &self,
        tx: &Session,
        group: &Group<E>,
        attempt: Attempt,
    ) -> Result<Written<E>, Failure> {
        let rows: Vec<&Row<E>> = group.rows.iter().collect();
        let sets = self.sets(&group.columns);
        // What an outer transaction sees may be older than what is in the way.
        let reading = if attempt.in_outer && attempt.number > 1 { Reading::ForUpdate } else { Reading::Plain };
        let standings = self.standings(tx, &rows, reading).await?;
        let (mut missing, mut updated) = (Vec::new(), Vec::new());
        let mut written = Written::none();
        for (row, standing) in rows.iter().zip(standings) {
            match standing {
                Standing::Nothing => missing.push(row.copy()),
                Standing::Alive(model) if sets.is_empty() || sets.only_deleted => {
                    written.rows.push((row.index, model));
                }
                Standing::Alive(model) => updated.push((*row, model)),
                Standing::Deleted(model) => match self.insert_beside_deleted(tx, row, attempt).await? {
                    Some(inserted) => written.absorb(inserted),
                    None if self.restores => updated.push((*row, model)),
                    None => return Err(Failure::Failed(self.held(row))),
                },
            }
        }
        if !updated.is_empty() {
            written.absorb(self.update_locked(tx, updated, &sets, attempt).await?);
        }
        if !missing.is_empty() {
            let given = as_given(&missing);
            self.put_in_order(tx, &mut missing);
            let inserted = match self.insert_missing(tx, missing, attempt).await {
                Ok(inserted) => inserted,
                // Not the first that fails of those that were given.
                Err(error) if error.row().is_some() && given.len() > 1 => {
                    match self.insert_missing(tx, given, attempt).await {
                        Ok(_) => return Err(Failure::Raced(error)),
                        Err(error) => return Err(self.why_not_inserted(tx, &rows, error).await),
                    }
                }
                Err(error) => return Err(self.why_not_inserted(tx, &rows, error).await),
            };
            self.call_after_insert(tx, &inserted.rows).await?;
            written.absorb(inserted);
        }
        Ok(written)
    }

    /// Inserts a row that has the target's values of a deleted one; `None` when that is in the way, which depends on the
    /// unique index.
    async fn insert_beside_deleted(&self, tx: &Session, row: &Row<E>, attempt: Attempt) -> Result<Option<Written<E>>> {
        match self.insert_in_savepoint(tx, vec![row.copy()], attempt).await {
            Ok(inserted) => {
                self.call_after_insert(tx, &inserted.rows).await?;
                Ok(Some(inserted))
            }
            Err(error) if error.is_unique_violation() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn insert_missing(&self, tx: &Session, rows: Vec<Row<E>>, attempt: Attempt) -> Result<Written<E>> {
        // Of several, some may be written when one fails. The transaction is asked afterwards why it did.
        match rows.len() > 1 || tx.capabilities().failure_aborts_transaction {
            true => self.insert_in_savepoint(tx, rows, attempt).await,
            false => write_ready(&self.dao, attempt.insert(), tx, rows).await,
        }
    }

    async fn insert_in_savepoint(&self, tx: &Session, rows: Vec<Row<E>>, attempt: Attempt) -> Result<Written<E>> {
        let savepoint = tx.begin().await?;
        match write_ready(&self.dao, attempt.insert(), &savepoint, rows).await {
            Ok(written) => savepoint.commit().await.map(|()| written),
            Err(error) => {
                savepoint.rollback_or_report().await;
                Err(error)
            }
        }
    }

    async fn update_locked(
        &self,
        tx: &Session,
        pairs: Vec<Pair<'_, E>>,
        sets: &Sets<E>,
        attempt: Attempt,
    ) -> Result<Written<E>, Failure> {
        let keys: Vec<Key<E>> = pairs.iter().map(|(_, model)| Key::of_model(model)).collect();
        let locked = self.by_key(tx, &keys, Reading::ForUpdate).await?;
        let mut taken: HashMap<String, &Row<E>> = HashMap::with_capacity(pairs.len());
        let mut changes = Vec::with_capacity(pairs.len());
        for ((row, seen), key) in pairs.iter().zip(&keys) {
            let name = key.identity();
            if let Some(other) = taken.insert(name.clone(), row) {
                // Values that differ here may be the same to the database.
                let (earlier, later) = if other.index < row.index { (other, *row) } else { (*row, other) };
                return Err(Failure::Failed(of_row(later, self.given_twice(earlier.index))));
            }
            let unchanged = |current: &&E::Model| {
                self.values_of(current) == self.values_of(seen) && self.is_deleted(current) == self.is_deleted(seen)
            };
            let Some(current) = locked.get(&name).filter(unchanged) else {
                return Err(Failure::Raced(of_row(row, not_found(key))));
            };
            changes.push(self.changed(row, current, sets)?);
        }
        let changes = self.call_before_update(tx, changes).await?;
        // They are locked: neither deleted nor written by others since.
        let mut dao = self.dao.within(tx);
        dao.columns = dao.columns.without_checks();
        let mut written = write_ready(&dao, Operation::Update, tx, changes).await?;
        if attempt.returning {
            // An update that changes nothing does not make the row one that the transaction sees.
            let mut current = self.by_key(tx, &keys, Reading::ForUpdate).await?;
            let found = pairs.iter().zip(&keys).map(|((row, _), key)| {
                let model = current.remove(&key.identity());
                model.map(|model| (row.index, model)).ok_or_else(|| Failure::Failed(of_row(row, not_found(key))))
            });
            let found: Vec<_> = found.collect::<Result<_, _>>()?;
            let (places, models): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            written.rows = places.into_iter().zip(after_insert::<E>(tx, models).await?).collect();
            self.call_after_update(tx, &written.rows).await?;
        }
        Ok(written)
    }

    /// What is to be set in a row that is there.
    fn changed(&self, row: &Row<E>, current: &E::Model, sets: &Sets<E>) -> Result<Row<E>> {
        let mut model = current.clone().into_active_model();
        for column in &sets.columns {
            model.try_set(*column, row.value(*column))?;
        }
        if let Some(deleted_at) = sets.restored {
            model.try_set(deleted_at, no_moment_for::<E>(deleted_at))?;
        }
        if let Some(version) = self.raised_version(sets)? {
            model.try_set(version, current.get(version))?;
            self.dao.columns.expect_and_raise(&mut model)?;
        }
        Ok(Row { index: row.index, model })
    }

    /// A row that was not there may have been inserted by somebody else meanwhile.
    async fn why_not_inserted(&self, tx: &Session, rows: &[&Row<E>], error: Error) -> Failure {
        if !error.is_unique_violation() {
            return Failure::Failed(error);
        }
        let Some(row) = rows.iter().find(|row| error.row() == Some(row.index)) else {
            // What was in the way of some row is so no more.
            return Failure::Raced(error);
        };
        match self.standings(tx, &[row], Reading::ForShare).await {
            Ok(standings) if matches!(standings.as_slice(), [Standing::Nothing]) => Failure::Failed(error),
            Ok(_) => Failure::Raced(error),
            Err(error) => Failure::Failed(error),
        }
    }
}
