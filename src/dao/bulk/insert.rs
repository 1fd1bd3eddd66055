//! INSERT of many rows.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Iterable, PrimaryKeyToColumn,
    QueryOrder, Value,
    sea_query::{Expr, Func, InsertStatement, Query, SelectStatement},
};

use super::{
    super::{
        BaseDao,
        among::among,
        key::{Key, keys_per_statement},
    },
    matching::match_rows,
    rows::{Row, take_columns, take_rows},
};
use crate::{
    backend::{Capabilities, models},
    error::Result,
    query::Conditions,
    session::Session,
};

/// One INSERT for the first of the rows, and how many they are: as many as one statement takes.
pub(super) fn insert_statement<E: EntityTrait>(
    capabilities: Capabilities,
    columns: &[E::Column],
    rows: &[Row<E>],
) -> (usize, InsertStatement) {
    let mut insert = InsertStatement::new();
    insert.into_table(E::default().table_ref()).columns(columns.iter().copied());
    if columns.is_empty() {
        // DEFAULT VALUES makes one row.
        insert.or_default_values();
        return (1, insert);
    }
    if capabilities.arrays
        && let Some((count, arrays)) = take_columns(columns, rows, |row, column| row.value(column))
    {
        let mut select = SelectStatement::new();
        for (column, array) in columns.iter().zip(arrays) {
            select.expr(column.save_as(unnest(array)));
        }
        // It fails for another number of columns only.
        if insert.select_from(select).is_ok() {
            return (count, insert);
        }
    }
    let values = take_rows(columns, rows, capabilities.bind_limit / columns.len(), |row, column| row.value(column));
    let count = values.len();
    for row in values {
        let row = columns.iter().zip(row).map(|(column, value)| column.save_as(Expr::val(value)));
        // As above.
        let _ = insert.values(row);
    }
    (count, insert)
}

/// The elements of an array as rows.
pub(super) fn unnest(array: Value) -> Expr {
    Func::cust("UNNEST").arg(Expr::val(array)).into()
}

/// Runs `insert` for these rows and gives them back as they were written, in their order.
pub(super) async fn insert_with_rows<E>(
    session: &Session,
    dao: &BaseDao<E>,
    columns: &[E::Column],
    rows: &[Row<E>],
    mut insert: InsertStatement,
) -> Result<Vec<E::Model>>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    if rows.len() == 1 {
        return one_by_one(session, rows).await;
    }
    // Undone when what comes back cannot be matched with what was given.
    let savepoint = session.begin().await?;
    let written = if session.capabilities().returning {
        let backend = session.backend();
        let all = E::Column::iter().map(|column| column.select_as(column.into_returning_expr(backend)));
        insert.returning(Query::returning().exprs(all));
        models::<E>(&savepoint.query_all(&insert).await?)?
    } else {
        let first = savepoint.execute(&insert).await?.last_insert_id();
        read_back(&savepoint, dao, rows, first).await?
    };
    if let Some(matched) = match_rows(columns, rows, written) {
        savepoint.commit().await?;
        return after_insert::<E>(session, matched).await;
    }
    savepoint.rollback().await?;
    let savepoint = session.begin().await?;
    let written = one_by_one(&savepoint, rows).await?;
    savepoint.commit().await?;
    Ok(written)
}

/// Reads rows that were just inserted, where INSERT itself gives none: by their keys, or from the first generated one.
async fn read_back<E: EntityTrait>(
    session: &Session,
    dao: &BaseDao<E>,
    rows: &[Row<E>],
    first: u64,
) -> Result<Vec<E::Model>> {
    let dao = dao.within(session);
    let keys: Option<Vec<Key<E>>> = rows.iter().map(|row| Key::of_active_model(&row.model)).collect();
    let Some(keys) = keys else {
        let Some(key) = E::PrimaryKey::iter().next().map(PrimaryKeyToColumn::into_column) else {
            return Ok(Vec::new());
        };
        let from_first = dao.query().with_deleted().ge(key, first).select(|select| select.order_by_asc(key));
        return from_first.limit(rows.len() as u64).all().await;
    };
    let mut found = Vec::with_capacity(rows.len());
    for part in keys.chunks(keys_per_statement::<E>(session.capabilities())) {
        found.extend(dao.query().with_deleted().filter(among(part, session.backend())).all().await?);
    }
    Ok(found)
}

/// The way that is right whatever the database makes of a row.
async fn one_by_one<E>(session: &Session, rows: &[Row<E>]) -> Result<Vec<E::Model>>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        written.push(E::insert(row.model.clone()).exec_with_returning(session).await?);
    }
    after_insert::<E>(session, written).await
}

/// Tells the entity.
pub(super) async fn after_insert<E>(session: &Session, written: Vec<E::Model>) -> Result<Vec<E::Model>>
where
    E: EntityTrait,
    E::ActiveModel: ActiveModelBehavior + Send,
    E::Model: IntoActiveModel<E::ActiveModel>,
{
    let mut models = Vec::with_capacity(written.len());
    for model in written {
        models.push(E::ActiveModel::after_save(model, session, true).await?);
    }
    Ok(models)
}
