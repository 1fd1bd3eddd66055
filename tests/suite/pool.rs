//! The pool: its limits, its numbers, its end.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_dao::{Database, DatabaseConfig, Error, PoolConfig, config::PrePing, hooks::StatementKind, pool::PoolStatus};

use crate::support::{Recorder, TestDb, eventually, insert_user, nonce, poll_times};

for_each_backend!(
    never_more_than_the_limit_is_open,
    the_sums_of_the_status_hold_under_load,
    an_overflow_connection_is_closed_unless_someone_waits,
    a_timeout_names_the_numbers,
    waiters_are_served,
    answers_never_mix_under_random_drops,
    close_refuses_new_and_waits_for_the_others,
    expired_connections_are_replaced,
    a_ping_replaces_connections_that_were_killed,
    a_ping_is_sent_only_when_asked_for,
    seaorms_connection_is_closed_with_the_pool,
);

fn check_sums(status: PoolStatus) {
    assert_eq!(status.size, status.checked_out + status.idle + status.closing, "{status:?}");
    assert_eq!(status.overflow, status.size.saturating_sub(status.pool_size), "{status:?}");
    assert!(status.size + status.connecting <= status.pool_size + status.max_overflow, "{status:?}");
}

/// Watches the pool until the guard says that it is enough.
fn watch(db: &Database, done: &Arc<AtomicBool>) -> tokio::task::JoinHandle<usize> {
    let (db, done) = (db.clone(), done.clone());
    tokio::spawn(async move {
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            let status = db.status();
            check_sums(status);
            most = most.max(status.size);
            tokio::task::yield_now().await;
        }
        most
    })
}

