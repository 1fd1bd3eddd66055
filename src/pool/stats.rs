//! What happened in the pool since it was opened.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde::Serialize;

use super::meter::Meter;
use crate::hooks::{Distribution, Durations};

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CloseReason {
    /// It was older than `pool_recycle`.
    Expired,
    /// Nobody used it for `idle_timeout`.
    Idle,
    /// There were more than `pool_size`, and nobody waited for it.
    Overflow,
    /// It failed, or did not answer a check.
    Broken,
    /// Another connection failed after it was opened: it may have been hit too.
    Invalidated,
    /// A statement on it was dropped before its answer was read.
    Cancelled,
    /// A setting or lock was left in its session.
    SessionChanged,
    /// The pool was closed.
    Shutdown,
}

impl CloseReason {
    const ALL: [Self; 8] = [
        Self::Expired,
        Self::Idle,
        Self::Overflow,
        Self::Broken,
        Self::Invalidated,
        Self::Cancelled,
        Self::SessionChanged,
        Self::Shutdown,
    ];
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::Overflow => "overflow",
            Self::Broken => "broken",
            Self::Invalidated => "invalidated",
            Self::Cancelled => "cancelled",
            Self::SessionChanged => "session changed",
            Self::Shutdown => "shutdown",
        })
    }
}

/// What happened in the pool since it was opened.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PoolCounters {
    /// Connections opened.
    pub opened: u64,
    /// Connections closed, by reason.
    pub closed: Vec<(CloseReason, u64)>,
    /// Times that a connection was handed out.
    pub checkouts: u64,
    /// Times that a caller gave up waiting.
    pub timeouts: u64,
    /// Times that a failure made all open connections suspect.
    pub invalidations: u64,
    /// Connections that were reported as out for longer than `leak_threshold`.
    pub leaks: u64,
    /// How long callers waited for a connection.
    pub wait: Distribution,
    /// How long connections were out.
    pub usage: Distribution,
}

impl PoolCounters {
    /// Connections closed for this reason.
    #[must_use]
    pub fn closed_for(&self, reason: CloseReason) -> u64 {
        self.closed.iter().find(|(other, _)| *other == reason).map_or(0, |(_, count)| *count)
    }
}

/// The counters as they are counted.
pub(super) struct Stats {
    opened: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    timeouts: AtomicU64,
    invalidations: AtomicU64,
    leaks: AtomicU64,
    wait: Durations,
    usage: Durations,
    pub(super) meter: Meter,
}

impl Stats {
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            leaks: AtomicU64::new(0),
            meter,
            opened: AtomicU64::new(0),
            closed: Default::default(),
            timeouts: AtomicU64::new(0),
            invalidations: AtomicU64::new(0),
            wait: Durations::new(),
            usage: Durations::new(),
        }
    }

    pub(super) fn opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn closed(&self, reason: CloseReason) {
        self.closed[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn timed_out(&self) {
        self.timeouts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn invalidated(&self) {
        self.invalidations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leaked(&self, connections: u64) {
        self.leaks.fetch_add(connections, Ordering::Relaxed);
    }

    pub(super) fn waited(&self, wait: Duration) {
        self.meter.waited(wait);
        self.wait.record(wait);
    }

    pub(super) fn used(&self, usage: Duration) {
        self.meter.used(usage);
        self.usage.record(usage);
    }

    pub(super) fn counters(&self) -> PoolCounters {
        let wait = self.wait.distribution();
        PoolCounters {
            opened: self.opened.load(Ordering::Relaxed),
            closed: CloseReason::ALL
                .iter()
                .map(|reason| (*reason, self.closed[*reason as usize].load(Ordering::Relaxed)))
                .collect(),
            checkouts: wait.count,
            timeouts: self.timeouts.load(Ordering::Relaxed),
            invalidations: self.invalidations.load(Ordering::Relaxed),
            leaks: self.leaks.load(Ordering::Relaxed),
            wait,
            usage: self.usage.distribution(),
        }
    }
}

impl fmt::Debug for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counters().fmt(f)
    }
}
