//! Hooks see every statement once; the slow-SQL log says what was slow and hides values.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::TryStreamExt;
use sea_dao::hooks::{SqlHook, StatementInfo, StatementKind, StatementOutcome, ValueDisplay};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Statement};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Ended, Recorder, TestDb, eventually, insert_user, nonce, poll_times, slow_query, usernames};

for_each_backend!(
    every_statement_is_seen_once_with_its_kind,
    failures_and_cancellations_are_seen,
    statements_tell_their_session_and_transaction,
    values_are_copied_only_for_hooks_that_need_them,
    a_hook_that_panics_does_no_harm,
    the_slow_log_shows_what_is_slow_and_hides_values,
    what_the_slow_log_shows_runs_in_the_databases_console,
    the_slow_log_is_bounded_for_each_fingerprint,
    echo_logs_every_statement,
    a_point_select_on_a_warm_pool_sends_one_statement,
);

async fn every_statement_is_seen_once_with_its_kind(db: TestDb) {
    use StatementKind::{Begin, Commit, Execute, Query, Rollback, Savepoint, Script, Stream};
    insert_user(db.outside(), "a").await.unwrap();
    let session = db.session();
    nonce(&session, 1).await.unwrap();
    session.execute_unprepared("SELECT 1").await.unwrap();
    session.execute_raw(Statement::from_string(db.backend(), "DELETE FROM country")).await.unwrap();
    let stream = entities::user::Entity::find().stream(&session).await.unwrap();
    assert_eq!(stream.try_collect::<Vec<_>>().await.unwrap().len(), 1);
    let tx = session.begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    inner.rollback().await.unwrap();
    tx.commit().await.unwrap();
    session.begin().await.unwrap().rollback().await.unwrap();

    let seen = db.recorder().take();
    let kinds: Vec<_> = seen.iter().map(|seen| seen.kind).collect();
    let undo = StatementKind::RollbackToSavepoint;
    assert_eq!(kinds, [Query, Script, Execute, Stream, Begin, Savepoint, undo, Commit, Begin, Rollback]);
    assert!(seen.iter().all(|seen| seen.ended == Ended::Succeeded));
    assert_eq!(db.recorder().begun(), seen.len());
    assert_eq!((seen[0].rows, seen[2].rows, seen[3].rows), (Some(1), Some(0), Some(1)));
    assert!(seen[0].sql.starts_with("SELECT") && seen[9].sql == "ROLLBACK");
    assert_eq!(kinds.iter().filter(|kind| kind.is_transaction_control()).count(), 6);
}

async fn failures_and_cancellations_are_seen(db: TestDb) {
    insert_user(db.outside(), "a").await.unwrap();
    assert!(insert_user(&*db, "a").await.is_err());
    assert!(poll_times(slow_query(&*db), 1).await.is_none());
    let seen = db.recorder().take();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].ended, Ended::Failed(Some(sea_dao::error::ErrorClass::UniqueViolation)));
    assert_eq!((seen[1].ended, seen[1].rows), (Ended::Cancelled, None));
    assert_eq!(db.recorder().begun(), 2);
}

async fn statements_tell_their_session_and_transaction(db: TestDb) {
    let session = db.session();
    nonce(&session, 1).await.unwrap();
    let tx = session.begin().await.unwrap();
    nonce(&tx, 2).await.unwrap();
    let inner = tx.begin().await.unwrap();
    nonce(&inner, 3).await.unwrap();
    inner.commit().await.unwrap();
    tx.commit().await.unwrap();
    nonce(&session, 4).await.unwrap();
    nonce(&*db, 5).await.unwrap();
    let seen = db.recorder().take();
    assert!(seen[..8].iter().all(|seen| seen.session == Some(session.id())), "{seen:#?}");
    assert_ne!(seen[8].session, Some(session.id()));
    let transactions: Vec<_> = seen.iter().map(|seen| seen.transaction).collect();
    assert_eq!((transactions[0], transactions[7], transactions[8]), (None, None, None), "{seen:#?}");
    assert!(transactions[1].is_some() && transactions[1..7].iter().all(|id| *id == transactions[1]), "{seen:#?}");
}

