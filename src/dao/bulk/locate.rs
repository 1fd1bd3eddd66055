//! Which of many rows made a statement fail.

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::{super::BaseDao, operation::Operation, rows::Row};
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
                if !is_because_of_a_row(&error) {
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
