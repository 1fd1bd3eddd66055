//! The network swallows everything: nobody waits beyond the deadline, and nothing is lost when it heals.

use std::time::Duration;

use sea_dao::{DatabaseConfig, Error, PoolConfig, config::PrePing};

use crate::{
    common::{all_at_once, at_rest, check_books, in_time, proxied},
    proxy::Direction,
    support::{TestDb, eventually, insert_user, nonce},
};

for_each_server!(
    a_statement_ends_with_its_timeout,
    an_acquire_ends_with_its_timeout,
    a_return_holds_nobody_up_and_loses_nothing,
    under_load_nothing_is_lost,
    connections_that_were_forgotten_are_replaced,
    opening_is_bounded,
    latency_is_no_fault,
    a_refusing_server_is_waited_for,
    a_close_says_what_it_left_behind,
    the_first_answer_is_bounded,
    a_commit_without_an_answer_is_unknown,
    who_tries_to_connect_takes_one_that_comes_back,
    who_cannot_connect_tries_until_the_deadline,
);

fn short(config: DatabaseConfig) -> DatabaseConfig {
    let second = Duration::from_secs(1);
    let settings = PoolConfig::default().pool_size(3).max_overflow(0).pool_timeout(second).connect_timeout(second);
    config.pool(settings.statement_timeout(Some(second)))
}

async fn a_statement_ends_with_its_timeout(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    let sessions = all_at_once(&pool, 3).await;
    for direction in [Direction::ToServer, Direction::ToClient] {
        proxy.hold(direction);
        let held = if direction == Direction::ToServer { &sessions[0] } else { &sessions[1] };
        let error = in_time("a statement", nonce(held, 1)).await.unwrap_err();
        assert!(matches!(error, Error::StatementTimeout { .. }) && error.is_timeout(), "{error:?}");
        assert!(error.to_string().contains("statement_timeout = 1s"), "{error}");
        proxy.heal();
    }
    drop(sessions);
    at_rest(&pool).await;
    drop(all_at_once(&pool, 3).await);
    check_books(&pool);
}

async fn an_acquire_ends_with_its_timeout(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| short(config).pool_pre_ping(PrePing::Always)).await;
    drop(all_at_once(&pool, 3).await);
    proxy.blackhole();
    let errors = in_time("all acquires", async {
        let waiters: Vec<_> = (0..8)
            .map(|number| {
                let pool = pool.clone();
                tokio::spawn(async move { nonce(&pool, number).await })
            })
            .collect();
        let mut errors = Vec::new();
        for waiter in waiters {
            errors.push(waiter.await.unwrap().unwrap_err());
        }
        errors
    })
    .await;
    for error in errors {
        assert!(error.is_timeout() || error.is_disconnect(), "{error:?}");
    }
    // Now there is nothing idle any more: it is the opening that hangs.
    let error = in_time("one acquire", nonce(&pool, 1)).await.unwrap_err();
    assert!(error.is_timeout() || error.is_disconnect(), "{error:?}");
    proxy.heal();
    at_rest(&pool).await;
    drop(all_at_once(&pool, 3).await);
    check_books(&pool);
}

async fn a_return_holds_nobody_up_and_loses_nothing(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    let mut transactions = Vec::new();
    for number in 0..3 {
        let tx = pool.begin().await.unwrap();
        insert_user(&tx, &number.to_string()).await.unwrap();
        transactions.push(tx);
    }
    proxy.blackhole();
    let rolled_back = transactions.pop().unwrap();
    in_time("dropping", async { drop(transactions) }).await;
    let error = in_time("a rollback", rolled_back.rollback()).await.unwrap_err();
    assert!(matches!(error, Error::StatementTimeout { .. }), "{error:?}");
    let error = in_time("an acquire", nonce(&pool, 1)).await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    proxy.heal();
    at_rest(&pool).await;
    drop(all_at_once(&pool, 3).await);
    check_books(&pool);
    assert_eq!(crate::support::count_users(db.outside()).await, 0);
}

