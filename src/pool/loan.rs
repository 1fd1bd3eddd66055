//! Who has which connection, and since when.

use std::{
    collections::BTreeMap,
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// A connection that is out.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Holder {
    /// Where the session that has it was made. SeaORM's traits, called on a [`Database`](crate::Database), do not tell: it is
    /// a line of this crate then, as for a stream or a transaction of theirs.
    pub location: &'static Location<'static>,
    /// Since when it has been out.
    pub since: Instant,
}

impl Holder {
    /// How long it has been out.
    #[must_use]
    pub fn held_for(&self) -> Duration {
        self.since.elapsed()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:.1?}", self.location, self.held_for())
    }
}

/// One connection's loan, if it is out.
#[derive(Debug, Default)]
pub(super) struct Loan(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    holder: Option<Holder>,
    reported: bool,
}

impl Loan {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, location: &'static Location<'static>) {
        *self.lock() = State { holder: Some(Holder { location, since: Instant::now() }), reported: false };
    }

    /// How long it was out, if it was.
    pub(super) fn end(&self) -> Option<Duration> {
        let State { holder, reported } = std::mem::take(&mut *self.lock());
        let holder = holder?;
        let held = holder.held_for();
        if reported {
            tracing::info!(target: "sea_dao::pool", location = %holder.location, ?held, "a connection reported as leaked came back");
        }
        Some(held)
    }

    fn holder(&self) -> Option<Holder> {
        self.lock().holder
    }

    /// The holder, when it is over the threshold and was not reported before.
    fn report_if_over(&self, threshold: Duration) -> Option<Holder> {
        let mut state = self.lock();
        let holder = state.holder.filter(|holder| !state.reported && holder.held_for() >= threshold)?;
        state.reported = true;
        Some(holder)
    }
}

/// The loans of all open connections.
#[derive(Debug, Default)]
pub(super) struct Loans {
    all: Mutex<Vec<Weak<Loan>>>,
    /// The last report said that too many are out.
    crowded: AtomicBool,
}

impl Loans {
    /// For a connection that was just opened.
    pub(super) fn register(&self) -> Arc<Loan> {
        let loan = Arc::new(Loan::default());
        let mut loans = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        loans.retain(|loan| loan.strong_count() > 0);
        loans.push(Arc::downgrade(&loan));
        loan
    }

    fn all(&self) -> Vec<Arc<Loan>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect()
    }

    /// The connections that are out, the longest first.
    pub(super) fn holders(&self) -> Vec<Holder> {
        let mut holders: Vec<Holder> = self.all().iter().filter_map(|loan| loan.holder()).collect();
        holders.sort_by_key(|holder| holder.since);
        holders
    }

    /// Logs that more than so many connections are out, once until there are fewer again.
    pub(super) fn report_crowd(&self, most: usize) {
        let holders = self.holders();
        let crowded = holders.len() > most;
        if self.crowded.swap(crowded, Ordering::Relaxed) == crowded {
            return;
        }
        let out = holders.len();
        if crowded {
            let mut places = BTreeMap::<String, usize>::new();
            holders.iter().for_each(|holder| *places.entry(holder.location.to_string()).or_default() += 1);
            tracing::warn!(target: "sea_dao::pool", out, most, ?places, "more connections are out than expected");
        } else {
            tracing::info!(target: "sea_dao::pool", out, most, "no more connections are out than expected");
        }
    }

    /// Logs each connection that has been out for longer than the threshold, once, and gives their number.
    pub(super) fn report_leaks(&self, threshold: Duration) -> u64 {
        let mut reported = 0;
        for holder in self.all().iter().filter_map(|loan| loan.report_if_over(threshold)) {
            let held = holder.held_for();
            tracing::warn!(target: "sea_dao::pool", location = %holder.location, ?held, "a connection may be leaked");
            reported += 1;
        }
        reported
    }
}
