//! One connection and its known state. The one place that every statement passes.

use std::{
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use sea_orm::{DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement, Values};
use tokio::time::timeout;

use super::{
    ledger::{Column, Entry},
    loan::Loan,
    manager::Manager,
    stats::CloseReason,
};
use crate::{
    backend::{Effect, Failure, RawConnection, SqlNature, check_script, check_statement, database_error},
    config::ResetOnReturn,
    error::{Error, ErrorClass, Result},
    hooks::{Hooks, Observation, Origin, StatementKind},
};

/// What is on the wire between this side and the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// Nothing: the last answer was read to its end.
    Quiet,
    /// A statement, or an answer of which nothing was read. Left so, the connection cannot be used any more.
    InFlight,
    /// The rest of an answer. Left so, it has to be read before anything else.
    Undrained,
}

/// What is known of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) wire: Wire,
    pub(super) broken: bool,
    pub(super) in_transaction: bool,
    /// The transaction may not write by its own choice.
    pub(super) read_only: bool,
    /// A setting or lock that the next borrower must not see.
    pub(super) session_changed: bool,
    /// What the last failure did to the transaction.
    pub(super) effect: Effect,
}

/// One connection and its known state.
pub(crate) struct Connection {
    /// `None` once it was taken to be closed.
    raw: Option<Box<dyn RawConnection>>,
    pub(super) state: State,
    pub(super) entry: Entry,
    hooks: Hooks,
    echo: bool,
    pub(super) reset_on_return: ResetOnReturn,
    loan: Arc<Loan>,
    close_reason: Option<CloseReason>,
    checked_out: Instant,
    origin: Origin,
    opened: Instant,
    /// When it is too old to be handed out again.
    expires: Instant,
    pub(super) returned: Instant,
}

/// The rows of a streamed statement.
type Rows<'c> = std::pin::Pin<Box<dyn Stream<Item = Result<QueryResult>> + Send + 'c>>;

impl Connection {
    pub(super) fn new(raw: Box<dyn RawConnection>, entry: Entry, manager: &Manager) -> Self {
        let now = Instant::now();
        let state = State {
            wire: Wire::Quiet,
            broken: false,
            in_transaction: false,
            read_only: false,
            session_changed: false,
            effect: Effect::None,
        };
        let origin = Origin::default();
        Self {
            raw: Some(raw),
            state,
            entry,
            hooks: manager.hooks.clone(),
            echo: manager.config.echo_pool,
            reset_on_return: manager.config.reset_on_return,
            loan: manager.ledger.loans.register(),
            close_reason: None,
            checked_out: now,
            origin,
            opened: now,
            expires: now + manager.lifetime(),
            returned: now,
        }
    }

    /// Why it is not to be handed out again: it is too old, or was opened before a failure that may have hit all.
    pub(super) fn outdated(&self) -> Option<CloseReason> {
        if !self.entry.ledger().is_valid(self.opened) {
            Some(CloseReason::Invalidated)
        } else if self.expires <= Instant::now() {
            Some(CloseReason::Expired)
        } else {
            None
        }
    }

    /// Says why it is closed, for the counters.
    pub(super) fn condemn(&mut self, reason: CloseReason) {
        self.close_reason = Some(reason);
    }

    /// Whose statements follow, and how long they waited for the connection.
    pub(crate) fn borrowed_by(&mut self, session: u64, location: &'static Location<'static>, wait: Duration) {
        self.loan.begin(location);
        self.entry.ledger().stats.waited(wait);
        self.checked_out = Instant::now();
        self.origin = Origin { session: Some(session), transaction: None, wait };
    }

    pub(super) fn came_back(&mut self) {
        self.loan.end();
        self.entry.ledger().stats.used(self.checked_out.elapsed());
    }

    /// Nothing is on the wire and the other side is there.
    pub(crate) fn is_usable(&self) -> bool {
        !self.state.broken && self.state.wire != Wire::InFlight && self.raw.is_some()
    }

    /// Anybody may have it as it is.
    pub(super) fn is_clean(&self) -> bool {
        self.is_usable() && !self.is_undrained() && !self.state.in_transaction && !self.state.session_changed
    }

    pub(crate) fn is_undrained(&self) -> bool {
        self.state.wire == Wire::Undrained
    }

    /// BEGIN succeeded and neither COMMIT nor ROLLBACK did since.
    pub(crate) fn is_in_transaction(&self) -> bool {
        self.state.in_transaction
    }

