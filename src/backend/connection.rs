//! The one connection for every database that sqlx speaks to.

use std::{sync::Arc, time::Duration};

use futures_util::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt,
    future::{BoxFuture, ready},
    stream::{self, BoxStream},
};
use sea_orm::{DatabaseConnection, DbBackend, ExecResult, QueryResult, Values};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    Arguments as _, AssertSqlSafe, Connection as _, Database, Execute, Executor, IntoArguments,
    database::HasStatementCache, error::BoxDynError,
};
use tokio::time::timeout;

use super::{
    Capabilities,
    driver::{CopySource, RawConnection, TransactionOptions},
    probe::{Probe, Switch},
    signature::Signatures,
};
use crate::error::Result;

/// How a statement is kept from running against the schema as it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refresh {
    /// What runs before it.
    pub(super) sql: &'static str,
    /// The columns of its answer are the schema's, so that it is prepared anew each time. Where the schema changes even
    /// between the two, the driver stops working and what it answers is nothing.
    pub(super) columns: bool,
}

pub(super) type Options<B> = <<B as Database>::Connection as sqlx::Connection>::Options;

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
    /// Whether INSERT gives rows back, by what the server said beside [`KILL_SQL`](Self::KILL_SQL).
    fn has_insert_returning(_answer: &QueryResult) -> bool {
        Self::CAPABILITIES.insert_returning
    }
    /// How to find out whether a transaction is open.
    const PROBE: Probe;
    /// A procedure may begin a transaction that goes on after it.
    const PROCEDURES_BEGIN: bool;
    /// Takes everything from the session that was set in it.
    const RESET_SQL: Option<&'static str>;
    /// How a connection is kept from writing, where BEGIN cannot do that.
    const READ_ONLY_SWITCH: Option<Switch>;

    fn begin_sql(options: &TransactionOptions) -> Result<Arc<str>>;

    /// What has to be done for a statement that would otherwise be run against an outdated schema.
    fn refresh(_statement: &str) -> Option<Refresh> {
        None
    }

    /// The statement as it is prepared: with those values written out that the database would prepare it anew for.
    fn written_out(sql: Arc<str>, values: Option<Values>) -> (Arc<str>, Option<Values>) {
        (sql, values)
    }

    /// The values as the driver takes them.
    fn arguments(values: Values) -> Result<Self::Arguments, BoxDynError>
    where
        SqlxValues: IntoArguments<Self>,
    {
        Ok(SqlxValues(values).into_arguments())
    }

    fn sea_orm_connection(options: Options<Self>, connect_timeout: Duration) -> DatabaseConnection;

    /// Runs one `COPY … FROM STDIN`.
    fn copy_in<'s>(
        _connection: &'s mut Self::Connection,
        _sql: Arc<str>,
        _source: CopySource<'s>,
    ) -> BoxFuture<'s, sqlx::Result<Option<u64>>> {
        std::future::ready(Err(sqlx::Error::InvalidArgument("this database has no COPY".to_owned()))).boxed()
    }

    /// Adds to a failure to connect what the driver does not say.
    fn explain(error: sqlx::Error) -> sqlx::Error {
        error
    }
}

/// A connection of sqlx under our own trait.
pub(super) struct SqlxConnection<B: Database> {
    inner: B::Connection,
    /// Its transaction switched this on.
    switched_on: Option<Switch>,
    kill_sql: Option<Arc<str>>,
    signatures: Signatures,
}