/// A hook that wants values.
struct Values(Recorder);

impl SqlHook for Values {
    fn after(&self, statement: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        self.0.after(statement, outcome);
    }

    fn needs_values(&self) -> bool {
        true
    }
}

async fn values_are_copied_only_for_hooks_that_need_them(db: TestDb) {
    nonce(&*db, 1).await.unwrap();
    assert!(!db.recorder().take()[0].has_values);
    let recorder = Recorder::default();
    let with_values = db.open(|config| config.hook(Values(recorder.clone()))).await;
    recorder.forget();
    nonce(&with_values, 1).await.unwrap();
    assert!(recorder.take()[0].has_values);
}

struct Panics;

impl SqlHook for Panics {
    fn before(&self, _: &StatementInfo<'_>) {
        std::panic::resume_unwind(Box::new("before"));
    }

    fn after(&self, _: &StatementInfo<'_>, _: &StatementOutcome<'_>) {
        /// Panics once more.
        struct Worse;

        impl Drop for Worse {
            fn drop(&mut self) {
                std::panic::resume_unwind(Box::new("worse"));
            }
        }

        std::panic::resume_unwind(Box::new(Worse));
    }

    fn session_ended(&self, _: u64) {
        std::panic::resume_unwind(Box::new("session_ended"));
    }

    fn needs_values(&self) -> bool {
        std::panic::resume_unwind(Box::new("needs_values"));
    }
}

async fn a_hook_that_panics_does_no_harm(db: TestDb) {
    let recorder = Recorder::default();
    let db = db.open(|config| config.hook(Panics).hook(recorder.clone())).await;
    recorder.forget();
    insert_user(&db, "a").await.unwrap();
    assert!(insert_user(&db, "a").await.unwrap_err().is_unique_violation());
    db.execute_transaction(async |tx| -> sea_dao::Result<()> { insert_user(tx, "b").await.map(drop) }).await.unwrap();
    assert_eq!(recorder.begun(), recorder.take().len(), "the hooks behind it are called");
    // The caller's own panic drops a statement that is under way.
    let caller = tokio::spawn({
        let (db, recorder, begun) = (db.clone(), recorder.clone(), recorder.begun());
        async move {
            let meanwhile = async {
                while recorder.begun() == begun {
                    tokio::task::yield_now().await;
                }
                std::panic::resume_unwind(Box::new("the caller's"))
            };
            let _: (_, ()) = tokio::join!(slow_query(&db), meanwhile);
        }
    });
    let ended = caller.await.unwrap_err();
    assert_eq!(ended.into_panic().downcast_ref(), Some(&"the caller's"));
    db.execute_transaction(async |tx| -> sea_dao::Result<()> { insert_user(tx, "c").await.map(drop) }).await.unwrap();
    eventually("all come back", async || db.status().checked_out == 0).await;
    assert_eq!(db.status().checked_out, 0);
}

/// Keeps the text of every event of the SQL logs.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Capture {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct Text(String);

        impl tracing::field::Visit for Text {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.push_str(&format!("{field}={value:?} "));
            }
        }

        if ["sea_dao::slow_sql", "sea_dao::sql"].contains(&event.metadata().target()) {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

/// All that the slow-SQL log has said since the last call. The statements of a future that is not spawned run on the
/// thread that keeps the guard.
fn capture() -> (tracing::subscriber::DefaultGuard, impl Fn() -> String) {
    let capture = Capture::default();
    let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(capture.clone()));
    (guard, move || std::mem::take(&mut *capture.0.lock().unwrap()).join("\n"))
}

