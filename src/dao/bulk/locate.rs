//! Which of many rows made a statement fail.

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::{
    super::BaseDao,
    operation::Operation,
    rows::{Group, Row, by_columns},
};
use crate::{
    backend::is_because_of_a_row,
    error::{Error, Result},
    session::Session,
};

/// Writes rows by statements over some of them.
pub(super) trait Writes<E: EntityTrait>: Sync {
    /// Writes the first of the rows by one statement, and says how many they were.
    fn write_first(&self, session: &Session, rows: &[Row<E>]) -> impl Future<Output = (usize, Result<()>)> + Send;
}

struct ByOperation<'d, E: EntityTrait> {
    operation: Operation,
    dao: &'d BaseDao<E>,
    columns: &'d [E::Column],
}

impl<E> Writes<E> for ByOperation<'_, E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    async fn write_first(&self, session: &Session, rows: &[Row<E>]) -> (usize, Result<()>) {
        let (count, statement) = self.operation.statement::<E>(session, self.dao, self.columns, rows);
        let written = self.operation.run(session, self.dao, self.columns, &rows[..count], statement).await;
        (count, written.map(drop))
    }
}

/// Writes all of the rows that it is given, whatever columns they write.
struct ByColumns<'d, E: EntityTrait> {
    operation: Operation,
    dao: &'d BaseDao<E>,
}

impl<E> Writes<E> for ByColumns<'_, E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    async fn write_first(&self, session: &Session, rows: &[Row<E>]) -> (usize, Result<()>) {
        let Self { operation, dao } = *self;
        let copies = rows.iter().map(Row::copy).collect();
        for Group { columns, rows: group, .. } in
            by_columns(copies, |model, column| operation.writes::<E>(model, column))
        {
            let mut left = group.as_slice();
            while !left.is_empty() {
                let (count, statement) = operation.statement::<E>(session, dao, &columns, left);
                if let Err(error) = operation.run(session, dao, &columns, &left[..count], statement).await {
                    return (rows.len(), Err(error));
                }
                left = &left[count..];
            }
        }
        (rows.len(), Ok(()))
    }
}

/// Whether it is a row that fails: what the database refuses, or what the row itself was compared with.
pub(super) fn is_of_a_row(error: &Error) -> bool {
    error.row().is_some() || is_because_of_a_row(error)
}

/// The error of the first row that cannot be written after those before it, whatever columns they write; `None` when the
/// rows can be written now, or something else goes wrong meanwhile. Nothing stays written.
pub(super) async fn locate_in_order<E>(
    operation: Operation,
    session: &Session,
    dao: &BaseDao<E>,
    groups: Vec<Group<E>>,
) -> Option<Error>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    let mut rows: Vec<Row<E>> = groups.into_iter().flat_map(|group| group.rows).collect();
    rows.sort_unstable_by_key(|row| row.index);
    let writes = ByColumns { operation: operation.without_rows_back(), dao };
    let tx = session.begin().await.ok()?;
    let found = first_that_fails(&writes, &tx, &rows).await;
    tx.rollback_or_report().await;
    found.map(|(row, error)| of_row(row, error))
}

/// The error of the first row that cannot be written after those before it, or `error` when the rows can be written now,
/// or something else goes wrong meanwhile. Nothing stays written.
pub(super) async fn locate<E>(
    operation: Operation,
    session: &Session,
    dao: &BaseDao<E>,
    columns: &[E::Column],
    rows: &[Row<E>],
    error: Error,
) -> Error
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    let writes = ByOperation { operation: operation.without_rows_back(), dao, columns };
    locate_among(&writes, session, rows, error).await
}

/// As [`locate`], for rows that are written in some way.
///
/// It halves the rows until one is left, and writes those before it: no database tells the row by itself in every case.
pub(super) async fn locate_among<E: EntityTrait>(
    writes: &impl Writes<E>,
    session: &Session,
    rows: &[Row<E>],
    error: Error,
) -> Error
where
    E::ActiveModel: Sync,
{
    if let [row] = rows {
        return of_row(row, error);
    }
    // Not to be had where the failure has ended the transaction.
    let Ok(tx) = session.begin().await else { return error };
    let found = first_that_fails(writes, &tx, rows).await;
    tx.rollback_or_report().await;
    found.map_or(error, |(row, error)| of_row(row, error))
}

fn of_row<E: EntityTrait>(row: &Row<E>, error: Error) -> Error {
    if error.row().is_some() {
        return error;
    }
    Error::Row { row: row.index, key: row.name(), source: Box::new(error) }
}

async fn first_that_fails<'r, E: EntityTrait>(
    writes: &impl Writes<E>,
    tx: &Session,
    rows: &'r [Row<E>],
) -> Option<(&'r Row<E>, Error)>
where
    E::ActiveModel: Sync,
{
    let mut left = rows;
    // Among these is the first one that fails, once that is known.
    let mut suspects = left.len();
    while !left.is_empty() {
        let most = if suspects == 1 { 1 } else { suspects.div_ceil(2) };
        let savepoint = tx.begin().await.ok()?;
        let (count, written) = writes.write_first(&savepoint, &left[..most]).await;
        match written {
            Ok(()) => {
                savepoint.commit().await.ok()?;
                left = &left[count..];
                suspects = if suspects > count { suspects - count } else { left.len() };
            }
            Err(error) => {
                savepoint.rollback_or_report().await;
                if !is_of_a_row(&error) {
                    return None;
                }
                if count == 1 {
                    return Some((&left[0], error));
                }
                suspects = count;
            }
        }
    }
    None
}
