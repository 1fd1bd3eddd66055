//! UPDATE of many rows, each with values of its own.

use sea_orm::{
    ActiveModelBehavior, ColumnTrait, EntityTrait, IntoActiveModel, Iterable, PrimaryKeyToColumn, QuerySelect, Value,
    sea_query::{
        Alias, CaseStatement, Condition, Expr, ExprTrait, IntoIden, SelectStatement, TableRef, UpdateStatement,
        ValueTuple,
    },
};

use super::{
    super::{
        BaseDao,
        found::find_each,
        key::{Key, Seen, any_of},
    },
    insert::unnest,
    operation::Operation,
    progress::NOBODY,
    rows::{Row, keys_of, take_columns, take_rows},
};
use crate::{
    backend::{Capabilities, pad, padded_length},
    error::{Error, Result},
    query::QueryBuilder,
    session::{Session, located},
};

/// The name of the new values within the statement.
const NEW: &str = "sea_dao_new";

/// Each CASE is looked through for each row.
const ROWS_PER_CASE: usize = 64;

/// One UPDATE for the first of the rows, and how many they are: as many as one statement takes.
pub(super) fn update_statement<E: EntityTrait>(
    capabilities: Capabilities,
    dao: &BaseDao<E>,
    columns: &[E::Column],
    rows: &[Row<E>],
) -> (usize, UpdateStatement) {
    let key: Vec<E::Column> = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
    let mut update = UpdateStatement::new();
    update.table(E::default().table_ref());
    let mut condition = Condition::all();
    let count = if capabilities.update_from {
        let all: Vec<E::Column> = key.iter().chain(columns).copied().collect();
        let (count, from, names) = new_values(capabilities, &all, rows);
        let new = |index: usize| all[index].save_as(Expr::col((NEW.into_iden(), names(index))));
        update.from(from);
        for (index, column) in columns.iter().enumerate() {
            update.value(*column, new(key.len() + index));
        }
        for (index, column) in key.iter().enumerate() {
            let given: Vec<Value> = rows[..count].iter().map(|row| row.value(*column)).collect();
            let value = match padded_length(*column, &given) {
                Some(length) => pad(new(index), length),
                None => new(index),
            };
            condition = condition.add(Expr::col(column.as_column_ref()).eq(value));
        }
        count
    } else {
        let binds = columns.len() * (key.len() + 1) + key.len();
        let count = rows.len().min(ROWS_PER_CASE).min(capabilities.bind_limit / binds).max(1);
        let rows = &rows[..count];
        let keys = keys_of(rows);
        for column in columns {
            let choose = rows.iter().zip(&keys).fold(CaseStatement::new(), |choose, (row, key)| {
                choose.case(key.condition(), column.save_as(Expr::val(row.value(*column))))
            });
            update.value(*column, choose.finally(Expr::col(*column)));
        }
        condition = condition.add(any_of(&keys));
        count
    };
    if let Some(deleted_at) = dao.columns.deleted_at {
        condition = condition.add(deleted_at.is_null());
    }
    update.cond_where(condition);
    (count, update)
}

/// The values of the first of the rows as a table, with their number and the names of its columns.
fn new_values<E: EntityTrait>(
    capabilities: Capabilities,
    columns: &[E::Column],
    rows: &[Row<E>],
) -> (usize, TableRef, fn(usize) -> Alias) {
    if capabilities.arrays
        && let Some((count, arrays)) = take_columns(columns, rows, |row, column| row.value(column))
    {
        let names = |index: usize| Alias::new(format!("c{index}"));
        let mut select = SelectStatement::new();
        for (index, array) in arrays.into_iter().enumerate() {
            select.expr_as(unnest(array), names(index));
        }
        return (count, TableRef::SubQuery(Box::new(select), NEW.into_iden()), names);
    }
    let values = take_rows(columns, rows, capabilities.bind_limit / columns.len() - 1, |row, column| row.value(column));
    let values: Vec<ValueTuple> = values.into_iter().map(ValueTuple::Many).collect();
    let names = |index: usize| Alias::new(format!("column{}", index + 1));
    (values.len(), TableRef::ValuesList(values, NEW.into_iden()), names)
}

