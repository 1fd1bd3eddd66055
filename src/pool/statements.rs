//! The one place that every statement passes.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use sea_orm::{AccessMode, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Values};
use tokio::time::{error::Elapsed, timeout};

use super::connection::{Connection, Wire};
use crate::{
    backend::{
        Effect, Failure, PlainSql, RawConnection, SqlNature, TransactionOptions, check_script, check_statement,
        check_values, database_error,
    },
    config::ResetOnReturn,
    error::{Error, ErrorClass, Result},
    hooks::{Observation, StatementKind, TransactionSpan},
};

/// The rows of a streamed statement.
type Rows<'c> = std::pin::Pin<Box<dyn Stream<Item = Result<QueryResult>> + Send + 'c>>;

impl Connection {
    /// # Cancel safety
    ///
    /// Dropped before its end, this and the methods below leave the connection unusable, and the pool closes it.
    ///
    /// The rows come with the observation of their statement, which ends when they have been decoded.
    pub(crate) async fn query_all(&mut self, statement: Statement) -> Result<(Vec<QueryResult>, Observation)> {
        let (sql, values) = self.admit(statement)?;
        self.guard().await?;
        let flight = self.depart(StatementKind::Query, &sql, values.as_ref());
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.query_all(sql, values)).await;
        let result = self.land(flight, result, true, |rows| rows.len() as u64);
        self.clear_up(result).await
    }

    pub(crate) async fn query_one(&mut self, statement: Statement) -> Result<(Option<QueryResult>, Observation)> {
        let (sql, values) = self.admit(statement)?;
        self.read_one(sql, values).await
    }

    /// As [`query_one`](Self::query_one).
    pub(crate) async fn query_one_plain(
        &mut self,
        sql: PlainSql,
        values: Values,
    ) -> Result<(Option<QueryResult>, Observation)> {
        check_values(&values, self.backend)?;
        self.read_one(sql.into_text(), Some(values)).await
    }

    async fn read_one(&mut self, sql: Arc<str>, values: Option<Values>) -> Result<(Option<QueryResult>, Observation)> {
        self.guard().await?;
        let flight = self.depart(StatementKind::Query, &sql, values.as_ref());
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.query_one(sql, values)).await;
        let result = self.land(flight, result, true, |row| row.is_some().into());
        self.clear_up(result).await
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<ExecResult> {
        let (sql, values) = self.admit(statement)?;
        self.guard().await?;
        let flight = self.depart(StatementKind::Execute, &sql, values.as_ref());
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.execute(sql, values)).await;
        let result = self.arrive(flight, result, false, ExecResult::rows_affected);
        self.clear_up(result).await
    }

    pub(crate) async fn execute_unprepared(&mut self, sql: &str) -> Result<ExecResult> {
        self.note_nature(check_script(sql, self.backend)?)?;
        self.guard().await?;
        let result = self.send(StatementKind::Script, sql.into()).await;
        self.clear_up(result).await
    }

    /// Gives the rows one by one.
    ///
    /// # Cancel safety
    ///
    /// Dropped between two rows, the stream leaves the rest of the answer to [`settle`](Self::settle); dropped while it
    /// waits for a row, it leaves the connection unusable.
    pub(crate) fn stream(&mut self, statement: Statement) -> Rows<'_> {
        Box::pin(async_stream::stream! {
            let (sql, values) = match self.admit(statement) {
                Ok(admitted) => admitted,
                Err(error) => { yield Err(error); return; }
            };
            if let Err(error) = self.guard().await {
                yield Err(error);
                return;
            }
            let mut flight = self.depart(StatementKind::Stream, &sql, values.as_ref());
            let Self { raw, state, statement_timeout, .. } = &mut *self;
            let Some(raw) = raw else { yield Err(closed()); return; };
            let mut rows = raw.stream(sql, values);
            let mut count = 0;
            let mut end = Ok(Ok(()));
            loop {
                // Dropped while it waits, the driver may have read a part of a row: nothing can be told of the rest.
                state.wire = Wire::InFlight;
                match bounded(*statement_timeout, rows.next()).await {
                    Ok(None) => break,
                    Ok(Some(Ok(row))) => {
                        count += 1;
                        state.wire = Wire::Undrained;
                        flight.pause();
                        yield Ok(row);
                        flight.resume();
                    }
                    Ok(Some(Err(error))) => { end = Ok(Err(error)); break; }
                    Err(elapsed) => { end = Err(elapsed); break; }
                }
            }
            drop(rows);
            let end = self.arrive(flight, end, true, |()| count);
            if let Err(error) = self.clear_up(end).await {
                yield Err(error);
            }
        })
    }

    pub(super) async fn clear_up<T>(&mut self, result: Result<T>) -> Result<T> {
        let result = self.look_for_transaction(result).await;
        if self.reserved.is_none() { result } else { self.unguard(result).await }
    }

    /// Finds out whether the statement has ended the transaction, where neither its text nor its answer tells.
    async fn look_for_transaction<T>(&mut self, result: Result<T>) -> Result<T> {
        let opaque = std::mem::take(&mut self.state.opaque);
        let unclear = self.state.effect == Effect::Unclear || opaque && result.is_ok();
        if !unclear || !self.has_transaction() || !self.is_usable() {
            return result;
        }
        let flight = self.depart(StatementKind::Ping, &"".into(), None);
        let limit = self.statement_timeout;
        let open = bounded(limit, self.raw()?.in_transaction()).await;
        if self.arrive(flight, open, false, |_| 0)? {
            return result;
        }
        self.state.effect = Effect::EndsTransaction;
        self.state.broken |= self.reserved.is_some();
        // An error of its own stays; a success is none, when what came before was committed or undone by it.
        result.and(Err(Error::TransactionControl { keyword: "what this statement ran".to_owned() }))
    }

    /// Begins a transaction with `sql`.
    pub(crate) async fn begin(&mut self, sql: Arc<str>, transaction: u64, options: &TransactionOptions) -> Result<()> {
        let read_only = options.access == Some(AccessMode::ReadOnly);
        self.state.read_only = read_only;
        self.origin.transaction = Some(transaction);
        if options.statement_timeout.is_some() {
            self.statement_timeout = options.statement_timeout;
        }
        self.transaction_span = TransactionSpan::begin(self.origin.session, transaction);
        // Until it is known to have failed, the transaction may be open.
        self.state.in_transaction = true;
        let (sql, read_only) = match self.begin_instead() {
            None => (sql, read_only),
            Some(savepoint) => (savepoint, false),
        };
        let flight = self.depart(StatementKind::Begin, &sql, None);
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.begin(sql, read_only)).await;
        let result = self.arrive(flight, result, false, |()| 0);
        if let Err(error) = &result
            && self.is_usable()
        {
            self.transaction_span.end("begin", error.class());
            self.transaction_ended();
        }
        result
    }

    /// Commits. After an error the transaction may still be open.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        let result = self.end(StatementKind::Commit, self.commit_sql()).await;
        self.transaction_span.end("commit", result.as_ref().err().and_then(Error::class));
        result?;
        self.transaction_ended();
        Ok(())
    }

    pub(crate) async fn rollback(&mut self) -> Result<()> {
        let result = self.end(StatementKind::Rollback, self.rollback_sql()).await;
        self.transaction_span.end("rollback", result.as_ref().err().and_then(Error::class));
        match result {
            Ok(()) => self.transaction_ended(),
            // A transaction that cannot be ended must not reach anybody else.
            Err(_) => self.state.broken = true,
        }
        result
    }

    async fn end(&mut self, kind: StatementKind, sql: Arc<str>) -> Result<()> {
        let flight = self.depart(kind, &sql, None);
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.end(sql)).await;
        self.arrive(flight, result, false, |()| 0)
    }

    /// Sends a savepoint statement.
    pub(crate) async fn savepoint(&mut self, kind: StatementKind, sql: String) -> Result<()> {
        self.send(kind, sql.into()).await.map(drop)
    }

    /// Makes sure that the other side is there and in step.
    pub(crate) async fn ping(&mut self) -> Result<()> {
        let flight = self.depart(StatementKind::Ping, &"".into(), None);
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.ping()).await;
        let result = self.arrive(flight, result, false, |()| 0);
        if result.is_err() {
            // The failure may be the dropped statement's; what comes after it is anybody's guess.
            self.state.broken = true;
        }
        result
    }

    /// Reads what a dropped stream has left.
    pub(crate) async fn settle(&mut self) -> Result<()> {
        if self.is_undrained() { self.ping().await } else { Ok(()) }
    }

    /// Runs SQL of the pool's or the session's own.
    pub(super) async fn send(&mut self, kind: StatementKind, sql: Arc<str>) -> Result<ExecResult> {
        let flight = self.depart(kind, &sql, None);
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.execute_unprepared(sql)).await;
        self.arrive(flight, result, false, ExecResult::rows_affected)
    }

    /// Takes everything from the session that was set in it; `false` when the database cannot.
    pub(super) async fn reset(&mut self) -> Result<bool> {
        let flight = self.depart(StatementKind::Reset, &"".into(), None);
        let limit = self.statement_timeout;
        let result = bounded(limit, self.raw()?.reset()).await;
        let reset = self.arrive(flight, result, false, |_| 0)?;
        self.state.session_changed &= !reset;
        Ok(reset)
    }

    fn transaction_ended(&mut self) {
        self.state.in_transaction = false;
        self.state.may_have_begun = false;
        self.state.read_only = false;
        self.statement_timeout = self.default_statement_timeout;
        self.origin.transaction = None;
    }

    pub(super) fn raw(&mut self) -> Result<&mut Box<dyn RawConnection>> {
        self.raw.as_mut().ok_or_else(closed)
    }

    /// Looks at a caller's statement before anything is sent.
    fn admit(&mut self, statement: Statement) -> Result<(Arc<str>, Option<Values>)> {
        self.note_nature(check_statement(&statement, self.backend)?)?;
        Ok((statement.sql.into(), statement.values))
    }

    fn note_nature(&mut self, nature: SqlNature<'_>) -> Result<()> {
        match nature {
            SqlNature::Plain => {}
            SqlNature::Copies => {
                return Err(Error::argument(
                    "sql",
                    "a COPY from or to the client",
                    "Session::copy_in for COPY … FROM STDIN",
                ));
            }
            SqlNature::CommitsTransaction(_) if !self.has_transaction() => {}
            SqlNature::CommitsAndChangesSession(_) if !self.has_transaction() => self.note_change(),
            SqlNature::ChangesSession => {
                self.state.opaque = true;
                self.note_change();
            }
            SqlNature::ControlsTransaction(keyword)
            | SqlNature::CommitsTransaction(keyword)
            | SqlNature::CommitsAndChangesSession(keyword) => {
                return Err(Error::TransactionControl { keyword: keyword.to_ascii_uppercase() });
            }
        }
        Ok(())
    }

    /// What the statement under way leaves in the session is for the return to deal with.
    fn note_change(&mut self) {
        let outside = !self.has_transaction();
        self.state.may_have_begun |= outside && self.raw.as_ref().is_some_and(|raw| raw.hides_begin());
        self.state.session_changed |= self.reset_on_return != ResetOnReturn::None;
    }

    /// The state before the await is the one that a dropped future leaves behind.
    pub(super) fn depart(&mut self, kind: StatementKind, sql: &Arc<str>, values: Option<&Values>) -> Observation {
        self.state.wire = Wire::InFlight;
        self.state.effect = Effect::None;
        let observation = Observation::start(&self.hooks, kind, sql, values, self.origin);
        self.origin.wait = Duration::ZERO;
        observation
    }

    pub(super) fn arrive<T>(
        &mut self,
        flight: Observation,
        result: Result<sqlx::Result<T>, Elapsed>,
        query: bool,
        rows: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        self.land(flight, result, query, rows).map(|(value, _)| value)
    }

    /// As [`arrive`](Self::arrive), with the observation still open.
    fn land<T>(
        &mut self,
        mut flight: Observation,
        result: Result<sqlx::Result<T>, Elapsed>,
        query: bool,
        rows: impl FnOnce(&T) -> u64,
    ) -> Result<(T, Observation)> {
        let Ok(result) = result else {
            // The answer may still come: the wire stays as it is, and the connection is closed.
            self.state.effect = Effect::EndsTransaction;
            let error = Error::StatementTimeout { limit: self.statement_timeout.unwrap_or_default() };
            flight.failed(&error);
            return Err(error);
        };
        self.state.wire = Wire::Quiet;
        match result {
            Ok(value) => {
                flight.arrived(rows(&value));
                if self.state.opaque {
                    // Another statement follows this one.
                    drop(std::mem::take(&mut flight));
                }
                Ok((value, flight))
            }
            Err(error) => {
                let error = self.note_failure(error, query);
                flight.failed(&error);
                Err(error)
            }
        }
    }

    /// The error for a failure of the driver, with what it means for the connection noted.
    pub(super) fn note_failure(&mut self, error: sqlx::Error, query: bool) -> Error {
        let Failure { class, mut effect, mut broken, mut spreads } = Failure::of(&error);
        if class == ErrorClass::ReadOnly && !self.state.read_only {
            // The primary has become a replica; the next connection may find the new primary.
            (broken, spreads) = (true, true);
            effect = Effect::EndsTransaction;
        }
        self.state.effect = effect;
        // What follows on it would be for good.
        self.state.broken |= effect == Effect::EndsTransaction && self.reserved.is_some();
        self.state.broken |= broken;
        if spreads {
            self.entry.ledger().invalidate();
        }
        database_error(error, class, query)
    }
}

/// Waits no longer than `limit`; without one no timer is made.
pub(super) async fn bounded<F: Future>(limit: Option<Duration>, work: F) -> Result<F::Output, Elapsed> {
    match limit {
        None => Ok(work.await),
        Some(limit) => timeout(limit, work).await,
    }
}

fn closed() -> Error {
    Error::Database {
        class: ErrorClass::Disconnect,
        source: DbErr::Conn(RuntimeErr::Internal("the connection was closed".to_owned())),
    }
}
