//! What happens to connections that nobody asks for.

use std::{sync::Arc, time::Duration};

use sea_dao::{Database, PoolConfig, config::PrePing, hooks::StatementKind, pool::CloseReason};

use crate::{
    common::{Load, all_at_once, at_rest, check_books, in_time, proxied},
    proxy::{Direction, Proxy},
    support::{Recorder, TestDb, eventually, nonce, poll_times},
};

for_each_backend!(
    idle_connections_are_closed_after_their_time,
    old_connections_are_closed_though_nobody_asks,
    never_too_many_are_open_while_old_ones_are_replaced,
    those_being_closed_count_as_open,
    the_maintenance_ends_with_the_pool,
    silent_connections_are_pinged,
    so_many_are_kept_idle,
    a_surplus_that_nobody_asked_for_is_closed,
);

mod servers {
    use super::*;

    for_each_server!(
        a_silent_connection_that_is_dead_is_replaced,
        what_was_killed_is_opened_again,
        nothing_is_opened_ahead_while_suspended,
        who_comes_during_a_ping_gets_the_connection,
        who_waits_for_room_during_a_ping_gets_one_that_comes_back,
        a_close_during_a_ping_leaves_nothing_behind,
    );
}

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

fn pings(recorder: &Recorder) -> usize {
    recorder.take_kinds().into_iter().filter(|kind| *kind == StatementKind::Ping).count()
}

async fn silent_connections_are_pinged(db: TestDb) {
    let recorder = Recorder::default();
    let settings = settings().keepalive(Some(Duration::from_millis(200))).pool_pre_ping(PrePing::Never);
    let pool = db.open(|config| config.pool(settings).hook(recorder.clone())).await;
    pool.warm_up(3).await.unwrap();
    recorder.forget();
    let mut pinged = 0;
    eventually("all are pinged, twice", async || {
        pinged += pings(&recorder);
        pinged >= 6
    })
    .await;
    let counters = pool.counters();
    assert_eq!((pool.status().size, counters.opened, counters.invalidations), (3, 3, 0), "{counters:?}");
    // Those that were pinged are handed out again, all of them and no more.
    drop(all_at_once(&pool, 3).await);
    at_rest(&pool).await;
    assert_eq!(pool.counters().opened, 3);
    check_books(&pool);
    in_time("closing", pool.close()).await;
    assert_eq!(pool.status().size, 0);
    check_books(&pool);

    // A reset drops those that were pinged too.
    let settings = PoolConfig::default().pool_size(1).keepalive(Some(Duration::from_millis(200)));
    let pool = db.open(|config| config.pool(settings).hook(recorder.clone())).await;
    recorder.forget();
    eventually("it is pinged", async || pings(&recorder) > 0 && pool.status().idle == 1).await;
    pool.reset();
    eventually("nothing is open", async || pool.status().size == 0).await;
}

async fn a_silent_connection_that_is_dead_is_replaced(db: TestDb) {
    let settings = settings().keepalive(Some(Duration::from_millis(200))).pool_pre_ping(PrePing::Never);
    let pool = db.open(|config| config.pool(settings)).await;
    pool.warm_up(3).await.unwrap();
    db.kill_server_sessions().await;
    eventually("they are found and closed", async || pool.status().size == 0).await;
    for session in all_at_once(&pool, 3).await {
        assert_eq!(nonce(&session, 1).await.unwrap(), 1, "nobody notices");
    }
    at_rest(&pool).await;
    check_books(&pool);
}

async fn so_many_are_kept_idle(db: TestDb) {
    let recorder = Recorder::default();
    let kept = settings().min_idle(2).keepalive(Some(Duration::from_millis(200)));
    let pool = db.open(|config| config.pool(kept).hook(recorder.clone())).await;
    eventually("two are idle", async || pool.status().idle == 2).await;
    let sessions = all_at_once(&pool, 2).await;
    eventually("there is room for one more", async || pool.status().idle == 1).await;
    recorder.forget();
    let mut pinged = 0;
    eventually("it is looked at again", async || {
        pinged += pings(&recorder);
        pinged >= 2
    })
    .await;
    assert_eq!(pool.status().size, 3, "and no more than that");
    let third = all_at_once_more(&pool).await;
    assert_eq!(pool.counters().opened, 3, "the one that was opened ahead is used");
    drop((sessions, third));
    at_rest(&pool).await;
    assert_eq!(pool.status().idle, 3);
    check_books(&pool);

    // What is idle for too long goes, but for those that are to stay.
    let settings = settings().min_idle(1).idle_timeout(Some(Duration::from_millis(100)));
    let pool = db.open(|config| config.pool(settings)).await;
    pool.warm_up(3).await.unwrap();
    eventually("one stays", async || pool.status().size == 1).await;
    assert_eq!(pool.counters().closed_for(CloseReason::Idle), 2);
    check_books(&pool);
}

async fn all_at_once_more(pool: &Database) -> sea_dao::Session {
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    session
}

