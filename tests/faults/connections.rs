//! What a connection brings to its borrower: its settings, its types, and nothing of the one before.

use std::collections::HashSet;

use sea_dao::{
    Error, PoolConfig, Session,
    config::{PoolOrder, ResetOnReturn},
    pool::CloseReason,
};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};

use crate::{
    common::{all_at_once, at_rest, check_books, number, server_id, text},
    support::{TestDb, eventually, insert_user},
};

for_each_backend!(
    every_new_connection_is_set_up,
    what_sets_a_connection_up_may_fail,
    values_of_any_type_find_the_right_rows,
    health_tells_what_the_server_is,
    the_server_counts_its_sessions,
);

fn settings() -> PoolConfig {
    PoolConfig::default().pool_size(3).max_overflow(0)
}

/// SQL that sets something in a session, SQL that asks for it, and the answer.
fn setting(backend: DbBackend) -> (&'static str, &'static str, &'static str) {
    match backend {
        DbBackend::Postgres => ("SET TIME ZONE 'Asia/Tokyo'", "SELECT current_setting('TimeZone')", "Asia/Tokyo"),
        DbBackend::MySql => ("SET SESSION wait_timeout = 12345", "SELECT CAST(@@wait_timeout AS CHAR)", "12345"),
        _ => ("PRAGMA cache_size = -1234", "SELECT CAST(cache_size AS TEXT) FROM pragma_cache_size", "-1234"),
    }
}

async fn every_new_connection_is_set_up(db: TestDb) {
    let (set, ask, answer) = setting(db.backend());
    let settings = settings().after_connect(set).after_connect("SELECT 1");
    let pool = db.open(|config| config.pool(settings.clone())).await;
    for session in all_at_once(&pool, 3).await {
        assert_eq!(text(&session, ask).await, answer);
    }
    assert_eq!(pool.status().size, 3, "they are kept: the settings are not taken for a borrower's");
    assert_ne!(text(&*db, ask).await, answer);

    // They outlast whatever is done when a connection comes back.
    for reset in [ResetOnReturn::Rollback, ResetOnReturn::Full, ResetOnReturn::None] {
        let pool = db.open(|config| config.pool(settings.clone().pool_size(1).reset_on_return(reset))).await;
        for _ in 0..3 {
            assert_eq!(text(&pool, ask).await, answer, "{reset:?}");
        }
        at_rest(&pool).await;
        check_books(&pool);
    }
}

async fn what_sets_a_connection_up_may_fail(db: TestDb) {
    let error = db.config().pool(settings().after_connect("NONSENSE")).connect().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("after_connect, text 1"), "{error}");

    db.outside().execute_unprepared("CREATE TABLE gate (open INTEGER)").await.unwrap();
    let pool = db.open(|config| config.pool(settings().after_connect("SELECT COUNT(*) FROM gate"))).await;
    let first = pool.session();
    assert_eq!(number(&first, "SELECT 1 + COUNT(*) FROM gate").await, 1);
    db.outside().execute_unprepared("DROP TABLE gate").await.unwrap();
    let error = crate::support::nonce(&pool, 1).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("after_connect, text 1"), "{error}");
    eventually("it is gone", async || pool.status().size == 1).await;
    check_books(&pool);
    assert_eq!(pool.counters().closed_for(CloseReason::Shutdown), 0, "{:?}", pool.counters());
    db.outside().execute_unprepared("CREATE TABLE gate (open INTEGER)").await.unwrap();
    assert_eq!(crate::support::nonce(&pool, 2).await.unwrap(), 2);
    drop(first);
}

