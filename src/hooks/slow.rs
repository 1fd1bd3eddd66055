//! The slow-SQL log.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use sea_orm::{Value, Values};

use super::{Completion, SqlHook, StatementInfo, StatementOutcome};

/// How bound values appear in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ValueDisplay {
    /// Not at all: they may be personal data.
    #[default]
    Hidden,
    /// In place of their placeholders, each cut after so many characters.
    Cut(usize),
    /// In place of their placeholders, so that the SQL can be copied into the database's console.
    Shown,
}

/// Logs each statement that took longer than a threshold, as a `tracing` warning with target `sea_dao::slow_sql`.
///
/// What counts is the time in the database, [`StatementOutcome::execute`]. Statements with the same
/// [fingerprint](StatementInfo::fingerprint) are logged once in [`interval`](Self::interval); the next one that is logged
/// says how many were not.
#[derive(Debug)]
pub struct SlowSqlLog {
    threshold: Duration,
    values: ValueDisplay,
    interval: Duration,
    logged: Mutex<HashMap<u64, Logged>>,
}

/// What was said of a fingerprint.
#[derive(Debug)]
struct Logged {
    at: Instant,
    suppressed: u64,
}

impl SlowSqlLog {
    /// Beyond it, the fingerprint that was logged longest ago makes room.
    const MOST: usize = 1_000;

    /// Logs statements that took at least `threshold`, without their values, each fingerprint at most once in 10 s.
    #[must_use]
    pub fn new(threshold: Duration) -> Self {
        let interval = Duration::from_secs(10);
        Self { threshold, values: ValueDisplay::default(), interval, logged: Mutex::default() }
    }

    /// Says how bound values appear.
    #[must_use]
    pub fn values(mut self, values: ValueDisplay) -> Self {
        self.values = values;
        self
    }

    /// Statements with the same fingerprint are logged at most once in `interval`; zero: each of them.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How many were not logged since the last one that was, when this one is to be.
    fn admit(&self, fingerprint: u64, now: Instant) -> Option<u64> {
        if self.interval.is_zero() {
            return Some(0);
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = logged.get_mut(&fingerprint) {
            if now.saturating_duration_since(earlier.at) < self.interval {
                earlier.suppressed += 1;
                return None;
            }
            earlier.at = now;
            return Some(std::mem::take(&mut earlier.suppressed));
        }
        if logged.len() >= Self::MOST
            && let Some(oldest) = logged.iter().min_by_key(|(_, logged)| logged.at).map(|(id, _)| *id)
        {
            logged.remove(&oldest);
        }
        logged.insert(fingerprint, Logged { at: now, suppressed: 0 });
        Some(0)
    }
}

impl SqlHook for SlowSqlLog {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        if outcome.execute < self.threshold {
            return;
        }
        let Some(suppressed) = self.admit(statement.fingerprint().id, Instant::now()) else { return };
        let text = Text::of(statement, outcome, self.values);
        tracing::warn!(
            target: "sea_dao::slow_sql",
            kind = %statement.kind,
            execute_ms = milliseconds(outcome.execute),
            wait_ms = milliseconds(outcome.wait),
            decode_ms = outcome.decode.map(milliseconds),
            rows = outcome.rows,
            error = text.error,
            session = statement.session,
            transaction = statement.transaction,
            location = text.location,
            suppressed = (suppressed > 0).then_some(suppressed),
            "{}: {}{}",
            text.completion,
            text.sql,
            if suppressed > 0 { format!(" ({suppressed} more suppressed)") } else { String::new() }
        );
    }

    fn needs_values(&self) -> bool {
        self.values != ValueDisplay::Hidden
    }
}

/// Logs every statement, as a `tracing` event of level INFO with target `sea_dao::sql`.
#[derive(Debug, Clone, Copy)]
pub struct EchoLog {
    values: ValueDisplay,
}

impl EchoLog {
    /// With bound values shown like this.
    #[must_use]
    pub fn new(values: ValueDisplay) -> Self {
        Self { values }
    }
}

impl SqlHook for EchoLog {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let text = Text::of(statement, outcome, self.values);
        tracing::info!(
            target: "sea_dao::sql",
            kind = %statement.kind,
            execute_ms = milliseconds(outcome.execute),
            wait_ms = milliseconds(outcome.wait),
            decode_ms = outcome.decode.map(milliseconds),
            rows = outcome.rows,
            error = text.error,
            session = statement.session,
            transaction = statement.transaction,
            location = text.location,
            "{}: {}",
            text.completion,
            text.sql
        );
    }

    fn needs_values(&self) -> bool {
        self.values != ValueDisplay::Hidden
    }
}

/// A statement as it is logged.
struct Text {
    completion: &'static str,
    error: Option<String>,
    location: Option<String>,
    sql: String,
}

impl Text {
    fn of(statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>, values: ValueDisplay) -> Self {
        let (completion, error) = match outcome.completion {
            Completion::Succeeded => ("succeeded", None),
            Completion::Failed(error) if values == ValueDisplay::Shown => ("failed", Some(error.to_string())),
            // Some databases quote the offending values in their messages.
            Completion::Failed(error) => ("failed", error.class().map(|class| format!("{class:?}"))),
            Completion::Cancelled => ("cancelled", None),
        };
        let sql = match (values, statement.values) {
            (ValueDisplay::Hidden, _) | (_, None) => statement.sql.to_owned(),
            (ValueDisplay::Shown, Some(given)) => statement.inlined_with(given),
            (ValueDisplay::Cut(length), Some(given)) => {
                let shown = |value: &Value| cut(value, length, || statement.literal(value));
                statement.inlined_with(&Values(given.0.iter().map(shown).collect()))
            }
        };
        Self { completion, error, location: statement.location.map(ToString::to_string), sql }
    }
}

fn cut(value: &Value, length: usize, literal: impl Fn() -> String) -> Value {
    let text = match value {
        Value::Bytes(Some(bytes)) => return bytes[..bytes.len().min(length)].to_vec().into(),
        Value::String(Some(text)) => text.clone(),
        Value::Char(Some(_)) => return value.clone(),
        _ => literal(),
    };
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => value.clone(),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::SlowSqlLog;

    #[test]
    fn a_fingerprint_is_logged_once_in_an_interval() {
        let log = SlowSqlLog::new(Duration::ZERO).interval(Duration::from_secs(10));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.admit(1, at(0)), Some(0));
        assert_eq!(log.admit(1, at(1)), None);
        assert_eq!(log.admit(2, at(1)), Some(0), "another one");
        assert_eq!(log.admit(1, at(9)), None);
        assert_eq!(log.admit(1, at(10)), Some(2), "the two in between");
        assert_eq!(log.admit(1, at(19)), None);
        assert_eq!(log.admit(1, at(20)), Some(1));
    }

    #[test]
    fn its_memory_is_bounded() {
        let log = SlowSqlLog::new(Duration::ZERO);
        let start = Instant::now();
        for id in 0..3 * SlowSqlLog::MOST as u64 {
            assert_eq!(log.admit(id, start + Duration::from_nanos(id)), Some(0));
        }
        assert_eq!(log.logged.lock().expect("not poisoned").len(), SlowSqlLog::MOST);
        let newest = 3 * SlowSqlLog::MOST as u64 - 1;
        assert_eq!(log.admit(newest, start + Duration::from_secs(1)), None, "the newest ones stay");
    }
}