    /// What the last statement did to its transaction.
    pub(crate) fn last_effect(&self) -> Effect {
        self.state.effect
    }

    /// # Cancel safety
    ///
    /// Dropped before its end, this and the methods below leave the connection unusable, and the pool closes it.
    pub(crate) async fn query_all(&mut self, statement: Statement) -> Result<Vec<QueryResult>> {
        let (sql, values) = self.admit(statement)?;
        let flight = self.depart(StatementKind::Query, &sql, values.as_ref());
        let result = self.raw()?.query_all(sql, values).await;
        self.arrive(flight, result, true, |rows| rows.len() as u64)
    }

    pub(crate) async fn query_one(&mut self, statement: Statement) -> Result<Option<QueryResult>> {
        let (sql, values) = self.admit(statement)?;
        let flight = self.depart(StatementKind::Query, &sql, values.as_ref());
        let result = self.raw()?.query_one(sql, values).await;
        self.arrive(flight, result, true, |row| row.is_some().into())
    }

    pub(crate) async fn execute(&mut self, statement: Statement) -> Result<ExecResult> {
        let (sql, values) = self.admit(statement)?;
        let flight = self.depart(StatementKind::Execute, &sql, values.as_ref());
        let result = self.raw()?.execute(sql, values).await;
        self.arrive(flight, result, false, ExecResult::rows_affected)
    }

    pub(crate) async fn execute_unprepared(&mut self, sql: &str, backend: DbBackend) -> Result<ExecResult> {
        self.note_nature(sql, check_script(sql, backend)?)?;
        self.send(StatementKind::Script, sql.into()).await
    }

