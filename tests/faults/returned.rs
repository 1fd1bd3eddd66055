//! Since when a connection is idle, and what becomes of one that nobody can clean up.

use std::{
    thread,
    time::{Duration, Instant},
};

use sea_dao::{
    PoolConfig,
    config::{PrePing, ResetOnReturn},
    hooks::StatementKind,
    pool::CloseReason,
};
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::runtime::Builder;

use crate::{
    common::{all_at_once, at_rest, check_books, in_time, number, proxied, text},
    support::{Recorder, TestDb, count_users, eventually, insert_user, nonce, poll_times, usernames},
};

for_each_backend!(
    idle_is_counted_from_the_return,
    an_answered_ping_is_a_sign_of_life,
    a_transaction_that_ends_with_its_runtime_reaches_nobody,
    a_transaction_dropped_without_a_runtime_is_rolled_back,
    one_that_cannot_be_set_up_again_is_closed,
);

mod servers {
    use super::*;

    for_each_server!(
        a_full_reset_takes_what_nobody_could_know_of,
        one_that_was_found_dead_does_not_stay,
        a_return_is_bounded_without_a_statement_timeout,
        while_one_is_opened_for_a_caller_another_may_come_back,
        every_connection_says_goodbye,
    );
}

fn pings(recorder: &Recorder) -> usize {
    recorder.take_kinds().into_iter().filter(|kind| *kind == StatementKind::Ping).count()
}

fn settings() -> PoolConfig {
    PoolConfig::default().pool_size(1).max_overflow(0)
}

/// Not from its checkout, nor from the last ping.
async fn idle_is_counted_from_the_return(db: TestDb) {
    let limit = Duration::from_millis(400);
    let recorder = Recorder::default();
    let settings = settings().keepalive(Some(limit)).pool_pre_ping(PrePing::IfIdleFor(limit));
    let pool = db.open(|config| config.pool(settings).hook(recorder.clone())).await;
    eventually("it is pinged", async || pings(&recorder) > 0).await;
    loop {
        let session = pool.session();
        nonce(&session, 1).await.unwrap();
        let taken = Instant::now();
        eventually("it is out for long", async || taken.elapsed() > limit * 2).await;
        recorder.forget();
        let returned = Instant::now();
        drop(session);
        nonce(&pool, 2).await.unwrap();
        if returned.elapsed() < limit {
            assert_eq!(pings(&recorder), 0, "it has come back just now");
            break;
        }
        // The machine stood still for so long.
    }
    check_books(&pool);
}

async fn an_answered_ping_is_a_sign_of_life(db: TestDb) {
    const PINGS: usize = 4;
    let silence = Duration::from_millis(400);
    let recorder = Recorder::default();
    let settings = settings().keepalive(Some(silence)).pool_pre_ping(PrePing::Never);
    let started = Instant::now();
    let pool = db.open(|config| config.pool(settings).hook(recorder.clone())).await;
    let mut pinged = 0;
    eventually("it is pinged", async || {
        pinged += pings(&recorder);
        pinged >= PINGS
    })
    .await;
    let least = silence * u32::try_from(pinged).unwrap();
    assert!(started.elapsed() >= least, "{pinged} pings within {:?}", started.elapsed());
    assert_eq!(pool.counters().opened, 1);
}

async fn a_transaction_that_ends_with_its_runtime_reaches_nobody(db: TestDb) {
    let pool = db.open(|config| config.pool(settings())).await;
    let other = pool.clone();
    let elsewhere = move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let tx = other.begin().await.unwrap();
            insert_user(&tx, "lost").await.unwrap();
            drop(tx);
            // Nothing is waited for from here on: what was begun to clean up is cut short.
        });
    };
    thread::spawn(elsewhere).join().unwrap();
    in_time("a write", insert_user(&pool, "kept")).await.unwrap();
    assert_eq!(usernames(db.outside()).await, ["kept"], "it is in no transaction");
    assert_eq!(pool.counters().opened, 2);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_transaction_dropped_without_a_runtime_is_rolled_back(db: TestDb) {
    let pool = db.open(|config| config.pool(settings())).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "lost").await.unwrap();
    thread::spawn(move || drop(tx)).join().unwrap();
    assert_eq!(pool.status().size, 0, "it was cut off: {}", pool.status());
    // Nobody asks for a connection until its locks are gone.
    db.is_quiet().await;
    insert_user(&pool, "kept").await.unwrap();
    assert_eq!(count_users(db.outside()).await, 1);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn one_that_cannot_be_set_up_again_is_closed(db: TestDb) {
    db.outside().execute_unprepared("CREATE TABLE gate (open INTEGER)").await.unwrap();
    let settings = settings().after_connect("SELECT COUNT(*) FROM gate").reset_on_return(ResetOnReturn::Full);
    let pool = db.open(|config| config.pool(settings)).await;
    let session = pool.session();
    assert_eq!(number(&session, "SELECT 1 + COUNT(*) FROM gate").await, 1);
    db.outside().execute_unprepared("DROP TABLE gate").await.unwrap();
    drop(session);
    eventually("it is closed", async || pool.status().size == 0).await;
    assert_eq!(pool.counters().closed_for(CloseReason::Shutdown), 0, "{:?}", pool.counters());
    check_books(&pool);
}

