//! What the page is told. Times are in milliseconds.

use std::{
    collections::HashSet,
    fmt::Display,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    backend::sql_dialect,
    hooks::{
        Alert, Distribution, HistoryPoint, PastAlert, Quantiles, RepeatedQuery, SlowStatement, StatementFigures,
        StatementOrder,
    },
    pool::Holder,
    session::Database,
};

/// So many of each kind are told.
const MOST: usize = 100;
/// So many of the statements that lead in each order.
const LEADING: usize = 25;

/// When the page was made; what tells it from that of another process.
pub(super) struct Started {
    at: SystemTime,
    clock: Instant,
}

impl Started {
    pub(super) fn now() -> Self {
        Self { at: SystemTime::now(), clock: Instant::now() }
    }

    /// A number that tells this page's points from those of the page before.
    pub(super) fn number(&self) -> u64 {
        self.at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }
}

/// All figures but the points of the charts.
pub(super) fn figures(databases: &[(String, Database)], started: &Started) -> String {
    let databases: Vec<_> = databases.iter().map(|(name, database)| database_figures(name, database)).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started": started.number(),
        "uptime_seconds": started.clock.elapsed().as_secs(),
        "now": since_epoch(SystemTime::now()),
        "databases": databases,
    })
    .to_string()
}

fn database_figures(name: &str, database: &Database) -> Value {
    let status = database.status();
    let counters = database.counters();
    let closed: Vec<_> =
        counters.closed.iter().map(|(reason, count)| json!({ "reason": reason.to_string(), "count": count })).collect();
    let statements = database.statements();
    let snapshot = statements.snapshot();
    let (calls, dropped, fingerprints) = (snapshot.calls(), snapshot.dropped, snapshot.statements.len());
    let repeated = database.repeated_queries();
    let history = database.history();
    let rules = database.alert_rules();
    json!({
        "name": name,
        "system": sql_dialect(database.backend()).system,
        "pool": status,
        "usage": status.usage(),
        "counters": {
            "opened": counters.opened,
            "closed": closed,
            "checkouts": counters.checkouts,
            "timeouts": counters.timeouts,
            "invalidations": counters.invalidations,
            "leaks": counters.leaks,
            "wait": distribution(&counters.wait),
            "usage": distribution(&counters.usage),
        },
        "holders": database.holders().iter().take(MOST).map(holder).collect::<Vec<_>>(),
        "alerts": {
            "on": rules > 0,
            "rules": rules,
            "firing": database.alerts().iter().map(alert).collect::<Vec<_>>(),
            "past": history.alerts().iter().map(past_alert).collect::<Vec<_>>(),
        },
        "statements": {
            "on": statements.is_enabled(),
            "calls": calls,
            "fingerprints": fingerprints,
            "dropped": dropped,
            "list": leading(snapshot.statements).iter().map(statement).collect::<Vec<_>>(),
        },
        "slow": {
            "on": history.is_enabled(),
            "threshold": milliseconds(history.slow_threshold()),
            "list": history.slow().iter().map(slow).collect::<Vec<_>>(),
        },
        "repeated": {
            "on": repeated.is_enabled(),
            "limit": repeated.limit(),
            "list": repeated.found().iter().take(MOST).map(repeated_query).collect::<Vec<_>>(),
        },
        "history": history.is_enabled(),
    })
}

/// The points of the charts that are new, for each database; `told` is the number of the last one told.
pub(super) fn points(databases: &[(String, Database)], told: &mut [u64]) -> String {
    let points: Vec<Vec<Value>> = databases
        .iter()
        .zip(told)
        .map(|((_, database), told)| {
            let points = database.history().points_after(*told);
            *told = points.last().map_or(*told, |last| last.number);
            points.iter().map(point).collect()
        })
        .collect();
    Value::from(points).to_string()
}

