//! Looks after connections that nobody asks for.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use deadpool::managed::{Pool as Queue, WeakPool};
use futures_util::future::{join, join_all};
use tokio::time::{sleep, timeout};

use super::{
    connection::Connection,
    ledger::{Column, Ledger},
    manager::Manager,
    stats::CloseReason,
};
use crate::{config::PoolConfig, error::Error};

/// How often numbers are looked at that have no duration of their own.
const TICK: Duration = Duration::from_secs(1);

/// Closes idle connections that are too old, pings those that are silent, opens those that are missing, and reports
/// those that are out for too long or too many. Holds no strong reference to the pool but for the length of one
/// connect, and ends with the pool.
pub(super) async fn maintain(pool: WeakPool<Manager>, ledger: Arc<Ledger>, config: PoolConfig) {
    let interval = interval(&config);
    loop {
        sleep(interval).await;
        if let Some(threshold) = config.leak_threshold {
            ledger.stats.leaked(ledger.loans.report_leaks(threshold));
        }
        if let Some(count) = config.leak_count {
            ledger.loans.report_crowd(count as usize);
        }
        let Some(found) = upgrade(&pool).map(|queue| Found::in_pool(&queue, &config)) else { return };
        join(close_all(found.to_close), keep_alive(&pool, found.to_ping)).await;
        refill(&pool, config.min_idle as usize).await;
    }
}

/// Often enough for the shortest of the limits.
fn interval(config: &PoolConfig) -> Duration {
    let limits = [Some(config.pool_recycle), config.leak_threshold, config.idle_timeout, config.keepalive];
    let shortest = limits.into_iter().flatten().min().unwrap_or(config.pool_recycle);
    let interval = (shortest / 4).clamp(Duration::from_millis(50), Duration::from_secs(30));
    let counts = config.min_idle > 0 || config.max_overflow > 0 || config.leak_count.is_some();
    if counts { interval.min(TICK) } else { interval }
}

fn upgrade(pool: &WeakPool<Manager>) -> Option<Queue<Manager>> {
    pool.upgrade().filter(|queue| !queue.is_closed())
}

/// Idle connections for which something has to be done, taken out of the pool.
#[derive(Default)]
struct Found {
    to_close: Vec<Box<Connection>>,
    to_ping: Vec<Box<Connection>>,
}

/// What has to be done for an idle connection.
enum Need {
    Nothing,
    Ping,
    Close(CloseReason),
}

impl Found {
    fn in_pool(queue: &Queue<Manager>, config: &PoolConfig) -> Self {
        let manager = queue.manager();
        let now = Instant::now();
        // As the numbers will be when everything that was found so far is closed.
        let (mut idle, mut surplus) = manager.ledger.idle_and_surplus();
        let mut needs = Vec::new();
        let mut look_at = |connection: &Connection| {
            let need = need_of(connection, config, now, idle, surplus);
            match need {
                Need::Nothing => return true,
                Need::Ping => {}
                Need::Close(_) => (idle, surplus) = (idle.saturating_sub(1), surplus.saturating_sub(1)),
            }
            needs.push(need);
            false
        };
        // The one that has been idle for longest comes first.
        let mut taken = manager.spares.retain(&mut look_at);
        taken.extend(queue.retain(|connection, _| look_at(connection)).removed);
        let mut found = Self::default();
        for (mut connection, need) in taken.into_iter().zip(needs) {
            if let Need::Close(reason) = need {
                connection.condemn(reason);
                connection.entry.move_to(Column::Closing);
                found.to_close.push(connection);
            } else {
                connection.entry.move_to(Column::CheckedOut);
                found.to_ping.push(connection);
            }
        }
        found
    }
}

fn need_of(connection: &Connection, config: &PoolConfig, now: Instant, idle: usize, surplus: usize) -> Need {
    let over = |limit: Option<Duration>, since| limit.is_some_and(|limit| now.duration_since(since) >= limit);
    if let Some(reason) = connection.outdated() {
        Need::Close(reason)
    } else if surplus > 0 {
        // It came back while somebody waited, who then had another one or gave up.
        Need::Close(CloseReason::Overflow)
    } else if over(config.idle_timeout, connection.returned) && idle > config.min_idle as usize {
        Need::Close(CloseReason::Idle)
    } else if over(config.keepalive, connection.last_heard()) && connection.is_clean() {
        Need::Ping
    } else {
        Need::Nothing
    }
}

async fn close_all(connections: Vec<Box<Connection>>) {
    join_all(connections.into_iter().map(|mut connection| async move { connection.close().await })).await;
}

/// Makes the other side, and whatever stands between, see that the connections are in use.
async fn keep_alive(pool: &WeakPool<Manager>, silent: Vec<Box<Connection>>) {
    let Some(limit) = upgrade(pool).map(|queue| queue.manager().ping_limit()) else { return };
    join_all(silent.into_iter().map(|mut connection| async move {
        let ledger = connection.entry.shared_ledger();
        let alive = tokio::select! {
            alive = timeout(limit, connection.ping()) => Some(alive.unwrap_or(Err(Error::StatementTimeout { limit }))),
            // A close does not wait for a side that does not answer.
            () = ledger.closed() => None,
        };
        let surplus = match (alive, upgrade(pool)) {
            (Some(Ok(())), Some(queue)) => {
                connection.heard();
                queue.manager().spares.put(connection)
            }
            (Some(Ok(())), None) => Some(connection),
            (None, _) => {
                connection.condemn(CloseReason::Shutdown);
                Some(connection)
            }
            (Some(Err(error)), _) => {
                connection.unanswered(&error);
                Some(connection)
            }
        };
        if let Some(mut connection) = surplus {
            connection.close().await;
        }
    }))
    .await;
}

/// Opens connections until so many are idle, or `pool_size` are open. After a failure the next round tries again.
async fn refill(pool: &WeakPool<Manager>, min_idle: usize) {
    while let Some(queue) = upgrade(pool) {
        let manager = queue.manager();
        if manager.ledger.is_suspended() {
            return;
        }
        let Some(entry) = manager.ledger.enter_idle(min_idle) else { return };
        let Ok(connection) = manager.connect(entry).await else { return };
        if let Some(mut surplus) = manager.spares.put(connection) {
            surplus.close().await;
        }
    }
}
