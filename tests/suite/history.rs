//! What is kept of the last minutes.

use std::time::Duration;

use sea_dao::{
    Error,
    hooks::{AlertRule, AlertSignal, AlertState, History, Severity, StatementKind},
};
use sea_orm::{ConnectionTrait, Statement};

use crate::support::{Recorder, TestDb, eventually, insert_user, nonce, poll_times, slow_query};

for_each_backend!(
    the_points_add_up_to_what_was_sent,
    slow_statements_are_kept_without_values,
    alerts_and_waits_are_kept,
    history_is_bounded_and_off_by_default,
);

const LONG: Duration = Duration::from_secs(600);

async fn the_points_add_up_to_what_was_sent(db: TestDb) {
    let recorder = Recorder::default();
    let pool = db.open(|config| config.history(LONG).hook(recorder.clone())).await;
    insert_user(&pool, "a").await.unwrap();
    insert_user(&pool, "a").await.unwrap_err();
    assert!(poll_times(slow_query(&pool), 1).await.is_none());
    pool.execute_transaction(async |tx| -> sea_dao::Result<()> { nonce(tx, 1).await.map(drop) }).await.unwrap();
    let held = pool.session();
    nonce(&held, 2).await.unwrap();
    eventually("what was sent is in a point", async || {
        let points = pool.history().points();
        points.iter().map(|point| point.statements).sum::<u64>() == recorder.begun() as u64
            && points.last().is_some_and(|point| point.checked_out == 1)
    })
    .await;
    let points = pool.history().points();
    let sum = |count: fn(&sea_dao::hooks::HistoryPoint) -> u64| points.iter().map(count).sum::<u64>();
    let seen = recorder.take();
    assert_eq!(seen.len(), recorder.begun());
    assert_eq!((sum(|point| point.errors), sum(|point| point.cancelled)), (1, 1));
    let slowest = points.iter().map(|point| point.execute.max).max().unwrap();
    let expected = seen.iter().map(|seen| seen.execute).max().unwrap();
    assert_eq!(slowest.as_micros(), expected.as_micros(), "the longest is exact");
    assert!(
        points.iter().all(|point| point.execute.p50 <= point.execute.p95 && point.execute.p95 <= point.execute.max)
    );
    let numbers: Vec<_> = points.iter().map(|point| point.number).collect();
    assert!(numbers.is_sorted_by(|one, next| one + 1 == *next) && numbers[0] == 1, "{numbers:?}");
    drop(held);
}

async fn slow_statements_are_kept_without_values(db: TestDb) {
    let pool = db.open(|config| config.history(LONG).slow_threshold(Duration::ZERO)).await;
    let secret = Statement::from_string(pool.backend(), "SELECT 'open sesame' AS word");
    let line = line!() + 1;
    let session = pool.session();
    session.query_all_raw(secret).await.unwrap();
    pool.execute_unprepared("SELECT no_such_column").await.unwrap_err();
    let slow = pool.history().slow();
    let [failed, query, ..] = &slow[..] else { panic!("{slow:#?}") };
    assert_eq!((failed.kind, failed.rows), (StatementKind::Script, None));
    assert!(failed.error.is_some() && failed.at >= query.at, "the last one first: {slow:#?}");
    assert_eq!((query.kind, query.rows, query.error), (StatementKind::Query, Some(1), None));
    assert_eq!(&*query.fingerprint.text, "SELECT ? AS word");
    assert!(query.location.is_some_and(|at| at.line() == line && at.file() == file!()), "{query:#?}");
    assert!(query.session.is_some() && query.transaction.is_none());
    assert!(!format!("{slow:?}").contains("sesame"));
}

async fn alerts_and_waits_are_kept(db: TestDb) {
    let rule = AlertRule::new("any wait given up", Severity::Critical, AlertSignal::PoolTimeouts, 0.0);
    let pool = db
        .open(|config| config.pool_size(1).pool_timeout(Duration::from_millis(50)).history(LONG).alerts([rule]))
        .await;
    let held = pool.session();
    nonce(&held, 1).await.unwrap();
    let waited = nonce(&pool, 2).await.unwrap_err();
    assert!(matches!(waited.root(), Error::PoolTimeout(_)), "{waited}");
    eventually("the alert fires", async || !pool.history().alerts().is_empty()).await;
    let alerts = pool.history().alerts();
    assert_eq!((&*alerts[0].event.rule.name, alerts[0].event.state), ("any wait given up", AlertState::Firing));
    eventually("the wait is in a point", async || {
        let points = pool.history().points();
        points.iter().any(|point| point.timeouts == 1 && point.wait.max >= Duration::from_millis(50))
    })
    .await;
    drop(held);
}

async fn history_is_bounded_and_off_by_default(db: TestDb) {
    nonce(&*db, 1).await.unwrap();
    assert!(!db.history().is_enabled());
    let pool = db.open(|config| config.history(Duration::from_secs(2)).slow_threshold(Duration::ZERO)).await;
    for number in 0..2 * History::MOST as i64 {
        nonce(&pool, number).await.unwrap();
    }
    assert_eq!(pool.history().slow().len(), History::MOST);
    eventually("a point is dropped", async || {
        let points = pool.history().points();
        assert!(points.len() <= 2, "{points:#?}");
        points.first().is_some_and(|first| first.number > 1)
    })
    .await;
    assert!(db.history().points().is_empty() && db.history().slow().is_empty() && db.history().alerts().is_empty());
}
