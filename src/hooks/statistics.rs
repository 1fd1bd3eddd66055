//! Figures of the statements, by fingerprint.

use std::{
    cmp::Reverse,
    collections::{HashMap, hash_map::Entry},
    fmt,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{
    Completion, Distribution, Fingerprint, SqlHook, StatementInfo, StatementOutcome, distribution::microseconds,
};

/// Figures of the statements that a [`Database`](crate::Database) sent, by [fingerprint](Fingerprint): as PostgreSQL's
/// `pg_stat_statements`, seen from this side. Clones share the figures.
///
/// Every statement is in them: BEGIN, COMMIT, checks of idle connections, failures and cancellations. Each fingerprint
/// takes at most 16 kB for its times and 4 000 characters of text. When there are more fingerprints than [there may be](Self::new), those used least go; how many,
/// and how many statements they stood for, is told.
///
/// ```
/// # use sea_dao::{DatabaseConfig, Result, hooks::StatementOrder::Total};
/// # use sea_dao::sea_orm::ConnectionTrait;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").statement_statistics(500).connect().await?;
/// db.execute_unprepared("SELECT 1").await?;
/// db.execute_unprepared("SELECT 2").await?;
///
/// for statement in db.statements().top(10).by(Total) {
///     println!("{statement}");
/// }
/// let figures = db.statements().top(1).by(Total);
/// assert_eq!(&*figures[0].fingerprint.text, "SELECT ?");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StatementStatistics(Arc<Inner>);

struct Inner {
    shards: [Mutex<Shard>; SHARDS],
    most_in_shard: usize,
}

/// So many that tasks seldom wait for each other.
const SHARDS: usize = 16;

#[derive(Default)]
struct Shard {
    figures: HashMap<u64, Figures, foldhash::fast::RandomState>,
    dropped: Dropped,
}

struct Figures {
    fingerprint: Arc<Fingerprint>,
    calls: u64,
    errors: u64,
    cancelled: u64,
    rows: u64,
    wait: Duration,
    execute: Duration,
    decode: Duration,
    slowest: Duration,
    slowest_at: Option<&'static Location<'static>>,
    /// `None` when there is no memory for one.
    histogram: Option<Histogram<u32>>,
    /// Calls, of which the earlier ones count for less.
    used: u64,
}

/// What was dropped to bound the memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Dropped {
    /// Fingerprints dropped.
    pub fingerprints: u64,
    /// The statements that they stood for.
    pub calls: u64,
}

/// All figures at one moment.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StatementsSnapshot {
    /// By fingerprint, in no particular order.
    pub statements: Vec<StatementFigures>,
    /// What is not among them any more.
    pub dropped: Dropped,
}

impl StatementsSnapshot {
    /// How many statements were sent, the dropped ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.dropped.calls + self.statements.iter().map(|statement| statement.calls).sum::<u64>()
    }
}

/// The figures of one fingerprint.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct StatementFigures {
    /// What the statements have in common.
    pub fingerprint: Arc<Fingerprint>,
    /// How often they were sent; failures and cancellations included.
    pub calls: u64,
    /// How often they failed.
    pub errors: u64,
    /// How often their futures or streams were dropped before the end.
    pub cancelled: u64,
    /// Rows returned or affected.
    pub rows: u64,
    /// Time in the database, in all.
    pub total: Duration,
    /// Time waited for connections, in all.
    pub wait: Duration,
    /// Time of decoding, in all, where it was [seen](StatementOutcome::decode).
    pub decode: Duration,
    /// The times in the database, of failures and cancellations too.
    pub execute: Distribution,
    /// The line of the caller's that the slowest one came from.
    pub slowest_at: Option<String>,
}

impl fmt::Display for StatementFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, calls, errors, rows, total, execute, .. } = self;
        let Distribution { mean, p95, max, .. } = execute;
        write!(f, "{total:.1?} in {calls} calls, mean {mean:.1?}, p95 {p95:.1?}, max {max:.1?}, ")?;
        write!(f, "{errors} errors, {rows} rows: {fingerprint}")
    }
}

