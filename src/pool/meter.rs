//! Figures of the pool through the `metrics` facade. Nothing without its cargo feature, or when it is not switched on.

use std::time::Duration;

use super::{PoolCounters, PoolStatus};
use crate::hooks::Hooks;
#[cfg(feature = "metrics")]
use crate::hooks::PoolLabels;

/// Where the figures of the pool go.
#[cfg(feature = "metrics")]
#[derive(Debug)]
pub(super) struct Meter(Option<PoolLabels>);

#[cfg(feature = "metrics")]
impl Meter {
    pub(super) fn new(hooks: &Hooks) -> Self {
        Self(hooks.watchers().metrics.clone())
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn opened(&self, took: Duration) {
        self.seconds("db.client.connection.create_time", took);
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.seconds("db.client.connection.wait_time", wait);
    }

    pub(super) fn used(&self, usage: Duration) {
        self.seconds("db.client.connection.use_time", usage);
    }

    fn seconds(&self, name: &'static str, duration: Duration) {
        if let Self(Some(labels)) = self {
            metrics::histogram!(name, labels.with([])).record(duration.as_secs_f64());
        }
    }

    /// Brings gauges and counters up to date.
    pub(super) fn update(&self, status: &PoolStatus, counters: &PoolCounters) {
        let Self(Some(labels)) = self else { return };
        let gauge = |name: &'static str, value: usize| metrics::gauge!(name, labels.with([])).set(value as f64);
        let count = |name: &'static str, value: u64| metrics::counter!(name, labels.with([])).absolute(value);
        for (state, value) in [("used", status.checked_out), ("idle", status.idle)] {
            let labels = labels.with([("db.client.connection.state", state.into())]);
            metrics::gauge!("db.client.connection.count", labels).set(value as f64);
        }
        gauge("db.client.connection.max", status.pool_size + status.max_overflow);
        gauge("db.client.connection.idle.max", status.pool_size);
        gauge("db.client.connection.pending_requests", status.waiting);
        count("db.client.connection.timeouts", counters.timeouts);
        count("sea_dao.connection.opened", counters.opened);
        count("sea_dao.connection.invalidations", counters.invalidations);
        count("sea_dao.connection.leaks", counters.leaks);
        for (reason, value) in &counters.closed {
            let labels = labels.with([("reason", reason.to_string().into())]);
            metrics::counter!("sea_dao.connection.closed", labels).absolute(*value);
        }
    }
}

/// Nowhere.
#[cfg(not(feature = "metrics"))]
#[derive(Debug)]
pub(super) struct Meter;

#[cfg(not(feature = "metrics"))]
impl Meter {
    pub(super) fn new(_: &Hooks) -> Self {
        Self
    }

    pub(super) fn is_enabled(&self) -> bool {
        false
    }

    pub(super) fn opened(&self, _: Duration) {}

    pub(super) fn waited(&self, _: Duration) {}

    pub(super) fn used(&self, _: Duration) {}

    pub(super) fn update(&self, _: &PoolStatus, _: &PoolCounters) {}
}
