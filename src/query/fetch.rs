//! SELECT: running it.

use futures_util::{Stream, StreamExt};
use sea_orm::{
    Condition, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryResult, Statement, StatementBuilder,
    StreamTrait, TryGetable, TryGetableMany,
    sea_query::{Expr, SelectStatement},
};

use super::{CountBuilder, Page, QueryBuilder, page::offset, scope::table};
use crate::{
    backend::explain,
    error::{Error, Result},
    session::Session,
};

impl<E: EntityTrait, M: FromQueryResult + Send> QueryBuilder<E, M> {
    /// All rows.
    ///
    /// # Errors
    ///
    /// Those of a statement: [`Error::PoolTimeout`], [`Error::Database`] and the others of [`crate::Session::begin`];
    /// [`Error::Unsupported`] for what this database does not have, and [`Error::InvalidArgument`] for an argument that
    /// cannot be used; [`Error::NoTransaction`] for a lock outside of a transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; in a transaction it aborts the transaction when the statement was under way.
    /// The same holds for all methods that run the query.
    pub async fn all(self) -> Result<Vec<M>> {
        let mut read = (self.reader)();
        let rows = self.rows().await?;
        rows.iter().map(|row| read(row).map_err(failed::<E>)).collect()
    }

    /// The first row, if there is one. Sends LIMIT 1.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn first(self) -> Result<Option<M>> {
        if self.is_empty() {
            return Ok(None);
        }
        Ok(self.limit(1).all().await?.pop())
    }

    /// The only row.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is none, [`Error::NotUnique`] when there are more; else as [`all`](Self::all).
    pub async fn one(self) -> Result<M> {
        let most = self.limit_within(2);
        let scope = self.scope.clone();
        let mut rows = self.limit(most).all().await?;
        match (rows.pop(), rows.pop()) {
            (None, _) => {
                let backend = scope.read_session().backend();
                let key = in_words(scope.into_conditions(backend)?, backend);
                Err(Error::NotFound { entity: table::<E>(), key })
            }
            (Some(row), None) => Ok(row),
            (Some(_), Some(_)) => Err(Error::NotUnique { entity: table::<E>() }),
        }
    }

    /// Page `page`, counted from 1, of `per_page` rows, and the number of all rows.
    ///
    /// Without an order that tells all rows apart, rows may appear on two pages or on none. A limit and an offset of the
    /// query give way to those of the page. For large tables [`cursor`](QueryBuilder::cursor) does without counting and
    /// without reading what is left out.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for page 0 or a size that is not within 1 to [`MAX_PAGE_SIZE`](super::MAX_PAGE_SIZE);
    /// else as [`all`](Self::all).
    pub async fn page(self, page: u64, per_page: u64) -> Result<Page<M>> {
        let offset = offset(page, per_page)?;
        let query = self.unlimited();
        let total = query.clone().count().await?;
        let items = if offset < total { query.limit(per_page).offset(offset).all().await? } else { Vec::new() };
        Ok(Page { items, total, page, per_page })
    }

    /// The rows one by one, in as much memory as one of them takes. Nothing is sent before the stream is polled.
    ///
    /// The stream holds a connection until it ends or is dropped; meanwhile another statement on the same
    /// [`Session`](crate::Session) is [`Error::SessionBusy`]. To write while reading, take
    /// [`chunks`](QueryBuilder::chunks).
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use entities::user;
    /// use futures_util::{TryStreamExt, pin_mut};
    ///
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<()> {
    /// let rows = users.query().order_asc(user::Column::Id).stream();
    /// pin_mut!(rows);
    /// while let Some(user) = rows.try_next().await? {
    ///     println!("{}", user.username);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Each item as [`all`](Self::all).
    ///
    /// # Cancel safety
    ///
    /// Dropped between two rows, the stream leaves its connection usable; dropped while it waits for a row, the connection
    /// is closed, and its transaction, if it was in one, aborted.
    pub fn stream(self) -> impl Stream<Item = Result<M>> + Send + use<E, M> {
        async_stream::try_stream! {
            if !self.is_empty() {
                let session = self.row_session()?;
                let mut read = (self.reader)();
                let statement = self.into_statement(session.backend())?;
                let mut rows = session.stream_raw(statement).await.map_err(failed::<E>)?;
                while let Some(row) = rows.next().await {
                    yield row.and_then(|row| read(&row)).map_err(failed::<E>)?;
                }
            }
        }
    }
}

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    /// Some columns of all rows, as tuples.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*};
    /// # use entities::user::{self, Column::{Balance, Username}};
    /// # async fn example(users: BaseDao<user::Entity>) -> Result<()> {
    /// let balances: Vec<(String, i64)> = users.query().columns([Username, Balance]).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn columns<T>(self, columns: impl IntoIterator<Item = E::Column>) -> Result<Vec<T>>
    where
        T: TryGetableMany + Send,
    {
        let columns: Vec<_> = columns.into_iter().collect();
        let rows = self.selecting(&columns).rows().await?;
        rows.iter().map(|row| T::try_get_many_by_index(row).map_err(|error| failed::<E>(error.into()))).collect()
    }

    /// One column of all rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn column<T: TryGetable>(self, column: E::Column) -> Result<Vec<T>> {
        let rows = self.selecting(&[column]).rows().await?;
        rows.iter().map(|row| row.try_get_by_index(0).map_err(failed::<E>)).collect()
    }

    /// Whether there is any row. Reads no columns and at most one row.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn exists(mut self) -> Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        self.lock = None;
        let session = self.scope.read_session();
        let shaped = self.shaped;
        let mut statement = self.into_sea_query(session.backend())?;
        if !shaped {
            statement.clear_selects().expr(Expr::cust("1"));
        }
        statement.limit(1);
        let row = session.query_one(&statement).await.map_err(failed::<E>)?;
        Ok(row.is_some())
    }

    /// How many rows there are.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn count(mut self) -> Result<u64> {
        let plain = self.is_plain();
        if plain && !self.joined {
            return CountBuilder::new(self.scope).run().await;
        }
        if self.is_empty() {
            return Ok(0);
        }
        self.lock = None;
        let session = self.scope.read_session();
        let mut rows = self.into_sea_query(session.backend())?;
        let counted = Expr::cust("COUNT(*)");
        let count = if plain {
            rows.clear_selects().clear_order_by().expr(counted).to_owned()
        } else {
            SelectStatement::new().expr(counted).from_subquery(rows, MATCHING).to_owned()
        };
        let row = session.query_one(&count).await.map_err(failed::<E>)?;
        row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0).map(i64::unsigned_abs).map_err(failed::<E>))
    }

    /// How the database would run the query, in its own words: lines of text, a JSON document on MySQL.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn explain(mut self) -> Result<String> {
        self.lock = None;
        let session = self.scope.read_session();
        let backend = session.backend();
        let (prefix, column) = explain(backend);
        let Statement { sql, values, db_backend } = self.into_statement(backend)?;
        let statement = Statement { sql: format!("{prefix}{sql}"), values, db_backend };
        let rows = session.query_all_raw(statement).await.map_err(failed::<E>)?;
        let lines = rows.iter().map(|row| row.try_get_by_index::<String>(column).map_err(failed::<E>));
        Ok(lines.collect::<Result<Vec<_>>>()?.join("\n"))
    }

    /// The rows as they come; none, when nothing needs to be sent.
    pub(super) async fn rows(self) -> Result<Vec<QueryResult>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let session = self.row_session()?;
        let statement = self.into_whole(session.backend())?;
        session.query_all(&statement).await.map_err(failed::<E>)
    }

    /// The session that reads the rows themselves.
    ///
    /// # Errors
    ///
    /// [`Error::NoTransaction`] for a lock outside of a transaction, where it would be gone with the statement.
    pub(super) fn row_session(&self) -> Result<Session> {
        if self.lock.is_none() {
            return Ok(self.scope.read_session());
        }
        let session = self.scope.session();
        if session.is_in_transaction() { Ok(session) } else { Err(Error::NoTransaction.during("lock", table::<E>())) }
    }
}

/// The name of a query whose rows are counted or added up.
pub(super) const MATCHING: &str = "matching";

/// What stands after WHERE: the columns and operators, without the values, which may be secret.
fn in_words(conditions: Condition, backend: sea_orm::DbBackend) -> String {
    if conditions.is_empty() {
        return "any key: it is empty".to_owned();
    }
    let statement = SelectStatement::new().cond_where(conditions).to_owned();
    let sql = StatementBuilder::build(&statement, &backend).sql;
    sql.split_once(" WHERE ").map(|(_, condition)| condition.to_owned()).unwrap_or(sql)
}

pub(super) fn failed<E: EntityTrait>(error: DbErr) -> Error {
    Error::from(error).during("select", table::<E>())
}