async fn values_of_any_type_find_the_right_rows(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(insert_user(&pool, name).await.unwrap().id);
    }
    let sql = if db.backend() == DbBackend::Postgres {
        r#"SELECT username FROM "user" WHERE id = $1"#
    } else {
        "SELECT username FROM user WHERE id = ?"
    };
    let session = pool.session();
    for _ in 0..3 {
        for (id, name) in ids.iter().zip(["a", "b", "c"]) {
            for value in [
                Value::Int(Some(i32::try_from(*id).unwrap())),
                Value::BigInt(Some(*id)),
                Value::Double(Some(*id as f64)),
                Value::SmallInt(Some(i16::try_from(*id).unwrap())),
                Value::Float(Some(*id as f32)),
            ] {
                let shown = format!("{value:?}");
                let statement = Statement::from_sql_and_values(db.backend(), sql, [value]);
                let row = session.query_one_raw(statement).await.unwrap_or_else(|error| panic!("{shown}: {error}"));
                let found: Option<String> = row.map(|row| row.try_get_by_index(0).unwrap());
                assert_eq!(found.as_deref(), Some(name), "{shown}");
            }
        }
        let nothing = Statement::from_sql_and_values(db.backend(), sql, [Value::BigInt(None)]);
        assert!(session.query_one_raw(nothing).await.unwrap().is_none());
    }
}

async fn health_tells_what_the_server_is(db: TestDb) {
    let pool = db.open(|config| config.pool_size(2)).await;
    let health = pool.health().await.unwrap();
    assert!(!health.read_only, "{health:?}");
    assert!(health.server_version.starts_with(|first: char| first.is_ascii_digit()), "{health:?}");
    assert_eq!(health.pool.checked_out, 1, "its own: {health:?}");
    assert_eq!(pool.status().checked_out, 0);
    check_books(&pool);
}

async fn the_server_counts_its_sessions(db: TestDb) {
    let pool = db.open(|config| config.pool_size(3)).await;
    if !db.capabilities().server {
        let refused = pool.server_sessions().await.unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused:?}");
        return;
    }
    pool.warm_up(3).await.unwrap();
    let before = pool.server_sessions().await.unwrap();
    assert!(before.open >= 3 && before.limit >= before.open, "{before:?}");
    let other = db.open(|config| config.pool_size(2)).await;
    other.warm_up(2).await.unwrap();
    let tx = other.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    let with_other = pool.server_sessions().await.unwrap();
    assert_eq!(with_other.open, before.open + 2, "{before:?}");
    if db.backend() == DbBackend::Postgres {
        assert_eq!(with_other.idle_in_transaction, Some(1));
    }
    tx.rollback().await.unwrap();
    other.close().await;
    eventually("they are gone", async || pool.server_sessions().await.unwrap().open == before.open).await;
}

/// A session that takes no writes; MariaDB knows it of a whole server only, see `own_server.rs`.
async fn health_sees_that_only_reads_are_taken(db: TestDb) {
    let read_only = match db.backend() {
        DbBackend::Postgres => "SET default_transaction_read_only = on",
        _ => "PRAGMA query_only = ON",
    };
    let pool = db.open(|config| config.pool(settings().after_connect(read_only))).await;
    assert!(pool.health().await.unwrap().read_only);
}

async fn a_file_opened_for_reading_is_read_only(db: TestDb) {
    insert_user(db.outside(), "a").await.unwrap();
    let url = db.url().replace("mode=rwc", "mode=ro");
    let pool = db.open(|_| sea_dao::DatabaseConfig::new(url).pool_size(2)).await;
    assert!(pool.health().await.unwrap().read_only);
    assert_eq!(crate::support::count_users(&pool).await, 1);
    let error = insert_user(&pool, "b").await.unwrap_err();
    assert_eq!(error.class(), Some(sea_dao::error::ErrorClass::ReadOnly), "{error:?}");
}

mod read_only {
    mod sqlite {
        #[test]
        fn a_file_opened_for_reading_is_read_only() {
            crate::support::run(
                crate::support::Place::SqliteFile,
                super::super::a_file_opened_for_reading_is_read_only,
            );
        }

        #[test]
        fn health_sees_that_only_reads_are_taken() {
            crate::support::run(crate::support::Place::SqliteFile, super::super::health_sees_that_only_reads_are_taken);
        }
    }

    mod postgres {
        #[test]
        fn health_sees_that_only_reads_are_taken() {
            crate::support::run(crate::support::Place::Postgres, super::super::health_sees_that_only_reads_are_taken);
        }
    }
}

