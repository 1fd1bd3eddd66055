//! What happened lately, second by second.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::Instant;

use super::AlertSignal;

/// What the pool is asked for each second.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gauges {
    /// The share of connections in use.
    pub(crate) usage: f64,
    /// Connections in use.
    pub(crate) checked_out: usize,
    /// Connections ready to be handed out.
    pub(crate) idle: usize,
    /// Callers that wait for a connection.
    pub(crate) waiting: usize,
}

/// What happens now, counted without a lock or a clock.
#[derive(Debug, Default)]
pub(super) struct Current {
    statements: AtomicU64,
    errors: AtomicU64,
    slow: AtomicU64,
    timeouts: AtomicU64,
    longest_wait: AtomicU64,
    longest_statement: AtomicU64,
}

impl Current {
    pub(super) fn statement(&self, wait: Duration, execute: Duration, failed: bool, slow: bool) {
        self.statements.fetch_add(1, Relaxed);
        if failed {
            self.errors.fetch_add(1, Relaxed);
        }
        if slow {
            self.slow.fetch_add(1, Relaxed);
        }
        if !wait.is_zero() {
            self.longest_wait.fetch_max(nanoseconds(wait), Relaxed);
        }
        self.longest_statement.fetch_max(nanoseconds(execute), Relaxed);
    }

    pub(super) fn timeout(&self, waited: Duration) {
        self.timeouts.fetch_add(1, Relaxed);
        self.longest_wait.fetch_max(nanoseconds(waited), Relaxed);
    }

    /// What was counted, which is begun anew.
    fn take(&self, at: Instant) -> Slot {
        Slot {
            at,
            statements: self.statements.swap(0, Relaxed),
            errors: self.errors.swap(0, Relaxed),
            slow: self.slow.swap(0, Relaxed),
            timeouts: self.timeouts.swap(0, Relaxed),
            longest_wait: self.longest_wait.swap(0, Relaxed),
            longest_statement: self.longest_statement.swap(0, Relaxed),
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What was counted up to a moment.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: Instant,
    statements: u64,
    errors: u64,
    slow: u64,
    timeouts: u64,
    longest_wait: u64,
    longest_statement: u64,
}

/// The slots of the longest window, the oldest first.
#[derive(Debug)]
pub(super) struct Past {
    slots: VecDeque<Slot>,
    longest: Duration,
}

impl Past {
    /// Too few statements for a share of them to mean anything.
    const FEW: u64 = 20;

    pub(super) fn new(longest: Duration) -> Self {
        Self { slots: VecDeque::new(), longest }
    }

    pub(super) fn add(&mut self, current: &Current, now: Instant) {
        while self.slots.front().is_some_and(|slot| now.duration_since(slot.at) >= self.longest) {
            self.slots.pop_front();
        }
        self.slots.push_back(current.take(now));
    }

    /// The signal over the window that ends now; `None` when it cannot be told.
    pub(super) fn value(&self, signal: AlertSignal, window: Duration, now: Instant, gauges: Gauges) -> Option<f64> {
        let slots = || self.slots.iter().rev().take_while(|slot| now.duration_since(slot.at) < window);
        let sum = |count: fn(&Slot) -> u64| slots().map(count).sum::<u64>();
        let longest = |length: fn(&Slot) -> u64| slots().map(length).max().unwrap_or(0) as f64 / 1e9;
        Some(match signal {
            AlertSignal::PoolUsage => gauges.usage,
            AlertSignal::LongestWait => longest(|slot| slot.longest_wait),
            AlertSignal::LongestStatement => longest(|slot| slot.longest_statement),
            AlertSignal::SlowStatements => sum(|slot| slot.slow) as f64,
            AlertSignal::PoolTimeouts => sum(|slot| slot.timeouts) as f64,
            AlertSignal::ErrorRate => {
                let statements = sum(|slot| slot.statements);
                if statements < Self::FEW {
                    return None;
                }
                sum(|slot| slot.errors) as f64 / statements as f64
            }
        })
    }
}
