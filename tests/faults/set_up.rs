//! `after_connect`: what it may not do, and what is said of it.

use std::sync::{Arc, Mutex};

use sea_dao::{
    Error, PoolConfig,
    hooks::{SqlHook, StatementInfo, StatementOutcome},
};
use sea_orm::DbBackend;

use crate::support::{Recorder, TestDb, count_users, insert_user};

for_each_backend!(
    sql_that_would_leave_a_transaction_open_is_refused,
    a_failure_names_the_setting_and_shows_no_value,
    what_the_database_says_of_it_is_shown_to_nobody,
    what_it_says_is_shown_to_nobody,
);

/// Everything that hooks are told of how statements end.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<String>>);

impl SqlHook for Told {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        self.0.lock().unwrap().push_str(&format!("{statement:?} {outcome:?}\n"));
    }
}

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
    let code = match db.backend() {
        DbBackend::Postgres => "42601",
        DbBackend::MySql => "1064",
        _ => "1",
    };
    assert!(shown.contains(&format!("after_connect, text 2: other, code {code};")), "{shown}");
    assert!(!shown.contains("hunter3"), "{shown}");
}

/// The databases quote what they do not understand, in their own ways.
async fn what_the_database_says_of_it_is_shown_to_nobody(db: TestDb) {
    let failing: &[&str] = match db.backend() {
        DbBackend::Postgres => &[
            "SELECT E'hunter3'::int",
            "SELECT $$hunter3$$::int",
            "SELECT 'a''hunter3'::int",
            "SET ROLE \"hunter3\"",
            "SET hunter3",
        ],
        DbBackend::MySql => &[
            "SET sql_mode = _utf8'hunter3'",
            "SELECT hunter3",
            "SELECT x FROM 'hunter3 and more than the server quotes, which cuts it off somewhere behind that'",
        ],
        _ => &["SELECT hunter3", "SELECT * FROM \"hunter3\""],
    };
    for sql in failing {
        let told = Told::default();
        let error = db.config().pool(settings(sql)).hook(told.clone()).connect().await.unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{sql}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter3"), "{sql}: {error:?}");
        let told = told.0.lock().unwrap().clone();
        assert!(told.contains("after_connect, text 2: ") && !told.contains("hunter3"), "{sql}: {told}");
    }
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