async fn what_was_killed_is_opened_again(db: TestDb) {
    let settings = settings().min_idle(3).keepalive(Some(Duration::from_millis(200)));
    let pool = db.open(|config| config.pool(settings)).await;
    eventually("all are idle", async || pool.status().idle == 3).await;
    for _ in 0..2 {
        let opened = pool.counters().opened;
        db.kill_server_sessions().await;
        eventually("all are replaced", async || pool.status().idle == 3 && pool.counters().opened == opened + 3).await;
    }
    drop(all_at_once(&pool, 3).await);
    at_rest(&pool).await;
    check_books(&pool);
}

/// A pool of one connection, of which the maintenance waits for an answer to its ping.
async fn while_it_pings(db: &TestDb) -> (Proxy, Database) {
    let settings = settings().pool_size(1).keepalive(Some(Duration::from_millis(200)));
    let settings = settings.pool_pre_ping(PrePing::Never).pool_timeout(Duration::from_secs(50));
    let (proxy, pool) = proxied(db, |config| config.pool(settings)).await;
    proxy.hold(Direction::ToClient);
    eventually("it is pinged", async || pool.status().checked_out == 1).await;
    (proxy, pool)
}

async fn who_comes_during_a_ping_gets_the_connection(db: TestDb) {
    let (proxy, pool) = while_it_pings(&db).await;
    let mut waiting = std::pin::pin!(nonce(&pool, 1));
    assert!(poll_times(&mut waiting, 1).await.is_none());
    assert_eq!(pool.status().waiting, 1);
    proxy.heal();
    assert_eq!(in_time("the one who waits", waiting).await.unwrap(), 1);
    assert_eq!((pool.counters().opened, pool.counters().timeouts), (1, 0));
    at_rest(&pool).await;
    check_books(&pool);
}

async fn who_waits_for_room_during_a_ping_gets_one_that_comes_back(db: TestDb) {
    let long = Duration::from_secs(100);
    let settings = settings().pool_size(2).keepalive(Some(Duration::from_millis(200)));
    let settings = settings.pool_pre_ping(PrePing::Never).pool_timeout(2 * long).connect_timeout(long);
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    let mut sessions = all_at_once(&pool, 2).await;
    let holder = sessions.remove(0);
    drop(sessions);
    proxy.hold(Direction::ToClient);
    eventually("the other one is pinged", async || pool.status().checked_out == 2).await;
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 1).await }
    });
    eventually("somebody waits", async || pool.status().waiting == 1).await;
    drop(holder);
    eventually("he has it", async || pool.status().waiting == 0 && pool.status().idle == 0).await;
    proxy.heal();
    assert_eq!(in_time("the one who waited", waiting).await.unwrap().unwrap(), 1);
    assert_eq!((pool.counters().opened, pool.counters().timeouts), (2, 0));
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_close_during_a_ping_leaves_nothing_behind(db: TestDb) {
    let (proxy, pool) = while_it_pings(&db).await;
    // The answer never comes.
    let report = in_time("the close", pool.close_within(Duration::from_secs(50))).await;
    assert!(report.is_complete(), "{report}");
    drop(proxy);
    assert_eq!((pool.status().size, pool.counters().closed_for(CloseReason::Shutdown)), (0, 1));
    check_books(&pool);
}

async fn nothing_is_opened_ahead_while_suspended(db: TestDb) {
    let settings = settings().min_idle(2).keepalive(Some(Duration::from_millis(200)));
    let pool = db.open(|config| config.pool(settings.clone())).await;
    let other = db.open(|config| config.pool(settings)).await;
    eventually("two are idle", async || pool.status().idle >= 2 && other.status().idle >= 2).await;
    pool.suspend();
    at_rest(&pool).await;
    let ahead = pool.counters().opened;
    for _ in 0..2 {
        let opened = other.counters().opened;
        db.kill_server_sessions().await;
        eventually("they are found dead", async || pool.status().size == 0).await;
        // The other's are opened again: there was time for it.
        eventually("two of the other's are idle", async || {
            other.status().idle >= 2 && other.counters().opened >= opened + 2
        })
        .await;
    }
    assert_eq!((pool.status().size, pool.counters().opened), (0, ahead), "{}", pool.status());
    pool.resume();
    eventually("two are idle again", async || pool.status().idle >= 2).await;
    check_books(&pool);
}

/// Connections came back while somebody waited, who then gave up.
async fn a_surplus_that_nobody_asked_for_is_closed(db: TestDb) {
    // Its maintenance looks at it often.
    let settings = settings().pool_size(1).max_overflow(3).idle_timeout(Some(Duration::from_secs(1)));
    let pool = db.open(|config| config.pool(settings)).await;
    let sessions = all_at_once(&pool, 4).await;
    let mut waiting = std::pin::pin!(nonce(&pool, 1));
    assert!(poll_times(&mut waiting, 1).await.is_none());
    assert_eq!(pool.status().waiting, 1);
    drop(sessions);
    assert!(pool.status().idle > 1, "they are kept for the one who waits: {}", pool.status());
    let answer = in_time("the one who waits", waiting).await;
    assert_eq!(answer.unwrap(), 1);
    eventually("the surplus is closed", async || pool.status().size <= 1).await;
    assert!(pool.counters().closed_for(CloseReason::Overflow) >= 2, "{:?}", pool.counters());
    at_rest(&pool).await;
    check_books(&pool);
}
