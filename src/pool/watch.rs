//! Looks at the pool each second.

use std::time::Duration;

use deadpool::managed::WeakPool;
use tokio::time::{MissedTickBehavior, interval};

use super::{PoolStatus, ledger::Ledger, manager::Manager};
use crate::hooks::Gauges;

/// Tells the alerts, the history and the metrics how the pool stands. Holds no strong reference to the pool, and ends with it.
pub(super) async fn watch(pool: WeakPool<Manager>) {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        second.tick().await;
        let Some(pool) = pool.upgrade().filter(|pool| !pool.is_closed()) else { return };
        let manager = pool.manager();
        let Ledger { stats, .. } = &*manager.ledger;
        let status = manager.ledger.status(false);
        let PoolStatus { checked_out, idle, waiting, .. } = status;
        let gauges = Gauges { usage: status.usage(), checked_out, idle, waiting };
        manager.hooks.watchers().alerts.tick(gauges);
        manager.hooks.watchers().history.tick(gauges);
        if stats.meter.is_enabled() {
            stats.meter.update(&status, &stats.counters());
        }
    }
}
