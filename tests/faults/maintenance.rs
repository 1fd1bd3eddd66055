//! What happens to connections that nobody asks for.

use std::{sync::Arc, time::Duration};

use sea_dao::{Database, PoolConfig, pool::CloseReason};

use crate::{
    common::{Load, at_rest, check_books},
    support::{TestDb, eventually, nonce},
};

for_each_backend!(
    idle_connections_are_closed_after_their_time,
    old_connections_are_closed_though_nobody_asks,
    never_too_many_are_open_while_old_ones_are_replaced,
    those_being_closed_count_as_open,
    the_maintenance_ends_with_the_pool,
);

fn settings() -> PoolConfig {
    PoolConfig::default().pool_size(3).max_overflow(0)
}

async fn idle_connections_are_closed_after_their_time(db: TestDb) {
    let others = db.server_sessions().await;
    let limit = Duration::from_millis(100);
    let pool = db.open(|config| config.pool(settings().idle_timeout(Some(limit)))).await;
    pool.warm_up(3).await.unwrap();
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    eventually("the idle ones are closed", async || pool.status().size == 1).await;
    assert_eq!(pool.counters().closed_for(CloseReason::Idle), 2);
    assert_eq!(nonce(&session, 2).await.unwrap(), 2, "one that is out is not idle");
    drop(session);
    eventually("the last one too", async || pool.status().size == 0).await;
    if db.capabilities().server {
        eventually("the server agrees", async || db.server_sessions().await == others).await;
    }
    assert_eq!(nonce(&pool, 3).await.unwrap(), 3);
    check_books(&pool);
}

async fn old_connections_are_closed_though_nobody_asks(db: TestDb) {
    let pool = db.open(|config| config.pool(settings().pool_recycle(Duration::from_millis(300)))).await;
    pool.warm_up(3).await.unwrap();
    eventually("they are closed", async || pool.status().size == 0).await;
    assert_eq!(pool.counters().closed_for(CloseReason::Expired), 3, "{:?}", pool.counters());
    check_books(&pool);
}

async fn never_too_many_are_open_while_old_ones_are_replaced(db: TestDb) {
    let settings = settings().pool_size(4).max_overflow(2).pool_recycle(Duration::from_millis(40));
    let pool = db.open(|config| config.pool(settings)).await;
    let load = Load::start(&pool, 8);
    while pool.counters().closed_for(CloseReason::Expired) < 60 {
        let status = pool.status();
        assert!(status.size + status.connecting <= 6, "{status:?}");
        tokio::task::yield_now().await;
    }
    assert!(load.stop().await.is_empty());
    at_rest(&pool).await;
    check_books(&pool);
}

/// Callers come at the very moment at which all idle connections are closed.
async fn those_being_closed_count_as_open(db: TestDb) {
    let limit = Duration::from_millis(60);
    let pool = db.open(|config| config.pool(settings().idle_timeout(Some(limit)))).await;
    for _ in 0..15 {
        pool.warm_up(3).await.unwrap();
        eventually("they are closed", async || {
            while pool.status().idle == 3 {
                tokio::task::yield_now().await;
            }
            true
        })
        .await;
        let sessions: Vec<_> = (0..3).map(|_| pool.session()).collect();
        let answers = sessions.iter().map(|session| async {
            let answer = nonce(session, 1).await;
            let status = pool.status();
            assert!(status.size + status.connecting <= 3, "{status:?}");
            answer.unwrap()
        });
        let watched = async {
            for _ in 0..200 {
                let status = pool.status();
                assert!(status.size + status.connecting <= 3, "{status:?}");
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(futures_util::future::join_all(answers), watched);
    }
    at_rest(&pool).await;
    check_books(&pool);
}

async fn the_maintenance_ends_with_the_pool(db: TestDb) {
    struct Sign;
    impl sea_dao::hooks::SqlHook for Sign {}
    let sign = Arc::new(Sign);
    let settings = settings().idle_timeout(Some(Duration::from_secs(3600)));
    let pool: Database = db.config().pool(settings).shared_hook(sign.clone()).connect().await.unwrap();
    nonce(&pool, 1).await.unwrap();
    drop(pool);
    // The hooks go with the pool, which nobody holds any more.
    eventually("the pool is gone", async || Arc::strong_count(&sign) == 1).await;
}
