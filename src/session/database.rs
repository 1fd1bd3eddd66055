//! A database and its pool.

use std::{fmt, panic::Location, time::Duration};

use futures_util::future::BoxFuture;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult,
    Statement, StreamTrait, TransactionError, TransactionTrait,
};

use super::{AsyncFunc, RowStream, Session, SessionProvider, TransactionBuilder, caller::caller, execute_transaction};
use crate::{
    backend::Capabilities,
    config::DatabaseConfig,
    error::{Error, Result},
    hooks::{Alert, History, NPlusOneDetector, StatementStatistics},
    pool::{Holder, Pool, PoolCounters, PoolStatus, ShutdownReport},
};

/// A database and its pool of connections. Clones share the pool.
///
/// It is a SeaORM connection too: each statement then runs on a session of its own.
#[derive(Clone)]
pub struct Database {
    pub(super) pool: Pool,
}

impl DatabaseConfig {
    /// Opens the pool and its first connection, and asks the database for an answer, so that what is wrong shows now.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for a setting or URL that makes no sense, [`Error::Unsupported`] for a database that this build
    /// cannot speak to, [`Error::Connect`] with the cause when no connection can be opened.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes what was opened.
    pub async fn connect(self) -> Result<Database> {
        Database::connect_with(&self).await
    }
}

impl Database {
    /// Connects to `url` with the default settings.
    ///
    /// # Errors
    ///
    /// Those of [`DatabaseConfig::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        DatabaseConfig::new(url).connect().await
    }

    pub(super) fn health_sql(&self) -> &'static str {
        self.pool.health_sql()
    }

    /// The same database on one connection, in a transaction that is never committed.
    pub(super) async fn reserved(&self, location: &'static Location<'static>) -> Result<Self> {
        Ok(Self { pool: self.pool.reserved(location).await? })
    }

    pub(super) async fn end_reserve(&self) -> Result<()> {
        self.pool.end_reserve().await
    }

    async fn connect_with(config: &DatabaseConfig) -> Result<Self> {
        Ok(Self { pool: Pool::connect(config).await? })
    }

    /// A new session. It takes its connection at its first statement.
    #[must_use]
    #[track_caller]
    pub fn session(&self) -> Session {
        Session::new(self.pool.clone(), caller())
    }

    /// A session for calls through traits, which do not tell the caller's line.
    fn unlocated(&self) -> Session {
        self.session().unlocated()
    }

    /// Begins a transaction on a session of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Session::begin`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no transaction open.
    #[track_caller]
    pub fn begin(&self) -> impl Future<Output = Result<Session>> + Send + '_ {
        self.transaction().begin()
    }

    /// A transaction with options.
    #[track_caller]
    pub fn transaction(&self) -> TransactionBuilder<'_, Self> {
        TransactionBuilder::new(self)
    }

    /// Runs `callback` in one transaction on one connection; see [`execute_transaction`].
    ///
    /// # Errors
    ///
    /// Those of [`execute_transaction`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back, unless COMMIT is under way.
    #[track_caller]
    pub fn execute_transaction<T, E, F>(&self, callback: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send,
        E: From<Error> + Send,
        for<'t> F: AsyncFnOnce(&'t Session) -> Result<T, E> + AsyncFunc<&'t Session, Result<T, E>, Fut: Send> + Send,
    {
        execute_transaction(self, callback)
    }

    /// What the pool holds now.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        self.pool.status()
    }

    /// SeaORM's name for the database.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.pool.backend()
    }

    /// What the database can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.pool.capabilities()
    }

    /// A connection of SeaORM's own type to the same database, for code that takes no other: migrations first of all.
    ///
    /// It has a pool of at most 2 connections of its own, beside this one and without its promises; it is closed with
    /// this one.
    ///
    /// # Errors
    ///
    /// [`Error::PoolClosed`]; [`Error::Unsupported`] in a [`Sandbox`](super::Sandbox).
    pub async fn sea_orm_connection(&self) -> Result<DatabaseConnection> {
        self.pool.sea_orm_connection().await
    }

    /// Refuses new checkouts at once, waits until all connections have come back, and closes them. Harmless when called
    /// again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Refuses new checkouts at once, and waits until all connections have come back and are closed, but no longer than
    /// `limit`. What is still out then is reported, with where it was taken, and closed when it comes back.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close_within(&self, limit: Duration) -> ShutdownReport {
        let report = self.pool.close_within(limit).await;
        if !report.is_complete() {
            tracing::warn!(target: "sea_dao::pool", "{report}");
        }
        report
    }

    /// Drops the pool without waiting for anything: for a process that goes on with a new runtime, to which the old
    /// connections do not belong.
    pub fn reset(&self) {
        self.pool.reset();
    }

    /// Hands out no more connections until [`resume`](Self::resume): for a failover, or a change of the schema. Who asks
    /// for one waits, within `pool_timeout`. What is out is not touched.
    pub fn suspend(&self) {
        self.pool.suspend();
    }

    /// Ends [`suspend`](Self::suspend). Harmless without one.
    pub fn resume(&self) {
        self.pool.resume();
    }

    /// What happened in the pool since it was opened.
    #[must_use]
    pub fn counters(&self) -> PoolCounters {
        self.pool.counters()
    }

    /// The connections that are out, with where they were taken, the longest first.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        self.pool.holders()
    }

    /// Figures of the statements sent, by fingerprint; empty unless
    /// [switched on](DatabaseConfig::statement_statistics).
    #[must_use]
    pub fn statements(&self) -> &StatementStatistics {
        &self.pool.hooks().watchers().statements
    }

    /// Queries that sessions repeated where one might do; none unless [looked for](DatabaseConfig::n_plus_one).
    #[must_use]
    pub fn repeated_queries(&self) -> &NPlusOneDetector {
        &self.pool.hooks().watchers().repeated_queries
    }

    /// The [alerts](DatabaseConfig::alerts) that are firing.
    #[must_use]
    pub fn alerts(&self) -> Vec<Alert> {
        self.pool.hooks().watchers().alerts.firing()
    }

    /// How many rules are watched.
    #[cfg(feature = "page")]
    pub(crate) fn alert_rules(&self) -> usize {
        self.pool.hooks().watchers().alerts.rules()
    }

    /// What happened lately; empty unless [switched on](DatabaseConfig::history).
    #[must_use]
    pub fn history(&self) -> &History {
        &self.pool.hooks().watchers().history
    }

    /// Opens connections until so many are open, at most `pool_size`, and gives their number.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`], [`Error::PoolTimeout`], [`Error::PoolClosed`].
    ///
    /// # Cancel safety
    ///
    /// Connections that were opened stay in the pool.
    pub async fn warm_up(&self, connections: usize) -> Result<usize> {
        self.pool.warm_up(connections).await
    }
}

