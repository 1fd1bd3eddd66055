//! Idle connections beside the queue.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{connection::Connection, ledger::Column, stats::CloseReason};

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
                connection.condemn(if ledger.is_closed() { CloseReason::Shutdown } else { CloseReason::Overflow });
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

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        thread,
    };

    use super::{
        super::manager::{Manager, manager_of_two},
        Connection,
    };

    async fn open(manager: &Manager) -> Box<Connection> {
        let entry = manager.ledger.enter().expect("room");
        manager.connect(entry).await.map_err(|failure| failure.error).expect("a connection")
    }

    /// What a close does while a connection is put here, at each point at which it can: it takes the connection
    /// out, or the connection is refused.
    #[tokio::test]
    async fn a_connection_that_comes_with_a_close_is_not_left_behind() {
        for _ in 0..20 {
            let Some(manager) = manager_of_two() else { return };
            let Manager { spares, ledger, .. } = &manager;
            assert!(spares.put(open(&manager).await).is_none());
            let mut second = Some(open(&manager).await);
            let coming = &AtomicBool::new(false);
            let refused = thread::scope(|scope| {
                let mut putting = None;
                // The lock is held while it looks at the first one.
                spares.retain(|_| {
                    let second = second.take().expect("one look");
                    putting = Some(scope.spawn(move || {
                        coming.store(true, Ordering::SeqCst);
                        spares.put(second)
                    }));
                    while !coming.load(Ordering::SeqCst) {
                        thread::yield_now();
                    }
                    // Time enough for one that does not wait for the lock.
                    (0..1000).for_each(|_| thread::yield_now());
                    ledger.close();
                    false
                });
                putting.expect("a look").join().expect("no panic")
            });
            assert!(refused.is_some() && spares.take().is_none(), "it is left behind");
        }
    }
}
