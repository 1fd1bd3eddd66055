//! A hook that keeps what it is told.

use std::{
    panic::Location,
    sync::{Arc, Mutex},
    time::Duration,
};

use sea_dao::{
    error::ErrorClass,
    hooks::{Completion, Fingerprint, SqlHook, StatementInfo, StatementKind, StatementOutcome},
};

/// A hook that keeps what it is told. Clones share their record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    begun: usize,
    seen: Vec<Seen>,
}

/// One statement that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) kind: StatementKind,
    pub(crate) sql: String,
    pub(crate) ended: Ended,
    pub(crate) rows: Option<u64>,
    pub(crate) has_values: bool,
    pub(crate) session: Option<u64>,
    pub(crate) transaction: Option<u64>,
    pub(crate) location: Option<&'static Location<'static>>,
    pub(crate) fingerprint: Arc<Fingerprint>,
    pub(crate) wait: Duration,
    pub(crate) execute: Duration,
    pub(crate) decode: Option<Duration>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Succeeded,
    Failed(Option<ErrorClass>),
    Cancelled,
}

impl Recorder {
    /// What has ended since the last call.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock().expect("not poisoned").seen)
    }

    pub(crate) fn forget(&self) {
        *self.0.lock().expect("not poisoned") = Record::default();
    }

    /// The kinds of what has ended since the last call.
    pub(crate) fn take_kinds(&self) -> Vec<StatementKind> {
        self.take().into_iter().map(|seen| seen.kind).collect()
    }

    /// How many queries have ended since the last call; a ping is none.
    pub(crate) fn take_queries(&self) -> usize {
        self.take_kinds().into_iter().filter(|kind| *kind == StatementKind::Query).count()
    }

    /// How many statements were begun since [`forget`](Self::forget).
    pub(crate) fn begun(&self) -> usize {
        self.0.lock().expect("not poisoned").begun
    }
}

impl SqlHook for Recorder {
    fn before(&self, _statement: &StatementInfo<'_>) {
        self.0.lock().expect("not poisoned").begun += 1;
    }

    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let ended = match outcome.completion {
            Completion::Succeeded => Ended::Succeeded,
            Completion::Failed(error) => Ended::Failed(error.class()),
            Completion::Cancelled => Ended::Cancelled,
        };
        self.0.lock().expect("not poisoned").seen.push(Seen {
            kind: statement.kind,
            sql: statement.sql.to_owned(),
            ended,
            rows: outcome.rows,
            has_values: statement.values.is_some(),
            session: statement.session,
            transaction: statement.transaction,
            location: statement.location,
            fingerprint: statement.fingerprint().clone(),
            wait: outcome.wait,
            execute: outcome.execute,
            decode: outcome.decode,
        });
    }
}
