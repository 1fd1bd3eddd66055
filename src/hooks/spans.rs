//! One `tracing` span for each statement and each transaction, with OpenTelemetry's names for a database client:
//! <https://opentelemetry.io/docs/specs/semconv/database/database-spans/>.
//!
//! Their parent is the caller's span. A span lasts from just before the statement is sent until its answer is read, and
//! decoded where this crate does that; a transaction's from its BEGIN to its end.

use tracing::{Span, field::Empty};

use super::{Access, Completion, StatementInfo, StatementOutcome, fingerprint::Endpoint};
use crate::error::ErrorClass;

/// Whether a span of this crate would be seen by anybody.
pub(super) fn is_enabled() -> bool {
    tracing::span_enabled!(target: "sea_dao::statement", tracing::Level::INFO)
}

/// The span of one statement.
pub(super) struct StatementSpan(Span);

impl StatementSpan {
    pub(super) fn start(statement: &StatementInfo<'_>) -> Self {
        let span = tracing::info_span!(
            target: "sea_dao::statement",
            "db.client",
            otel.kind = "client",
            otel.name = Empty,
            otel.status_code = Empty,
            db.system.name = statement.system(),
            db.namespace = Empty,
            db.operation.name = Empty,
            db.collection.name = Empty,
            db.query.text = Empty,
            db.query.summary = Empty,
            db.response.returned_rows = Empty,
            db.response.status_code = Empty,
            error.type = Empty,
            server.address = Empty,
            server.port = Empty,
            code.file.path = Empty,
            code.line.number = Empty,
            sea_dao.session.id = statement.session,
            sea_dao.transaction.id = statement.transaction,
            sea_dao.wait = Empty,
            sea_dao.decode = Empty,
        );
        if !span.is_disabled() {
            describe(&span, statement);
        }
        Self(span)
    }

    pub(super) fn end(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let span = &self.0;
        if span.is_disabled() {
            return;
        }
        span.record("sea_dao.wait", outcome.wait.as_secs_f64());
        if let Some(decode) = outcome.decode {
            span.record("sea_dao.decode", decode.as_secs_f64());
        }
        if statement.fingerprint().access == Access::Read
            && let Some(rows) = outcome.rows
        {
            span.record("db.response.returned_rows", rows);
        }
        if let Some(kind) = outcome.error_type() {
            span.record("error.type", kind);
            if let Some(code) = statement.status_code(outcome) {
                span.record("db.response.status_code", code);
            }
            if matches!(outcome.completion, Completion::Failed(_)) {
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}

fn describe(span: &Span, statement: &StatementInfo<'_>) {
    let fingerprint = statement.fingerprint();
    let summary = fingerprint.summary();
    span.record("otel.name", &*summary);
    span.record("db.query.summary", &*summary);
    span.record("db.query.text", &*fingerprint.text);
    span.record("db.operation.name", &*fingerprint.operation);
    if let [table] = &*fingerprint.tables {
        span.record("db.collection.name", &**table);
    }
    if let Some(location) = statement.location {
        span.record("code.file.path", location.file());
        span.record("code.line.number", location.line());
    }
    let Endpoint { address, port, namespace } = statement.endpoint();
    if let Some(address) = address {
        span.record("server.address", &**address);
    }
    if let Some(port) = port {
        span.record("server.port", port);
    }
    if let Some(namespace) = namespace {
        span.record("db.namespace", &**namespace);
    }
}

/// The span of one transaction.
pub(crate) struct TransactionSpan(Option<Span>);

impl TransactionSpan {
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn begin(session: Option<u64>, transaction: u64) -> Self {
        Self(Some(tracing::info_span!(
            target: "sea_dao::transaction",
            "transaction",
            otel.kind = "internal",
            otel.status_code = Empty,
            sea_dao.session.id = session,
            sea_dao.transaction.id = transaction,
            sea_dao.transaction.end = Empty,
            error.type = Empty,
        )))
    }

    /// It was committed or rolled back, or that failed.
    pub(crate) fn end(&mut self, how: &'static str, failure: Option<ErrorClass>) {
        if let Some(span) = self.0.take() {
            span.record("sea_dao.transaction.end", how);
            if let Some(class) = failure {
                span.record("error.type", class.name());
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}
