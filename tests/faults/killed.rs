//! Connections that die: killed by the server, cut on the way.

use futures_util::future::join_all;
use sea_dao::{Error, Sandbox, config::PrePing, error::ErrorClass, pool::CloseReason};

use crate::{
    common::{Load, all_at_once, at_rest, check_books, in_time, proxied},
    dropped::{sleep, sleeping},
    proxy::Direction,
    support::{TestDb, count_users, eventually, insert_user, nonce},
};

for_each_server!(
    killing_all_backends_fails_only_what_was_executing,
    one_that_dies_takes_the_idle_ones_out_of_use,
    a_transaction_begins_on_another_one_than_died_idle,
    a_sandbox_begins_on_another_one_than_died_idle,
    cutting_the_connections_fails_only_what_was_executing,
    a_commit_whose_answer_is_lost_is_unknown,
    a_transaction_whose_connection_dies_says_so,
);

async fn killing_all_backends_fails_only_what_was_executing(db: TestDb) {
    let pool = db.open(|config| config.pool_size(6).max_overflow(2)).await;
    let load = Load::start(&pool, 16);
    load.goes_on(300).await;
    let mut killed = db.kill_server_sessions().await;
    load.goes_on(300).await;
    killed += db.kill_server_sessions().await;
    load.goes_on(300).await;
    let failures = load.stop().await;
    assert!(killed >= 12 && !failures.is_empty(), "{killed} killed, {} failed", failures.len());
    // Each connection runs one statement at a time, and none is used again once it failed.
    assert!(failures.len() <= 2 * 8, "{} failed of {killed} killed", failures.len());
    for error in &failures {
        assert!(error.is_disconnect() && error.class() == Some(ErrorClass::Disconnect), "{error:?}");
    }
    at_rest(&pool).await;
    let counters = pool.counters();
    assert!(counters.invalidations >= 1 && counters.closed_for(CloseReason::Broken) >= 1, "{counters:?}");
    assert_eq!(counters.timeouts, 0, "{counters:?}");
    check_books(&pool);
    drop(all_at_once(&pool, 8).await);
}

async fn one_that_dies_takes_the_idle_ones_out_of_use(db: TestDb) {
    let pool = db.open(|config| config.pool_size(4).pool_pre_ping(PrePing::Never)).await;
    assert_eq!(pool.warm_up(4).await.unwrap(), 4);
    let executing = tokio::spawn({
        let pool = pool.clone();
        async move { sleep(&pool).await }
    });
    eventually("it executes", async || sleeping(&db).await == 1).await;
    db.kill_server_sessions().await;
    let failed = in_time("the one that executes", executing).await.unwrap();
    assert!(failed.is_err_and(|error| error.is_disconnect()));
    drop(all_at_once(&pool, 4).await);
    assert_eq!(pool.counters().closed_for(CloseReason::Invalidated), 3, "{:?}", pool.counters());
    check_books(&pool);
}

async fn a_transaction_begins_on_another_one_than_died_idle(db: TestDb) {
    const ALL: usize = 4;
    let pool = db.open(|config| config.pool_size(ALL as u32).pool_pre_ping(PrePing::Never)).await;
    for round in 0..3 {
        assert_eq!(pool.warm_up(ALL).await.unwrap(), ALL);
        at_rest(&pool).await;
        db.kill_server_sessions().await;
        let begun = join_all((0..ALL).map(|_| pool.begin())).await;
        for (number, tx) in begun.into_iter().enumerate() {
            let tx = tx.unwrap();
            insert_user(&tx, &format!("{round} {number}")).await.unwrap();
            tx.commit().await.unwrap();
        }
    }
    assert_eq!(count_users(db.outside()).await, 3 * ALL as u64);
    // What was done on a connection before is lost with it: there the failure is told.
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    db.kill_server_sessions().await;
    assert!(session.begin().await.is_err_and(|error| error.is_disconnect()));
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_sandbox_begins_on_another_one_than_died_idle(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).max_overflow(0).pool_pre_ping(PrePing::Never)).await;
    for number in 0..3 {
        nonce(&pool, number).await.unwrap();
        at_rest(&pool).await;
        db.kill_server_sessions().await;
        let sandbox = Sandbox::begin(&pool).await.unwrap();
        insert_user(&sandbox.database().session(), "a").await.unwrap();
        sandbox.rollback().await.unwrap();
    }
    assert_eq!(count_users(db.outside()).await, 0);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn cutting_the_connections_fails_only_what_was_executing(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(4)).await;
    let load = Load::start(&pool, 8);
    for _ in 0..3 {
        load.goes_on(100).await;
        proxy.cut().await;
    }
    load.goes_on(100).await;
    let failures = load.stop().await;
    assert!(failures.len() <= 3 * 4, "{}", failures.len());
    assert!(failures.iter().all(Error::is_disconnect), "{failures:?}");
    at_rest(&pool).await;
    check_books(&pool);
    assert_eq!(proxy.open(), pool.status().size as u64);
}

async fn a_commit_whose_answer_is_lost_is_unknown(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(1)).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    let sent = proxy.round_trips();
    proxy.hold(Direction::ToClient);
    let committing = tokio::spawn(tx.commit());
    eventually("COMMIT is sent", async || proxy.round_trips() > sent).await;
    eventually("it is committed", async || count_users(db.outside()).await == 1).await;
    proxy.cut().await;
    let error = in_time("the commit", committing).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
    assert!(error.is_disconnect() && !error.is_retryable(), "{error:?}");
    proxy.heal();
    nonce(&pool, 1).await.unwrap();
    check_books(&pool);
}

async fn a_transaction_whose_connection_dies_says_so(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(2)).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    proxy.cut().await;
    let lost = insert_user(&tx, "b").await.unwrap_err();
    assert!(lost.is_disconnect(), "{lost:?}");
    let refused = insert_user(&tx, "c").await.unwrap_err();
    assert!(matches!(refused, Error::TransactionAborted { .. }), "{refused:?}");
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(error, Error::TransactionAborted { .. }), "{error:?}");
    insert_user(&pool, "d").await.unwrap();
    assert_eq!(crate::support::usernames(db.outside()).await, ["d"]);
}
