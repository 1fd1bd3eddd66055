//! Telling the hooks, whatever happens to the statement.

use std::{
    fmt,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use sea_orm::Values;

#[cfg(feature = "metrics")]
use super::metrics::PoolLabels;
use super::{
    Alerts, Completion, History, NPlusOneDetector, SqlHook, StatementInfo, StatementKind, StatementOutcome,
    StatementStatistics,
    fingerprint::{Dialect, Endpoint, Fingerprint, Fingerprints},
    spans::{self, StatementSpan},
};
use crate::error::Error;

/// The hooks of a database, in the order in which they were added.
#[derive(Clone)]
pub(crate) struct Hooks(Arc<Registered>);

struct Registered {
    list: Vec<Arc<dyn SqlHook>>,
    needs_values: bool,
    fingerprints: Fingerprints,
    watchers: Watchers,
}

/// The crate's own hooks that are asked for what they know. Those that are switched off are not in the list.
pub(crate) struct Watchers {
    pub(crate) statements: StatementStatistics,
    pub(crate) repeated_queries: NPlusOneDetector,
    pub(crate) alerts: Alerts,
    pub(crate) history: History,
    /// The labels of the pool's metrics, when they are switched on.
    #[cfg(feature = "metrics")]
    pub(crate) metrics: Option<PoolLabels>,
}

impl Hooks {
    pub(crate) fn new(list: Vec<Arc<dyn SqlHook>>, dialect: Dialect, endpoint: Endpoint, watchers: Watchers) -> Self {
        let needs_values = list.iter().filter_map(|hook| undisturbed(|| hook.needs_values())).any(|needs| needs);
        let fingerprints = Fingerprints::new(dialect, endpoint);
        Self(Arc::new(Registered { list, needs_values, fingerprints, watchers }))
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    fn each(&self, call: impl Fn(&dyn SqlHook)) {
        for hook in &self.0.list {
            undisturbed(|| call(hook.as_ref()));
        }
    }

    /// Tells the hooks that no more statements of the session come.
    pub(crate) fn session_ended(&self, session: u64) {
        self.each(|hook| hook.session_ended(session));
    }
}

/// What `call` gives, unless it panics: the statement belongs to the caller, and a broken observer must not take it down.
fn undisturbed<T>(call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(given) => Some(given),
        Err(payload) => {
            // What it panicked with may do so once more when it is dropped.
            if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                std::mem::forget(again);
            }
            tracing::error!(target: "sea_dao::hooks", "an SQL hook panicked");
            None
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.list.len())
    }
}

/// One statement under observation, from just before it is sent. Dropped before it has [arrived](Self::arrived), it
/// reports a cancellation.
#[derive(Default)]
pub(crate) struct Observation(Option<Box<Observed>>);

struct Observed {
    hooks: Hooks,
    kind: StatementKind,
    sql: Arc<str>,
    values: Option<Values>,
    origin: Origin,
    fingerprint: OnceLock<Arc<Fingerprint>>,
    span: StatementSpan,
    /// Since when the database is waited for, while it is.
    since: Option<Instant>,
    /// For how long it was waited for before that.
    executed: Duration,
    arrived: Option<Arrived>,
}

#[derive(Clone, Copy)]
struct Arrived {
    at: Instant,
    rows: u64,
}

/// Whose statement it is, and what came before it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin {
    pub(crate) session: Option<u64>,
    pub(crate) transaction: Option<u64>,
    pub(crate) location: Option<&'static Location<'static>>,
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
        if hooks.0.list.is_empty() && !spans::is_enabled() {
            return Self(None);
        }
        let values = if hooks.0.needs_values { values.cloned() } else { None };
        let fingerprint = OnceLock::new();
        let info = StatementInfo::new(kind, sql, values.as_ref(), origin, (&hooks.0.fingerprints, &fingerprint));
        let span = StatementSpan::start(&info);
        hooks.each(|hook| hook.before(&info));
        Self(Some(Box::new(Observed {
            hooks: hooks.clone(),
            kind,
            sql: sql.clone(),
            values,
            origin,
            fingerprint,
            span,
            since: Some(Instant::now()),
            executed: Duration::ZERO,
            arrived: None,
        })))
    }

    /// The caller has a row and does something with it: its time is not the database's.
    pub(crate) fn pause(&mut self) {
        if let Some(observed) = &mut self.0 {
            observed.stop();
        }
    }

    /// The caller wants the next row.
    pub(crate) fn resume(&mut self) {
        if let Some(observed) = &mut self.0 {
            observed.since = Some(Instant::now());
        }
    }

    /// The answer was read to its end. It is reported when the observation is dropped.
    pub(crate) fn arrived(&mut self, rows: u64) {
        if let Some(observed) = &mut self.0 {
            let at = observed.stop();
            observed.arrived = Some(Arrived { at, rows });
        }
    }

    /// The rows that have arrived were turned into the caller's type.
    pub(crate) fn decoded(mut self) {
        if let Some(mut observed) = self.0.take() {
            let decode = observed.arrived.map(|arrived| arrived.at.elapsed());
            observed.succeeded(decode);
        }
    }

    pub(crate) fn failed(mut self, error: &Error) {
        if let Some(mut observed) = self.0.take() {
            observed.stop();
            observed.report(None, None, Completion::Failed(error));
        }
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if let Some(mut observed) = self.0.take() {
            observed.succeeded(None);
        }
    }
}

impl Observed {
    /// The database is not waited for any more, from now on.
    fn stop(&mut self) -> Instant {
        let now = Instant::now();
        if let Some(since) = self.since.take() {
            self.executed += now - since;
        }
        now
    }

    fn succeeded(&mut self, decode: Option<Duration>) {
        match self.arrived {
            Some(arrived) => self.report(Some(arrived.rows), decode, Completion::Succeeded),
            None => {
                self.stop();
                self.report(None, None, Completion::Cancelled);
            }
        }
    }

    fn report(&self, rows: Option<u64>, decode: Option<Duration>, completion: Completion<'_>) {
        let Self { hooks, kind, sql, values, origin, fingerprint, span, executed, .. } = self;
        let info = StatementInfo::new(*kind, sql, values.as_ref(), *origin, (&hooks.0.fingerprints, fingerprint));
        let outcome = StatementOutcome { wait: origin.wait, execute: *executed, decode, rows, completion };
        hooks.each(|hook| hook.after(&info, &outcome));
        span.end(&info, &outcome);
    }
}
