//! What is watched.

use std::{fmt, sync::Arc, time::Duration};

use super::{DatabaseConfig, url::endpoint_of};
#[cfg(feature = "metrics")]
use crate::hooks::{PoolLabels, StatementMetrics};
use crate::{
    error::Result,
    hooks::{
        AlertCallback, AlertEvent, AlertRule, Alerts, Dialect, EchoLog, History, Hooks, NPlusOneDetector, SlowSqlLog,
        SqlHook, StatementStatistics, ValueDisplay, Watchers,
    },
};

/// What is slow unless said otherwise.
const SLOW: Duration = Duration::from_millis(500);

/// What is watched.
#[derive(Clone)]
pub(super) struct Watching {
    pub(super) slow_threshold: Option<Duration>,
    pub(super) slow_values: ValueDisplay,
    pub(super) slow_interval: Duration,
    pub(super) statement_statistics: usize,
    pub(super) n_plus_one: u64,
    pub(super) history: Duration,
    alerts: Vec<AlertRule>,
    alert_callbacks: Vec<AlertCallback>,
    #[cfg(feature = "metrics")]
    metrics: Option<String>,
    hooks: Vec<Arc<dyn SqlHook>>,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            slow_threshold: Some(SLOW),
            slow_values: ValueDisplay::default(),
            slow_interval: Duration::from_secs(10),
            statement_statistics: 0,
            n_plus_one: 0,
            history: Duration::ZERO,
            alerts: Vec::new(),
            alert_callbacks: Vec::new(),
            #[cfg(feature = "metrics")]
            metrics: None,
            hooks: Vec::new(),
        }
    }
}

