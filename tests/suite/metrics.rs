//! Metrics as a Prometheus server would read them, and spans as a tracing backend would.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use prometheus_parse::{Sample, Scrape, Value};
use sea_dao::{Database, Error, Result, hooks::DURATION_BUCKETS};
use tracing::{Subscriber, field::Field, span};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::LookupSpan,
};

use crate::support::{TestDb, count_users, eventually, insert_user, nonce, poll_times, slow_query, usernames};

for_each_backend!(
    prometheus_reads_the_figures_of_statements,
    prometheus_reads_the_figures_of_the_pool,
    each_statement_and_transaction_is_a_span_of_the_callers,
    a_span_tells_how_a_transaction_ended,
);

/// One for the process, as in a program.
fn exporter() -> &'static PrometheusHandle {
    static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();
    EXPORTER.get_or_init(|| {
        let builder = PrometheusBuilder::new().with_recommended_naming(true);
        let builder = builder.set_buckets_for_metric(Matcher::Suffix("duration".to_owned()), &DURATION_BUCKETS);
        builder.unwrap().install_recorder().unwrap()
    })
}

/// A pool whose metrics have this name, and what Prometheus has of it.
async fn metered(db: &TestDb, name: &'static str) -> (Database, impl Fn() -> Vec<Sample>) {
    let exporter = exporter();
    let pool = db.open(|config| config.pool_timeout(Duration::from_secs(2)).metrics(name)).await;
    let read = move || {
        let text = exporter.render();
        let lines: Vec<_> = text.lines().map(|line| Ok(line.to_owned())).collect();
        let scrape = Scrape::parse(lines.into_iter()).unwrap();
        let told = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count();
        assert!(!scrape.samples.is_empty() && scrape.samples.len() <= told, "{text}");
        let is_ours = |sample: &Sample| sample.labels.get("db_client_connection_pool_name") == Some(name);
        scrape.samples.into_iter().filter(is_ours).collect()
    };
    (pool, read)
}

/// The value of the only sample with this name and these labels.
fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let fits = |sample: &&Sample| {
        sample.metric == name && labels.iter().all(|(label, value)| sample.labels.get(label) == Some(value))
    };
    match &samples.iter().find(fits)?.value {
        Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => Some(*value),
        Value::Histogram(buckets) => buckets.last().map(|bucket| bucket.count),
        Value::Summary(_) => None,
    }
}

async fn prometheus_reads_the_figures_of_statements(db: TestDb) {
    let name = match db.backend() {
        sea_orm::DbBackend::Postgres => "statements-postgres",
        sea_orm::DbBackend::MySql => "statements-mariadb",
        _ => "statements-sqlite",
    };
    let (pool, read) = metered(&db, name).await;
    for _ in 0..3 {
        usernames(&pool).await;
    }
    insert_user(&pool, "a").await.unwrap();
    insert_user(&pool, "a").await.unwrap_err();
    assert!(poll_times(slow_query(&pool), 1).await.is_none());
    let samples = read();
    let count = |labels: &[(&str, &str)]| value(&samples, "db_client_operation_duration_seconds", labels);
    let select = [("db_operation_name", "SELECT"), ("db_collection_name", "user")];
    assert!(count(&select).is_some_and(|count| count >= 3.0), "{samples:#?}");
    assert_eq!(count(&[("db_operation_name", "INSERT"), ("error_type", "unique_violation")]), Some(1.0));
    assert_eq!(count(&[("error_type", "cancelled")]), Some(1.0));
    let system = samples[0].labels.get("db_system_name").unwrap();
    assert!(["postgresql", "mysql", "sqlite"].contains(&system));
    assert!(samples.iter().all(|sample| sample.labels.get("db_namespace").is_some()), "{samples:#?}");
    let told = samples.iter().any(|sample| sample.labels.get("server_port").is_some());
    assert_eq!(told, db.capabilities().server);
}

