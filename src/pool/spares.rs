//! Idle connections beside the queue.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{connection::Connection, ledger::Column};

/// Idle connections that the maintenance has checked or opened. They have no place in the queue, which takes only what
/// it has handed out itself: who finds the queue empty looks here before a new one is opened.
#[derive(Default)]
pub(super) struct Spares(Mutex<Vec<Box<Connection>>>);

impl Spares {
    fn lock(&self) -> MutexGuard<'_, Vec<Box<Connection>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a connection; gives it back when there is one too many, or the pool is closed.
    pub(super) fn put(&self, mut connection: Box<Connection>) -> Option<Box<Connection>> {
        let ledger = connection.entry.shared_ledger();
        {
            // The lock is held over both, so that a close finds it here or it finds the pool closed.
            let mut kept = self.lock();
            if connection.entry.come_back() != Column::Idle {
                return Some(connection);
            }
            kept.push(connection);
        }
        ledger.tell_of_idle();
        None
    }

    /// The one that was put here last.
    pub(super) fn take(&self) -> Option<Box<Connection>> {
        self.lock().pop()
    }

    /// Takes out those that are not to be kept.
    pub(super) fn retain(&self, mut keep: impl FnMut(&Connection) -> bool) -> Vec<Box<Connection>> {
        let mut kept = self.lock();
        let (stay, go) = mem::take(&mut *kept).into_iter().partition(|connection| keep(connection));
        *kept = stay;
        go
    }
}