/// By what the top statements are picked, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatementOrder {
    /// Time in the database, in all: where the load comes from.
    Total,
    /// Mean time in the database.
    Mean,
    /// The time that 95 of 100 did not exceed.
    P95,
    /// The time that 99 of 100 did not exceed.
    P99,
    /// The longest time.
    Max,
    /// How often.
    Calls,
    /// Failures.
    Errors,
    /// Rows returned or affected.
    Rows,
}

/// The first few statements, once it is said [by what](Self::by).
#[derive(Debug)]
#[must_use = "say by what the statements are picked"]
pub struct Top {
    most: usize,
    statements: Vec<StatementFigures>,
}

impl Top {
    /// The statements that lead in this.
    #[must_use]
    pub fn by(self, order: StatementOrder) -> Vec<StatementFigures> {
        let Self { most, mut statements } = self;
        statements.sort_by_key(|figures| Reverse(order.of(figures)));
        statements.truncate(most);
        statements
    }
}

impl StatementOrder {
    /// What is compared: a count, or nanoseconds.
    pub(crate) fn of(self, figures: &StatementFigures) -> u64 {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        match self {
            Self::Total => nanoseconds(figures.total),
            Self::Mean => nanoseconds(figures.execute.mean),
            Self::P95 => nanoseconds(figures.execute.p95),
            Self::P99 => nanoseconds(figures.execute.p99),
            Self::Max => nanoseconds(figures.execute.max),
            Self::Calls => figures.calls,
            Self::Errors => figures.errors,
            Self::Rows => figures.rows,
        }
    }
}

impl StatementStatistics {
    /// For about so many fingerprints; none at all with 0. To be given to
    /// [`DatabaseConfig::shared_hook`](crate::DatabaseConfig::shared_hook), unless
    /// [`statement_statistics`](crate::DatabaseConfig::statement_statistics) does for you.
    #[must_use]
    pub fn new(fingerprints: usize) -> Self {
        Self(Arc::new(Inner { shards: Default::default(), most_in_shard: fingerprints.div_ceil(SHARDS) }))
    }

    /// Whether anything is counted.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.most_in_shard > 0
    }

    /// The first `most` statements, by what is said next.
    pub fn top(&self, most: usize) -> Top {
        Top { most, statements: self.snapshot().statements }
    }

    /// All figures. Statements that end meanwhile may be in it or not.
    #[must_use]
    pub fn snapshot(&self) -> StatementsSnapshot {
        let mut snapshot = StatementsSnapshot { statements: Vec::new(), dropped: Dropped::default() };
        for shard in &self.0.shards {
            let shard = lock(shard);
            snapshot.dropped.fingerprints += shard.dropped.fingerprints;
            snapshot.dropped.calls += shard.dropped.calls;
            snapshot.statements.extend(shard.figures.values().map(Figures::to_public));
        }
        snapshot
    }

    /// Forgets everything.
    pub fn reset(&self) {
        for shard in &self.0.shards {
            *lock(shard) = Shard::default();
        }
    }
}

impl fmt::Debug for StatementStatistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprints: usize = self.0.shards.iter().map(|shard| lock(shard).figures.len()).sum();
        f.debug_struct("StatementStatistics").field("fingerprints", &fingerprints).finish_non_exhaustive()
    }
}