async fn prometheus_reads_the_figures_of_the_pool(db: TestDb) {
    let name = match db.backend() {
        sea_orm::DbBackend::Postgres => "pool-postgres",
        sea_orm::DbBackend::MySql => "pool-mariadb",
        _ => "pool-sqlite",
    };
    let (pool, read) = metered(&db, name).await;
    let sessions: Vec<_> = (0..4).map(|_| pool.session()).collect();
    for session in &sessions {
        nonce(session, 1).await.unwrap();
    }
    assert!(matches!(nonce(&pool, 1).await, Err(Error::PoolTimeout(_))));
    let gauge = |name: &str, labels: &[(&str, &str)]| value(&read(), name, labels);
    eventually("the gauges are brought up to date", async || {
        gauge("db_client_connection_count", &[("db_client_connection_state", "used")]) == Some(4.0)
            && gauge("db_client_connection_timeouts_total", &[]) == Some(1.0)
    })
    .await;
    assert_eq!(gauge("db_client_connection_max", &[]), Some(4.0));
    assert_eq!(gauge("sea_dao_connection_opened_total", &[]), Some(4.0));
    drop(sessions);
    eventually("the connections are idle", async || {
        gauge("db_client_connection_count", &[("db_client_connection_state", "idle")]) == Some(4.0)
    })
    .await;
    let names: Vec<_> = read().into_iter().map(|sample| sample.metric).collect();
    for name in ["wait_time", "use_time", "create_time"] {
        let name = format!("db_client_connection_{name}_seconds");
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

#[derive(Debug, Clone, Default)]
struct Seen {
    name: String,
    parent: Option<String>,
    fields: HashMap<String, String>,
    closed: bool,
}

/// Keeps every span.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Seen)>>>);

impl Spans {
    fn of(&self, name: &str) -> Vec<Seen> {
        self.0.lock().unwrap().iter().map(|(_, seen)| seen.clone()).filter(|seen| seen.name == name).collect()
    }

    fn change(&self, id: &span::Id, change: impl FnOnce(&mut Seen)) {
        if let Some((_, seen)) = self.0.lock().unwrap().iter_mut().rev().find(|(known, _)| *known == id.into_u64()) {
            change(seen);
        }
    }
}

struct Fields<'a>(&'a mut HashMap<String, String>);

impl tracing::field::Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let parent = context.span(id).and_then(|span| span.parent().map(|parent| parent.name().to_owned()));
        let mut seen = Seen { name: attributes.metadata().name().to_owned(), parent, ..Seen::default() };
        attributes.record(&mut Fields(&mut seen.fields));
        self.0.lock().unwrap().push((id.into_u64(), seen));
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, _: Context<'_, S>) {
        self.change(id, |seen| values.record(&mut Fields(&mut seen.fields)));
    }

    fn on_close(&self, id: span::Id, _: Context<'_, S>) {
        self.change(&id, |seen| seen.closed = true);
    }
}

fn spans() -> (Spans, tracing::subscriber::DefaultGuard) {
    let spans = Spans::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(spans.clone()));
    (spans, guard)
}

async fn each_statement_and_transaction_is_a_span_of_the_callers(db: TestDb) {
    use tracing::Instrument;

    let (spans, _guard) = spans();
    async {
        db.execute_transaction(async |tx| -> Result<()> {
            insert_user(tx, "a").await?;
            assert_eq!(count_users(tx).await, 1);
            Ok(())
        })
        .await
        .unwrap();
        insert_user(&*db, "a").await.unwrap_err();
    }
    .instrument(tracing::info_span!("request"))
    .await;
    let recorded = db.recorder().take();
    let statements = spans.of("db.client");
    assert_eq!(statements.len(), recorded.len());
    for (span, seen) in statements.iter().zip(&recorded) {
        assert_eq!((span.parent.as_deref(), span.closed), (Some("request"), true));
        assert_eq!(span.fields["otel.name"], seen.fingerprint.summary());
        assert_eq!(span.fields["db.query.text"], *seen.fingerprint.text);
        assert_eq!(span.fields.get("sea_dao.transaction.id"), seen.transaction.map(|id| id.to_string()).as_ref());
    }
    let select = statements.iter().find(|span| span.fields["otel.name"] == "SELECT user").unwrap();
    assert_eq!(select.fields["db.response.returned_rows"], "1");
    let failed = statements.last().unwrap();
    assert_eq!((&*failed.fields["error.type"], &*failed.fields["otel.status_code"]), ("unique_violation", "ERROR"));
    let code = &*failed.fields["db.response.status_code"];
    assert!(["23505", "1062", "2067"].contains(&code), "the database's own: {code}");
    let transactions = spans.of("transaction");
    assert_eq!(transactions.len(), 1);
    assert_eq!((transactions[0].parent.as_deref(), transactions[0].closed), (Some("request"), true));
    assert_eq!(transactions[0].fields["sea_dao.transaction.end"], "commit");
}

async fn a_span_tells_how_a_transaction_ended(db: TestDb) {
    let (spans, _guard) = spans();
    let failed: Result<()> = db
        .execute_transaction(async |tx| {
            nonce(tx, 1).await?;
            Err(Error::NotInitialized)
        })
        .await;
    failed.unwrap_err();
    drop(db.begin().await.unwrap());
    eventually("the dropped one is rolled back", async || {
        spans.of("transaction").iter().filter(|span| span.closed).count() == 2
    })
    .await;
    let ends: Vec<_> =
        spans.of("transaction").iter().map(|span| span.fields["sea_dao.transaction.end"].clone()).collect();
    assert_eq!(ends, ["rollback", "rollback"]);
}
