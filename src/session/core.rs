//! What the handles of one session share: the connection, the open transactions, the pending writes.

use std::{
    mem,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use sea_orm::DbErr;

use super::{
    after::{After, TransactionOutcome},
    handle::FlushMode,
    unit::{Fate, Fated, Known, Queue, Written},
};
use crate::{
    backend::Effect,
    error::{Error, Result},
    pool::{Pool, PooledConnection},
};

/// A number unique in the process, for sessions and transactions alike.
pub(super) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Shared by all handles of one session.
pub(super) struct Core {
    pub(super) pool: Pool,
    pub(super) id: u64,
    /// Where the session was made.
    pub(super) location: &'static Location<'static>,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) slot: Slot,
    /// Open transactions, the outermost first; those behind it are savepoints.
    pub(super) scopes: Vec<Scope>,
    /// A savepoint that was abandoned without an await; it is undone before the next statement.
    pub(super) roll_back_to: Option<usize>,
    /// The whole transaction is lost, whatever savepoints it had.
    pub(super) lost: Option<Abort>,
    /// The failure of the transaction's last statement.
    pub(super) failure: Option<Failed>,
    /// How many statements the transaction has begun.
    pub(super) statements: u64,
    pub(super) closed: bool,
    pub(super) release_after_statement: bool,
    pub(super) flush_mode: FlushMode,
    /// Writes that are pending outside of any transaction.
    pub(super) queue: Queue,
    /// The rows that were read or written by the unit of work.
    pub(super) known: Known,
    /// A flush was dropped when it was not known whether it took effect; reported once.
    pub(super) unknown: Option<Error>,
    /// The flushes under way: of the session outside of any transaction, or of a transaction.
    pub(super) flushing: Vec<Option<u64>>,
}

/// Where the session's connection is.
pub(super) enum Slot {
    /// None was taken yet, or it was given back.
    Empty,
    Held(PooledConnection),
    /// A statement has it.
    Busy(&'static str),
}

/// One open transaction or savepoint.
pub(super) struct Scope {
    pub(super) id: u64,
    pub(super) aborted: Option<Abort>,
    /// Writes that are pending in it.
    pub(super) queue: Queue,
    /// What was flushed in it.
    pub(super) written: Written,
    /// It was begun by a flush, for itself.
    pub(super) is_flush: bool,
    pub(super) after: After,
}

impl Scope {
    pub(super) fn new(id: u64, is_flush: bool) -> Self {
        Self {
            id,
            aborted: None,
            queue: Queue::default(),
            written: Written::default(),
            is_flush,
            after: After::default(),
        }
    }
}

/// A failure that was the last thing to happen in a transaction.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// No statement of the transaction was answered before.
    pub(super) at_first_statement: bool,
}

/// Why a transaction cannot go on.
#[derive(Debug, Clone)]
pub(super) struct Abort {
    pub(super) reason: String,
    pub(super) source: Option<DbErr>,
}

impl Abort {
    /// A statement of the transaction was dropped unfinished.
    pub(super) fn interrupted() -> Self {
        Self { reason: "a statement in it was dropped before its answer was read".to_owned(), source: None }
    }

    /// A callback that took part in the transaction failed.
    pub(super) fn incomplete() -> Self {
        Self { reason: "a part of it failed that had joined it".to_owned(), source: None }
    }

    pub(super) fn failed(error: &Error) -> Self {
        let source = match error.root() {
            Error::Database { source, .. } => Some(source.clone()),
            _ => None,
        };
        Self { reason: error.to_string(), source }
    }

    pub(super) fn to_error(&self) -> Error {
        Error::TransactionAborted { reason: self.reason.clone(), source: self.source.clone() }
    }
}

impl State {
    /// Checks that the handle of `scope` may act now.
    ///
    /// # Errors
    ///
    /// [`Error::SessionClosed`], [`Error::TransactionEnded`], [`Error::NestedTransactionOpen`], [`Error::SessionBusy`].
    pub(super) fn check_turn(&self, scope: Option<u64>) -> Result<()> {
        if self.closed {
            return Err(if scope.is_some() { Error::TransactionEnded } else { Error::SessionClosed });
        }
        let innermost = self.scopes.last().map(|scope| scope.id);
        match scope {
            _ if scope == innermost => Ok(()),
            Some(id) if !self.scopes.iter().any(|scope| scope.id == id) => Err(Error::TransactionEnded),
            _ if self.is_flushing(scope) => Err(Error::SessionBusy { activity: "a flush" }),
            _ => Err(Error::NestedTransactionOpen),
        }
    }

