//! INSERT … ON CONFLICT.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelBehavior, ConnectionTrait, EntityTrait, IntoActiveModel,
    sea_query::{OnConflict, Query},
};

use super::{
    super::{
        super::{change::whole_row, key::Key},
        engine::Written,
        insert::{after_insert, insert_statement},
        locate::{Writes, locate_among},
        rows::{Group, Row},
    },
    lookup::{Reading, Standing},
    plan::{Plan, Sets},
    rows::{as_given, of_row, text},
    run::{Attempt, Failure},
};
use crate::{
    backend::{is_because_of_a_row, models},
    error::{Error, Result},
    session::Session,
};

/// How often a unique violation is tried again until it is one.
const ATTEMPTS_AT_A_UNIQUE_VALUE: u32 = 3;

/// Statements for rows that write the same columns.
struct Statements<'g, E: EntityTrait> {
    columns: &'g [E::Column],
    clause: OnConflict,
    returning: bool,
}

/// What a statement has done.
enum Sent<E: EntityTrait> {
    Counted(u64),
    Returned(Vec<E::Model>),
}

impl<E: EntityTrait> Statements<'_, E> {
    /// Sends a statement for the first of the rows, and says how many they were.
    async fn send(&self, session: &Session, rows: &[Row<E>]) -> (usize, Result<Sent<E>>) {
        let (count, mut insert) = insert_statement::<E>(session.capabilities(), self.columns, rows);
        insert.on_conflict(self.clause.clone());
        if !self.returning {
            let done = session.execute(&insert).await;
            return (count, done.map(|done| Sent::Counted(done.rows_affected())).map_err(Error::from));
        }
        insert.returning(Query::returning().exprs(whole_row::<E>(session.backend())));
        let returned = session.query_all(&insert).await.and_then(|rows| models::<E>(&rows));
        (count, returned.map(Sent::Returned).map_err(Error::from))
    }

    /// As [`send`](Self::send); undone as a whole when it fails, and the transaction goes on.
    async fn send_guarded(&self, session: &Session, rows: &[Row<E>]) -> (usize, Result<Sent<E>>) {
        let aborts = session.capabilities().failure_aborts_transaction && session.is_in_transaction();
        if rows.len() == 1 || !aborts {
            return self.send(session, rows).await;
        }
        let savepoint = match session.begin().await {
            Ok(savepoint) => savepoint,
            Err(error) => return (rows.len(), Err(error)),
        };
        let (count, sent) = self.send(&savepoint, rows).await;
        match sent {
            Ok(sent) => (count, savepoint.commit().await.map(|()| sent)),
            Err(error) => {
                savepoint.rollback_or_report().await;
                (count, Err(error))
            }
        }
    }
}

impl<E: EntityTrait> Writes<E> for Statements<'_, E>
where
    E::ActiveModel: Sync,
    E::Model: Sync,
{
    async fn write_first(&self, session: &Session, rows: &[Row<E>]) -> (usize, Result<()>) {
        let (count, sent) = self.send(session, rows).await;
        (count, sent.map(drop))
    }
}