mod servers {
    use super::*;

    for_each_server!(
        a_full_reset_leaves_nothing_of_the_borrower,
        without_a_reset_a_setting_stays,
        a_changed_session_is_not_handed_on,
        the_last_one_back_or_the_first_one_is_next,
    );
}

async fn a_full_reset_leaves_nothing_of_the_borrower(db: TestDb) {
    let (set, ask, answer) = setting(db.backend());
    let settings = settings().pool_size(1).reset_on_return(ResetOnReturn::Full);
    let pool = db.open(|config| config.pool(settings)).await;
    let before = text(&pool, ask).await;
    for _ in 0..3 {
        let session = pool.session();
        session.execute_unprepared(set).await.unwrap();
        insert_and_find(&session).await;
        assert_eq!(text(&session, ask).await, answer);
        drop(session);
        assert_eq!(text(&pool, ask).await, before);
        insert_and_find(&pool.session()).await;
    }
    at_rest(&pool).await;
    check_books(&pool);
    let counters = pool.counters();
    assert_eq!(counters.closed_for(CloseReason::Shutdown), 0, "the pool was not closed: {counters:?}");
    if db.backend() == DbBackend::Postgres {
        assert_eq!(counters.opened, 1, "it was reset and not closed: {counters:?}");
    }
}

/// Statements with values, which are prepared.
async fn insert_and_find(session: &Session) {
    let name = format!("{}", fastrand::u64(..));
    insert_user(session, &name).await.unwrap();
    assert!(crate::support::usernames(session).await.contains(&name));
}

async fn without_a_reset_a_setting_stays(db: TestDb) {
    let (set, ask, answer) = setting(db.backend());
    let settings = settings().pool_size(1).reset_on_return(ResetOnReturn::None);
    let pool = db.open(|config| config.pool(settings)).await;
    pool.execute_unprepared(set).await.unwrap();
    assert_eq!(text(&pool, ask).await, answer);
    // A transaction is rolled back all the same.
    let tx = pool.begin().await.unwrap();
    insert_user(&tx, "a").await.unwrap();
    drop(tx);
    assert_eq!(crate::support::count_users(&pool).await, 0);
    assert_eq!(text(&pool, ask).await, answer);
    assert_eq!(pool.counters().opened, 1);
}

async fn a_changed_session_is_not_handed_on(db: TestDb) {
    let (set, ask, answer) = setting(db.backend());
    let pool = db.open(|config| config.pool(settings().pool_size(1))).await;
    let lock = match db.backend() {
        DbBackend::Postgres => "SELECT pg_advisory_lock(7)",
        _ => "SELECT GET_LOCK('seven', 1)",
    };
    for sql in [set, lock] {
        let session = pool.session();
        session.execute_unprepared(sql).await.unwrap();
        drop(session);
    }
    assert_ne!(text(&pool, ask).await, answer);
    at_rest(&pool).await;
    assert_eq!(pool.counters().closed_for(CloseReason::SessionChanged), 2);
    check_books(&pool);
    let free = match db.backend() {
        DbBackend::Postgres => "SELECT pg_try_advisory_lock(7)::int::bigint",
        _ => "SELECT CAST(GET_LOCK('seven', 5) AS SIGNED)",
    };
    eventually("the lock is free", async || number(db.outside(), free).await == 1).await;
}

async fn the_last_one_back_or_the_first_one_is_next(db: TestDb) {
    for (order, expected) in [(PoolOrder::Lifo, [2, 1, 0]), (PoolOrder::Fifo, [0, 1, 2])] {
        let pool = db.open(|config| config.pool(settings().pool_order(order))).await;
        let sessions = all_at_once(&pool, 3).await;
        let mut ids = Vec::new();
        for session in &sessions {
            ids.push(server_id(session).await);
        }
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 3);
        for session in sessions {
            drop(session);
        }
        let sessions: Vec<Session> = (0..3).map(|_| pool.session()).collect();
        for (session, expected) in sessions.iter().zip(expected) {
            assert_eq!(server_id(session).await, ids[expected], "{order:?}");
        }
    }
}