    /// Whether what is pending in `scope` is being written.
    pub(super) fn is_flushing(&self, scope: Option<u64>) -> bool {
        self.flushing.contains(&scope)
    }

    /// Checks that the session, and the transaction `scope` in it, has not ended.
    ///
    /// # Errors
    ///
    /// [`Error::SessionClosed`], [`Error::TransactionEnded`].
    pub(super) fn check_open(&self, scope: Option<u64>) -> Result<()> {
        match scope {
            Some(id) if self.closed || !self.scopes.iter().any(|scope| scope.id == id) => Err(Error::TransactionEnded),
            None if self.closed => Err(Error::SessionClosed),
            _ => Ok(()),
        }
    }

    /// Why the innermost transaction cannot go on, if it cannot.
    pub(super) fn abort(&self) -> Option<&Abort> {
        self.lost.as_ref().or_else(|| self.scopes.last()?.aborted.as_ref())
    }

    /// A statement begins: what failed before it was not the end.
    pub(super) fn begin_statement(&mut self) {
        self.failure = None;
        self.statements = if self.scopes.is_empty() { 0 } else { self.statements + 1 };
    }

    /// Notes what a failed statement did to the open transactions.
    pub(super) fn note(&mut self, effect: Effect, error: &Error) {
        if !self.scopes.is_empty() {
            self.failure = Some(Failed { error: error.clone(), at_first_statement: self.statements <= 1 });
        }
        match (effect, self.scopes.last_mut()) {
            // What is unclear was cleared up when the statement failed.
            (Effect::None | Effect::Unclear, _) | (_, None) => {}
            (Effect::AbortsScope, Some(scope)) => {
                scope.aborted.get_or_insert_with(|| Abort::failed(error));
            }
            (Effect::EndsTransaction, Some(_)) => {
                self.lost.get_or_insert_with(|| Abort::failed(error));
            }
        }
    }

    pub(super) fn lose(&mut self, abort: Abort) {
        if !self.scopes.is_empty() {
            self.lost.get_or_insert(abort);
        }
    }

    /// The writes that are pending in `scope`.
    pub(super) fn queue(&mut self, scope: Option<u64>) -> Option<&mut Queue> {
        match scope {
            None => Some(&mut self.queue),
            Some(id) => self.scopes.iter_mut().find(|scope| scope.id == id).map(|scope| &mut scope.queue),
        }
    }

    /// Notes what was flushed in `scope`, as it is gone if that is rolled back.
    pub(super) fn note_written(&mut self, scope: Option<u64>, writes: Vec<Weak<dyn Fated>>) {
        let Some(id) = scope else { return };
        let mut written = Written::default();
        written.extend(writes);
        match self.scopes.iter_mut().find(|scope| scope.id == id) {
            Some(scope) => scope.written.absorb(written),
            None => written.end(Fate::RolledBack),
        }
    }

    /// How many transactions are around the transaction `id`.
    ///
    /// # Errors
    ///
    /// [`Error::TransactionEnded`].
    pub(super) fn depth(&self, id: u64) -> Result<usize> {
        self.scopes.iter().position(|scope| scope.id == id).ok_or(Error::TransactionEnded)
    }