async fn under_load_nothing_is_lost(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    let load = crate::common::Load::start(&pool, 12);
    load.goes_on(50).await;
    proxy.blackhole();
    eventually("somebody has given up", async || pool.counters().timeouts > 0).await;
    proxy.heal();
    load.goes_on(200).await;
    let failures = load.stop().await;
    assert!(!failures.is_empty());
    assert!(failures.iter().all(|error| error.is_timeout() || error.is_disconnect()), "{failures:?}");
    at_rest(&pool).await;
    drop(all_at_once(&pool, 3).await);
    check_books(&pool);
}

/// As behind a firewall that forgets connections on which nothing happens.
async fn connections_that_were_forgotten_are_replaced(db: TestDb) {
    let settings = PoolConfig::default().pool_size(4).max_overflow(0).pool_timeout(Duration::from_secs(12));
    let settings = settings.connect_timeout(Duration::from_millis(500)).pool_pre_ping(PrePing::Always);
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    assert_eq!(pool.warm_up(4).await.unwrap(), 4);
    proxy.half_open();
    let accepted = proxy.accepted();
    assert_eq!(in_time("the first", nonce(&pool, 1)).await.unwrap(), 1);
    assert_eq!(proxy.accepted(), accepted + 1);
    let counters = pool.counters();
    assert_eq!(counters.invalidations, 1, "one forgotten connection speaks for all: {counters:?}");
    drop(all_at_once(&pool, 4).await);
    assert_eq!(pool.counters().invalidations, 1);
    check_books(&pool);
}

async fn opening_is_bounded(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    proxy.blackhole();
    for config in [
        short(DatabaseConfig::new(proxy.url())),
        short(DatabaseConfig::new(proxy.url())).pool_timeout(Duration::from_secs(5)),
    ] {
        let error = in_time("opening a pool", config.connect()).await.unwrap_err();
        assert!(error.is_timeout() || error.is_disconnect(), "{error:?}");
    }
    proxy.heal();
    nonce(&pool, 1).await.unwrap();
}

async fn latency_is_no_fault(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    proxy.delay(Direction::ToServer, Duration::from_millis(20));
    proxy.delay(Direction::ToClient, Duration::from_millis(20));
    drop(all_at_once(&pool, 3).await);
    let health = pool.health().await.unwrap();
    assert!(health.latency >= Duration::from_millis(40), "{health:?}");
    assert_eq!(pool.counters().invalidations, 0);
}

async fn a_refusing_server_is_waited_for(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(2).pool_timeout(Duration::from_millis(400))).await;
    proxy.refuse();
    proxy.cut().await;
    let first = in_time("the first", nonce(&pool, 1)).await.unwrap_err();
    assert!(first.is_disconnect(), "{first:?}");
    let second = in_time("the second", nonce(&pool, 1)).await.unwrap_err();
    assert!(matches!(second, Error::Connect { .. } | Error::PoolTimeout(_)), "{second:?}");
    let shown = second.to_string();
    assert!(shown.contains("cannot connect to"), "it names the cause: {shown}");
    proxy.heal();
    nonce(&pool, 2).await.unwrap();

    let patient = db.open(|_| DatabaseConfig::new(proxy.url()).pool_size(1).max_overflow(0)).await;
    proxy.refuse();
    proxy.cut().await;
    assert!(nonce(&patient, 1).await.is_err());
    let waiting = tokio::spawn({
        let patient = patient.clone();
        async move { nonce(&patient, 3).await }
    });
    eventually("it waits", async || patient.status().waiting == 1 || waiting.is_finished()).await;
    assert!(!waiting.is_finished(), "{:?}", waiting.await);
    proxy.heal();
    assert_eq!(in_time("it succeeds", waiting).await.unwrap().unwrap(), 3);
    assert_eq!(patient.counters().timeouts, 0);
}

