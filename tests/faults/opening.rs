//! Connections that cannot be opened: what is tried again, and what is said of it.

use std::time::Duration;

use sea_dao::{DatabaseConfig, Error, PoolConfig, config::PrePing};

use crate::{
    common::{all_at_once, at_rest, check_books, in_time, proxied},
    dropped::{sleep_sql, sleeping},
    proxy::{Direction, Proxy},
    support::{TestDb, eventually, nonce, poll_times},
};

for_each_server!(
    a_server_that_is_silent_is_tried_again,
    at_the_start_nothing_is_tried_again,
    a_timeout_names_the_last_failure_to_connect,
    a_close_counts_one_that_is_being_opened,
    a_check_leaves_time_to_open_another,
    a_timeout_names_the_server_that_does_not_answer,
    what_is_opened_for_a_caller_who_has_gone_is_the_next_ones,
    who_has_one_opened_takes_one_that_comes_back,
    who_waits_beside_one_that_nobody_waits_for_is_served,
    health_is_bounded_by_itself,
    what_sets_a_connection_up_is_ended_on_the_server,
);

fn settings() -> PoolConfig {
    PoolConfig::default().pool_size(2).max_overflow(0)
}

async fn a_server_that_is_silent_is_tried_again(db: TestDb) {
    let settings = settings().connect_timeout(Duration::from_secs(1)).pool_timeout(Duration::from_secs(50));
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.hold(Direction::ToClient);
    let before = proxy.accepted();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 2).await }
    });
    eventually("it is tried again", async || proxy.accepted() >= before + 2 || waiting.is_finished()).await;
    assert!(!waiting.is_finished(), "{:?}", waiting.await);
    proxy.heal();
    assert_eq!(in_time("the one who waits", waiting).await.unwrap().unwrap(), 2);
    drop(holder);
    at_rest(&pool).await;
    check_books(&pool);
}

/// A server that is not there is a mistake then, rather than a restart.
async fn at_the_start_nothing_is_tried_again(db: TestDb) {
    let proxy = Proxy::to(db.url()).await;
    proxy.refuse();
    let config = DatabaseConfig::new(proxy.url()).pool(settings().pool_timeout(Duration::from_secs(3)));
    let error = in_time("opening a pool", config.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert_eq!(proxy.refused(), 1);
}

async fn a_timeout_names_the_last_failure_to_connect(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool(settings().pool_timeout(Duration::from_secs(3)))).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.refuse();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 2).await }
    });
    eventually("it is refused", async || proxy.refused() > 0).await;
    // From now on the server is there, and says nothing.
    proxy.heal();
    proxy.blackhole();
    let error = in_time("the one who waits", waiting).await.unwrap().unwrap_err();
    let Error::PoolTimeout(timeout) = &error else { panic!("{error:?}") };
    let cause = timeout.last_connect_error.as_deref().unwrap_or_default();
    assert!(cause.contains("cannot connect to"), "{timeout:?}");
    assert!(error.to_string().contains(cause), "{error}");

    // Once it has succeeded, a failure is past.
    proxy.heal();
    let second = pool.session();
    assert_eq!(in_time("a checkout", nonce(&second, 3)).await.unwrap(), 3);
    let error = in_time("one too many", nonce(&pool, 4)).await.unwrap_err();
    let Error::PoolTimeout(timeout) = &error else { panic!("{error:?}") };
    assert_eq!(timeout.last_connect_error, None, "{error}");
    drop((holder, second));
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_close_counts_one_that_is_being_opened(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool(settings())).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.hold(Direction::ToClient);
    let mut opening = std::pin::pin!(nonce(&pool, 2));
    assert!(poll_times(&mut opening, 1).await.is_none());
    let report = in_time("the close", pool.close_within(Duration::from_millis(200))).await;
    assert_eq!((report.open, report.held.len(), report.is_complete()), (2, 1, false), "{report}");
    proxy.heal();
    drop(holder);
    let late = in_time("the one that was opened", opening).await;
    assert!(matches!(late, Err(Error::PoolClosed)), "nothing is sent once the close was reported: {late:?}");
    assert!(in_time("the second close", pool.close_within(Duration::from_secs(50))).await.is_complete());
    check_books(&pool);
}

