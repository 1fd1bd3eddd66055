//! Telling the hooks, whatever happens to the statement.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use sea_orm::Values;

use super::{Completion, SqlHook, StatementInfo, StatementKind, StatementOutcome};
use crate::error::Error;

/// The hooks of a database, in the order in which they were added.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    list: Arc<[Arc<dyn SqlHook>]>,
    needs_values: bool,
}

impl Hooks {
    pub(crate) fn new(list: Vec<Arc<dyn SqlHook>>) -> Self {
        let needs_values = list.iter().any(|hook| hook.needs_values());
        Self { list: list.into(), needs_values }
    }

    fn each(&self, call: impl Fn(&dyn SqlHook)) {
        for hook in self.list.iter() {
            // The statement belongs to the caller; a broken observer must not take it down.
            if catch_unwind(AssertUnwindSafe(|| call(hook.as_ref()))).is_err() {
                tracing::error!(target: "sea_dao::hooks", "an SQL hook panicked");
            }
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.list.len())
    }
}

/// One statement under observation, from just before it is sent. Dropped unfinished, it reports a cancellation.
pub(crate) struct Observation(Option<Box<Observed>>);

struct Observed {
    hooks: Hooks,
    kind: StatementKind,
    sql: Arc<str>,
    values: Option<Values>,
    session: Option<u64>,
    transaction: Option<u64>,
    wait: Duration,
    sent: Instant,
}

/// Whose statement it is, and what came before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    pub(crate) session: Option<u64>,
    pub(crate) transaction: Option<u64>,
    pub(crate) wait: Duration,
}

impl Observation {
    pub(crate) fn start(
        hooks: &Hooks,
        kind: StatementKind,
        sql: &Arc<str>,
        values: Option<&Values>,
        origin: Origin,
    ) -> Self {
        if hooks.list.is_empty() {
            return Self(None);
        }
        let values = if hooks.needs_values { values.cloned() } else { None };
        let Origin { session, transaction, wait } = origin;
        let hooks = hooks.clone();
        let sql = sql.clone();
        let mut observed =
            Box::new(Observed { hooks, kind, sql, values, session, transaction, wait, sent: Instant::now() });
        observed.hooks.each(|hook| hook.before(&observed.info()));
        observed.sent = Instant::now();
        Self(Some(observed))
    }

    pub(crate) fn succeeded(mut self, rows: u64) {
        if let Some(observed) = self.0.take() {
            observed.report(Some(rows), Completion::Succeeded);
        }
    }

    pub(crate) fn failed(mut self, error: &Error) {
        if let Some(observed) = self.0.take() {
            observed.report(None, Completion::Failed(error));
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(observed) = self.0.take() {
            observed.report(None, Completion::Cancelled);
        }
    }
}

impl Observed {
    fn info(&self) -> StatementInfo<'_> {
        StatementInfo {
            kind: self.kind,
            sql: &self.sql,
            values: self.values.as_ref(),
            session: self.session,
            transaction: self.transaction,
        }
    }

    fn report(&self, rows: Option<u64>, completion: Completion<'_>) {
        let outcome = StatementOutcome { wait: self.wait, elapsed: self.sent.elapsed(), rows, completion };
        self.hooks.each(|hook| hook.after(&self.info(), &outcome));
    }
}
