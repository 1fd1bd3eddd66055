//! What is kept of the past.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::Serialize;

use crate::hooks::{AlertEvent, Fingerprint, StatementKind};

/// One second, more or less.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HistoryPoint {
    /// Counts up from 1.
    pub number: u64,
    /// When it ended.
    pub at: SystemTime,
    /// How long it was: at least half a second, and more than one when the process had no time for more.
    pub lasted: Duration,
    /// Statements that ended in it.
    pub statements: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those that were dropped before their end.
    pub cancelled: u64,
    /// Those that took at least the threshold of the slow-SQL log, or 500 ms without one.
    pub slow: u64,
    /// Callers that gave up waiting for a connection.
    pub timeouts: u64,
    /// The times of the statements in the database.
    pub execute: Quantiles,
    /// The waits for connections, those that were given up included.
    pub wait: Quantiles,
    /// Connections in use at its end.
    pub checked_out: usize,
    /// Connections ready to be handed out at its end.
    pub idle: usize,
    /// Callers that waited for a connection at its end.
    pub waiting: usize,
}

/// Where the durations of one second lie: the longest exactly, the others to an eighth. All zero when there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Quantiles {
    /// Half were at most this long.
    pub p50: Duration,
    /// 95 of 100 were at most this long.
    pub p95: Duration,
    /// The longest.
    pub max: Duration,
}

/// A statement that was slow.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlowStatement {
    /// When it ended.
    pub at: SystemTime,
    /// What it has in common with others that differ only in their values; these are not kept.
    pub fingerprint: Arc<Fingerprint>,
    /// How it was sent.
    pub kind: StatementKind,
    /// The wait for its connection.
    pub wait: Duration,
    /// Its time in the database.
    pub execute: Duration,
    /// Rows returned or affected, when it succeeded.
    pub rows: Option<u64>,
    /// Why it did not succeed, as [`StatementOutcome::error_type`](crate::hooks::StatementOutcome::error_type) says it.
    pub error: Option<&'static str>,
    /// The session.
    pub session: Option<u64>,
    /// The outermost transaction.
    pub transaction: Option<u64>,
    /// The line of the caller's that it came from.
    pub location: Option<&'static std::panic::Location<'static>>,
}

/// An alert that fired or was resolved.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PastAlert {
    /// When.
    pub at: SystemTime,
    /// What was told.
    #[serde(flatten)]
    pub event: AlertEvent,
}
