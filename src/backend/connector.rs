//! The one driver for every database that sqlx speaks to.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use sea_orm::{DatabaseConnection, DbBackend, ExecResult, QueryResult};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Connection as _, Executor, IntoArguments};

use super::{
    Capabilities,
    connection::{Backend, Options, SqlxConnection},
    driver::{Driver, RawConnection, TransactionOptions},
};
use crate::error::Result;

/// A database, as named by connect options of sqlx.
pub(super) struct SqlxDriver<B: Backend> {
    options: Options<B>,
    needs_anchor: bool,
    kills: bool,
    health_sql: &'static str,
    /// As the server last answered.
    insert_returning: AtomicBool,
    database: PhantomData<fn() -> B>,
}

impl<B: Backend> SqlxDriver<B> {
    pub(super) fn new(options: Options<B>) -> Self {
        Self {
            options,
            needs_anchor: false,
            kills: true,
            health_sql: B::HEALTH_SQL,
            insert_returning: AtomicBool::new(B::CAPABILITIES.insert_returning),
            database: PhantomData,
        }
    }

    /// For a server behind which connections are not the same as clients: what is killed might be somebody else's.
    #[cfg(feature = "postgres")]
    pub(super) fn kills(mut self, kills: bool) -> Self {
        self.kills = kills;
        self
    }

    /// Another question in place of [`Backend::HEALTH_SQL`].
    #[cfg(feature = "sqlite")]
    pub(super) fn health_sql(mut self, sql: &'static str) -> Self {
        self.health_sql = sql;
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
    B::Arguments: IntoArguments<B>,
    QueryResult: From<B::Row>,
    ExecResult: From<B::QueryResult>,
    B::Connection: Sized,
{
    fn backend(&self) -> DbBackend {
        B::BACKEND
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { insert_returning: self.insert_returning.load(Ordering::Relaxed), ..B::CAPABILITIES }
    }

    fn connect(&self) -> BoxFuture<'_, sqlx::Result<Box<dyn RawConnection>>> {
        async move {
            let mut inner = B::Connection::connect_with(&self.options).await.map_err(B::explain)?;
            let kill_sql = match B::KILL_SQL.filter(|_| self.kills) {
                None => None,
                Some(sql) => {
                    let row = inner.fetch_one(AssertSqlSafe(sql)).await.map(QueryResult::from)?;
                    self.insert_returning.store(B::has_insert_returning(&row), Ordering::Relaxed);
                    row.try_get_by_index::<String>(0).ok().map(Arc::from)
                }
            };
            Ok(Box::new(SqlxConnection::<B>::new(inner, kill_sql)) as Box<dyn RawConnection>)
        }
        .boxed()
    }

    fn run_apart(&self, statements: Vec<Arc<str>>) -> BoxFuture<'_, sqlx::Result<()>> {
        async move {
            let mut inner = B::Connection::connect_with(&self.options).await?;
            let mut result = Ok(());
            for sql in statements {
                if let Err(error) = inner.execute(AssertSqlSafe(sql)).await {
                    result = Err(error);
                }
            }
            inner.close().await.and(result)
        }
        .boxed()
    }

    fn begin_sql(&self, options: &TransactionOptions) -> Result<Arc<str>> {
        B::begin_sql(options)
    }

    fn health_sql(&self) -> &'static str {
        self.health_sql
    }

    fn needs_anchor(&self) -> bool {
        self.needs_anchor
    }

    fn sea_orm_connection(&self, connect_timeout: Duration) -> DatabaseConnection {
        B::sea_orm_connection(self.options.clone(), connect_timeout)
    }
}