impl<B: Backend> SqlxConnection<B>
where
    for<'c> &'c mut B::Connection: Executor<'c, Database = B>,
{
    pub(super) fn new(inner: B::Connection, kill_sql: Option<Arc<str>>) -> Self {
        Self { inner, switched_on: None, kill_sql, signatures: Signatures::default() }
    }

    fn rows(&mut self, statement: Query<B>, refresh: Option<Refresh>) -> BoxStream<'_, sqlx::Result<B::Row>>
    where
        B::Arguments: IntoArguments<B>,
    {
        let Some(refresh) = refresh else { return self.inner.fetch(statement) };
        async_stream::try_stream! {
            self.inner.execute(AssertSqlSafe(refresh.sql)).await?;
            let mut empty = true;
            let mut rows = self.inner.fetch(statement);
            while let Some(row) = rows.try_next().await? {
                empty = false;
                yield row;
            }
            drop(rows);
            if empty && refresh.columns {
                self.is_at_work().await?;
            }
        }
        .boxed()
    }

    async fn execute_after(
        &mut self,
        refresh: Refresh,
        statement: impl Execute<'static, B> + 'static,
    ) -> sqlx::Result<B::QueryResult> {
        self.inner.execute(AssertSqlSafe(refresh.sql)).await?;
        let result = self.inner.execute(statement).await?;
        if refresh.columns {
            self.is_at_work().await?;
        }
        Ok(result)
    }

    /// Fails where the driver has stopped working, in which case it may not even answer.
    async fn is_at_work(&mut self) -> sqlx::Result<()> {
        timeout(AT_WORK_LIMIT, self.inner.ping()).await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    async fn switch_off(&mut self) -> sqlx::Result<()> {
        if let Some(switch) = &self.switched_on {
            self.inner.execute(AssertSqlSafe(switch.off)).await?;
            self.switched_on = None;
        }
        Ok(())
    }
}

/// The most that a driver at work takes to say so.
const AT_WORK_LIMIT: Duration = Duration::from_secs(10);

type Query<B> = sqlx::query::Query<'static, B, <B as Database>::Arguments>;

impl<B: Backend> SqlxConnection<B>
where
    SqlxValues: IntoArguments<B>,
    B::Arguments: IntoArguments<B>,
{
    fn statement(&mut self, sql: Arc<str>, values: Option<Values>) -> sqlx::Result<(Query<B>, Option<Refresh>)> {
        let refresh = B::refresh(&sql);
        let (sql, values) = B::written_out(sql, values);
        let sql = if B::TYPED_STATEMENTS { self.signatures.text_for(sql, values.as_ref()) } else { sql };
        let values = values.unwrap_or(Values(Vec::new()));
        let count = values.0.len();
        let arguments = B::arguments(values).map_err(sqlx::Error::Encode)?;
        // A value that cannot be encoded is left out without a word, and those behind it would take its place.
        if arguments.len() != count {
            return Err(sqlx::Error::Encode("a value that the driver cannot encode".into()));
        }
        let lasts = refresh.is_none_or(|refresh| !refresh.columns);
        Ok((sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(lasts), refresh))
    }
}

impl<B: Backend> RawConnection for SqlxConnection<B>
where
    for<'c> &'c mut B::Connection: Executor<'c, Database = B>,
    SqlxValues: IntoArguments<B>,
    B::Arguments: IntoArguments<B>,
    QueryResult: From<B::Row>,
    ExecResult: From<B::QueryResult>,
{
    fn query_all(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<Vec<QueryResult>>> {
        let (statement, refresh) = match self.statement(sql, values) {
            Ok(statement) => statement,
            Err(error) => return ready(Err(error)).boxed(),
        };
        self.rows(statement, refresh).map_ok(QueryResult::from).try_collect().boxed()
    }

    fn query_one(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<Option<QueryResult>>> {
        let (statement, refresh) = match self.statement(sql, values) {
            Ok(statement) => statement,
            Err(error) => return ready(Err(error)).boxed(),
        };
        if B::FETCHES_ONE_CLEANLY {
            let Some(refresh) = refresh else {
                return self.inner.fetch_optional(statement).map_ok(|row| row.map(QueryResult::from)).boxed();
            };
            return async move {
                self.inner.execute(AssertSqlSafe(refresh.sql)).await?;
                let row = self.inner.fetch_optional(statement).await?;
                if row.is_none() && refresh.columns {
                    self.is_at_work().await?;
                }
                Ok(row.map(QueryResult::from))
            }
            .boxed();
        }
        let mut rows = self.rows(statement, refresh);
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
        let (statement, refresh) = match self.statement(sql, values) {
            Ok(statement) => statement,
            Err(error) => return ready(Err(error)).boxed(),
        };
        match refresh {
            None => self.inner.execute(statement).map_ok(ExecResult::from).boxed(),
            Some(refresh) => self.execute_after(refresh, statement).map_ok(ExecResult::from).boxed(),
        }
    }

    fn execute_unprepared(&mut self, sql: Arc<str>) -> BoxFuture<'_, sqlx::Result<ExecResult>> {
        match B::refresh(&sql) {
            None => self.inner.execute(AssertSqlSafe(sql)).map_ok(ExecResult::from).boxed(),
            Some(refresh) => self.execute_after(refresh, AssertSqlSafe(sql)).map_ok(ExecResult::from).boxed(),
        }
    }

    fn stream(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxStream<'_, sqlx::Result<QueryResult>> {
        let (statement, refresh) = match self.statement(sql, values) {
            Ok(statement) => statement,
            Err(error) => return stream::once(ready(Err(error))).boxed(),
        };
        self.rows(statement, refresh).map_ok(QueryResult::from).boxed()
    }

    fn copy_in<'s>(&'s mut self, sql: Arc<str>, source: CopySource<'s>) -> BoxFuture<'s, sqlx::Result<Option<u64>>> {
        B::copy_in(&mut self.inner, sql, source)
    }

    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>> {
        self.inner.ping().boxed()
    }

    fn kill_sql(&self) -> Option<Arc<str>> {
        self.kill_sql.clone()
    }

    fn hides_begin(&self) -> bool {
        B::PROCEDURES_BEGIN
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

    fn begin(&mut self, sql: Arc<str>, read_only: bool) -> BoxFuture<'_, sqlx::Result<()>> {
        async move {
            if let Some(switch) = B::READ_ONLY_SWITCH.filter(|_| read_only) {
                let row = self.inner.fetch_one(AssertSqlSafe(switch.ask)).await.map(QueryResult::from)?;
                // The caller may have set it for the whole session.
                if !row.try_get_by_index::<i64>(0).is_ok_and(|on| on != 0) {
                    self.inner.execute(AssertSqlSafe(switch.on)).await?;
                    self.switched_on = Some(switch);
                }
            }
            let begun = self.inner.execute(AssertSqlSafe(sql)).await.map(drop);
            if begun.is_err() {
                self.switch_off().await?;
            }
            begun
        }
        .boxed()
    }

    fn end(&mut self, sql: Arc<str>) -> BoxFuture<'_, sqlx::Result<()>> {
        async move {
            self.inner.execute(AssertSqlSafe(sql)).await?;
            self.switch_off().await
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
