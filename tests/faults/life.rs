//! The end of a pool, the pauses in its life, and those who keep its connections.

use std::time::Duration;

use sea_dao::{Database, Error, PoolConfig, pool::CloseReason};
use sea_orm::TransactionTrait as _;

use crate::{
    capture::{Capture, run_captured},
    common::{at_rest, check_books, in_time},
    support::{Place, TestDb, eventually, insert_user, nonce, poll_times},
};

for_each_backend!(
    a_close_with_a_deadline_names_who_holds_what,
    a_close_with_nothing_held_leaves_nothing_behind,
    a_close_ends_seaorms_connection_even_when_something_is_held,
    what_is_held_on_seaorms_side_is_counted,
    while_suspended_nobody_gets_a_connection,
    who_waits_when_it_is_suspended_goes_on_waiting,
    a_close_ends_the_wait_of_a_suspended_pool,
    after_a_reset_a_new_pool_can_be_opened,
    warming_up_opens_so_many,
    checkouts_and_uses_are_counted_alike,
);

async fn a_close_with_a_deadline_names_who_holds_what(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2)).await;
    let session = pool.session();
    let line = line!() - 1;
    nonce(&session, 1).await.unwrap();
    let closing = tokio::spawn({
        let pool = pool.clone();
        async move { pool.close_within(Duration::from_secs(2)).await }
    });
    eventually("it is closed", async || pool.status().closed).await;
    let refused = in_time("a checkout", nonce(&pool, 2)).await.unwrap_err();
    assert!(matches!(refused, Error::PoolClosed), "{refused:?}");
    let report = in_time("the close", closing).await.unwrap();
    assert!(!report.is_complete() && report.held.len() == 1, "{report:?}");
    assert!(report.held[0].location.file().ends_with("life.rs"), "{report}");
    assert_eq!(report.held[0].location.line(), line);
    let shown = report.to_string();
    assert!(shown.contains(&format!("life.rs:{line}")), "{shown}");

    assert_eq!(nonce(&session, 3).await.unwrap(), 3, "who has one may go on");
    assert_eq!(pool.status().size, 1);
    drop(session);
    eventually("it is closed when it comes back", async || pool.status().size == 0).await;
    let again = in_time("the second close", pool.close_within(Duration::from_millis(300))).await;
    assert!(again.is_complete(), "{again}");
    in_time("the third close", pool.close()).await;
    check_books(&pool);
}

async fn a_close_with_nothing_held_leaves_nothing_behind(db: TestDb) {
    let others = db.server_sessions().await;
    let pool = db.open(|config| config.pool_size(3)).await;
    assert_eq!(pool.warm_up(3).await.unwrap(), 3);
    insert_user(&pool.sea_orm_connection().await.unwrap(), "a").await.unwrap();
    let report = in_time("the close", pool.close_within(Duration::from_secs(5))).await;
    assert!(report.is_complete() && report.held.is_empty(), "{report}");
    assert!(report.to_string().starts_with("closed in "), "{report}");
    assert_eq!((pool.status().size, pool.status().closed), (0, true));
    assert_eq!(pool.counters().closed_for(CloseReason::Shutdown), 3);
    check_books(&pool);
    eventually("the server has no session of it", async || db.server_sessions().await == others).await;
    assert!(matches!(pool.warm_up(1).await, Err(Error::PoolClosed)));
    assert!(matches!(pool.health().await, Err(Error::PoolClosed)));
}

async fn a_close_ends_seaorms_connection_even_when_something_is_held(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2)).await;
    let connection = pool.sea_orm_connection().await.unwrap();
    insert_user(&connection, "a").await.unwrap();
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    let report = in_time("the close", pool.close_within(Duration::from_millis(200))).await;
    assert_eq!(report.held.len(), 1, "{report}");
    assert!(in_time("a write", insert_user(&connection, "b")).await.is_err(), "it is closed with the rest");
    drop(session);
    at_rest(&pool).await;
}

