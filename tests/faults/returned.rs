//! Since when a connection is idle, and what becomes of one that nobody can clean up.

use std::{
    thread,
    time::{Duration, Instant},
};

use sea_dao::{PoolConfig, config::PrePing, hooks::StatementKind};
use tokio::runtime::Builder;

use crate::{
    common::{at_rest, check_books, in_time},
    support::{Recorder, TestDb, count_users, eventually, insert_user, nonce, usernames},
};

for_each_backend!(
    idle_is_counted_from_the_return,
    an_answered_ping_is_a_sign_of_life,
    a_transaction_that_ends_with_its_runtime_reaches_nobody,
    a_transaction_dropped_without_a_runtime_is_rolled_back,
);

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
