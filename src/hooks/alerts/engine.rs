//! Rules as they fire and are resolved.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    AlertRule, Severity,
    window::{Current, Gauges, Past},
};
use crate::hooks::{Completion, SqlHook, StatementInfo, StatementOutcome};

/// Called with each event. It must be quick: it runs on the task that watches the rules.
pub(crate) type AlertCallback = Arc<dyn Fn(&AlertEvent) + Send + Sync>;

/// Whether an alert begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It began.
    Firing,
    /// It ended.
    Resolved,
}

/// An alert began or ended.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct AlertEvent {
    /// Whether it began or ended.
    pub state: AlertState,
    /// The rule.
    pub rule: AlertRule,
    /// The signal's value at that moment; `None` when there was too little to tell.
    pub value: Option<f64>,
    /// For how long it has been firing; zero when it begins.
    pub lasted: Duration,
}

impl fmt::Display for AlertEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        };
        write!(f, "{state}: {}", self.rule.name)?;
        if let Some(value) = self.value {
            write!(f, ": {value:.3}")?;
        }
        write!(f, " (threshold {})", self.rule.threshold)?;
        if self.lasted > Duration::ZERO { write!(f, " after {:.0?}", self.lasted) } else { Ok(()) }
    }
}

/// An alert that is firing.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Alert {
    /// The rule.
    pub rule: AlertRule,
    /// The signal's value when it was looked at last.
    pub value: Option<f64>,
    /// For how long it has been firing.
    pub lasted: Duration,
}

/// The rules of a database. Clones share their state.
#[derive(Clone)]
pub(crate) struct Alerts(Arc<Inner>);

struct Inner {
    slow: Duration,
    current: Current,
    callbacks: Vec<AlertCallback>,
    watched: Mutex<Watched>,
}

struct Watched {
    past: Past,
    rules: Vec<(AlertRule, Phase)>,
}

/// Where a rule stands.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Quiet,
    /// Above the threshold, but not for long enough.
    Pending {
        since: Instant,
    },
    Firing {
        since: Instant,
        value: Option<f64>,
        below_since: Option<Instant>,
    },
}

impl Alerts {
    /// Statements that take at least `slow` are slow.
    pub(crate) fn new(rules: Vec<AlertRule>, slow: Duration, callbacks: Vec<AlertCallback>) -> Self {
        let longest = rules.iter().map(|rule| rule.window).max().unwrap_or_default();
        let rules = rules.into_iter().map(|rule| (rule, Phase::Quiet)).collect();
        let watched = Mutex::new(Watched { past: Past::new(longest), rules });
        Self(Arc::new(Inner { slow, current: Current::default(), callbacks, watched }))
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.rules() > 0
    }

    /// How many are watched.
    pub(crate) fn rules(&self) -> usize {
        self.lock().rules.len()
    }

    /// A caller gave up waiting for a connection.
    pub(crate) fn timed_out(&self, waited: Duration) {
        self.0.current.timeout(waited);
    }

    /// The alerts that are firing.
    pub(crate) fn firing(&self) -> Vec<Alert> {
        let now = Instant::now();
        let firing = |(rule, phase): &(AlertRule, Phase)| match phase {
            Phase::Firing { since, value, .. } => {
                Some(Alert { rule: rule.clone(), value: *value, lasted: now.duration_since(*since) })
            }
            Phase::Quiet | Phase::Pending { .. } => None,
        };
        self.lock().rules.iter().filter_map(firing).collect()
    }

    /// Looks at every rule; to be called each second. Says what has changed to the log and to the callbacks.
    pub(crate) fn tick(&self, gauges: Gauges) {
        for event in self.advance(Instant::now(), gauges) {
            match (event.state, event.rule.severity) {
                (AlertState::Resolved, _) => tracing::info!(target: "sea_dao::alerts", "{event}"),
                (AlertState::Firing, Severity::Warning) => tracing::warn!(target: "sea_dao::alerts", "{event}"),
                (AlertState::Firing, Severity::Critical) => tracing::error!(target: "sea_dao::alerts", "{event}"),
            }
            for callback in &self.0.callbacks {
                if catch_unwind(AssertUnwindSafe(|| callback(&event))).is_err() {
                    tracing::error!(target: "sea_dao::alerts", "an alert's callback panicked");
                }
            }
        }
    }