    /// Gives the rows one by one.
    ///
    /// # Cancel safety
    ///
    /// Dropped after its first row, the stream leaves the rest of the answer to [`settle`](Self::settle); dropped
    /// before, it leaves the connection unusable.
    pub(crate) fn stream(&mut self, statement: Statement) -> Rows<'_> {
        Box::pin(async_stream::stream! {
            let (sql, values) = match self.admit(statement) {
                Ok(admitted) => admitted,
                Err(error) => { yield Err(error); return; }
            };
            let flight = self.depart(StatementKind::Stream, &sql, values.as_ref());
            let Self { raw, state, .. } = self;
            let Some(raw) = raw else { yield Err(closed()); return; };
            let mut rows = raw.stream(sql, values);
            let mut count = 0;
            let mut failure = None;
            while let Some(row) = rows.next().await {
                match row {
                    Ok(row) => {
                        count += 1;
                        state.wire = Wire::Undrained;
                        yield Ok(row);
                    }
                    Err(error) => { failure = Some(error); break; }
                }
            }
            drop(rows);
            let end = failure.map_or(Ok(()), Err);
            if let Err(error) = self.arrive(flight, end, true, |()| count) {
                yield Err(error);
            }
        })
    }

    /// Begins a transaction with `sql`.
    pub(crate) async fn begin(&mut self, sql: Arc<str>, transaction: u64, read_only: bool) -> Result<()> {
        self.state.read_only = read_only;
        self.origin.transaction = Some(transaction);
        // Until it is known to have failed, the transaction may be open.
        self.state.in_transaction = true;
        let result = self.send(StatementKind::Begin, sql).await;
        if result.is_err() && self.is_usable() {
            self.transaction_ended();
        }
        result.map(drop)
    }

    /// Commits. After an error the transaction may still be open.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        self.send(StatementKind::Commit, "COMMIT".into()).await?;
        self.transaction_ended();
        Ok(())
    }

    pub(crate) async fn rollback(&mut self) -> Result<()> {
        let result = self.send(StatementKind::Rollback, "ROLLBACK".into()).await;
        match result {
            Ok(_) => self.transaction_ended(),
            // A transaction that cannot be ended must not reach anybody else.
            Err(_) => self.state.broken = true,
        }
        result.map(drop)
    }

    /// Sends a savepoint statement.
    pub(crate) async fn savepoint(&mut self, kind: StatementKind, sql: String) -> Result<()> {
        self.send(kind, sql.into()).await.map(drop)
    }

    /// Makes sure that the other side is there and in step.
    pub(crate) async fn ping(&mut self) -> Result<()> {
        let flight = self.depart(StatementKind::Ping, &"".into(), None);
        let result = self.raw()?.ping().await;
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
        let result = self.raw()?.execute_unprepared(sql).await;
        self.arrive(flight, result, false, ExecResult::rows_affected)
    }

    /// Closes as politely as the other side lets it, and gives the SQL that ends the connection on the server, when
    /// something may still run there.
    pub(super) async fn close(&mut self) -> Option<Arc<str>> {
        self.entry.move_to(Column::Closing);
        let raw = self.raw.take()?;
        if self.state.wire != Wire::Quiet {
            return raw.kill_sql();
        }
        if !self.state.broken {
            // What goes wrong now concerns nobody.
            let _ = timeout(Duration::from_secs(1), raw.close()).await;
        }
        None
    }

    /// Takes everything from the session that was set in it; `false` when the database cannot.
    pub(super) async fn reset(&mut self) -> Result<bool> {
        let flight = self.depart(StatementKind::Reset, &"".into(), None);
        let result = self.raw()?.reset().await;
        let reset = self.arrive(flight, result, false, |_| 0)?;
        self.state.session_changed &= !reset;
        Ok(reset)
    }

    fn transaction_ended(&mut self) {
        self.state.in_transaction = false;
        self.state.read_only = false;
        self.origin.transaction = None;
    }

    fn raw(&mut self) -> Result<&mut Box<dyn RawConnection>> {
        self.raw.as_mut().ok_or_else(closed)
    }

    /// Looks at a caller's statement before anything is sent.
    fn admit(&mut self, statement: Statement) -> Result<(Arc<str>, Option<Values>)> {
        let nature = check_statement(&statement)?;
        let Statement { sql, values, .. } = statement;
        self.note_nature(&sql, nature)?;
        Ok((sql.into(), values))
    }

    fn note_nature(&mut self, sql: &str, nature: SqlNature) -> Result<()> {
        match nature {
            SqlNature::Plain => {}
            SqlNature::ChangesSession => self.state.session_changed = self.reset_on_return != ResetOnReturn::None,
            SqlNature::ControlsTransaction => {
                let keyword = sql.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
                return Err(Error::TransactionControl { keyword });
            }
        }
        Ok(())
    }

    /// The state before the await is the one that a dropped future leaves behind.
    fn depart(&mut self, kind: StatementKind, sql: &Arc<str>, values: Option<&Values>) -> Observation {
        self.state.wire = Wire::InFlight;
        self.state.effect = Effect::None;
        let observation = Observation::start(&self.hooks, kind, sql, values, self.origin);
        self.origin.wait = Duration::ZERO;
        observation
    }

    fn arrive<T>(
        &mut self,
        flight: Observation,
        result: sqlx::Result<T>,
        query: bool,
        rows: impl FnOnce(&T) -> u64,
    ) -> Result<T> {
        self.state.wire = Wire::Quiet;
        match result {
            Ok(value) => {
                flight.succeeded(rows(&value));
                Ok(value)
            }
            Err(error) => {
                let Failure { class, mut effect, mut broken } = Failure::of(&error);
                if class == ErrorClass::ReadOnly && !self.state.read_only {
                    // The primary has become a replica; the next connection may find the new primary.
                    broken = true;
                    effect = Effect::EndsTransaction;
                }
                self.state.effect = effect;
                if broken {
                    self.state.broken = true;
                    self.entry.ledger().invalidate();
                }
                let error = database_error(error, class, query);
                flight.failed(&error);
                Err(error)
            }
        }
    }
}

impl Drop for Connection {
    /// Reached with the connection still open when the pool drops an idle one, or the runtime is gone.
    fn drop(&mut self) {
        self.entry.move_to(Column::Closing);
        let reason = self.close_reason.unwrap_or(match self.state {
            State { broken: true, .. } => CloseReason::Broken,
            State { wire: Wire::InFlight | Wire::Undrained, .. } => CloseReason::Cancelled,
            State { session_changed: true, .. } => CloseReason::SessionChanged,
            _ => CloseReason::Shutdown,
        });
        let age = self.opened.elapsed();
        self.entry.ledger().stats.closed(reason);
        if self.echo {
            tracing::info!(target: "sea_dao::pool", %reason, ?age, "connection closed");
        }
    }
}

fn closed() -> Error {
    Error::Database {
        class: ErrorClass::Disconnect,
        source: DbErr::Conn(RuntimeErr::Internal("the connection was closed".to_owned())),
    }
}
