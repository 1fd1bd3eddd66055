//! Health pages: what they say of a database that is up, busy, read-only or closed.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use http_body_util::BodyExt;
use sea_dao::{integrations::axum::HealthRoutes, prelude::*};
use serde_json::Value;
use tower::ServiceExt;

use crate::support::{TestDb, poll_times};

for_each_backend!(
    all_pages_of_a_database_that_is_up,
    a_closed_database_is_draining,
    a_service_that_drains_is_not_ready,
    a_busy_pool_does_not_hold_a_page_up,
    many_probes_cost_one_statement,
    who_stops_waiting_gives_up_no_connection,
    pages_hold_no_secrets,
    metrics_are_shown_when_there_are_any,
);

const PAGES: [&str; 4] = ["/api/v1/hc/health", "/api/v1/hc/database", "/health/db", "/health/ready"];

fn pages(db: &TestDb) -> HealthRoutes {
    HealthRoutes::new().database("primary", (**db).clone()).max_age(Duration::ZERO)
}

async fn ask(router: &Router, method: Method, path: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let answer = router.clone().oneshot(request).await.unwrap();
    if [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status()) {
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    }
    let status = answer.status();
    (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn get(router: &Router, path: &str) -> (StatusCode, Value) {
    let (status, body) = ask(router, Method::GET, path).await;
    (status, serde_json::from_slice(&body).unwrap())
}

async fn all_pages_of_a_database_that_is_up(db: TestDb) {
    let router: Router = pages(&db).into_router();
    for path in PAGES.into_iter().chain(["/health/live"]) {
        let (status, body) = get(&router, path).await;
        assert_eq!((status, &body["status"]), (StatusCode::OK, &Value::from("up")), "{path}: {body}");
        assert_eq!(ask(&router, Method::HEAD, path).await, (StatusCode::OK, Vec::new()), "{path}");
        assert_eq!(ask(&router, Method::POST, path).await.0, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    let (_, service) = get(&router, "/api/v1/hc/health").await;
    assert_eq!(service["databases"]["primary"]["status"], "up", "{service}");
    assert!(service["uptime_seconds"].is_u64(), "{service}");

    let session = db.session();
    session.execute_unprepared("SELECT 1").await.unwrap();
    let (_, body) = get(&router, "/health/db").await;
    let database = &body["databases"]["primary"];
    assert!(!database["server_version"].as_str().unwrap().is_empty(), "{body}");
    assert_eq!(database["read_only"], false, "{body}");
    assert!(database["latency_ms"].as_f64().unwrap() > 0.0, "{body}");
    assert!(database["wait_ms"].is_f64(), "{body}");
    let pool = &database["pool"];
    assert_eq!((&pool["pool_size"], &pool["checked_out"]), (&Value::from(4), &Value::from(1)), "{body}");
    assert_eq!(pool["usage"], 0.25, "{body}");
    drop(session);

    // Nothing to ask is nothing that is down.
    let none: Router = HealthRoutes::new().into_router();
    assert_eq!(get(&none, "/health/ready").await.0, StatusCode::OK);
}

async fn a_closed_database_is_draining(db: TestDb) {
    let router: Router = pages(&db).into_router();
    db.close().await;
    for path in PAGES {
        let (status, body) = get(&router, path).await;
        assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::from("draining")), "{path}");
    }
    let (_, body) = get(&router, "/health/db").await;
    assert_eq!(body["databases"]["primary"]["status"], "draining", "{body}");
    assert_eq!(body["databases"]["primary"]["pool"]["closed"], true, "{body}");
    assert_eq!(get(&router, "/health/live").await.0, StatusCode::OK);
}

async fn a_service_that_drains_is_not_ready(db: TestDb) {
    let health = pages(&db);
    let draining = health.draining();
    let router: Router = health.into_router();
    assert_eq!(get(&router, "/health/ready").await.0, StatusCode::OK);
    draining.start();
    for path in PAGES {
        let (status, body) = get(&router, path).await;
        assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &Value::from("draining")), "{path}");
    }
    assert_eq!(get(&router, "/health/live").await.0, StatusCode::OK);
    // The database itself is still there for the requests under way.
    let (_, body) = get(&router, "/health/db").await;
    assert_eq!(body["databases"]["primary"]["status"], "up", "{body}");
}

async fn a_busy_pool_does_not_hold_a_page_up(db: TestDb) {
    let router: Router = pages(&db).deadline(Duration::from_millis(100)).into_router();
    let sessions: Vec<_> = (0..4).map(|_| db.session()).collect();
    for session in &sessions {
        session.execute_unprepared("SELECT 1").await.unwrap();
    }
    let (status, body) = get(&router, "/health/db").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let database = &body["databases"]["primary"];
    assert_eq!((&database["status"], &database["error"]), (&Value::from("down"), &Value::from("timeout")), "{body}");
    assert_eq!(database["pool"]["usage"], 1.0, "{body}");
    drop(sessions);
    let patient: Router = pages(&db).into_router();
    assert_eq!(get(&patient, "/health/db").await.0, StatusCode::OK);
}

async fn many_probes_cost_one_statement(db: TestDb) {
    let router: Router = pages(&db).max_age(Duration::from_secs(60)).into_router();
    db.recorder().forget();
    let asked = futures_util::future::join_all((0..20).map(|_| get(&router, "/health/ready"))).await;
    assert!(asked.iter().all(|(status, _)| *status == StatusCode::OK), "{asked:?}");
    assert_eq!(db.recorder().begun(), 1, "one statement for all");

    // Without an age, those that wait together are answered together; the next one is asked again.
    let eager: Router = pages(&db).into_router();
    get(&eager, "/health/ready").await;
    get(&eager, "/health/ready").await;
    assert_eq!(db.recorder().begun(), 3, "one statement each");
}

async fn who_stops_waiting_gives_up_no_connection(db: TestDb) {
    let opened = db.counters().opened;
    let router: Router = pages(&db).into_router();
    for polls in 1..20 {
        let request = Request::builder().uri("/health/db").body(Body::empty()).unwrap();
        let _ = poll_times(Box::pin(router.clone().oneshot(request)), polls).await;
    }
    db.is_quiet().await;
    assert!(db.counters().opened <= opened.max(1), "{:?}", db.counters());
}

async fn pages_hold_no_secrets(db: TestDb) {
    let name = db.session();
    let hidden = db.open(|config| config).await;
    let router: Router = HealthRoutes::new().database("primary", hidden).into_router();
    for path in PAGES {
        let (_, body) = get(&router, path).await;
        let text = body.to_string();
        for secret in ["://", "127.0.0.1", "password", "/tmp"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
    drop(name);
}

async fn metrics_are_shown_when_there_are_any(db: TestDb) {
    let without: Router = pages(&db).into_router();
    assert_eq!(ask(&without, Method::GET, "/metrics").await.0, StatusCode::NOT_FOUND);
    let with: Router = pages(&db).metrics(|| "up 1\n".to_owned()).into_router();
    assert_eq!(ask(&with, Method::GET, "/metrics").await, (StatusCode::OK, b"up 1\n".to_vec()));
}
