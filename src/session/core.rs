//! What the handles of one session share: the connection, the open transactions, the pending writes.

use std::{
    mem,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sea_orm::DbErr;

use super::{handle::FlushMode, unit::Queue};
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
    pub(super) closed: bool,
    pub(super) release_after_statement: bool,
    pub(super) flush_mode: FlushMode,
    /// Writes that are pending outside of any transaction.
    pub(super) queue: Queue,
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
    /// [`Error::SessionClosed`], [`Error::TransactionEnded`], [`Error::NestedTransactionOpen`].
    pub(super) fn check_turn(&self, scope: Option<u64>) -> Result<()> {
        if self.closed {
            return Err(if scope.is_some() { Error::TransactionEnded } else { Error::SessionClosed });
        }
        let innermost = self.scopes.last().map(|scope| scope.id);
        match scope {
            _ if scope == innermost => Ok(()),
            Some(id) if !self.scopes.iter().any(|scope| scope.id == id) => Err(Error::TransactionEnded),
            _ => Err(Error::NestedTransactionOpen),
        }
    }

    /// Why the innermost transaction cannot go on, if it cannot.
    pub(super) fn abort(&self) -> Option<&Abort> {
        self.lost.as_ref().or_else(|| self.scopes.last()?.aborted.as_ref())
    }

    /// Notes what a failed statement did to the open transactions.
    pub(super) fn note(&mut self, effect: Effect, error: &Error) {
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

    /// Removes the transaction `id` and those inside it. The connection that the caller gets has to be dropped without
    /// the lock.
    pub(super) fn end_scope(&mut self, id: u64) -> Option<PooledConnection> {
        let depth = self.scopes.iter().position(|scope| scope.id == id)?;
        let unwritten: usize = self.scopes.drain(depth..).map(|scope| scope.queue.len()).sum();
        warn_unwritten(unwritten);
        if depth == 0 {
            self.lost = None;
            self.roll_back_to = None;
        }
        match &self.slot {
            Slot::Held(connection) if depth == 0 && connection.is_in_transaction() => self.take_held(),
            _ => None,
        }
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

impl Core {
    pub(super) fn new(pool: Pool, location: &'static Location<'static>) -> Arc<Self> {
        let state = State {
            slot: Slot::Empty,
            scopes: Vec::new(),
            roll_back_to: None,
            lost: None,
            closed: false,
            release_after_statement: false,
            flush_mode: FlushMode::default(),
            queue: Queue::default(),
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
        let connection = {
            let mut state = self.lock();
            state.closed = true;
            let pending = mem::take(&mut state.queue).len();
            let nested: usize = mem::take(&mut state.scopes).iter().map(|scope| scope.queue.len()).sum();
            warn_unwritten(pending + nested);
            state.take_held()
        };
        drop(connection);
    }

    /// Gives up the transaction `id` without awaiting anything: it is rolled back before anything else happens on its
    /// connection.
    pub(super) fn abandon(&self, id: u64) {
        let connection = {
            let mut state = self.lock();
            let depth = state.scopes.iter().position(|scope| scope.id == id);
            if let Some(depth) = depth
                && depth > 0
            {
                state.roll_back_to = Some(state.roll_back_to.map_or(depth, |earlier| earlier.min(depth)));
            }
            state.end_scope(id)
        };
        drop(connection);
    }
}

fn warn_unwritten(count: usize) {
    if count > 0 {
        tracing::warn!(target: "sea_dao::session", count, "dropped with pending writes; nothing of them was written");
    }
}
