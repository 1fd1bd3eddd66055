//! What is too much, for how long.

use std::time::Duration;

use serde::Serialize;

use crate::error::{Error, Result};

/// What a rule looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlertSignal {
    /// The share of connections in use, from 0 to 1, now: [`PoolStatus::usage`](crate::pool::PoolStatus::usage).
    PoolUsage,
    /// The longest wait for a connection in the window, in seconds, waits that were given up included.
    LongestWait,
    /// The longest time of a statement in the database in the window, in seconds.
    LongestStatement,
    /// The share of the statements in the window that failed, from 0 to 1; nothing below 20 statements.
    ErrorRate,
    /// The statements in the window that took at least the threshold of the slow-SQL log, or 500 ms without one.
    SlowStatements,
    /// The times in the window that a caller gave up waiting for a connection.
    PoolTimeouts,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody should look at it in working hours.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// What is too much, and for how long it has to be.
///
/// The alert fires when the signal has been above the threshold for [`hold`](Self::hold), and is resolved when it has
/// been below [`resolve_below`](Self::resolve_below) for [`resolve_after`](Self::resolve_after): what swings around the
/// threshold fires once.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::hooks::{AlertRule, AlertSignal, Severity};
///
/// let rule = AlertRule::new("half the pool", Severity::Warning, AlertSignal::PoolUsage, 0.5)
///     .hold(Duration::from_secs(60));
/// assert_eq!(rule.resolve_below, 0.45);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AlertRule {
    /// What it is called in logs.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// What it looks at.
    pub signal: AlertSignal,
    /// It fires above this.
    pub threshold: f64,
    /// How far it looks back. Default one minute; at most a day.
    pub window: Duration,
    /// How long it must be above the threshold before it fires. Default zero.
    pub hold: Duration,
    /// It is resolved below this. Default nine tenths of the threshold.
    pub resolve_below: f64,
    /// How long it must be below before it is resolved. Default 30 s.
    pub resolve_after: Duration,
}

impl AlertRule {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// Fires above `threshold`.
    #[must_use]
    pub fn new(name: impl Into<String>, severity: Severity, signal: AlertSignal, threshold: f64) -> Self {
        Self {
            name: name.into(),
            severity,
            signal,
            threshold,
            window: Duration::from_secs(60),
            hold: Duration::ZERO,
            resolve_below: threshold * 0.9,
            resolve_after: Duration::from_secs(30),
        }
    }

    /// The usual ones:
    ///
    /// | | warning | critical |
    /// |---|--:|--:|
    /// | connections in use, for 10 s | > 80 % | > 90 % |
    /// | wait for a connection | > 5 s | |
    /// | one statement | > 1 s | |
    /// | statements that failed, in 5 minutes | > 1 % | > 5 % |
    /// | slow statements, in a minute | | > 10 |
    /// | waits given up, in an hour | | > 100 |
    #[must_use]
    pub fn defaults() -> Vec<Self> {
        use AlertSignal::{ErrorRate, LongestStatement, LongestWait, PoolTimeouts, PoolUsage, SlowStatements};
        use Severity::{Critical, Warning};
        let (ten, minutes, hour) = (Duration::from_secs(10), Duration::from_secs(300), Duration::from_secs(3600));
        vec![
            Self::new("pool nearly used up", Warning, PoolUsage, 0.8).hold(ten),
            Self::new("pool used up", Critical, PoolUsage, 0.9).hold(ten),
            Self::new("long wait for a connection", Warning, LongestWait, 5.0),
            Self::new("slow statement", Warning, LongestStatement, 1.0),
            Self::new("statements fail", Warning, ErrorRate, 0.01).window(minutes),
            Self::new("many statements fail", Critical, ErrorRate, 0.05).window(minutes),
            Self::new("many slow statements", Critical, SlowStatements, 10.0),
            Self::new("many waits given up", Critical, PoolTimeouts, 100.0).window(hour),
        ]
    }

    /// Sets [`window`](Self::window).
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets [`hold`](Self::hold).
    #[must_use]
    pub fn hold(mut self, hold: Duration) -> Self {
        self.hold = hold;
        self
    }

    /// Sets [`resolve_below`](Self::resolve_below).
    #[must_use]
    pub fn resolve_below(mut self, value: f64) -> Self {
        self.resolve_below = value;
        self
    }

    /// Sets [`resolve_after`](Self::resolve_after).
    #[must_use]
    pub fn resolve_after(mut self, after: Duration) -> Self {
        self.resolve_after = after;
        self
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if !(self.threshold.is_finite() && self.threshold >= 0.0) {
            return Err(Error::config("alert threshold", self.threshold, "a number that is not negative"));
        }
        if !(self.resolve_below.is_finite() && self.resolve_below <= self.threshold) {
            return Err(Error::config("alert resolve_below", self.resolve_below, "at most the threshold"));
        }
        if self.window < Duration::from_secs(1) || self.window > Self::LONGEST {
            return Err(Error::config("alert window", format!("{:?}", self.window), "1 s to 24 h"));
        }
        Ok(())
    }
}
