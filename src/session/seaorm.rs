//! A session as SeaORM's connection.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt, future::BoxFuture};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement, StreamTrait,
    TransactionError, TransactionSession, TransactionTrait, Values,
};

use super::{
    Session,
    handle::FlushMode,
    lease::{Lease, Purpose},
};
use crate::{
    backend::{PlainSql, TransactionOptions},
    error::Result,
};

impl Session {
    /// Takes the session's connection for one statement, after the pending writes.
    pub(super) async fn lease(&self, activity: &'static str) -> Result<Lease> {
        if self.must_flush() {
            Box::pin(self.flush()).await?;
        }
        Lease::take(self, activity, Purpose::Statement).await
    }

    /// Takes the session's connection now and not at the first statement.
    pub(super) async fn take_connection(&self) -> Result<()> {
        self.lease("a checkout").await.map(drop)
    }

    pub(super) fn must_flush(&self) -> bool {
        if !self.autoflush {
            return false;
        }
        let mut state = self.core.lock();
        // A flush also reports what became of an earlier one.
        state.unknown.is_some()
            || state.flush_mode == FlushMode::Auto && state.queue(self.scope).is_some_and(|queue| queue.len() > 0)
    }

    /// Takes the session's connection for a statement of the caller's.
    async fn lease_for(&self, activity: &'static str, sql: &str) -> Result<Lease> {
        let lease = self.lease(activity).await?;
        self.core.lock().known.before_statement(sql);
        Ok(lease)
    }

    async fn run_query_all(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        let mut lease = self.lease_for("a query", &statement.sql).await?;
        let result = lease.connection()?.query_all(statement).await;
        let (rows, observation) = lease.check(result)?;
        self.arrived(observation);
        Ok(rows)
    }

    pub(crate) async fn query_one_built(&self, statement: Statement) -> Result<Option<QueryResult>> {
        let mut lease = self.lease_for("a query", &statement.sql).await?;
        let result = lease.connection()?.query_one(statement).await;
        let (rows, observation) = lease.check(result)?;
        self.arrived(observation);
        Ok(rows)
    }

    /// Runs SQL that a DAO runs often, and reads its first row.
    pub(crate) async fn query_one_plain(&self, sql: PlainSql, values: Values) -> Result<Option<QueryResult>> {
        let mut lease = self.lease_for("a query", sql.text()).await?;
        let result = lease.connection()?.query_one_plain(sql, values).await;
        let (row, observation) = lease.check(result)?;
        self.arrived(observation);
        Ok(row)
    }

    async fn run_execute(&self, statement: Statement) -> Result<ExecResult> {
        let mut lease = self.lease_for("a statement", &statement.sql).await?;
        let result = lease.connection()?.execute(statement).await;
        lease.check(result)
    }

    async fn run_script(&self, sql: &str) -> Result<ExecResult> {
        let mut lease = self.lease_for("a script", sql).await?;
        let result = lease.connection()?.execute_unprepared(sql).await;
        lease.check(result)
    }
}

#[async_trait::async_trait]
impl ConnectionTrait for Session {
    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        Ok(self.run_execute(stmt).await?)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        Ok(self.run_script(sql).await?)
    }

    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_one_built(stmt).await?)
    }

    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        Ok(self.run_query_all(stmt).await?)
    }
}

/// The rows of a statement, one by one. The session refuses other statements until it has ended or is dropped.
///
/// # Cancel safety
///
/// Dropped between two rows, it leaves the session usable: what remains of the answer is read before the session's next
/// statement. Dropped while it waits for a row, as by a timeout around `next()`, its connection is closed; in a
/// transaction that aborts the transaction.
pub struct RowStream(Pin<Box<dyn Stream<Item = Result<QueryResult, DbErr>> + Send>>);

impl RowStream {
    fn new(mut lease: Lease, statement: Statement) -> Self {
        Self(Box::pin(async_stream::stream! {
            let mut failure = None;
            {
                let connection = match lease.connection() {
                    Ok(connection) => connection,
                    Err(error) => { yield Err(error.into()); return; }
                };
                let mut rows = connection.stream(statement);
                while let Some(row) = rows.next().await {
                    match row {
                        Ok(row) => yield Ok(row),
                        Err(error) => failure = Some(error),
                    }
                }
            }
            if let Some(error) = failure {
                let checked: Result<()> = lease.check(Err(error));
                drop(lease);
                if let Err(error) = checked {
                    yield Err(error.into());
                }
            }
        }))
    }
}

impl Stream for RowStream {
    type Item = Result<QueryResult, DbErr>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for RowStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RowStream")
    }
}

impl StreamTrait for Session {
    type Stream<'a> = RowStream;

    fn get_database_backend(&self) -> DbBackend {
        self.backend()
    }

    fn stream_raw<'a>(&'a self, stmt: Statement) -> BoxFuture<'a, Result<RowStream, DbErr>> {
        Box::pin(async move { Ok(RowStream::new(self.lease_for("a stream", &stmt.sql).await?, stmt)) })
    }
}

#[async_trait::async_trait]
impl TransactionTrait for Session {
    type Transaction = Session;

    async fn begin(&self) -> Result<Session, DbErr> {
        Ok(self.begin_with(TransactionOptions::default()).await?)
    }

    async fn begin_with_config(
        &self,
        isolation_level: Option<IsolationLevel>,
        access_mode: Option<AccessMode>,
    ) -> Result<Session, DbErr> {
        let options =
            TransactionOptions { isolation: isolation_level, access: access_mode, ..TransactionOptions::default() };
        Ok(self.begin_with(options).await?)
    }

    async fn begin_with_options(&self, options: sea_orm::TransactionOptions) -> Result<Session, DbErr> {
        let sea_orm::TransactionOptions { isolation_level, access_mode, sqlite_transaction_mode } = options;
        let options = TransactionOptions {
            isolation: isolation_level,
            access: access_mode,
            sqlite_mode: sqlite_transaction_mode,
            statement_timeout: None,
        };
        Ok(self.begin_with(options).await?)
    }

    async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
    where
        F: for<'c> FnOnce(&'c Session) -> BoxFuture<'c, Result<T, E>> + Send,
        T: Send,
        E: fmt::Display + fmt::Debug + Send,
    {
        self.transaction_with_config(callback, None, None).await
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
        let options =
            TransactionOptions { isolation: isolation_level, access: access_mode, ..TransactionOptions::default() };
        let tx = self.begin_with(options).await.map_err(|error| TransactionError::Connection(error.into()))?;
        match callback(&tx).await {
            Ok(value) => {
                tx.commit().await.map_err(|error| TransactionError::Connection(error.into()))?;
                Ok(value)
            }
            Err(error) => {
                tx.rollback_or_report().await;
                Err(TransactionError::Transaction(error))
            }
        }
    }
}

#[async_trait::async_trait]
impl TransactionSession for Session {
    async fn commit(self) -> Result<(), DbErr> {
        Ok(Session::commit(self).await?)
    }

    async fn rollback(self) -> Result<(), DbErr> {
        Ok(Session::rollback(self).await?)
    }
}