/// Those that lead in any order; all, when they are few.
fn leading(mut statements: Vec<StatementFigures>) -> Vec<StatementFigures> {
    if statements.len() > MOST {
        use StatementOrder::{Calls, Errors, Max, Mean, P95, P99, Rows, Total};
        let mut leading = HashSet::new();
        for order in [Total, Mean, P95, P99, Max, Calls, Errors, Rows] {
            statements.sort_by_key(|figures| std::cmp::Reverse(order.of(figures)));
            leading.extend(statements.iter().take(LEADING).map(|figures| figures.fingerprint.id));
        }
        statements.retain(|figures| leading.contains(&figures.fingerprint.id));
    }
    statements.sort_by_key(|figures| std::cmp::Reverse(figures.total));
    statements
}

fn statement(figures: &StatementFigures) -> Value {
    let StatementFigures { fingerprint, execute, .. } = figures;
    json!({
        "id": hexadecimal(fingerprint.id),
        "sql": fingerprint.text,
        "calls": figures.calls,
        "errors": figures.errors,
        "cancelled": figures.cancelled,
        "rows": figures.rows,
        "total": milliseconds(figures.total),
        "wait": milliseconds(figures.wait),
        "mean": milliseconds(execute.mean),
        "p50": milliseconds(execute.p50),
        "p95": milliseconds(execute.p95),
        "p99": milliseconds(execute.p99),
        "max": milliseconds(execute.max),
        "at": figures.slowest_at,
    })
}

fn slow(one: &SlowStatement) -> Value {
    json!({
        "id": format!("{}-{}", since_epoch(one.at), hexadecimal(one.fingerprint.id)),
        "when": since_epoch(one.at),
        "sql": one.fingerprint.text,
        "kind": one.kind.to_string(),
        "execute": milliseconds(one.execute),
        "wait": milliseconds(one.wait),
        "rows": one.rows,
        "error": one.error,
        "session": one.session,
        "transaction": one.transaction,
        "at": text(one.location),
    })
}

fn repeated_query(query: &RepeatedQuery) -> Value {
    json!({
        "id": hexadecimal(query.fingerprint.id),
        "sql": query.fingerprint.text,
        "count": query.count,
        "sessions": query.sessions,
        "at": query.location,
    })
}

fn alert(alert: &Alert) -> Value {
    let Alert { rule, value, lasted } = alert;
    json!({
        "name": rule.name,
        "severity": rule.severity,
        "signal": rule.signal,
        "threshold": rule.threshold,
        "value": value,
        "lasted": milliseconds(*lasted),
    })
}

fn past_alert(past: &PastAlert) -> Value {
    let PastAlert { at, event } = past;
    json!({
        "id": format!("{}-{}", since_epoch(*at), event.rule.name),
        "when": since_epoch(*at),
        "state": event.state,
        "name": event.rule.name,
        "severity": event.rule.severity,
        "signal": event.rule.signal,
        "threshold": event.rule.threshold,
        "value": event.value,
        "lasted": milliseconds(event.lasted),
    })
}

fn holder(holder: &Holder) -> Value {
    json!({ "at": holder.location.to_string(), "held": milliseconds(holder.held_for()) })
}

/// In the order in which `page.js` names them.
fn point(point: &HistoryPoint) -> Value {
    let HistoryPoint { execute, wait, .. } = point;
    let quantiles = |of: &Quantiles| [of.p50, of.p95, of.max].map(milliseconds);
    json!([
        point.number,
        since_epoch(point.at),
        milliseconds(point.lasted),
        point.statements,
        point.errors,
        point.cancelled,
        point.slow,
        point.timeouts,
        quantiles(execute),
        quantiles(wait),
        point.checked_out,
        point.idle,
        point.waiting,
    ])
}

fn distribution(of: &Distribution) -> impl Serialize + use<> {
    json!({
        "count": of.count,
        "mean": milliseconds(of.mean),
        "p50": milliseconds(of.p50),
        "p95": milliseconds(of.p95),
        "p99": milliseconds(of.p99),
        "max": milliseconds(of.max),
    })
}

/// To a microsecond.
fn milliseconds(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1e3
}

fn since_epoch(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

fn hexadecimal(id: u64) -> String {
    format!("{id:016x}")
}

fn text(shown: Option<impl Display>) -> Option<String> {
    shown.map(|shown| shown.to_string())
}