async fn the_slow_log_shows_what_is_slow_and_hides_values(db: TestDb) {
    let (_guard, logged) = capture();
    let slow = db.open(|config| config.slow_threshold(Duration::from_millis(1))).await;
    logged();
    slow_query(&slow).await.unwrap();
    let log = logged();
    assert!(log.contains("succeeded") && log.contains("execute_ms") && log.contains("SELECT"), "{log}");
    assert!(!log.contains("location"), "what is not the caller's line is not said: {log}");

    let never = db.open(|config| config.slow_threshold(Duration::from_secs(3600))).await;
    nonce(&never, 1).await.unwrap();
    slow_query(&never).await.unwrap();
    assert_eq!(logged(), "");

    let all = db.open(|config| config.slow_threshold(Duration::ZERO).slow_interval(Duration::ZERO)).await;
    logged();
    nonce(&all, 987_654_321).await.unwrap();
    let log = logged();
    assert!(log.contains("SELECT") && !log.contains("987654321"), "{log}");
    insert_user(&all, "secret-name").await.unwrap();
    insert_user(&all, "secret-name").await.unwrap_err();
    let log = logged();
    assert!(log.contains("UniqueViolation") && !log.contains("secret-name"), "{log}");

    let shown = |values| {
        db.open(move |config| config.slow_threshold(Duration::ZERO).slow_interval(Duration::ZERO).slow_values(values))
    };
    let in_full = shown(ValueDisplay::Shown).await;
    nonce(&in_full, 987_654_321).await.unwrap();
    let log = logged();
    assert!(log.contains("SELECT 987654321"), "{log}");
    nonce(&shown(ValueDisplay::Cut(4)).await, 987_654_321).await.unwrap();
    let log = logged();
    assert!(log.contains("9876…") && !log.contains("98765"), "{log}");
    let cut = shown(ValueDisplay::Cut(4)).await;
    insert_user(&cut, "secret-name").await.unwrap_err();
    let log = logged();
    assert!(log.contains("secr…") && log.contains("UniqueViolation") && !log.contains("secret-name"), "{log}");
}

async fn what_the_slow_log_shows_runs_in_the_databases_console(db: TestDb) {
    let (_guard, logged) = capture();
    let shown = db.open(|config| config.slow_threshold(Duration::ZERO).slow_values(ValueDisplay::Shown)).await;
    let hostile = r#"it's a \ "quote" ? $1 -- /*"#;
    let found = entities::user::Entity::find().filter(entities::user::Column::Username.eq(hostile));
    logged();
    assert_eq!(found.clone().all(&shown).await.unwrap(), []);
    let log = logged();
    let (_, sql) = log.split_once("succeeded: ").unwrap();
    let (sql, _) = sql.rsplit_once(" kind=").unwrap_or((sql, ""));
    insert_user(&*db, hostile).await.unwrap();
    let copied = Statement::from_string(db.backend(), sql);
    let rows = db.outside().query_all_raw(copied).await.unwrap();
    assert_eq!(rows.len(), found.all(&*db).await.unwrap().len(), "{sql}");
}

async fn the_slow_log_is_bounded_for_each_fingerprint(db: TestDb) {
    let (_guard, logged) = capture();
    let slow = db.open(|config| config.slow_threshold(Duration::ZERO).slow_interval(Duration::from_secs(3600))).await;
    logged();
    for _ in 0..5 {
        usernames(&slow).await;
    }
    assert_eq!(logged().matches("succeeded: SELECT").count(), 1);
    insert_user(&slow, "a").await.unwrap();
    assert!(logged().contains("INSERT"), "another statement is not held back");
}

async fn echo_logs_every_statement(db: TestDb) {
    let (_guard, logged) = capture();
    let pool = db.config().pool_config().clone().echo(true);
    let echo = db.open(|config| config.pool(pool)).await;
    logged();
    echo.execute_transaction(async |tx| -> sea_dao::Result<()> {
        nonce(tx, 1).await?;
        nonce(tx, 2).await.map(drop)
    })
    .await
    .unwrap();
    let log = logged();
    assert_eq!(log.matches("succeeded: ").count(), 4, "{log}");
    assert!(log.contains("kind=begin") && log.contains("kind=commit"), "{log}");
}

async fn a_point_select_on_a_warm_pool_sends_one_statement(db: TestDb) {
    let user = insert_user(&*db, "a").await.unwrap();
    for _ in 0..10 {
        db.recorder().forget();
        let found = entities::user::Entity::find_by_id(user.id).one(&*db).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user));
        assert_eq!((db.recorder().begun(), db.recorder().take_kinds()), (1, vec![StatementKind::Query]));
    }
}
