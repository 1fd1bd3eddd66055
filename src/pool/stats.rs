//! What happened in the pool since it was opened.

use std::{
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

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

/// Where the durations of something lie, to three digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Distribution {
    /// How many there were.
    pub count: u64,
    /// The mean.
    pub mean: Duration,
    /// Half were at most this long.
    pub p50: Duration,
    /// 95 of 100 were at most this long.
    pub p95: Duration,
    /// 99 of 100 were at most this long.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// Durations in a histogram of microseconds.
struct Durations(Mutex<Option<Histogram<u64>>>);

impl Durations {
    const LONGEST: u64 = 24 * 3600 * 1_000_000;

    fn new() -> Self {
        // The bounds are constants that the library accepts; without a histogram nothing is counted.
        Self(Mutex::new(Histogram::new_with_bounds(1, Self::LONGEST, 3).ok()))
    }

    fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(histogram) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            histogram.saturating_record(micros);
        }
    }

    fn distribution(&self) -> Distribution {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(histogram) = histogram.as_ref().filter(|histogram| !histogram.is_empty()) else {
            return Distribution::default();
        };
        let quantile = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Distribution {
            count: histogram.len(),
            mean: Duration::from_secs_f64(histogram.mean() / 1e6),
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: Duration::from_micros(histogram.max()),
        }
    }
}

/// The counters as they are counted.
pub(super) struct Stats {
    opened: AtomicU64,
    closed: [AtomicU64; CloseReason::ALL.len()],
    timeouts: AtomicU64,
    invalidations: AtomicU64,
    wait: Durations,
    usage: Durations,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
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

    pub(super) fn waited(&self, wait: Duration) {
        self.wait.record(wait);
    }

    pub(super) fn used(&self, usage: Duration) {
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
