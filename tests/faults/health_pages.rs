//! Health pages while the network or the server is away: an answer in time, and the truth again afterwards.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode},
};
use http_body_util::BodyExt;
use sea_dao::integrations::axum::HealthRoutes;
use serde_json::Value;
use tower::ServiceExt;

use crate::{
    common::{at_rest, check_books, in_time, proxied},
    support::{TestDb, eventually, nonce},
};

for_each_server!(a_swallowed_question_is_down_in_time, a_refused_connection_is_down, killed_connections_are_replaced);

async fn page(router: &Router) -> (StatusCode, Value) {
    let request = Request::builder().uri("/health/db").body(Body::empty()).unwrap();
    let answer = in_time("a health page", router.clone().oneshot(request)).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn router(pool: &sea_dao::Database, deadline: Duration) -> Router {
    HealthRoutes::new().database("primary", pool.clone()).deadline(deadline).max_age(Duration::ZERO).into_router()
}

async fn a_swallowed_question_is_down_in_time(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config).await;
    let router = router(&pool, Duration::from_millis(300));
    assert_eq!(page(&router).await.0, StatusCode::OK);
    proxy.blackhole();
    for _ in 0..3 {
        let (status, body) = page(&router).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
        assert_eq!(body["databases"]["primary"]["error"], "timeout", "{body}");
    }
    proxy.heal();
    eventually("the page says up again", async || page(&router).await.0 == StatusCode::OK).await;
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_refused_connection_is_down(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_timeout(Duration::from_millis(400))).await;
    let router = router(&pool, Duration::from_secs(5));
    assert_eq!(page(&router).await.0, StatusCode::OK);
    proxy.refuse();
    proxy.cut().await;
    let (status, body) = page(&router).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    let error = body["databases"]["primary"]["error"].as_str().unwrap();
    assert!(["connect", "disconnect", "timeout"].contains(&error), "{body}");
    proxy.heal();
    eventually("the page says up again", async || page(&router).await.0 == StatusCode::OK).await;
}

async fn killed_connections_are_replaced(db: TestDb) {
    let (_proxy, pool) = proxied(&db, |config| config).await;
    let router = router(&pool, Duration::from_secs(5));
    nonce(&pool, 1).await.unwrap();
    db.kill_server_sessions().await;
    eventually("the page says up", async || page(&router).await.0 == StatusCode::OK).await;
    at_rest(&pool).await;
    check_books(&pool);
}
