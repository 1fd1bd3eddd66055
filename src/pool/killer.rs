//! Ends connections on the server.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use crate::backend::Driver;

/// The most that reaching the server may take, once it is a connection's turn.
const LIMIT: Duration = Duration::from_secs(5);

/// The most that ending each connection may take then.
const LIMIT_OF_EACH: Duration = Duration::from_millis(500);

/// Ends connections on the server, which may not notice for long that nobody waits for its answer, and hold locks
/// meanwhile. It opens one connection beyond the pool's at most, and needs one that the server lets in.
pub(super) struct Killer {
    driver: Arc<dyn Driver>,
    /// The SQL that ends those that wait for their turn.
    waiting: Mutex<Vec<Arc<str>>>,
    turn: Semaphore,
}

impl Killer {
    pub(super) fn new(driver: Arc<dyn Driver>) -> Arc<Self> {
        Arc::new(Self { driver, waiting: Mutex::default(), turn: Semaphore::new(1) })
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Arc<str>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends one connection, together with the others that wait for the same.
    pub(super) async fn kill(&self, sql: Arc<str>) {
        self.waiting().push(sql);
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await;
        let all = mem::take(&mut *self.waiting());
        let limit = LIMIT + LIMIT_OF_EACH.saturating_mul(all.len().try_into().unwrap_or(u32::MAX));
        // Else the one who had the turn before has taken it along.
        if !all.is_empty() && !matches!(timeout(limit, self.driver.run_apart(all)).await, Ok(Ok(()))) {
            tracing::warn!(target: "sea_dao::pool", "a dropped statement could not be ended on the server");
        }
    }
}
