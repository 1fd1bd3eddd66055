//! `after_connect`: what it may not do, and what is said of it.

use sea_dao::{Error, PoolConfig};
use sea_orm::DbBackend;

use crate::support::{Recorder, TestDb, count_users, insert_user};

for_each_backend!(
    sql_that_would_leave_a_transaction_open_is_refused,
    a_failure_names_the_setting_and_shows_no_value,
    what_it_says_is_shown_to_nobody,
);

fn settings(sql: &str) -> PoolConfig {
    PoolConfig::default().pool_size(1).max_overflow(0).after_connect("SELECT 1").after_connect(sql)
}

async fn sql_that_would_leave_a_transaction_open_is_refused(db: TestDb) {
    let opening: &[&str] = match db.backend() {
        DbBackend::MySql => &["SET autocommit=0", "SET completion_type = 'CHAIN'", "START TRANSACTION"],
        _ => &["BEGIN", "SELECT 1; BEGIN"],
    };
    for sql in opening {
        let error = db.config().pool(settings(sql)).connect().await.unwrap_err();
        assert!(matches!(error, Error::Config { setting: "after_connect", .. }), "{sql}: {error:?}");
        assert!(error.to_string().contains("in text 2"), "{error}");
    }
    let pool = db.open(|config| config.pool(settings("SELECT 2"))).await;
    insert_user(&pool, "kept").await.unwrap();
    pool.close().await;
    assert_eq!(count_users(db.outside()).await, 1);
}

async fn a_failure_names_the_setting_and_shows_no_value(db: TestDb) {
    let error = db.config().pool(settings("NONSENSE 'hunter3'")).connect().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("after_connect, text 2") && shown.contains("NONSENSE"), "{shown}");
    assert!(!shown.contains("hunter3"), "{shown}");
}

async fn what_it_says_is_shown_to_nobody(db: TestDb) {
    let recorder = Recorder::default();
    let config = db.config().pool(settings("SELECT 'hunter3'")).hook(recorder.clone());
    let shown = format!("{config:?}");
    assert!(shown.contains(r#"after_connect: ["***", "***"]"#), "{shown}");
    let pool = db.open(|_| config).await;
    let seen: Vec<String> = recorder.take().into_iter().map(|seen| seen.sql).collect();
    assert!(seen.iter().any(|sql| sql == "SELECT /* after_connect, text 2 */"), "{seen:?}");
    assert!(!seen.iter().any(|sql| sql.contains("hunter3")), "{seen:?}");
    pool.close().await;
}
