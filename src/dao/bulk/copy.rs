//! Rows that nothing comes back of, by COPY.

use std::{iter, sync::Arc};

use futures_util::stream;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IdenStatic, Statement, StatementBuilder, Value,
    sea_query::{Expr, SelectStatement},
};

use super::rows::Row;
use crate::{
    backend::{COPY_COLUMNS_SQL, CopyData, copy_sql},
    error::{Error, Result},
    session::Session,
};

/// For fewer rows it does not pay to ask the server for its columns.
pub(super) const LEAST_ROWS: usize = 1_000;

/// How many bytes are sent at a time, so that the server is at work while the next rows are encoded.
const PIECE: usize = 64 << 10;

/// How rows are copied into some columns of a table.
pub(super) struct CopyPlan {
    sql: Arc<str>,
    /// The object ids of the columns' types.
    types: Arc<[u32]>,
}

impl CopyPlan {
    /// `None` when COPY would not do what INSERT does.
    pub(super) async fn make<E: EntityTrait>(
        session: &Session,
        columns: &[E::Column],
        row: &Row<E>,
    ) -> Result<Option<Self>> {
        let plain = |column: &E::Column| matches!(column.save_as(Expr::val(row.value(*column))), Expr::Value(_));
        if columns.is_empty() || !columns.iter().all(plain) {
            return Ok(None);
        }
        let Some(table) = table::<E>(session) else { return Ok(None) };
        let asked = Statement::from_sql_and_values(session.backend(), COPY_COLUMNS_SQL, [Value::from(table.as_str())]);
        let mut known = Vec::new();
        for row in session.query_all_raw(asked).await? {
            known.push((row.try_get_by_index::<String>(0)?, row.try_get_by_index::<i64>(1)?));
        }
        let type_of = |column: &E::Column| {
            let found = known.iter().find(|(name, _)| name == column.as_str());
            found.and_then(|(_, of)| u32::try_from(*of).ok())
        };
        let types: Option<Arc<[u32]>> = columns.iter().map(type_of).collect();
        let sql = copy_sql(&table, columns.iter().map(IdenStatic::as_str)).into();
        Ok(types.map(|types| Self { sql, types }))
    }

    /// The COPY for the rows; `None` when one of the first does not fit just so.
    pub(super) fn statement<E: EntityTrait>(&self, columns: &[E::Column], rows: &[Row<E>]) -> Option<Copy> {
        let mut copy =
            Copy { sql: self.sql.clone(), data: CopyData::new(self.types.clone()), encoded: 0, ended: false };
        copy.encode(columns, rows).then_some(copy)
    }
}

/// The entity's table as it stands in SQL.
fn table<E: EntityTrait>(session: &Session) -> Option<String> {
    let select = SelectStatement::new().expr(Expr::cust("1")).from(E::default().table_ref()).take();
    let sql = StatementBuilder::build(&select, &session.backend()).sql;
    sql.strip_prefix("SELECT 1 FROM ").map(str::to_owned)
}

/// One COPY, and how far its rows are encoded.
pub(super) struct Copy {
    sql: Arc<str>,
    data: CopyData,
    encoded: usize,
    ended: bool,
}

/// Why a COPY came to nothing.
enum Failure {
    /// A row has a value that does not fit its column just so, and those before it may not be written alone.
    Unfit,
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Copy {
    /// Sends the rows that the statement is for, and gives the number of those that it has taken, and of those that are
    /// written. It takes fewer when one of them does not fit just so: those before it, or none outside of a transaction.
    pub(super) async fn run<E: EntityTrait>(
        mut self,
        session: &Session,
        columns: &[E::Column],
        rows: &[Row<E>],
    ) -> Result<(usize, u64)>
    where
        E::ActiveModel: Sync,
    {
        let sql = self.sql.clone();
        let undoable = session.is_in_transaction();
        let pieces = iter::from_fn(|| self.next_piece(columns, rows, undoable));
        match session.copy_in(&sql, stream::iter(pieces)).await {
            Ok(count) => Ok((self.encoded, count)),
            Err(Failure::Unfit) => Ok((0, 0)),
            Err(Failure::Error(error)) => Err(error),
        }
    }

    fn next_piece<E: EntityTrait>(
        &mut self,
        columns: &[E::Column],
        rows: &[Row<E>],
        undoable: bool,
    ) -> Option<Result<Vec<u8>, Failure>> {
        if self.ended {
            return None;
        }
        let fit = self.encode(columns, rows);
        if !fit && !undoable {
            return Some(Err(Failure::Unfit));
        }
        if !fit || self.encoded == rows.len() {
            self.data.end();
            self.ended = true;
        }
        Some(Ok(self.data.take()))
    }

    /// Encodes the next rows, until there is enough to be sent.
    fn encode<E: EntityTrait>(&mut self, columns: &[E::Column], rows: &[Row<E>]) -> bool {
        let mut values = Vec::with_capacity(columns.len());
        while let Some(row) = rows.get(self.encoded)
            && self.data.len() < PIECE
        {
            values.clear();
            values.extend(columns.iter().map(|column| row.value(*column)));
            // A value that no column can hold is told of by INSERT, which says where it stands.
            if !self.data.push(&values).unwrap_or(false) {
                return false;
            }
            self.encoded += 1;
        }
        true
    }
}
