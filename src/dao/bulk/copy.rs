//! Rows that nothing comes back of, by COPY.

use futures_util::stream;
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, IdenStatic, Statement, StatementBuilder, Value,
    sea_query::{Expr, SelectStatement},
};

use super::rows::{ROWS_PER_ARRAY, Row, WEIGHT_LIMIT};
use crate::{
    backend::{COPY_COLUMNS_SQL, CopyData, copy_sql},
    error::{Error, Result},
    session::Session,
};

/// For fewer rows it does not pay to ask the server for its columns.
pub(super) const LEAST_ROWS: usize = 1_000;

/// How rows are copied into some columns of a table.
pub(super) struct CopyPlan {
    sql: String,
    /// The object ids of the columns' types.
    types: Vec<u32>,
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
        let types: Option<Vec<u32>> = columns.iter().map(type_of).collect();
        let sql = copy_sql(&table, columns.iter().map(IdenStatic::as_str));
        Ok(types.map(|types| Self { sql, types }))
    }

    /// The COPY for the first of the rows, and how many they are; `None` when one of them does not fit just so.
    pub(super) fn statement<E: EntityTrait>(&self, columns: &[E::Column], rows: &[Row<E>]) -> Option<(usize, Copy)> {
        let mut data = CopyData::new(self.types.clone());
        let mut values = Vec::with_capacity(columns.len());
        let mut count = 0;
        for row in rows.iter().take(ROWS_PER_ARRAY) {
            if data.len() >= WEIGHT_LIMIT {
                break;
            }
            values.clear();
            values.extend(columns.iter().map(|column| row.value(*column)));
            // A value that no column can hold is told of by INSERT, which says where it stands.
            if !data.push(&values).unwrap_or(false) {
                return None;
            }
            count += 1;
        }
        Some((count, Copy { sql: self.sql.clone(), data: data.finish() }))
    }
}

/// The entity's table as it stands in SQL.
fn table<E: EntityTrait>(session: &Session) -> Option<String> {
    let select = SelectStatement::new().expr(Expr::cust("1")).from(E::default().table_ref()).take();
    let sql = StatementBuilder::build(&select, &session.backend()).sql;
    sql.strip_prefix("SELECT 1 FROM ").map(str::to_owned)
}

/// One COPY and its rows.
pub(super) struct Copy {
    sql: String,
    data: Vec<u8>,
}

impl Copy {
    pub(super) async fn run(self, session: &Session) -> Result<()> {
        let Self { sql, data } = self;
        session.copy_in::<Error>(&sql, stream::iter([Ok(data)])).await.map(drop)
    }
}
