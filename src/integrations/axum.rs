//! Health pages for [axum], behind the cargo feature `axum`.
//!
//! | path | answer |
//! |---|---|
//! | `/api/v1/hc/health` | the service: `status`, `uptime_seconds`, and the status of each database |
//! | `/api/v1/hc/database`, `/health/db` | each database: server version, latency, whether it only reads, and its pool |
//! | `/health/live` | the process runs: always 200 |
//! | `/health/ready` | requests may be sent here |
//! | `/metrics` | what [`HealthRoutes::metrics`] renders; absent without it |
//!
//! All answer to GET and HEAD, with JSON (`/metrics` with text), and may not be cached. The status code is 200 when
//! everything is up, else 503. Answers hold no addresses, user names, passwords or texts of errors: these go to the log.
//!
//! | field | |
//! |---|---|
//! | `status` | `up`, `down`, or `draining`: closing, or [told so](HealthRoutes::draining) |
//! | `uptime_seconds` | since [`HealthRoutes::new`] |
//! | `databases` | by name |
//! | `databases.*.server_version`, `.read_only` | of a database that is up: as it calls itself; whether it takes no writes |
//! | `databases.*.latency_ms`, `.wait_ms` | of a database that is up: from question to answer; the wait for a connection before |
//! | `databases.*.error` | of a database that is down: `timeout`, `connect`, `disconnect`, `query` or `internal` |
//! | `databases.*.pool` | the numbers of [`PoolStatus`](crate::pool::PoolStatus), and `usage` from 0 to 1 |

use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ::axum::{
    Json, Router,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::watch;

use super::probe::{Answer, Probe};
use crate::session::Database;

type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The routes of the health pages; see the [module](self).
///
/// ```
/// use std::time::Duration;
/// use sea_dao::{DatabaseConfig, integrations::axum::HealthRoutes};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> sea_dao::Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// let health = HealthRoutes::new().deadline(Duration::from_secs(2)).database("primary", db);
/// let drain = health.draining();
///
/// let app: axum::Router = axum::Router::new().merge(health.into_router());
/// // At the shutdown signal, before the server stops: load balancers send no more requests.
/// drain.start();
/// # let _ = app;
/// # Ok(())
/// # }
/// ```
pub struct HealthRoutes {
    databases: Vec<(String, Database)>,
    deadline: Duration,
    max_age: Duration,
    draining: Draining,
    metrics: Option<Render>,
    started: Instant,
}

/// Says that the service is closing, so that `/health/ready` and the other pages answer 503.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<watch::Sender<bool>>);

impl Draining {
    /// From now on the service is closing.
    pub fn start(&self) {
        self.0.send_replace(true);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_started(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is.
    #[cfg(feature = "page")]
    pub(super) async fn started(&self) {
        // The sender is held here, so that there is nothing else to wait for.
        let _ = self.0.subscribe().wait_for(|started| *started).await;
    }
}

impl Default for HealthRoutes {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthRoutes {
    /// Without databases; a deadline of 3 seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            databases: Vec::new(),
            deadline: Duration::from_secs(3),
            max_age: Duration::from_millis(500),
            draining: Draining::default(),
            metrics: None,
            started: Instant::now(),
        }
    }

    /// Adds a database under a name; the last one of the same name counts.
    #[must_use]
    pub fn database(mut self, name: impl Into<String>, database: Database) -> Self {
        let name = name.into();
        self.databases.retain(|(other, _)| *other != name);
        self.databases.push((name, database));
        self
    }

    /// How long a page waits for a database before it counts as down. Default 3 seconds.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How old an answer of the database may be, so that many probes cost few statements. Default 500 milliseconds.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// What `/metrics` shows, such as the rendering of a Prometheus recorder.
    #[must_use]
    pub fn metrics(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(render));
        self
    }

    /// The switch that says that the service is closing.
    #[must_use]
    pub fn draining(&self) -> Draining {
        self.draining.clone()
    }

    /// The routes, to be merged into an application's own or served alone.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let Self { databases, deadline, max_age, draining, metrics, started } = self;
        let probe = |(name, database)| Probe::new(name, database, deadline, max_age);
        let shared = Arc::new(Shared { probes: databases.into_iter().map(probe).collect(), draining, started });
        let mut router = Router::new()
            .route("/api/v1/hc/health", get(service))
            .route("/api/v1/hc/database", get(databases_page))
            .route("/health/db", get(databases_page))
            .route("/health/live", get(async || page(true, &Brief { status: Status::Up })))
            .route("/health/ready", get(ready));
        if let Some(render) = metrics {
            const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
            router = router.route(
                "/metrics",
                get(async move || ([NO_STORE, (header::CONTENT_TYPE, TEXT)], render()).into_response()),
            );
        }
        router.with_state(shared)
    }
}

impl fmt::Debug for HealthRoutes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.databases.iter().map(|(name, _)| name).collect();
        f.debug_struct("HealthRoutes")
            .field("databases", &names)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

struct Shared {
    probes: Vec<Probe>,
    draining: Draining,
    started: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Up,
    Down,
    Draining,
}

#[derive(Serialize)]
struct Brief {
    status: Status,
}

#[derive(Serialize)]
struct Service {
    status: Status,
    uptime_seconds: u64,
    databases: BTreeMap<String, Brief>,
}

#[derive(Serialize)]
struct Databases {
    status: Status,
    databases: BTreeMap<String, Answer>,
}

impl Shared {
    /// What each database answers, all asked at once.
    async fn ask(&self) -> (Status, BTreeMap<String, Answer>) {
        let answers = join_all(self.probes.iter().map(async |probe| (probe.name.clone(), probe.ask().await))).await;
        let status = if self.draining.is_started() || answers.iter().any(|(_, answer)| answer.is_draining()) {
            Status::Draining
        } else if answers.iter().all(|(_, answer)| answer.is_up()) {
            Status::Up
        } else {
            Status::Down
        };
        (status, answers.into_iter().collect())
    }
}

async fn service(State(shared): State<Arc<Shared>>) -> Response {
    let (status, answers) = shared.ask().await;
    let brief = |answer: &Answer| match answer {
        _ if answer.is_up() => Status::Up,
        _ if answer.is_draining() => Status::Draining,
        _ => Status::Down,
    };
    let databases = answers.iter().map(|(name, answer)| (name.clone(), Brief { status: brief(answer) })).collect();
    let uptime_seconds = shared.started.elapsed().as_secs();
    page(status == Status::Up, &Service { status, uptime_seconds, databases })
}

async fn databases_page(State(shared): State<Arc<Shared>>) -> Response {
    let (status, databases) = shared.ask().await;
    page(status == Status::Up, &Databases { status, databases })
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let (status, _) = shared.ask().await;
    page(status == Status::Up, &Brief { status })
}

const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

fn page(up: bool, body: &impl Serialize) -> Response {
    let code = if up { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, [NO_STORE], Json(body)).into_response()
}