impl DatabaseConfig {
    /// Statements that take at least this long are logged. Default 500 ms.
    #[must_use]
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.watching.slow_threshold = Some(threshold);
        self
    }

    /// No slow-SQL log.
    #[must_use]
    pub fn no_slow_log(mut self) -> Self {
        self.watching.slow_threshold = None;
        self
    }

    /// The slow-SQL log mentions statements that differ only in their values once in this time; zero: each of them.
    /// Default 10 s.
    #[must_use]
    pub fn slow_interval(mut self, interval: Duration) -> Self {
        self.watching.slow_interval = interval;
        self
    }

    /// How bound values appear in the slow-SQL log, and in that of all statements with
    /// [`PoolConfig::echo`](super::PoolConfig::echo). Default: hidden.
    #[must_use]
    pub fn slow_values(mut self, values: ValueDisplay) -> Self {
        self.watching.slow_values = values;
        self
    }

    /// Keeps [figures](crate::Database::statements) of at most so many different statements; 500 are plenty for most
    /// programs. Default 0: none.
    #[must_use]
    pub fn statement_statistics(mut self, fingerprints: usize) -> Self {
        self.watching.statement_statistics = fingerprints;
        self
    }

    /// Warns when one session sends more than `limit` queries that differ only in their values; see
    /// [`NPlusOneDetector`]. Default 0: never.
    #[must_use]
    pub fn n_plus_one(mut self, limit: u64) -> Self {
        self.watching.n_plus_one = limit;
        self
    }

    /// Keeps [what happened](crate::Database::history) in the last while: a point of about 200 bytes for each second, at
    /// most for a day, and the last slow statements and alerts. Default zero: nothing.
    #[must_use]
    pub fn history(mut self, span: Duration) -> Self {
        self.watching.history = span;
        self
    }

    /// Switches on what the page of [`integrations`](crate::integrations) shows, where it is not switched on yet:
    /// [statistics](Self::statement_statistics) of 500 statements, a [history](Self::history) of ten minutes, a warning
    /// above 20 [repeated queries](Self::n_plus_one), and the usual [alerts](Self::alerts).
    #[must_use]
    pub fn watch_everything(mut self) -> Self {
        let watching = &mut self.watching;
        if watching.statement_statistics == 0 {
            watching.statement_statistics = 500;
        }
        if watching.history.is_zero() {
            watching.history = Duration::from_secs(600);
        }
        if watching.n_plus_one == 0 {
            watching.n_plus_one = 20;
        }
        if watching.alerts.is_empty() {
            watching.alerts = AlertRule::defaults();
        }
        self
    }

    /// Watches these rules, which are looked at once a second; [`AlertRule::defaults`] are the usual ones. Default: none.
    ///
    /// What fires and what is resolved is told as `tracing` events with target `sea_dao::alerts`, and to
    /// [`on_alert`](Self::on_alert).
    #[must_use]
    pub fn alerts(mut self, rules: impl IntoIterator<Item = AlertRule>) -> Self {
        self.watching.alerts = rules.into_iter().collect();
        self
    }

    /// Calls `callback` with each alert that fires or is resolved. It is called on the task that watches the rules: hand
    /// work that takes time to another task.
    #[must_use]
    pub fn on_alert(mut self, callback: impl Fn(&AlertEvent) + Send + Sync + 'static) -> Self {
        self.watching.alert_callbacks.push(Arc::new(callback));
        self
    }

    /// Tells figures of the pool and of its statements through the [`metrics`] facade, to whatever exporter the program
    /// installs, with this name for the pool. Default: none.
    ///
    /// The names and units are OpenTelemetry's; [`hooks`](crate::hooks) lists them.
    #[cfg(feature = "metrics")]
    #[must_use]
    pub fn metrics(mut self, pool: impl Into<String>) -> Self {
        self.watching.metrics = Some(pool.into());
        self
    }

    /// Adds a hook that is called before and after each statement.
    #[must_use]
    pub fn hook(self, hook: impl SqlHook) -> Self {
        self.shared_hook(Arc::new(hook))
    }

    /// Adds a hook that something else holds too.
    #[must_use]
    pub fn shared_hook(mut self, hook: Arc<dyn SqlHook>) -> Self {
        self.watching.hooks.push(hook);
        self
    }

    /// # Errors
    ///
    /// [`Error::Config`](crate::Error::Config) for a rule that makes no sense.
    pub(crate) fn build_hooks(&self, dialect: Dialect) -> Result<Hooks> {
        // Destructured in full, so that a new setting has to be looked at here.
        let Watching {
            slow_threshold,
            slow_values,
            slow_interval,
            statement_statistics,
            n_plus_one,
            history,
            alerts,
            alert_callbacks,
            #[cfg(feature = "metrics")]
            metrics,
            hooks,
        } = &self.watching;
        let endpoint = endpoint_of(self.url());
        let mut hooks = hooks.clone();
        alerts.iter().try_for_each(AlertRule::validate)?;
        let slow = slow_threshold.unwrap_or(SLOW);
        let history = History::new(*history, slow);
        let mut alert_callbacks = alert_callbacks.clone();
        if history.is_enabled() {
            hooks.push(Arc::new(history.clone()));
            let history = history.clone();
            alert_callbacks.push(Arc::new(move |event| history.alert(event)));
        }
        let watchers = Watchers {
            statements: StatementStatistics::new(*statement_statistics),
            repeated_queries: NPlusOneDetector::new(*n_plus_one),
            alerts: Alerts::new(alerts.clone(), slow, alert_callbacks),
            history,
            #[cfg(feature = "metrics")]
            metrics: metrics.as_ref().map(|pool| PoolLabels::new(pool, dialect.system, &endpoint)),
        };
        #[cfg(feature = "metrics")]
        if let Some(labels) = &watchers.metrics {
            hooks.push(Arc::new(StatementMetrics::new(labels.clone(), slow)));
        }
        if watchers.alerts.is_enabled() {
            hooks.push(Arc::new(watchers.alerts.clone()));
        }
        if watchers.statements.is_enabled() {
            hooks.push(Arc::new(watchers.statements.clone()));
        }
        if watchers.repeated_queries.is_enabled() {
            hooks.push(Arc::new(watchers.repeated_queries.clone()));
        }
        if self.pool_config().echo {
            hooks.push(Arc::new(EchoLog::new(*slow_values)));
        }
        if let Some(threshold) = slow_threshold {
            hooks.push(Arc::new(SlowSqlLog::new(*threshold).values(*slow_values).interval(*slow_interval)));
        }
        Ok(Hooks::new(hooks, dialect, endpoint, watchers))
    }
}

impl fmt::Debug for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slow_threshold, slow_values, slow_interval, statement_statistics, n_plus_one, history, .. } = self;
        f.debug_struct("Watching")
            .field("slow_threshold", slow_threshold)
            .field("slow_values", slow_values)
            .field("slow_interval", slow_interval)
            .field("statement_statistics", statement_statistics)
            .field("n_plus_one", n_plus_one)
            .field("history", history)
            .field("alerts", &self.alerts.len())
            .field("hooks", &self.hooks.len())
            .finish()
    }
}