/// `tasks` tasks that each run `rounds` statements, each on a session of its own, a part of them in a transaction.
async fn hammer(db: &Database, tasks: i64, rounds: i64) {
    let tasks: Vec<_> = (0..tasks)
        .map(|task| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0..rounds {
                    let number = task * 1000 + round;
                    match round % 3 {
                        0 => assert_eq!(nonce(&db, number).await.unwrap(), number),
                        1 => {
                            let tx = db.transaction().read_only().begin().await.unwrap();
                            assert_eq!(nonce(&tx, number).await.unwrap(), number);
                            drop(tx);
                        }
                        _ => {
                            let session = db.session();
                            assert_eq!(nonce(&session, number).await.unwrap(), number);
                            assert_eq!(nonce(&session, -number).await.unwrap(), -number);
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn never_more_than_the_limit_is_open(db: TestDb) {
    let others = db.server_sessions().await;
    let pool = db.open(|config| config.pool_size(3).max_overflow(2)).await;
    let sessions: Vec<_> = (0..5).map(|_| pool.session()).collect();
    for session in &sessions {
        nonce(session, 1).await.unwrap();
    }
    assert_eq!((pool.status().size, pool.status().overflow), (5, 2), "all may be used at once");
    drop(sessions);
    let done = Arc::new(AtomicBool::new(false));
    let watcher = watch(&pool, &done);
    let server = tokio::spawn({
        let (db, done) = (db.clone(), done.clone());
        async move {
            let (mut most, mut before) = (0, HashSet::new());
            while !done.load(Ordering::Relaxed) {
                // One that was closed may still be there for a moment, but not for long.
                let now: HashSet<i64> = db.server_session_ids().await.into_iter().collect();
                most = most.max(now.intersection(&before).count());
                before = now;
            }
            most
        }
    });
    hammer(&pool, 32, 30).await;
    done.store(true, Ordering::Relaxed);
    assert!(watcher.await.unwrap() <= 5);
    assert!(server.await.unwrap() <= others + 5);
    // One that came back while somebody waited is kept; the next that comes back while nobody does is closed.
    eventually("the overflow is closed", async || {
        nonce(&pool, 1).await.unwrap();
        let status = pool.status();
        (status.size, status.idle, status.overflow, status.waiting) == (3, 3, 0, 0)
    })
    .await;
    if db.capabilities().server {
        eventually("the server agrees", async || db.server_sessions().await == others + 3).await;
    }
}

async fn the_sums_of_the_status_hold_under_load(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2).max_overflow(3)).await;
    let done = Arc::new(AtomicBool::new(false));
    let watchers = [watch(&pool, &done), watch(&pool, &done)];
    let dropper = tokio::spawn({
        let (pool, done) = (pool.clone(), done.clone());
        async move {
            let mut polls = 0;
            while !done.load(Ordering::Relaxed) {
                polls = (polls + 1) % 5;
                let _ = poll_times(nonce(&pool, 0), polls).await;
                tokio::task::yield_now().await;
            }
        }
    });
    hammer(&pool, 32, 15).await;
    done.store(true, Ordering::Relaxed);
    dropper.await.unwrap();
    for watcher in watchers {
        watcher.await.unwrap();
    }
    eventually("all is quiet", async || pool.status().checked_out == 0 && pool.status().waiting == 0).await;
    check_sums(pool.status());
    let shown = pool.status().to_string();
    assert!(shown.starts_with("size ") && shown.contains("checked out 0"), "{shown}");
}

async fn an_overflow_connection_is_closed_unless_someone_waits(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).max_overflow(1)).await;
    let (first, second) = (pool.session(), pool.session());
    nonce(&first, 1).await.unwrap();
    nonce(&second, 2).await.unwrap();
    assert_eq!((pool.status().size, pool.status().overflow), (2, 1));
    drop(first);
    assert_eq!(pool.status().idle, 0, "it is not kept until somebody looks: {}", pool.status());
    eventually("one is closed", async || pool.status().size == 1).await;
    drop(second);
    assert_eq!((pool.status().size, pool.status().idle), (1, 1));

    let (first, second, third) = (pool.session(), pool.session(), pool.session());
    nonce(&first, 1).await.unwrap();
    nonce(&second, 2).await.unwrap();
    let waiter = tokio::spawn(async move {
        let answer = nonce(&third, 3).await.unwrap();
        (third, answer)
    });
    eventually("the third waits", async || pool.status().waiting == 1).await;
    drop(first);
    let (third, answer) = waiter.await.unwrap();
    assert_eq!((answer, pool.status().size, pool.status().checked_out), (3, 2, 2), "handed over, not closed");
    drop((second, third));
}

async fn a_timeout_names_the_numbers(db: TestDb) {
    let limit = Duration::from_millis(300);
    let pool = db.open(|config| config.pool_size(1).max_overflow(1).pool_timeout(limit)).await;
    let (first, second) = (pool.session(), pool.session());
    nonce(&first, 1).await.unwrap();
    nonce(&second, 2).await.unwrap();
    let error = nonce(&pool, 3).await.unwrap_err();
    assert!(error.is_timeout() && !error.is_disconnect() && !error.is_retryable(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("size 2 of 2, overflow 1, checked out 2, connecting 0, waiting 1"), "{text}");
    let Error::PoolTimeout(timeout) = error else { panic!("{error:?}") };
    assert!(timeout.waited >= limit);
    assert_eq!((timeout.size, timeout.limit, timeout.overflow), (2, 2, 1));
    assert_eq!((timeout.checked_out, timeout.waiting), (2, 1));
    assert_eq!(timeout.last_connect_error, None);
    assert_eq!(pool.status().waiting, 0);
    // The one that gave up holds no place.
    drop(first);
    nonce(&pool, 4).await.unwrap();
    drop(second);
}

async fn waiters_are_served(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    let holder = pool.session();
    nonce(&holder, 0).await.unwrap();
    let waiters: Vec<_> = (0..16)
        .map(|number| {
            let pool = pool.clone();
            tokio::spawn(async move { nonce(&pool, number).await })
        })
        .collect();
    eventually("all wait", async || pool.status().waiting == 16).await;
    drop(holder);
    for (number, waiter) in waiters.into_iter().enumerate() {
        assert_eq!(waiter.await.unwrap().unwrap(), number as i64);
    }
    assert_eq!((pool.status().waiting, pool.status().size), (0, 1));
}

async fn answers_never_mix_under_random_drops(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2).max_overflow(1)).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let pool = pool.clone();
            let mut random = fastrand::Rng::with_seed(seed ^ task);
            tokio::spawn(async move {
                for _ in 0..30 {
                    let number = random.i64(0..i64::MAX);
                    let polls = if random.bool() { random.usize(0..6) } else { usize::MAX };
                    if let Some(answer) = poll_times(nonce(&pool, number), polls).await {
                        assert_eq!(answer.unwrap(), number);
                    }
                    assert_eq!(nonce(&pool, !number).await.unwrap(), !number);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

async fn close_refuses_new_and_waits_for_the_others(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2)).await;
    let session = pool.session();
    let tx = session.begin().await.unwrap();
    insert_user(&tx, "kept").await.unwrap();
    let waiting = pool.session();
    let closing = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close().await }
    });
    eventually("it is closed for new ones", async || pool.status().closed).await;
    for refused in [nonce(&pool, 1).await.map(drop), pool.begin().await.map(drop), nonce(&waiting, 1).await.map(drop)] {
        assert!(matches!(refused, Err(Error::PoolClosed)), "{refused:?}");
    }
    assert!(!closing.is_finished(), "it waits for the one that is out");
    tx.commit().await.unwrap();
    drop(session);
    closing.await.unwrap();
    assert_eq!((pool.status().size, pool.status().connecting), (0, 0));
    pool.close().await;
    assert!(matches!(pool.sea_orm_connection().await, Err(Error::PoolClosed)));
    assert!(matches!(nonce(&pool, 1).await, Err(Error::PoolClosed)));
    assert_eq!(crate::support::count_users(db.outside()).await, 1);
}