async fn a_check_leaves_time_to_open_another(db: TestDb) {
    let settings = settings().pool_timeout(Duration::from_secs(6)).connect_timeout(Duration::from_secs(60));
    let (proxy, pool) = proxied(&db, |config| config.pool(settings.pool_pre_ping(PrePing::Always))).await;
    // It is asked, and does not answer.
    proxy.half_open();
    assert_eq!(in_time("a checkout", nonce(&pool, 1)).await.unwrap(), 1);
    assert_eq!((pool.counters().opened, pool.counters().timeouts), (2, 0));
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_timeout_names_the_server_that_does_not_answer(db: TestDb) {
    let settings = settings().pool_timeout(Duration::from_secs(1)).connect_timeout(Duration::from_secs(60));
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.blackhole();
    let error = in_time("a checkout", nonce(&pool, 2)).await.unwrap_err();
    let Error::PoolTimeout(timeout) = &error else { panic!("{error:?}") };
    assert!(timeout.connecting == 1 && timeout.last_connect_error.is_none(), "{timeout:?}");
    let port = proxy.url().rsplit(':').next().and_then(|rest| rest.split('/').next()).unwrap();
    assert!(error.to_string().contains(port) && error.to_string().ends_with(" has not answered yet"), "{error}");
}

async fn what_is_opened_for_a_caller_who_has_gone_is_the_next_ones(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool(settings())).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.hold(Direction::ToClient);
    let before = proxy.accepted();
    let gone = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 2).await }
    });
    eventually("one is being opened", async || proxy.accepted() == before + 1).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    assert_eq!(pool.status().connecting, 1);
    proxy.heal();
    eventually("it is there", async || pool.status().idle == 1).await;
    assert_eq!(in_time("a checkout", nonce(&pool, 3)).await.unwrap(), 3);
    assert_eq!((pool.counters().opened, proxy.accepted()), (2, before + 1));
    drop(holder);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn who_has_one_opened_takes_one_that_comes_back(db: TestDb) {
    let settings = settings().pool_size(3).max_overflow(2).connect_timeout(Duration::from_secs(100));
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    let sessions = all_at_once(&pool, 3).await;
    proxy.stall();
    let waiting: Vec<_> = (0..2)
        .map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move { nonce(&pool, number).await })
        })
        .collect();
    eventually("both have one opened", async || proxy.accepted() == 5).await;
    drop(sessions);
    for (number, waiting) in (0..).zip(waiting) {
        assert_eq!(in_time("one who waits", waiting).await.unwrap().unwrap(), number);
    }
    assert_eq!((pool.status().connecting, pool.counters().opened, pool.counters().timeouts), (2, 3, 0));
    proxy.heal();
    at_rest(&pool).await;
    eventually("the surplus is closed", async || pool.status().size == 3).await;
    assert_eq!(pool.counters().opened, 5, "what was opened is not thrown away unseen");
    check_books(&pool);
}

async fn who_waits_beside_one_that_nobody_waits_for_is_served(db: TestDb) {
    let settings = settings().pool_size(1).max_overflow(1).connect_timeout(Duration::from_secs(100));
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.stall();
    let mut gone = Box::pin(nonce(&pool, 2));
    assert!(poll_times(&mut gone, 1).await.is_none());
    drop(gone);
    assert_eq!((pool.status().connecting, pool.status().waiting), (1, 0));
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 3).await }
    });
    eventually("somebody waits", async || pool.status().waiting == 1).await;
    drop(holder);
    assert_eq!(in_time("the one who waits", waiting).await.unwrap().unwrap(), 3);
    assert_eq!((pool.status().connecting, pool.counters().timeouts), (1, 0));
    proxy.heal();
    at_rest(&pool).await;
    check_books(&pool);
}

async fn health_is_bounded_by_itself(db: TestDb) {
    let settings = settings().pool_timeout(Duration::from_secs(2)).pool_pre_ping(PrePing::Never);
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    proxy.blackhole();
    let error = in_time("the question", pool.health()).await.unwrap_err();
    assert!(matches!(error, Error::StatementTimeout { .. }), "{error:?}");
    proxy.heal();
    assert_eq!(in_time("a checkout", nonce(&pool, 1)).await.unwrap(), 1);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn what_sets_a_connection_up_is_ended_on_the_server(db: TestDb) {
    let settings = settings().connect_timeout(Duration::from_secs(1)).after_connect(sleep_sql(db.backend()));
    let error = in_time("opening a pool", db.config().pool(settings).connect()).await.unwrap_err();
    assert!(error.is_timeout() || matches!(error, Error::Connect { .. }), "{error:?}");
    eventually("it is stopped", async || sleeping(&db).await == 0).await;
}
