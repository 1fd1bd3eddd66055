//! Where the durations of one second lie.

use std::{
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Quantiles;
use crate::hooks::distribution::microseconds;

/// Parts of each power of two, so that a duration is known to an eighth.
const PARTS: u64 = 8;
/// Up to the longest duration that is told from longer ones: a day.
const BUCKETS: usize = 280;

/// Durations as they are counted, without a lock: each costs two additions.
pub(super) struct Tally {
    buckets: Box<[AtomicU32; BUCKETS]>,
    longest: AtomicU64,
}

impl Default for Tally {
    fn default() -> Self {
        Self { buckets: Box::new(std::array::from_fn(|_| AtomicU32::new(0))), longest: AtomicU64::new(0) }
    }
}

impl Tally {
    pub(super) fn record(&self, duration: Duration) {
        let microseconds = microseconds(duration);
        if let Some(bucket) = self.buckets.get(bucket_of(microseconds)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.longest.fetch_max(microseconds, Relaxed);
    }

    /// What was counted, which is begun anew.
    pub(super) fn take(&self) -> Quantiles {
        let longest = self.longest.swap(0, Relaxed);
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| u64::from(bucket.swap(0, Relaxed))).collect();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return Quantiles::default();
        }
        let quantile = |hundredths: u64| {
            let wanted = (all * hundredths).div_ceil(100);
            let mut seen = 0;
            let bucket = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            // What is counted while this is read may be in one of the two only.
            Duration::from_micros(middle_of(bucket.unwrap_or_default()).min(longest))
        };
        Quantiles { p50: quantile(50), p95: quantile(95), max: Duration::from_micros(longest) }
    }
}

fn bucket_of(microseconds: u64) -> usize {
    if microseconds < PARTS {
        return microseconds as usize;
    }
    let power = u64::from(microseconds.ilog2());
    let part = (microseconds >> (power - 3)) % PARTS;
    ((power - 2) * PARTS + part) as usize
}

fn middle_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < PARTS {
        return bucket;
    }
    let power = bucket / PARTS + 2;
    let width = 1 << (power - 3);
    (PARTS + bucket % PARTS) * width + width / 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUCKETS, Tally, bucket_of, middle_of};
    use crate::hooks::distribution::microseconds;

    #[test]
    fn a_duration_is_known_to_an_eighth() {
        for value in (0..5_000).chain((0..37).map(|power| 1 << power)) {
            let middle = middle_of(bucket_of(value));
            assert!(middle.abs_diff(value) * 8 <= value, "{value} was taken for {middle}");
        }
        assert_eq!(bucket_of(microseconds(Duration::MAX)), BUCKETS - 8 + 2, "a day is in the last power of two");
    }

    #[test]
    fn quantiles_are_of_what_came_since_the_last_time() {
        let tally = Tally::default();
        for milliseconds in 1..=100 {
            tally.record(Duration::from_millis(milliseconds));
        }
        let taken = tally.take();
        let near =
            |duration: Duration, milliseconds: u128| duration.as_millis().abs_diff(milliseconds) * 8 <= milliseconds;
        assert!(near(taken.p50, 50) && near(taken.p95, 95), "{taken:?}");
        assert_eq!(taken.max, Duration::from_millis(100));
        assert_eq!(tally.take(), super::Quantiles::default());
        tally.record(Duration::from_micros(1_025));
        assert_eq!(tally.take().p95, Duration::from_micros(1_025), "never more than the longest");
    }
}