async fn expired_connections_are_replaced(db: TestDb) {
    let settings = PoolConfig::default().pool_size(1).max_overflow(0).pool_recycle(Duration::from_nanos(100));
    let pool = db.open(|config| config.pool(settings.clone())).await;
    let mut first = None;
    for number in 0..5 {
        // Held meanwhile: what is idle is closed by the maintenance too.
        let session = pool.session();
        assert_eq!(nonce(&session, number).await.unwrap(), number);
        assert_eq!(pool.status().size, 1);
        if db.capabilities().server {
            let sessions: HashSet<i64> = db.server_session_ids().await.into_iter().collect();
            assert_ne!(first.replace(sessions.clone()), Some(sessions), "another connection each time");
        }
    }
}

async fn a_ping_replaces_connections_that_were_killed(db: TestDb) {
    let pool = db.open(|config| config.pool_size(4).pool_pre_ping(PrePing::Always)).await;
    let sessions: Vec<_> = (0..4).map(|_| pool.session()).collect();
    for session in &sessions {
        nonce(session, 1).await.unwrap();
    }
    drop(sessions);
    assert_eq!(pool.status().idle, 4);
    if db.capabilities().server {
        assert!(db.kill_server_sessions().await >= 4);
    }
    let sessions: Vec<_> = (0..4).map(|_| pool.session()).collect();
    for (number, session) in sessions.iter().enumerate() {
        assert_eq!(nonce(session, number as i64).await.unwrap(), number as i64);
    }
    assert_eq!((pool.status().checked_out, pool.status().size), (4, 4));
}

async fn a_ping_is_sent_only_when_asked_for(db: TestDb) {
    let pings = async |pre_ping: PrePing| {
        let recorder = Recorder::default();
        let pool = db.open(|config: DatabaseConfig| config.pool_pre_ping(pre_ping).hook(recorder.clone())).await;
        recorder.forget();
        nonce(&pool, 1).await.unwrap();
        nonce(&pool, 2).await.unwrap();
        recorder.take_kinds().into_iter().filter(|kind| *kind == StatementKind::Ping).count()
    };
    assert_eq!(pings(PrePing::Never).await, 0);
    assert_eq!(pings(PrePing::IfIdleFor(Duration::from_secs(3600))).await, 0);
    assert_eq!(pings(PrePing::IfIdleFor(Duration::ZERO)).await, 2);
    assert_eq!(pings(PrePing::Always).await, 2);
}

async fn seaorms_connection_is_closed_with_the_pool(db: TestDb) {
    let pool = db.open(|config| config).await;
    let connection = pool.sea_orm_connection().await.unwrap();
    insert_user(&connection, "a").await.unwrap();
    assert_eq!(crate::support::usernames(&pool).await, ["a"]);
    pool.close().await;
    assert!(insert_user(&connection, "b").await.is_err());
}