    fn advance(&self, now: Instant, gauges: Gauges) -> Vec<AlertEvent> {
        let mut watched = self.lock();
        let Watched { past, rules } = &mut *watched;
        past.add(&self.0.current, now);
        let mut events = Vec::new();
        for (rule, phase) in rules {
            let value = past.value(rule.signal, rule.window, now, gauges);
            let (next, state) = phase.next(rule, value, now);
            let lasted = match *phase {
                Phase::Firing { since, .. } => now.duration_since(since),
                Phase::Quiet | Phase::Pending { .. } => Duration::ZERO,
            };
            *phase = next;
            events.extend(state.map(|state| AlertEvent { state, rule: rule.clone(), value, lasted }));
        }
        events
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.0.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Phase {
    /// Where the rule stands now, and what is to be told of it.
    fn next(self, rule: &AlertRule, value: Option<f64>, now: Instant) -> (Self, Option<AlertState>) {
        let above = value.is_some_and(|value| value > rule.threshold);
        let below = value.is_none_or(|value| value < rule.resolve_below || value == 0.0);
        match self {
            Self::Firing { since, below_since, .. } => {
                let below_since = below.then(|| below_since.unwrap_or(now));
                if below_since.is_some_and(|below_since| now.duration_since(below_since) >= rule.resolve_after) {
                    return (Self::Quiet, Some(AlertState::Resolved));
                }
                (Self::Firing { since, value, below_since }, None)
            }
            Self::Quiet | Self::Pending { .. } if !above => (Self::Quiet, None),
            Self::Quiet | Self::Pending { .. } => {
                let since = if let Self::Pending { since } = self { since } else { now };
                if now.duration_since(since) >= rule.hold {
                    (Self::Firing { since: now, value, below_since: None }, Some(AlertState::Firing))
                } else {
                    (Self::Pending { since }, None)
                }
            }
        }
    }
}

impl SqlHook for Alerts {
    fn after(&self, _: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let failed = matches!(outcome.completion, Completion::Failed(_));
        self.0.current.statement(outcome.wait, outcome.execute, failed, outcome.execute >= self.0.slow);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, advance};

    use super::{AlertRule, AlertState, Alerts};
    use crate::hooks::{AlertSignal, Severity, alerts::Gauges};

    const SECOND: Duration = Duration::from_secs(1);

    fn defaults() -> Alerts {
        Alerts::new(AlertRule::defaults(), Duration::from_millis(500), Vec::new())
    }

    /// What is told in so many seconds, with this share of connections in use.
    async fn told(alerts: &Alerts, seconds: u64, usage: f64) -> Vec<(String, AlertState)> {
        let mut told = Vec::new();
        for _ in 0..seconds {
            advance(SECOND).await;
            let events = alerts.advance(Instant::now(), Gauges { usage, ..Gauges::default() });
            told.extend(events.into_iter().map(|event| (event.rule.name, event.state)));
        }
        told
    }

    fn fast(alerts: &Alerts, statements: u64) {
        (0..statements).for_each(|_| alerts.0.current.statement(Duration::ZERO, SECOND / 1_000, false, false));
    }

    fn fired(name: &str) -> (String, AlertState) {
        (name.to_owned(), AlertState::Firing)
    }

    fn resolved(name: &str) -> (String, AlertState) {
        (name.to_owned(), AlertState::Resolved)
    }

    #[tokio::test(start_paused = true)]
    async fn use_of_the_pool() {
        let alerts = defaults();
        assert_eq!(told(&alerts, 100, 0.8).await, [], "not above");
        assert_eq!(told(&alerts, 10, 0.81).await, [], "not for long enough");
        assert_eq!(told(&alerts, 1, 0.79).await, [], "it begins anew");
        assert_eq!(told(&alerts, 11, 0.81).await, [fired("pool nearly used up")]);
        assert_eq!(told(&alerts, 11, 0.91).await, [fired("pool used up")]);
        assert_eq!(told(&alerts, 100, 0.85).await, [], "not below nine tenths of either");
        assert_eq!(told(&alerts, 31, 0.80).await, [resolved("pool used up")]);
        assert_eq!(told(&alerts, 31, 0.71).await, [resolved("pool nearly used up")]);
    }

    #[tokio::test(start_paused = true)]
    async fn swinging_around_the_threshold_fires_once() {
        let alerts = defaults();
        let mut all = Vec::new();
        for _ in 0..50 {
            all.extend(told(&alerts, 12, 0.81).await);
            all.extend(told(&alerts, 12, 0.5).await);
        }
        assert_eq!(all, [fired("pool nearly used up")]);
        assert_eq!(alerts.firing().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait() {
        let alerts = defaults();
        alerts.0.current.statement(5 * SECOND, SECOND, false, false);
        assert_eq!(told(&alerts, 1, 0.0).await, [], "not above");
        alerts.0.current.statement(5 * SECOND + SECOND / 1_000, SECOND, false, false);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("long wait for a connection")]);
        assert_eq!(told(&alerts, 89, 0.0).await, [], "a minute in the window, and 30 s below");
        assert_eq!(told(&alerts, 1, 0.0).await, [resolved("long wait for a connection")]);
        alerts.timed_out(30 * SECOND);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("long wait for a connection")], "one that was given up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_statement() {
        let alerts = defaults();
        alerts.0.current.statement(Duration::ZERO, SECOND, false, true);
        assert_eq!(told(&alerts, 1, 0.0).await, [], "not above");
        alerts.0.current.statement(Duration::ZERO, 2 * SECOND, false, true);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("slow statement")]);
        assert_eq!(told(&alerts, 90, 0.0).await, [resolved("slow statement")]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_slow_statements() {
        let alerts = defaults();
        for _ in 0..10 {
            alerts.0.current.statement(Duration::ZERO, SECOND / 2, false, true);
        }
        assert_eq!(told(&alerts, 1, 0.0).await, [], "ten in a minute are allowed");
        alerts.0.current.statement(Duration::ZERO, SECOND / 2, false, true);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("many slow statements")]);
        assert_eq!(told(&alerts, 100, 0.0).await, [resolved("many slow statements")]);
    }

    #[tokio::test(start_paused = true)]
    async fn failures() {
        let alerts = defaults();
        let failed = |count: u64| {
            (0..count).for_each(|_| alerts.0.current.statement(Duration::ZERO, SECOND / 1_000, true, false));
        };
        failed(19);
        assert_eq!(told(&alerts, 400, 0.0).await, [], "too few to tell");
        fast(&alerts, 99);
        failed(1);
        assert_eq!(told(&alerts, 1, 0.0).await, [], "1 % is not above");
        failed(1);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("statements fail")]);
        failed(4);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("many statements fail")]);
        fast(&alerts, 100);
        assert_eq!(told(&alerts, 40, 0.0).await, [resolved("many statements fail")], "6 of 205");
        assert_eq!(told(&alerts, 300, 0.0).await, [resolved("statements fail")]);
    }

    #[tokio::test(start_paused = true)]
    async fn waits_given_up() {
        let alerts = defaults();
        for _ in 0..100 {
            alerts.timed_out(SECOND);
            assert_eq!(told(&alerts, 1, 0.0).await, []);
        }
        alerts.timed_out(SECOND);
        assert_eq!(told(&alerts, 1, 0.0).await, [fired("many waits given up")]);
        assert_eq!(told(&alerts, 3_400, 0.0).await, []);
        assert_eq!(told(&alerts, 300, 0.0).await, [resolved("many waits given up")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_of_zero_is_resolved_by_nothing() {
        let rule = AlertRule::new("any failure", Severity::Critical, AlertSignal::PoolTimeouts, 0.0);
        let alerts = Alerts::new(vec![rule], SECOND, Vec::new());
        alerts.timed_out(SECOND);
        assert_eq!(told(&alerts, 200, 0.0).await, [fired("any failure"), resolved("any failure")]);
    }
}