impl SessionProvider for Database {
    fn session(&self) -> Session {
        self.unlocated()
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("url", &self.pool.target()).field("status", &self.status()).finish()
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Database {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        self.unlocated().execute_raw(stmt).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.unlocated().execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.unlocated().query_one_raw(stmt).await
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.unlocated().query_all_raw(stmt).await
    }
}

impl StreamTrait for Database {
    type Stream<'a> = RowStream;

    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    fn stream_raw<'a>(&'a self, stmt: Statement) -> BoxFuture<'a, Result<RowStream, DbErr>> {
        Box::pin(async move {
            // The stream keeps the connection when the session's handle goes.
            self.unlocated().stream_raw(stmt).await
        })
    }
}

#[async_trait::async_trait]
impl TransactionTrait for Database {
    type Transaction = Session;

    async fn begin(&self) -> Result<Session, DbErr> {
        Ok(Database::begin(self).await?)
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Session, DbErr> {
        let options =
            sea_orm::TransactionOptions { isolation_level, access_mode, ..sea_orm::TransactionOptions::default() };
        self.begin_with_options(options).await
    }

    async fn begin_with_options(&self, options: sea_orm::TransactionOptions) -> Result<Session, DbErr> {
        let session = self.unlocated();
        let mut tx = TransactionTrait::begin_with_options(&session, options).await?;
        session.hand_over(&mut tx);
        Ok(tx)
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Session) -> BoxFuture<'c, Result<T, E>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        TransactionTrait::transaction(&self.unlocated(), callback).await
    }

    async fn transaction_with_config<F, T, E>(
        &self,
        callback: F,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Session) -> BoxFuture<'c, Result<T, E>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.unlocated().transaction_with_config(callback, isolation_level, access_mode).await
    }
}
