//! Watching statements: hooks, the slow-SQL log, statistics, repeated queries, alerts, metrics and spans.
//!
#![doc = include_str!("../../docs/watching.md")]

mod alerts;
mod distribution;
mod fingerprint;
mod history;
#[cfg(feature = "metrics")]
mod metrics;
mod n_plus_one;
mod observe;
mod slow;
#[cfg_attr(not(feature = "tracing-spans"), path = "no_spans.rs")]
mod spans;
mod statement;
mod statistics;

pub use alerts::{Alert, AlertEvent, AlertRule, AlertSignal, AlertState, Severity};
pub use distribution::Distribution;
pub use fingerprint::{Access, Endpoint, Fingerprint};
pub use history::{History, HistoryPoint, PastAlert, Quantiles, SlowStatement};
#[cfg(feature = "metrics")]
pub use metrics::DURATION_BUCKETS;
pub use n_plus_one::{NPlusOneDetector, NPlusOneFound, RepeatedQuery, as_one_request};
pub use slow::{EchoLog, SlowSqlLog, ValueDisplay};
pub use statement::{Completion, SqlHook, StatementInfo, StatementKind, StatementOutcome, Target};
pub use statistics::{Dropped, StatementFigures, StatementOrder, StatementStatistics, StatementsSnapshot, Top};

pub(crate) use alerts::{AlertCallback, Alerts, Gauges};
pub(crate) use distribution::Durations;
pub(crate) use fingerprint::Dialect;
#[cfg(feature = "metrics")]
pub(crate) use metrics::{PoolLabels, StatementMetrics};
pub(crate) use observe::{Hooks, Observation, Origin, Watchers};
pub(crate) use spans::TransactionSpan;