    /// Removes the transaction `id` and those inside it, of which this became.
    pub(super) fn end_scope(&mut self, id: u64, outcome: TransactionOutcome) -> Ended {
        let Ok(depth) = self.depth(id) else { return Ended::nothing() };
        let undone = outcome != TransactionOutcome::Committed;
        let mut unwritten = 0;
        let mut after = After::default();
        let mut written = Written::default();
        let mut queues = Vec::new();
        for scope in self.scopes.drain(depth..) {
            // The transaction of a flush changes nothing that is known, unless it is undone after its callbacks have read.
            if undone || depth == 0 && !scope.is_flush {
                self.known.clear();
            }
            unwritten += scope.queue.len();
            queues.push(scope.queue);
            written.absorb(scope.written);
            after.absorb(scope.after, outcome == TransactionOutcome::RolledBack);
        }
        warn_unwritten(unwritten);
        match outcome {
            TransactionOutcome::Committed => {}
            TransactionOutcome::RolledBack => mem::take(&mut written).end(Fate::RolledBack),
            TransactionOutcome::Unknown => mem::take(&mut written).end(Fate::Unknown),
        }
        if let Some(outer) = self.scopes.last_mut() {
            outer.after.absorb(after, false);
            outer.written.absorb(written);
            return Ended { queues, ..Ended::nothing() };
        }
        self.lost = None;
        self.roll_back_to = None;
        let connection = match &self.slot {
            Slot::Held(connection) if connection.is_in_transaction() => self.take_held(),
            _ => None,
        };
        Ended { connection, queues, after, outcome }
    }

    pub(super) fn take_held(&mut self) -> Option<PooledConnection> {
        match mem::replace(&mut self.slot, Slot::Empty) {
            Slot::Held(connection) => Some(connection),
            other => {
                self.slot = other;
                None
            }
        }
    }
}

/// What is left of an outermost transaction that has ended. It has to be dealt with outside of the lock.
#[must_use]
pub(super) struct Ended {
    connection: Option<PooledConnection>,
    /// What was pending in it; the caller's closures go with it.
    queues: Vec<Queue>,
    pub(super) after: After,
    outcome: TransactionOutcome,
}

impl Ended {
    fn nothing() -> Self {
        Self { connection: None, queues: Vec::new(), after: After::default(), outcome: TransactionOutcome::RolledBack }
    }

    /// Gives the connection back and lets the callbacks run without waiting for them.
    pub(super) fn let_go(self) {
        drop((self.connection, self.queues));
        self.after.start(self.outcome);
    }
}

impl Core {
    pub(super) fn new(pool: Pool, location: &'static Location<'static>) -> Arc<Self> {
        let state = State {
            slot: Slot::Empty,
            scopes: Vec::new(),
            roll_back_to: None,
            lost: None,
            failure: None,
            statements: 0,
            closed: false,
            // There it is for whoever comes next.
            release_after_statement: pool.is_reserved(),
            flush_mode: FlushMode::default(),
            queue: Queue::default(),
            known: Known::default(),
            unknown: None,
            flushing: Vec::new(),
        };
        Arc::new(Self { pool, id: next_id(), location, state: Mutex::new(state) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the connection goes back after each statement, before any was taken.
    pub(super) fn release_after_statement(&mut self) {
        self.state.get_mut().unwrap_or_else(PoisonError::into_inner).release_after_statement = true;
    }

    /// Ends the session: its connection goes back, now or when the statement that has it is done.
    pub(super) fn close(&self) {
        let (ended, queue, connection) = {
            let mut state = self.lock();
            state.closed = true;
            let queue = mem::take(&mut state.queue);
            warn_unwritten(queue.len());
            if let Some(unknown) = state.unknown.take() {
                tracing::warn!(target: "sea_dao::session", error = %unknown, "a session has ended with a flush of unknown outcome");
            }
            let outermost = state.scopes.first().map(|scope| scope.id);
            let ended = outermost.map(|id| state.end_scope(id, TransactionOutcome::RolledBack));
            (ended, queue, state.take_held())
        };
        drop((connection, queue));
        if let Some(ended) = ended {
            ended.let_go();
        }
        self.pool.hooks().session_ended(self.id);
    }

    /// Gives up the transaction `id` without awaiting anything: it is rolled back before anything else happens on its
    /// connection.
    pub(super) fn abandon(&self, id: u64) {
        let ended = {
            let mut state = self.lock();
            if let Ok(depth @ 1..) = state.depth(id) {
                state.roll_back_to = Some(state.roll_back_to.map_or(depth, |earlier| earlier.min(depth)));
            }
            state.end_scope(id, TransactionOutcome::RolledBack)
        };
        ended.let_go();
    }
}

fn warn_unwritten(count: usize) {
    if count > 0 {
        tracing::warn!(target: "sea_dao::session", count, "dropped with pending writes; nothing of them was written");
    }
}
