//! Keeping the past, in a bounded amount of memory.

use std::{
    collections::VecDeque,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{HistoryPoint, PastAlert, SlowStatement, tally::Tally};
use crate::hooks::{AlertEvent, Completion, Gauges, SqlHook, StatementInfo, StatementOutcome};

/// What happened lately: a point for each second, the last slow statements, and the last alerts. What the
/// [page](crate::integrations) draws. Clones share it.
///
/// ```
/// # use std::time::Duration;
/// # use sea_dao::{DatabaseConfig, Result};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").history(Duration::from_secs(600)).connect().await?;
/// for point in db.history().points() {
///     println!("{:?}: {} statements, {} in use", point.at, point.statements, point.checked_out);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    most: usize,
    slow_threshold: Duration,
    current: Current,
    kept: Mutex<Kept>,
}

/// The second that has not ended yet.
#[derive(Default)]
struct Current {
    statements: AtomicU64,
    errors: AtomicU64,
    cancelled: AtomicU64,
    slow: AtomicU64,
    timeouts: AtomicU64,
    execute: Tally,
    wait: Tally,
}

struct Kept {
    since: Instant,
    points: VecDeque<HistoryPoint>,
    slow: VecDeque<SlowStatement>,
    alerts: VecDeque<PastAlert>,
}

/// Rates of a shorter time say little; what was counted in it is part of the next point.
const SHORTEST: Duration = Duration::from_millis(500);

impl History {
    /// So many slow statements, and so many alerts, are kept.
    pub const MOST: usize = 100;

    /// Points for about so long, at most a day; nothing with zero.
    pub(crate) fn new(span: Duration, slow_threshold: Duration) -> Self {
        let most = span.as_secs_f64().ceil().min(86_400.0) as usize;
        let kept =
            Kept { since: Instant::now(), points: VecDeque::new(), slow: VecDeque::new(), alerts: VecDeque::new() };
        Self(Arc::new(Inner { most, slow_threshold, current: Current::default(), kept: Mutex::new(kept) }))
    }

    /// Whether anything is kept.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.most > 0
    }

    /// The seconds that have ended, the first one first.
    #[must_use]
    pub fn points(&self) -> Vec<HistoryPoint> {
        self.lock().points.iter().cloned().collect()
    }

    /// The seconds that have ended since the one with this [number](HistoryPoint::number).
    #[cfg(feature = "page")]
    pub(crate) fn points_after(&self, number: u64) -> Vec<HistoryPoint> {
        let kept = self.lock();
        let first = kept.points.partition_point(|point| point.number <= number);
        kept.points.range(first..).cloned().collect()
    }

    /// The last slow statements, the last one first. They are those that took at least the threshold of the slow-SQL
    /// log, or 500 ms without one.
    #[must_use]
    pub fn slow(&self) -> Vec<SlowStatement> {
        self.lock().slow.iter().rev().cloned().collect()
    }

    /// The last alerts that fired or were resolved, the last one first.
    #[must_use]
    pub fn alerts(&self) -> Vec<PastAlert> {
        self.lock().alerts.iter().rev().cloned().collect()
    }

    /// How long a statement takes to be slow.
    #[must_use]
    pub fn slow_threshold(&self) -> Duration {
        self.0.slow_threshold
    }

    /// A caller gave up waiting for a connection.
    pub(crate) fn timed_out(&self, waited: Duration) {
        if self.is_enabled() {
            self.0.current.timeouts.fetch_add(1, Relaxed);
            self.0.current.wait.record(waited);
        }
    }

    pub(crate) fn alert(&self, event: &AlertEvent) {
        push(&mut self.lock().alerts, PastAlert { at: SystemTime::now(), event: event.clone() }, Self::MOST);
    }

    /// Ends a point, unless it has only just begun; to be called each second.
    pub(crate) fn tick(&self, gauges: Gauges) {
        if !self.is_enabled() || self.lock().since.elapsed() < SHORTEST {
            return;
        }
        let Current { statements, errors, cancelled, slow, timeouts, execute, wait } = &self.0.current;
        let take = |count: &AtomicU64| count.swap(0, Relaxed);
        let Gauges { checked_out, idle, waiting, usage: _ } = gauges;
        let now = Instant::now();
        let mut kept = self.lock();
        let lasted = now - std::mem::replace(&mut kept.since, now);
        let point = HistoryPoint {
            number: kept.points.back().map_or(0, |last| last.number) + 1,
            at: SystemTime::now(),
            lasted,
            statements: take(statements),
            errors: take(errors),
            cancelled: take(cancelled),
            slow: take(slow),
            timeouts: take(timeouts),
            execute: execute.take(),
            wait: wait.take(),
            checked_out,
            idle,
            waiting,
        };
        push(&mut kept.points, point, self.0.most);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(kept: &mut VecDeque<T>, one: T, most: usize) {
    if kept.len() >= most {
        kept.pop_front();
    }
    kept.push_back(one);
}

impl SqlHook for History {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let Current { statements, errors, cancelled, slow, timeouts: _, execute, wait } = &self.0.current;
        statements.fetch_add(1, Relaxed);
        match outcome.completion {
            Completion::Succeeded => {}
            Completion::Failed(_) => drop(errors.fetch_add(1, Relaxed)),
            Completion::Cancelled => drop(cancelled.fetch_add(1, Relaxed)),
        }
        execute.record(outcome.execute);
        if !outcome.wait.is_zero() {
            wait.record(outcome.wait);
        }
        if outcome.execute < self.0.slow_threshold {
            return;
        }
        slow.fetch_add(1, Relaxed);
        let one = SlowStatement {
            at: SystemTime::now(),
            fingerprint: statement.fingerprint().clone(),
            kind: statement.kind,
            wait: outcome.wait,
            execute: outcome.execute,
            rows: outcome.rows,
            error: outcome.error_type(),
            session: statement.session,
            transaction: statement.transaction,
            location: statement.location,
        };
        push(&mut self.lock().slow, one, Self::MOST);
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kept { points, slow, alerts, since: _ } = &*self.lock();
        f.debug_struct("History")
            .field("points", &points.len())
            .field("slow", &slow.len())
            .field("alerts", &alerts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::History;
    use crate::hooks::Gauges;

    #[tokio::test(start_paused = true)]
    async fn a_point_is_no_shorter_than_half_a_second() {
        let history = History::new(Duration::from_secs(10), Duration::from_secs(1));
        let tick = async |milliseconds| {
            advance(Duration::from_millis(milliseconds)).await;
            history.timed_out(Duration::from_millis(1));
            history.tick(Gauges::default());
        };
        for milliseconds in [0, 499, 1, 1_000, 20, 980] {
            tick(milliseconds).await;
        }
        let points: Vec<_> = history.points().iter().map(|point| (point.lasted.as_millis(), point.timeouts)).collect();
        assert_eq!(points, [(500, 3), (1_000, 1), (1_000, 2)]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_kept_when_nothing_is_asked_for() {
        let history = History::new(Duration::ZERO, Duration::from_secs(1));
        advance(Duration::from_secs(1)).await;
        history.timed_out(Duration::from_millis(1));
        history.tick(Gauges::default());
        assert!(!history.is_enabled() && history.points().is_empty());
    }
}
