//! The slow-SQL log.

use std::time::Duration;

use super::{Completion, SqlHook, StatementInfo, StatementOutcome};

/// How bound values appear in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ValueDisplay {
    /// Not at all: they may be personal data.
    #[default]
    Hidden,
    /// Each one, cut after so many characters.
    Cut(usize),
    /// In full.
    Shown,
}

/// Logs each statement that took longer than a threshold, as a `tracing` warning with target `sea_dao::slow_sql`.
///
/// With a threshold of zero it logs every statement.
#[derive(Debug, Clone, Copy)]
pub struct SlowSqlLog {
    threshold: Duration,
    values: ValueDisplay,
}

impl SlowSqlLog {
    /// Logs statements that took at least `threshold`, without their values.
    #[must_use]
    pub fn new(threshold: Duration) -> Self {
        Self { threshold, values: ValueDisplay::default() }
    }

    /// Says how bound values appear.
    #[must_use]
    pub fn values(mut self, values: ValueDisplay) -> Self {
        self.values = values;
        self
    }

    fn describe_values(&self, statement: &StatementInfo<'_>) -> Option<String> {
        let values = &statement.values?.0;
        let cut = match self.values {
            ValueDisplay::Hidden => return None,
            ValueDisplay::Cut(length) => length,
            ValueDisplay::Shown => usize::MAX,
        };
        let shown = values.iter().map(|value| {
            let text = value.to_string();
            match text.char_indices().nth(cut) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        });
        Some(shown.collect::<Vec<_>>().join(", "))
    }
}

impl SqlHook for SlowSqlLog {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        if outcome.elapsed < self.threshold {
            return;
        }
        let (completion, error) = match outcome.completion {
            Completion::Succeeded => ("succeeded", None),
            // Some databases quote the offending values in their messages.
            Completion::Failed(error) if self.values == ValueDisplay::Hidden => {
                ("failed", error.class().map(|class| format!("{class:?}")))
            }
            Completion::Failed(error) => ("failed", Some(error.to_string())),
            Completion::Cancelled => ("cancelled", None),
        };
        tracing::warn!(
            target: "sea_dao::slow_sql",
            kind = %statement.kind,
            elapsed_ms = outcome.elapsed.as_secs_f64() * 1e3,
            wait_ms = outcome.wait.as_secs_f64() * 1e3,
            rows = outcome.rows,
            values = self.describe_values(statement),
            error,
            session = statement.session,
            transaction = statement.transaction,
            "{completion}: {}",
            statement.sql
        );
    }

    fn needs_values(&self) -> bool {
        self.values != ValueDisplay::Hidden
    }
}
