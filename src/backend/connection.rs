//! The one implementation over every database that sqlx speaks to.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sea_orm::{DatabaseConnection, DbBackend, ExecResult, QueryResult, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Connection as _, Database, Executor, IntoArguments, database::HasStatementCache};

use super::{
    Capabilities,
    driver::{Driver, RawConnection, TransactionOptions},
    signature::Signatures,
};
use crate::error::Result;

type Options<B> = <<B as Database>::Connection as sqlx::Connection>::Options;

/// What one database does differently.
pub(super) trait Backend: Database + HasStatementCache {
    const BACKEND: DbBackend;
    const CAPABILITIES: Capabilities;
    /// `fetch_optional` leaves nothing of the answer unread: it reads on, or there is nothing on a wire.
    const FETCHES_ONE_CLEANLY: bool;
    /// A prepared statement is bound to the types of its first values.
    const TYPED_STATEMENTS: bool;

    /// Asks for the server's version as a text and, as a BIGINT, whether it takes no writes.
    const HEALTH_SQL: &'static str;
    /// Asks for the SQL by which another connection ends this one; `None` where there is no server.
    const KILL_SQL: Option<&'static str>;
    /// How to find out whether a transaction is open.
    const PROBE: Probe;
    /// Takes everything from the session that was set in it.
    const RESET_SQL: Option<&'static str>;

    fn begin_sql(options: &TransactionOptions) -> Result<Arc<str>>;

    fn sea_orm_connection(options: Options<Self>, connect_timeout: Duration) -> DatabaseConnection;
}