async fn what_is_held_on_seaorms_side_is_counted(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2)).await;
    let transaction = pool.sea_orm_connection().await.unwrap().begin().await.unwrap();
    let report = in_time("the close", pool.close_within(Duration::from_millis(200))).await;
    assert!(!report.is_complete() && report.held.is_empty() && report.open >= 1, "{report}");
    transaction.rollback().await.unwrap();
    let report = in_time("the close", pool.close_within(Duration::from_secs(30))).await;
    assert!(report.is_complete() && report.open == 0, "{report}");
}

async fn while_suspended_nobody_gets_a_connection(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2).pool_timeout(Duration::from_millis(300))).await;
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    pool.suspend();
    pool.suspend();
    let error = in_time("a checkout", nonce(&pool, 2)).await.unwrap_err();
    assert!(matches!(&error, Error::PoolTimeout(timeout) if timeout.suspended), "{error:?}");
    assert!(error.to_string().contains("the pool is suspended"), "{error}");
    assert_eq!(nonce(&session, 3).await.unwrap(), 3, "what is out is not touched");
    pool.resume();
    assert_eq!(nonce(&pool, 4).await.unwrap(), 4);
    pool.resume();
    assert_eq!(pool.status().waiting, 0);

    pool.suspend();
    let patient = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 5).await }
    });
    eventually("it waits", async || pool.status().waiting == 1).await;
    pool.resume();
    assert_eq!(patient.await.unwrap().unwrap(), 5);
    check_books(&pool);
}

async fn who_waits_when_it_is_suspended_goes_on_waiting(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    let mut waiting = std::pin::pin!(nonce(&pool, 2));
    assert!(poll_times(&mut waiting, 1).await.is_none());
    assert_eq!(pool.status().waiting, 1);
    pool.suspend();
    drop(session);
    assert!(poll_times(&mut waiting, 1).await.is_none(), "it is its turn, but nobody has one");
    let status = pool.status();
    assert_eq!((status.idle, status.checked_out, status.waiting), (1, 0, 1), "{status}");
    pool.resume();
    assert_eq!(in_time("it goes on", waiting).await.unwrap(), 2);
    check_books(&pool);
}

async fn a_close_ends_the_wait_of_a_suspended_pool(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1).pool_timeout(Duration::from_secs(50))).await;
    pool.suspend();
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { nonce(&pool, 1).await }
    });
    eventually("it waits", async || pool.status().waiting == 1).await;
    in_time("the close", pool.close()).await;
    let refused = in_time("the one that waits", waiting).await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::PoolClosed), "{refused:?}");
    let refused = in_time("a new one", nonce(&pool, 2)).await.unwrap_err();
    assert!(matches!(refused, Error::PoolClosed), "{refused:?}");
    pool.suspend();
    let refused = in_time("one after all", nonce(&pool, 3)).await.unwrap_err();
    assert!(matches!(refused, Error::PoolClosed), "{refused:?}");
}

async fn after_a_reset_a_new_pool_can_be_opened(db: TestDb) {
    let others = db.server_sessions().await;
    let pool = db.open(|config| config.pool_size(2)).await;
    insert_user(&pool, "a").await.unwrap();
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    let seaorms = pool.sea_orm_connection().await.unwrap();
    insert_user(&seaorms, "b").await.unwrap();
    pool.reset();
    pool.reset();
    assert!(in_time("a write", insert_user(&seaorms, "c")).await.is_err(), "it ends with the rest");
    assert!(matches!(nonce(&pool, 2).await, Err(Error::PoolClosed)));
    assert!(matches!(pool.sea_orm_connection().await, Err(Error::PoolClosed)));
    let new: Database = db.open(|config| config.pool_size(2)).await;
    assert_eq!(crate::support::count_users(&new).await, 2);
    drop(session);
    at_rest(&pool).await;
    assert_eq!(pool.status().size, 0);
    check_books(&pool);
    new.close().await;
    eventually("nothing is left of both", async || db.server_sessions().await == others).await;
}

