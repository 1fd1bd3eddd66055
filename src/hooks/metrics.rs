//! Figures of each statement through the [`metrics`] facade. The names are in `docs/watching.md`.

use std::{sync::Arc, time::Duration};

use metrics::{Label, SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};

use super::{Access, SqlHook, StatementInfo, StatementOutcome, fingerprint::Endpoint};

/// Boundaries that OpenTelemetry advises for the histograms in seconds, for exporters that need some.
pub const DURATION_BUCKETS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The labels that all metrics of one pool have.
#[derive(Debug, Clone)]
pub(crate) struct PoolLabels(Arc<[Label]>);

impl PoolLabels {
    pub(crate) fn new(pool: &str, system: &'static str, endpoint: &Endpoint) -> Self {
        let mut labels = vec![
            Label::new("db.client.connection.pool.name", pool.to_owned()),
            Label::from_static_parts("db.system.name", system),
        ];
        let Endpoint { address, port, namespace } = endpoint;
        labels.extend(address.as_ref().map(|address| Label::new("server.address", address.to_string())));
        labels.extend(port.map(|port| Label::new("server.port", port.to_string())));
        labels.extend(namespace.as_ref().map(|namespace| Label::new("db.namespace", namespace.to_string())));
        Self(labels.into())
    }

    pub(crate) fn with(&self, more: impl IntoIterator<Item = (&'static str, SharedString)>) -> Vec<Label> {
        self.0.iter().cloned().chain(more.into_iter().map(|(name, value)| Label::new(name, value))).collect()
    }
}

/// Records the figures of each statement.
pub(crate) struct StatementMetrics {
    labels: PoolLabels,
    slow: Duration,
}

impl StatementMetrics {
    pub(crate) fn new(labels: PoolLabels, slow: Duration) -> Self {
        describe();
        Self { labels, slow }
    }
}

impl SqlHook for StatementMetrics {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let fingerprint = statement.fingerprint();
        let operation = SharedString::from(fingerprint.operation.to_string());
        let mut labels = self.labels.with([("db.operation.name", operation)]);
        if let [table] = &*fingerprint.tables {
            labels.push(Label::new("db.collection.name", table.clone()));
        }
        if let Some(rows) = outcome.rows
            && fingerprint.access == Access::Read
        {
            histogram!("db.client.response.returned_rows", labels.clone()).record(rows as f64);
        }
        if outcome.execute >= self.slow {
            counter!("sea_dao.statements.slow", labels.clone()).increment(1);
        }
        labels.extend(statement.status_code(outcome).map(|code| Label::new("db.response.status_code", code)));
        labels.extend(outcome.error_type().map(|kind| Label::from_static_parts("error.type", kind)));
        histogram!("db.client.operation.duration", labels).record(outcome.execute.as_secs_f64());
    }
}

/// Tells the exporter what each metric is. Once for each pool: the exporter may have been installed in between.
fn describe() {
    describe_histogram!("db.client.operation.duration", Unit::Seconds, "Time of statements in the database");
    describe_histogram!("db.client.response.returned_rows", Unit::Count, "Rows returned by a query");
    describe_counter!("sea_dao.statements.slow", Unit::Count, "Statements that took longer than the threshold");
    describe_gauge!("db.client.connection.count", Unit::Count, "Open connections by state");
    describe_gauge!("db.client.connection.max", Unit::Count, "The most connections that may be open");
    describe_gauge!("db.client.connection.idle.max", Unit::Count, "The most connections that are kept open");
    describe_gauge!("db.client.connection.pending_requests", Unit::Count, "Callers that wait for a connection");
    describe_counter!("db.client.connection.timeouts", Unit::Count, "Waits for a connection that were given up");
    describe_histogram!("db.client.connection.create_time", Unit::Seconds, "Time to open a connection");
    describe_histogram!("db.client.connection.wait_time", Unit::Seconds, "Time waited for a connection");
    describe_histogram!("db.client.connection.use_time", Unit::Seconds, "Time between checkout and return");
    describe_counter!("sea_dao.connection.opened", Unit::Count, "Connections opened");
    describe_counter!("sea_dao.connection.closed", Unit::Count, "Connections closed, by reason");
    describe_counter!("sea_dao.connection.invalidations", Unit::Count, "Failures that made all connections suspect");
    describe_counter!("sea_dao.connection.leaks", Unit::Count, "Connections reported as leaked");
}