async fn a_close_says_what_it_left_behind(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    proxy.blackhole();
    // Nobody holds it any more, but it cannot be rolled back.
    drop(tx);
    let report = in_time("the close", pool.close_within(Duration::from_millis(200))).await;
    assert_eq!(pool.status().size, 1, "{}", pool.status());
    assert!(!report.is_complete(), "{report:?}: {report}");
    assert!(report.held.is_empty(), "{report:?}");
    assert!(report.to_string().contains("1 connection"), "{report}");
    proxy.heal();
    at_rest(&pool).await;
    let report = in_time("the second close", pool.close_within(Duration::from_secs(5))).await;
    assert!(report.is_complete(), "{report:?}");
}

/// The server takes the call, and says nothing when it is asked the first question.
async fn the_first_answer_is_bounded(db: TestDb) {
    let second = Duration::from_secs(1);
    let proxy = crate::proxy::Proxy::to(db.url()).await;
    let settings = PoolConfig::default().pool_timeout(second).connect_timeout(second).after_connect("SELECT 7");
    let probe = DatabaseConfig::new(proxy.url()).pool(settings.clone()).connect().await.unwrap();
    let trips = proxy.round_trips();
    probe.close().await;
    // One less than what it takes: the last answer never comes.
    for missing in 1..=3 {
        let proxy = crate::proxy::Proxy::to(db.url()).await;
        proxy.hold_after(trips - missing);
        let config = DatabaseConfig::new(proxy.url()).pool(settings.clone());
        let error = in_time("opening a pool", config.connect()).await.unwrap_err();
        assert!(error.is_timeout() || error.is_disconnect(), "{error:?}");
    }
}

async fn a_commit_without_an_answer_is_unknown(db: TestDb) {
    let (proxy, pool) = proxied(&db, short).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    proxy.hold(Direction::ToClient);
    let error = in_time("the commit", tx.commit()).await.unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error:?}");
    assert!(error.to_string().contains("statement_timeout = 1s"), "{error}");
    proxy.heal();
    assert_eq!(crate::support::count_users(db.outside()).await, 1, "it was committed");
    at_rest(&pool).await;
    check_books(&pool);
}

async fn who_tries_to_connect_takes_one_that_comes_back(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool_size(3)).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.refuse();
    let waiters: Vec<_> = (0..2)
        .map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move { nonce(&pool, number).await })
        })
        .collect();
    // They are refused so often that the pauses between are as long as they get.
    eventually("they try again and again", async || proxy.refused() >= 10).await;
    drop(holder);
    for (number, waiter) in waiters.into_iter().enumerate() {
        assert_eq!(in_time("one who waits", waiter).await.unwrap().unwrap(), number as i64);
    }
    assert_eq!((pool.status().size, pool.counters().opened), (1, 1), "nothing could be opened");
    at_rest(&pool).await;
    check_books(&pool);
}

async fn who_cannot_connect_tries_until_the_deadline(db: TestDb) {
    let limit = Duration::from_millis(1500);
    let (proxy, pool) = proxied(&db, |config| config.pool_size(1).pool_timeout(limit)).await;
    proxy.refuse();
    proxy.cut().await;
    assert!(nonce(&pool, 1).await.is_err(), "the connection is found dead");
    let (started, refused) = (std::time::Instant::now(), proxy.refused());
    let error = in_time("a checkout", nonce(&pool, 2)).await.unwrap_err();
    assert!(error.to_string().contains("cannot connect to"), "{error}");
    let waited = started.elapsed();
    assert!(waited >= limit - Duration::from_millis(100), "it gave up after {waited:?}");
    assert_eq!(pool.counters().timeouts, 1, "{:?}", pool.counters());
    // The pauses between grow from 20 ms on.
    let attempts = proxy.refused() - refused;
    assert!((2..25).contains(&attempts), "{attempts} attempts");
    proxy.heal();
    assert_eq!(nonce(&pool, 3).await.unwrap(), 3);
}
