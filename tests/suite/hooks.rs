//! Hooks see every statement once; the slow-SQL log says what was slow and hides values.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::TryStreamExt;
use sea_dao::hooks::{SqlHook, StatementInfo, StatementKind, StatementOutcome, ValueDisplay};
use sea_orm::{ConnectionTrait, EntityTrait, Statement};
use tracing_subscriber::layer::SubscriberExt;

use crate::support::{Ended, Recorder, TestDb, insert_user, nonce, poll_times, slow_query};

for_each_backend!(
    every_statement_is_seen_once_with_its_kind,
    failures_and_cancellations_are_seen,
    statements_tell_their_session_and_transaction,
    values_are_copied_only_for_hooks_that_need_them,
    a_hook_that_panics_does_no_harm,
    the_slow_log_shows_what_is_slow_and_hides_values,
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
        std::panic::resume_unwind(Box::new("after"));
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
    assert_eq!(db.status().checked_out, 0);
}

/// Keeps the text of every warning of the slow-SQL log.
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

        if event.metadata().target() == "sea_dao::slow_sql" {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

async fn the_slow_log_shows_what_is_slow_and_hides_values(db: TestDb) {
    let capture = Capture::default();
    // The statements of a future that is not spawned run on this thread.
    let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(capture.clone()));
    let logged = || std::mem::take(&mut *capture.0.lock().unwrap()).join("\n");

    let slow = db.open(|config| config.slow_threshold(Duration::from_millis(1))).await;
    logged();
    slow_query(&slow).await.unwrap();
    let log = logged();
    assert!(log.contains("succeeded") && log.contains("elapsed_ms") && log.contains("SELECT"), "{log}");

    let never = db.open(|config| config.slow_threshold(Duration::from_secs(3600))).await;
    nonce(&never, 1).await.unwrap();
    slow_query(&never).await.unwrap();
    assert_eq!(logged(), "");

    let all = db.open(|config| config.slow_threshold(Duration::ZERO)).await;
    logged();
    nonce(&all, 987_654_321).await.unwrap();
    let log = logged();
    assert!(log.contains("SELECT") && !log.contains("987654321"), "{log}");
    insert_user(&all, "secret-name").await.unwrap();
    insert_user(&all, "secret-name").await.unwrap_err();
    let log = logged();
    assert!(log.contains("UniqueViolation") && !log.contains("secret-name"), "{log}");

    let shown = db.open(|config| config.slow_threshold(Duration::ZERO).slow_values(ValueDisplay::Shown)).await;
    nonce(&shown, 987_654_321).await.unwrap();
    let log = logged();
    assert!(log.contains("987654321"), "{log}");
    let cut = db.open(|config| config.slow_threshold(Duration::ZERO).slow_values(ValueDisplay::Cut(4))).await;
    nonce(&cut, 987_654_321).await.unwrap();
    let log = logged();
    assert!(log.contains("9876…") && !log.contains("98765"), "{log}");
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