/// How a database tells whether a transaction is open.
pub(super) enum Probe {
    /// This begins one, and fails inside of one.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))]
    Begin(&'static str),
    /// This fails outside of one.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    FailsOutside(&'static str),
    /// This answers with a number; where it is not understood, nothing can be told.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code))]
    Ask(&'static str),
}

/// A connection of sqlx under our own trait.
struct SqlxConnection<B: Database> {
    inner: B::Connection,
    kill_sql: Option<Arc<str>>,
    signatures: Signatures,
}

type Query<B> = sqlx::query::Query<'static, B, SqlxValues>;

impl<B: Backend> SqlxConnection<B>
where
    SqlxValues: IntoArguments<B>,
{
    fn statement(&mut self, sql: Arc<str>, values: Option<Values>) -> Query<B> {
        let sql = if B::TYPED_STATEMENTS { self.signatures.text_for(sql, values.as_ref()) } else { sql };
        sqlx::query_with(AssertSqlSafe(sql), SqlxValues(values.unwrap_or(Values(Vec::new()))))
    }
}

impl<B: Backend> RawConnection for SqlxConnection<B>
where
    for<'c> &'c mut B::Connection: Executor<'c, Database = B>,
    SqlxValues: IntoArguments<B>,
    QueryResult: From<B::Row>,
    ExecResult: From<B::QueryResult>,
{
    fn query_all(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<Vec<QueryResult>>> {
        let statement = self.statement(sql, values);
        self.inner.fetch(statement).map_ok(QueryResult::from).try_collect().boxed()
    }

    fn query_one(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<Option<QueryResult>>> {
        let statement = self.statement(sql, values);
        if B::FETCHES_ONE_CLEANLY {
            return self.inner.fetch_optional(statement).map_ok(|row| row.map(QueryResult::from)).boxed();
        }
        let mut rows = self.inner.fetch(statement);
        async move {
            let mut first = None;
            while let Some(row) = rows.try_next().await? {
                first.get_or_insert(row);
            }
            Ok(first.map(QueryResult::from))
        }
        .boxed()
    }

    fn execute(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<ExecResult>> {
        let statement = self.statement(sql, values);
        self.inner.execute(statement).map_ok(ExecResult::from).boxed()
    }

    fn execute_unprepared(&mut self, sql: Arc<str>) -> BoxFuture<'_, sqlx::Result<ExecResult>> {
        self.inner.execute(AssertSqlSafe(sql)).map_ok(ExecResult::from).boxed()
    }

    fn stream(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxStream<'_, sqlx::Result<QueryResult>> {
        let statement = self.statement(sql, values);
        self.inner.fetch(statement).map_ok(QueryResult::from).boxed()
    }

    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>> {
        self.inner.ping().boxed()
    }

    fn kill_sql(&self) -> Option<Arc<str>> {
        self.kill_sql.clone()
    }

    fn in_transaction(&mut self) -> BoxFuture<'_, sqlx::Result<bool>> {
        async move {
            let (sql, expected) = match B::PROBE {
                Probe::Ask(sql) => {
                    return match self.inner.fetch_one(AssertSqlSafe(sql)).await.map(QueryResult::from) {
                        Ok(row) => Ok(row.try_get_by_index::<i64>(0).is_ok_and(|open| open != 0)),
                        Err(sqlx::Error::Database(_)) => Ok(true),
                        Err(error) => Err(error),
                    };
                }
                Probe::Begin(sql) => (sql, false),
                Probe::FailsOutside(sql) => (sql, true),
            };
            let open = match self.inner.execute(AssertSqlSafe(sql)).await {
                Ok(_) => expected,
                Err(sqlx::Error::Database(_)) => !expected,
                Err(error) => return Err(error),
            };
            if !open && !expected {
                self.inner.execute(AssertSqlSafe("ROLLBACK")).await?;
            }
            Ok(open)
        }
        .boxed()
    }

    fn reset(&mut self) -> BoxFuture<'_, sqlx::Result<bool>> {
        async move {
            let Some(sql) = B::RESET_SQL else { return Ok(false) };
            // The server forgets its prepared statements: the driver has to forget them first.
            self.inner.clear_cached_statements().await?;
            self.inner.execute(AssertSqlSafe(sql)).await?;
            Ok(true)
        }
        .boxed()
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, sqlx::Result<()>> {
        self.inner.close().boxed()
    }
}

/// A database, as named by connect options of sqlx.
pub(super) struct SqlxDriver<B: Backend> {
    options: Options<B>,
    needs_anchor: bool,
    kills: bool,
    database: PhantomData<fn() -> B>,
}

impl<B: Backend> SqlxDriver<B> {
    pub(super) fn new(options: Options<B>) -> Self {
        Self { options, needs_anchor: false, kills: true, database: PhantomData }
    }

    /// For a server behind which connections are not the same as clients: what is killed might be somebody else's.
    #[cfg(feature = "postgres")]
    pub(super) fn kills(mut self, kills: bool) -> Self {
        self.kills = kills;
        self
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn anchored(mut self) -> Self {
        self.needs_anchor = true;
        self
    }
}

impl<B: Backend> Driver for SqlxDriver<B>
where
    for<'c> &'c mut B::Connection: Executor<'c, Database = B>,
    SqlxValues: IntoArguments<B>,
    QueryResult: From<B::Row>,
    ExecResult: From<B::QueryResult>,
    B::Connection: Sized,
{
    fn backend(&self) -> DbBackend {
        B::BACKEND
    }

    fn capabilities(&self) -> Capabilities {
        B::CAPABILITIES
    }

    fn connect(&self) -> BoxFuture<'_, sqlx::Result<Box<dyn RawConnection>>> {
        async move {
            let mut inner = B::Connection::connect_with(&self.options).await?;
            let kill_sql = match B::KILL_SQL.filter(|_| self.kills) {
                None => None,
                Some(sql) => {
                    let row = inner.fetch_one(AssertSqlSafe(sql)).await.map(QueryResult::from)?;
                    row.try_get_by_index::<String>(0).ok().map(Arc::from)
                }
            };
            Ok(Box::new(SqlxConnection::<B> { inner, kill_sql, signatures: Signatures::default() })
                as Box<dyn RawConnection>)
        }
        .boxed()
    }

    fn run_once(&self, sql: Arc<str>) -> BoxFuture<'_, sqlx::Result<()>> {
        async move {
            let mut inner = B::Connection::connect_with(&self.options).await?;
            inner.execute(AssertSqlSafe(sql)).await?;
            inner.close().await
        }
        .boxed()
    }

    fn begin_sql(&self, options: &TransactionOptions) -> Result<Arc<str>> {
        B::begin_sql(options)
    }

    fn health_sql(&self) -> &'static str {
        B::HEALTH_SQL
    }

    fn needs_anchor(&self) -> bool {
        self.needs_anchor
    }

    fn sea_orm_connection(&self, connect_timeout: Duration) -> DatabaseConnection {
        B::sea_orm_connection(self.options.clone(), connect_timeout)
    }
}
