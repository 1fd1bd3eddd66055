//! Where durations lie.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::{Counter, Histogram};
use serde::Serialize;

/// Where the durations of something lie: those of the pool to three digits, those of statements to two.
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

/// What is longer counts as this long, in microseconds.
const LONGEST: u64 = 24 * 3600 * 1_000_000;

pub(super) fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).min(LONGEST)
}

impl Distribution {
    /// Of a histogram of microseconds.
    pub(super) fn of<C: Counter>(histogram: &Histogram<C>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let quantile = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile));
        Self {
            count: histogram.len(),
            mean: Duration::from_secs_f64(histogram.mean() / 1e6),
            p50: quantile(0.50),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: Duration::from_micros(histogram.max()),
        }
    }
}

/// Durations in a histogram of microseconds, to three digits.
pub(crate) struct Durations(Mutex<Option<Histogram<u64>>>);

impl Durations {
    pub(crate) fn new() -> Self {
        // The bounds are constants that the library accepts; without a histogram nothing is counted.
        Self(Mutex::new(Histogram::new_with_bounds(1, LONGEST, 3).ok()))
    }

    pub(crate) fn record(&self, duration: Duration) {
        if let Some(histogram) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            histogram.saturating_record(microseconds(duration));
        }
    }

    pub(crate) fn distribution(&self) -> Distribution {
        let histogram = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        histogram.as_ref().map(Distribution::of).unwrap_or_default()
    }
}

impl fmt::Debug for Durations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.distribution().fmt(f)
    }
}
