//! Ends connections on the server.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::timeout};

use crate::backend::Driver;

/// The most that ending some connections may take, once it is their turn.
const LIMIT: Duration = Duration::from_secs(5);

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
        // Else the one who had the turn before has taken it along.
        if !all.is_empty() && !matches!(timeout(LIMIT, self.driver.run_apart(all)).await, Ok(Ok(()))) {
            tracing::warn!(target: "sea_dao::pool", "a dropped statement could not be ended on the server");
        }
    }
}