impl SqlHook for StatementStatistics {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        if !self.is_enabled() {
            return;
        }
        let fingerprint = statement.fingerprint();
        let mut shard = lock(&self.0.shards[fingerprint.id as usize % SHARDS]);
        let most = self.0.most_in_shard;
        shard.figures_of(fingerprint, most).add(statement, outcome);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    fn figures_of(&mut self, fingerprint: &Arc<Fingerprint>, most: usize) -> &mut Figures {
        if self.figures.len() >= most && !self.figures.contains_key(&fingerprint.id) {
            self.make_room();
        }
        match self.figures.entry(fingerprint.id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Figures::new(fingerprint.clone())),
        }
    }

    fn make_room(&mut self) {
        let least = self.figures.iter().min_by_key(|(_, figures)| figures.used).map(|(id, _)| *id);
        if let Some(dropped) = least.and_then(|id| self.figures.remove(&id)) {
            self.dropped.fingerprints += 1;
            self.dropped.calls += dropped.calls;
        }
        for figures in self.figures.values_mut() {
            // What was used much, but long ago, gives way to what is used now.
            figures.used -= figures.used.div_ceil(100);
        }
    }
}

impl Figures {
    fn new(fingerprint: Arc<Fingerprint>) -> Self {
        Self {
            fingerprint,
            calls: 0,
            errors: 0,
            cancelled: 0,
            rows: 0,
            wait: Duration::ZERO,
            execute: Duration::ZERO,
            decode: Duration::ZERO,
            slowest: Duration::ZERO,
            slowest_at: None,
            // It grows with the longest time.
            histogram: Histogram::new(2).ok(),
            used: 0,
        }
    }

    fn add(&mut self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        self.calls += 1;
        self.used += 1;
        match outcome.completion {
            Completion::Succeeded => {}
            Completion::Failed(_) => self.errors += 1,
            Completion::Cancelled => self.cancelled += 1,
        }
        self.rows += outcome.rows.unwrap_or(0);
        self.wait += outcome.wait;
        self.execute += outcome.execute;
        self.decode += outcome.decode.unwrap_or_default();
        if outcome.execute >= self.slowest {
            self.slowest = outcome.execute;
            self.slowest_at = statement.location;
        }
        if let Some(histogram) = &mut self.histogram {
            // It grows as needed, and its largest value is bounded.
            let _ = histogram.record(microseconds(outcome.execute));
        }
    }

    fn to_public(&self) -> StatementFigures {
        StatementFigures {
            fingerprint: self.fingerprint.clone(),
            calls: self.calls,
            errors: self.errors,
            cancelled: self.cancelled,
            rows: self.rows,
            total: self.execute,
            wait: self.wait,
            decode: self.decode,
            execute: self.histogram.as_ref().map(Distribution::of).unwrap_or_default(),
            slowest_at: self.slowest_at.map(ToString::to_string),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Shard;
    use crate::hooks::{Access, Fingerprint};

    fn fingerprint(text: &str) -> Arc<Fingerprint> {
        Arc::new(Fingerprint::new(text.to_owned(), String::new(), Vec::new(), Access::Read))
    }

    fn call(shard: &mut Shard, text: &str, times: u64) {
        for _ in 0..times {
            let figures = shard.figures_of(&fingerprint(text), 2);
            figures.calls += 1;
            figures.used += 1;
        }
    }

    #[test]
    fn the_least_used_goes_and_is_counted() {
        let mut shard = Shard::default();
        call(&mut shard, "often", 50);
        call(&mut shard, "seldom", 3);
        call(&mut shard, "new", 1);
        assert_eq!((shard.dropped.fingerprints, shard.dropped.calls), (1, 3));
        assert!(shard.figures.contains_key(&fingerprint("often").id));
        let calls: u64 = shard.figures.values().map(|figures| figures.calls).sum();
        assert_eq!(calls + shard.dropped.calls, 54, "nothing is lost from the sum");
    }

    #[test]
    fn what_was_used_long_ago_goes_at_last() {
        let mut shard = Shard::default();
        call(&mut shard, "once important", 100);
        for number in 0..1_000 {
            call(&mut shard, &format!("now {number}"), 2);
        }
        assert!(!shard.figures.contains_key(&fingerprint("once important").id));
        assert_eq!(shard.figures.len(), 2);
    }
}
