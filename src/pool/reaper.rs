//! Looks after connections that nobody asks for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::WeakPool;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::{ledger::Ledger, manager::Manager, stats::CloseReason};
use crate::config::PoolConfig;

/// Closes idle connections that are too old, and reports those that are out for too long. Holds no strong reference to
/// the pool, and ends with it.
pub(super) async fn reap(pool: WeakPool<Manager>, ledger: Arc<Ledger>, config: PoolConfig) {
    let interval = interval(&config);
    loop {
        sleep(interval).await;
        if let Some(threshold) = config.leak_threshold {
            ledger.loans.report_leaks(threshold);
        }
        let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
        let now = Instant::now();
        let outdated = pool.retain(|connection, _| {
            let idle_too_long =
                config.idle_timeout.is_some_and(|limit| now.duration_since(connection.returned) >= limit);
            connection.outdated().is_none() && !idle_too_long
        });
        drop(pool);
        let closing = outdated.removed.into_iter().map(|mut connection| async move {
            connection.condemn(connection.outdated().unwrap_or(CloseReason::Idle));
            connection.close().await
        });
        join_all(closing).await;
    }
}

/// Often enough for the shortest of the limits.
fn interval(config: &PoolConfig) -> Duration {
    let limits = [Some(config.pool_recycle), config.leak_threshold, config.idle_timeout];
    let shortest = limits.into_iter().flatten().min().unwrap_or(config.pool_recycle);
    (shortest / 4).clamp(Duration::from_millis(50), Duration::from_secs(30))
}