/// Asks which rows are not there when `updated` is not their number. A trigger may have skipped those that are.
///
/// # Errors
///
/// [`Error::NotFound`] with the rows that are not there.
pub(super) async fn check_all_updated<E: EntityTrait>(
    session: &Session,
    dao: &BaseDao<E>,
    rows: &[Row<E>],
    updated: u64,
) -> Result<()> {
    if updated >= rows.len() as u64 {
        return Ok(());
    }
    // Locked, as a transaction's own view may be older than what the update met.
    let lock = |query: QueryBuilder<E>| query.select(QuerySelect::lock_exclusive);
    let found = Box::pin(find_each(session, dao, &keys_of(rows), lock)).await?;
    check_each_once(rows, &found)?;
    check_all_found(rows, &found)
}

/// # Errors
///
/// [`Error::Row`] around [`Error::NotFound`] with the rows that were not found.
pub(super) fn check_all_found<E: EntityTrait>(rows: &[Row<E>], found: &[Option<E::Model>]) -> Result<()> {
    let missing: Vec<&Row<E>> =
        rows.iter().zip(found).filter(|(_, found)| found.is_none()).map(|(row, _)| row).collect();
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(Error::Row { row: first.index, key: first.name(), source: Box::new(not_found(&missing)) }),
    }
}

/// # Errors
///
/// [`Error::Row`] around [`Error::InvalidArgument`] for a row whose key is that of an earlier one in other words.
pub(super) fn check_each_once<E: EntityTrait>(rows: &[Row<E>], found: &[Option<E::Model>]) -> Result<()> {
    let mut seen = Seen::default();
    for (row, found) in rows.iter().zip(found) {
        if let Some(found) = found
            && !seen.insert(&Key::<E>::of_model(found))
        {
            return Err(given_twice(row.index, row.name()));
        }
    }
    Ok(())
}

fn without_key(row: usize) -> Error {
    let source = Error::argument("primary key", "(not set)", "the whole primary key to be set");
    Error::Row { row, key: String::new(), source: Box::new(source) }
}

fn given_twice(row: usize, key: String) -> Error {
    let source = Box::new(Error::argument("primary key", &key, "each row once"));
    Error::Row { row, key, source }
}

fn not_found<E: EntityTrait>(missing: &[&Row<E>]) -> Error {
    const NAMED: usize = 10;
    let mut key = missing.iter().take(NAMED).map(|row| row.name()).collect::<Vec<_>>().join("; ");
    if missing.len() > NAMED {
        key.push_str(&format!("; and {} more", missing.len() - NAMED));
    }
    Error::NotFound { entity: E::default().table_name(), key }
}

impl<E> BaseDao<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    /// Updates any number of rows, all or none of them, each in the columns that it sets, and gives their number. Rows
    /// that set the same columns are updated by one statement. `updated_at` is set with them; deleted rows count as
    /// missing. With [optimistic locking](Self::optimistic_lock) each version is checked and raised.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, sea_orm::{ActiveValue::Set, IntoActiveModel}};
    /// # use entities::user;
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<()> {
    /// let raised = users.query().all().await?.into_iter().map(|user| {
    ///     let balance = Set(user.balance + 5);
    ///     user::ActiveModel { balance, ..user.into_active_model() }
    /// });
    /// users.update_many(raised.collect::<Vec<_>>()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Row`] with the first row that could not be updated, around: [`Error::NotFound`] with the keys that are
    /// missing; [`Error::VersionConflict`]; [`Error::InvalidArgument`] for a row without its primary key, or with one that another row has; the
    /// database's failure.
    ///
    /// # Cancel safety
    ///
    /// As [`insert`](Self::insert).
    #[track_caller]
    pub fn update_many<I>(&self, models: I) -> impl Future<Output = Result<u64>>
    where
        I: IntoIterator<Item = E::ActiveModel>,
        I::IntoIter: Send,
    {
        located(self.update_rows(models.into_iter().collect()))
    }

    async fn update_rows(&self, models: Vec<E::ActiveModel>) -> Result<u64> {
        let mut seen = Seen::default();
        for (row, model) in models.iter().enumerate() {
            let error = match Key::<E>::of_active_model(model) {
                None => without_key(row),
                Some(key) if !seen.insert(&key) => given_twice(row, key.to_string()),
                Some(_) => continue,
            };
            return Err(Operation::Update.failed::<E>(error));
        }
        let written = self.write_rows(Operation::Update, models.into_iter(), NOBODY).await?;
        Ok(written.count)
    }
}
