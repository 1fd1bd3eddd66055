//! No spans: without the cargo feature `tracing-spans`.

use super::{StatementInfo, StatementOutcome};
use crate::error::ErrorClass;

pub(super) fn is_enabled() -> bool {
    false
}

pub(super) struct StatementSpan;

impl StatementSpan {
    pub(super) fn start(_: &StatementInfo<'_>) -> Self {
        Self
    }

    pub(super) fn end(&self, _: &StatementInfo<'_>, _: &StatementOutcome<'_>) {}
}

pub(crate) struct TransactionSpan;

impl TransactionSpan {
    pub(crate) fn none() -> Self {
        Self
    }

    pub(crate) fn begin(_: Option<u64>, _: u64) -> Self {
        Self
    }

    pub(crate) fn end(&mut self, _: &'static str, _: Option<ErrorClass>) {}
}