/// What a trigger sets is in no statement that passes.
async fn a_full_reset_takes_what_nobody_could_know_of(db: TestDb) {
    let (set_up, ask): (&[&str], _) = match db.backend() {
        DbBackend::Postgres => (
            &[
                "CREATE FUNCTION sneak() RETURNS trigger LANGUAGE plpgsql \
                 AS $$ BEGIN PERFORM set_config('suite.sneak', 'x', false); RETURN NEW; END $$",
                r#"CREATE TRIGGER sneak BEFORE INSERT ON "user" FOR EACH ROW EXECUTE FUNCTION sneak()"#,
            ],
            "SELECT COALESCE(current_setting('suite.sneak', true), '')",
        ),
        _ => (
            &["CREATE TRIGGER sneak BEFORE INSERT ON user FOR EACH ROW SET @sneak = 'x'"],
            "SELECT COALESCE(CAST(@sneak AS CHAR), '')",
        ),
    };
    for sql in set_up {
        db.outside().execute_unprepared(sql).await.unwrap();
    }
    let pool = db.open(|config| config.pool(settings().reset_on_return(ResetOnReturn::Full))).await;
    let session = pool.session();
    insert_user(&session, "a").await.unwrap();
    assert_eq!(text(&session, ask).await, "x");
    drop(session);
    assert_eq!(text(&pool, ask).await, "");
}

async fn one_that_was_found_dead_does_not_stay(db: TestDb) {
    let pool = db.open(|config| config.pool(settings())).await;
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    db.kill_server_sessions().await;
    let error = nonce(&session, 2).await.unwrap_err();
    assert!(error.is_disconnect(), "{error:?}");
    drop(session);
    assert_eq!(pool.status().idle, 0, "{}", pool.status());
    eventually("it is closed", async || pool.status().size == 0).await;
    assert_eq!(pool.counters().closed_for(CloseReason::Broken), 1);
    check_books(&pool);
}

async fn a_return_is_bounded_without_a_statement_timeout(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool(settings())).await;
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    proxy.blackhole();
    drop(tx);
    eventually("it is closed instead", async || pool.status().size == 0).await;
    proxy.heal();
    assert_eq!(in_time("the next one", nonce(&pool, 1)).await.unwrap(), 1);
    at_rest(&pool).await;
    check_books(&pool);
}

/// It is the caller's, and the one that is opened one too many then.
async fn while_one_is_opened_for_a_caller_another_may_come_back(db: TestDb) {
    let (proxy, pool) = proxied(&db, |config| config.pool(settings().max_overflow(1))).await;
    let holder = pool.session();
    nonce(&holder, 1).await.unwrap();
    proxy.blackhole();
    let mut opening = std::pin::pin!(nonce(&pool, 2));
    assert!(poll_times(&mut opening, 1).await.is_none());
    let status = pool.status();
    assert_eq!((status.checked_out, status.connecting, status.waiting), (1, 1, 0), "{status}");
    drop(holder);
    assert_eq!(pool.status().idle, 1, "it is kept for the caller: {}", pool.status());
    proxy.heal();
    assert_eq!(in_time("the one that comes first", opening).await.unwrap(), 2);
    eventually("one is too many", async || pool.counters().closed_for(CloseReason::Overflow) == 1).await;
    at_rest(&pool).await;
    assert_eq!((pool.status().size, pool.counters().opened), (1, 2));
    check_books(&pool);
}

/// However it comes to be closed: the server need not find out by itself.
async fn every_connection_says_goodbye(db: TestDb) {
    let settings = PoolConfig::default().pool_size(2).max_overflow(1).idle_timeout(Some(Duration::from_millis(300)));
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    drop(all_at_once(&pool, 3).await);
    eventually("one is too many, two are idle for too long", async || pool.status().size == 0).await;
    eventually("they have said goodbye", async || proxy.goodbyes() == 3).await;

    let settings = PoolConfig::default().pool_size(3).max_overflow(0);
    let (proxy, pool) = proxied(&db, |config| config.pool(settings)).await;
    let sessions = all_at_once(&pool, 3).await;
    let [held, ..] = <[_; 3]>::try_from(sessions).unwrap();
    let mut closing = std::pin::pin!(pool.close());
    assert!(poll_times(&mut closing, 1).await.is_none());
    eventually("those that were idle have said goodbye", async || proxy.goodbyes() == 2).await;
    drop(held);
    in_time("the close", closing).await;
    eventually("the last one has too", async || proxy.goodbyes() == 3).await;
}
