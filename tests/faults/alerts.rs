//! Alerts on a real database: they fire and are resolved, seen in the log, by the callback, and when asked.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sea_dao::{
    Database, Error,
    hooks::{AlertRule, AlertSignal, AlertState, Severity},
};

use crate::{
    capture::{Capture, run_captured},
    common::all_at_once,
    support::{Place, TestDb, insert_user, nonce},
};

#[test]
fn sqlite() {
    run_captured(Place::SqliteFile, alerts_fire_and_are_resolved);
}

#[test]
fn postgres() {
    run_captured(Place::Postgres, alerts_fire_and_are_resolved);
}

#[test]
fn mariadb() {
    run_captured(Place::MariaDb, alerts_fire_and_are_resolved);
}

/// Lets so many seconds pass, of which nothing but the watching notices anything.
async fn pass(seconds: u64) {
    tokio::time::pause();
    for _ in 0..seconds {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}

fn firing(pool: &Database) -> Vec<String> {
    pool.alerts().into_iter().map(|alert| alert.rule.name).collect()
}

async fn alerts_fire_and_are_resolved(db: TestDb, capture: Capture) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let rule = |name: &str, signal, threshold| {
        let rule = AlertRule::new(name, Severity::Warning, signal, threshold);
        rule.window(Duration::from_secs(4)).resolve_after(Duration::from_secs(1))
    };
    let rules = [
        rule("pool used up", AlertSignal::PoolUsage, 0.9).hold(Duration::from_secs(3)),
        rule("statements fail", AlertSignal::ErrorRate, 0.5),
        rule("a wait given up", AlertSignal::PoolTimeouts, 0.0),
        rule("a wait", AlertSignal::LongestWait, 0.01),
        rule("a statement", AlertSignal::LongestStatement, 0.0),
        rule("two slow", AlertSignal::SlowStatements, 1.0),
    ];
    let pool = db
        .open(|config| {
            let told = told.clone();
            let config = config.pool_timeout(Duration::from_secs(2)).slow_threshold(Duration::ZERO);
            config.alerts(rules).on_alert(|_| std::panic::resume_unwind(Box::new("a callback"))).on_alert(
                move |event| {
                    told.lock().unwrap().push((event.rule.name.clone(), event.state));
                },
            )
        })
        .await;
    insert_user(&pool, "a").await.unwrap();
    for _ in 0..25 {
        insert_user(&pool, "a").await.unwrap_err();
    }
    let held = all_at_once(&pool, 4).await;
    assert!(matches!(nonce(&pool, 1).await, Err(Error::PoolTimeout(_))));
    // From here on nothing waits for a real clock.
    pass(1).await;
    assert_eq!(firing(&pool), ["statements fail", "a wait given up", "a wait", "a statement", "two slow"]);
    pass(3).await;
    assert_eq!(firing(&pool)[0], "pool used up");
    drop(held);
    pass(8).await;
    assert_eq!(firing(&pool), [] as [String; 0]);

    let told = told.lock().unwrap().clone();
    let times = |state| {
        let mut names: Vec<_> = told.iter().filter(|(_, told)| *told == state).map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    };
    assert_eq!(times(AlertState::Firing), times(AlertState::Resolved), "each fires once and is resolved once");
    assert_eq!(times(AlertState::Firing).len(), 6, "{told:?}");
    assert_eq!(capture.with("sea_dao::alerts message=firing").len(), 6);
    assert_eq!(capture.with("sea_dao::alerts message=resolved").len(), 6);
    assert_eq!(capture.with("callback panicked").len(), 12);
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    run_captured(Place::SqliteFile, async |db, _| {
        let rule = AlertRule::new("never", Severity::Warning, AlertSignal::ErrorRate, f64::NAN);
        let refused = db.config().alerts([rule]).connect().await;
        assert!(matches!(refused, Err(Error::Config { setting: "alert threshold", .. })), "{refused:?}");
        let rule = AlertRule::new("never", Severity::Warning, AlertSignal::ErrorRate, 0.1).window(Duration::ZERO);
        let refused = db.config().alerts([rule]).connect().await;
        assert!(matches!(refused, Err(Error::Config { setting: "alert window", .. })), "{refused:?}");
    });
}