impl<E> Plan<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Writes rows by statements that update what is in the way.
    pub(super) async fn write_on_conflict(
        &self,
        session: &Session,
        group: &Group<E>,
        attempt: Attempt,
    ) -> Result<Written<E>, Failure> {
        let clause = self.on_conflict(&group.columns)?;
        let statements = Statements { columns: &group.columns, clause, returning: attempt.returning };
        let sets = self.sets(&group.columns);
        let mut written = Written::none();
        let mut left = group.rows.as_slice();
        while !left.is_empty() {
            let (count, sent) = statements.send_guarded(session, left).await;
            let (rows, rest) = left.split_at(count);
            let sent = match sent {
                // Somebody may have inserted the row meanwhile, and another of its unique values came first.
                Err(error) if error.is_unique_violation() && attempt.number < ATTEMPTS_AT_A_UNIQUE_VALUE => {
                    return Err(Failure::Raced(error));
                }
                Err(error) if is_because_of_a_row(&error) => {
                    return Err(Failure::Failed(locate_among(&statements, session, &as_given(rows), error).await));
                }
                sent => sent?,
            };
            match sent {
                Sent::Counted(count) => {
                    self.check_all_written(session, rows, count, &sets, attempt).await?;
                    written.count += count;
                }
                Sent::Returned(models) => {
                    written.count += models.len() as u64;
                    written.rows.extend(self.identify(session, rows, models, &sets, attempt).await?);
                }
            }
            left = rest;
        }
        Ok(written)
    }

    /// Looks whether a row was not written because a deleted one is in its way.
    async fn check_all_written(
        &self,
        session: &Session,
        rows: &[Row<E>],
        count: u64,
        sets: &Sets<E>,
        attempt: Attempt,
    ) -> Result<(), Failure> {
        if count >= rows.len() as u64 || self.dao.columns.deleted_at.is_none() || self.restores {
            return Ok(());
        }
        let rows = as_given(rows);
        let rows: Vec<&Row<E>> = rows.iter().collect();
        for (row, standing) in rows.iter().zip(self.standings(session, &rows, Reading::Plain).await?) {
            if let Standing::Deleted(_) = standing {
                return Err(Failure::Failed(self.held(row)));
            }
        }
        // It was restored since, or a trigger keeps a row from being written, which another attempt does not change.
        if !sets.is_empty() && attempt.number == 1 { Err(Failure::Raced(vanished(rows[0]))) } else { Ok(()) }
    }

    /// The row for each of those that were given, with its place in the call.
    async fn identify(
        &self,
        session: &Session,
        rows: &[Row<E>],
        returned: Vec<E::Model>,
        sets: &Sets<E>,
        attempt: Attempt,
    ) -> Result<Vec<(usize, E::Model)>, Failure> {
        let all_written = returned.len() == rows.len();
        let mut by_values: HashMap<String, E::Model> =
            returned.into_iter().map(|model| (text(&self.values_of(&model)), model)).collect();
        let mut written = Vec::with_capacity(rows.len());
        let mut others = Vec::new();
        for row in rows {
            let values = self.target_values(&row.model).unwrap_or_default();
            match by_values.remove(&text(&values)) {
                Some(model) => written.push((row.index, model)),
                None => others.push(row),
            }
        }
        let mut known = Vec::new();
        if let ([row], true) = (others.as_slice(), all_written) {
            written.extend(by_values.drain().map(|(_, model)| (row.index, model)));
            others.clear();
        }
        others.sort_by_key(|row| row.index);
        if !others.is_empty() {
            // Written too, but the database has other words for the same values.
            let mut left: HashMap<String, E::Model> =
                by_values.into_values().map(|model| (Key::<E>::of_model(&model).identity(), model)).collect();
            let updates = !sets.is_empty() && !sets.only_deleted;
            for (row, standing) in others.iter().zip(self.standings(session, &others, Reading::Plain).await?) {
                let (model, deleted) = match standing {
                    Standing::Nothing if all_written => {
                        return Err(Failure::Failed(of_row(row, self.kept_otherwise())));
                    }
                    Standing::Nothing => return Err(Failure::Raced(vanished(row))),
                    Standing::Alive(model) => (model, false),
                    Standing::Deleted(model) => (model, true),
                };
                if let Some(model) = left.remove(&Key::<E>::of_model(&model).identity()) {
                    written.push((row.index, model));
                } else if deleted && !self.restores {
                    return Err(Failure::Failed(self.held(row)));
                } else if (deleted || updates) && attempt.number == 1 {
                    return Err(Failure::Raced(vanished(row)));
                } else {
                    known.push((row.index, model));
                }
            }
        }
        let (places, models): (Vec<_>, Vec<_>) = written.into_iter().unzip();
        known.extend(places.into_iter().zip(after_insert::<E>(session, models).await?));
        Ok(known)
    }

    /// The error of a row that was written, and is not found by what was given.
    fn kept_otherwise(&self) -> Error {
        let names = self.target_names();
        Error::unsupported(format!("rows back of an upsert on {names}, which keeps other values than it is given"))
    }

    /// The error of a row that a deleted one is in the way of.
    pub(super) fn held(&self, row: &Row<E>) -> Error {
        of_row(row, self.held_by_deleted(&self.target_values(&row.model).unwrap_or_default()))
    }
}

/// The error of a row that is neither written nor in its own way.
fn vanished<E: EntityTrait>(row: &Row<E>) -> Error {
    let key = "the values that were given: it was not written".to_owned();
    of_row(row, Error::NotFound { entity: E::default().table_name(), key })
}