async fn warming_up_opens_so_many(db: TestDb) {
    let pool = db.open(|config| config.pool_size(3).pool_timeout(Duration::from_secs(2))).await;
    assert_eq!(pool.status().size, 1, "the first one is opened at once");
    assert_eq!(pool.warm_up(2).await.unwrap(), 2);
    assert_eq!((pool.status().size, pool.status().idle), (2, 2));
    assert_eq!(pool.warm_up(100).await.unwrap(), 3, "at most pool_size");
    assert_eq!((pool.status().size, pool.status().idle), (3, 3));
    assert_eq!(pool.warm_up(0).await.unwrap(), 0);
    // Those that are out are open.
    let sessions = crate::common::all_at_once(&pool, 2).await;
    assert_eq!(pool.warm_up(3).await.unwrap(), 3);
    assert_eq!((pool.status().size, pool.status().checked_out), (3, 2));
    drop(sessions);
    check_books(&pool);
}

async fn checkouts_and_uses_are_counted_alike(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2)).await;
    check_books(&pool);
    for number in 0..10 {
        nonce(&pool, number).await.unwrap();
    }
    pool.warm_up(2).await.unwrap();
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    check_books(&pool);
    let counters = pool.counters();
    assert_eq!((counters.checkouts, counters.usage.count), (11, 10), "{counters:?}");
    assert!(counters.usage.max >= counters.usage.p99 && counters.usage.p99 >= counters.usage.p50, "{counters:?}");
    drop(session);
    check_books(&pool);
}

async fn a_leak_is_reported_once_and_again_when_it_comes_back(db: TestDb, capture: Capture) {
    let settings = PoolConfig::default().pool_size(2).max_overflow(0);
    let pool = db.open(|config| config.pool(settings.leak_threshold(Some(Duration::from_millis(100))))).await;
    nonce(&pool, 0).await.unwrap();
    let session = pool.session();
    let line = line!() - 1;
    nonce(&session, 1).await.unwrap();
    let place = format!("life.rs:{line}");
    eventually("it is reported", async || !capture.with("may be leaked").is_empty()).await;
    assert!(capture.with("may be leaked")[0].contains(&place), "{:?}", capture.with("may be leaked"));
    assert!(capture.with("may be leaked")[0].starts_with("WARN sea_dao::pool"), "{:?}", capture.with("leaked"));
    assert_eq!(pool.holders().len(), 1);
    let quick = pool.session();
    nonce(&quick, 2).await.unwrap();
    drop(quick);
    // A second holder is reported by a later look at all of them; the first is not again.
    let second = pool.session();
    nonce(&second, 3).await.unwrap();
    eventually("so is the second", async || capture.with("may be leaked").len() >= 2).await;
    assert_eq!(capture.with(&place).len(), 1, "once");
    assert!(capture.with("came back").is_empty());
    drop(session);
    let back = capture.with("came back");
    assert!(back.len() == 1 && back[0].contains(&place), "{back:?}");
    drop(second);
    assert_eq!(capture.with("came back").len(), 2);
    assert_eq!(capture.with("may be leaked").len(), 2);
}

async fn nothing_is_reported_without_a_threshold(db: TestDb, capture: Capture) {
    let settings = PoolConfig::default().pool_size(2).max_overflow(0);
    let pool = db.open(|config| config.pool(settings.clone())).await;
    let session = pool.session();
    nonce(&session, 1).await.unwrap();
    // Another pool's reports show that there was time for one.
    let watched = db.open(|config| config.pool(settings.leak_threshold(Some(Duration::from_millis(50))))).await;
    let leaked = watched.session();
    nonce(&leaked, 1).await.unwrap();
    eventually("it is reported", async || !capture.with("may be leaked").is_empty()).await;
    drop((session, leaked));
    assert_eq!((capture.with("may be leaked").len(), capture.with("came back").len()), (1, 1));
}

macro_rules! captured {
    ($($module:ident: $place:ident),+) => {
        mod leaks {
            $(mod $module {
                use super::super::*;

                #[test]
                fn a_leak_is_reported_once_and_again_when_it_comes_back() {
                    run_captured(Place::$place, super::super::a_leak_is_reported_once_and_again_when_it_comes_back);
                }

                #[test]
                fn nothing_is_reported_without_a_threshold() {
                    run_captured(Place::$place, super::super::nothing_is_reported_without_a_threshold);
                }
            })+
        }
    };
}

captured!(sqlite: SqliteFile, postgres: Postgres, mariadb: MariaDb);
