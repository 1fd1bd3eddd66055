//! What several of the tests need.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_dao::{Database, DatabaseConfig, Error, Session};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::task::JoinHandle;

use crate::{
    proxy::Proxy,
    support::{TestDb, eventually, nonce},
};

/// Far more than any deadline that the tests set.
pub(crate) const GENEROUS: Duration = Duration::from_secs(60);

/// A pool whose connections pass a proxy.
pub(crate) async fn proxied(db: &TestDb, set: impl FnOnce(DatabaseConfig) -> DatabaseConfig) -> (Proxy, Database) {
    let proxy = Proxy::to(db.url()).await;
    let defaults = db.config().pool_config().clone();
    let config = DatabaseConfig::new(proxy.url()).pool(defaults).no_slow_log();
    let pool = db.open(|_| set(config)).await;
    (proxy, pool)
}

/// What `work` gives, provided that it does not hang.
pub(crate) async fn in_time<F: Future>(what: &str, work: F) -> F::Output {
    match tokio::time::timeout(GENEROUS, work).await {
        Ok(output) => output,
        Err(_) => panic!("not within {GENEROUS:?}: {what}"),
    }
}

/// Every connection that was opened is open or was closed for a reason, and every checkout was counted.
pub(crate) fn check_books(db: &Database) {
    let (status, counters) = (db.status(), db.counters());
    let closed: u64 = counters.closed.iter().map(|(_, count)| count).sum();
    assert_eq!(counters.opened, closed + status.size as u64, "{status:?} {counters:?}");
    assert_eq!(counters.checkouts, counters.usage.count + db.holders().len() as u64, "{status:?} {counters:?}");
    assert_eq!(counters.checkouts, counters.wait.count, "{counters:?}");
}

/// Waits until nothing is out, being opened or being closed.
pub(crate) async fn at_rest(db: &Database) {
    eventually("everything comes to rest", async || {
        let status = db.status();
        status.checked_out + status.connecting + status.closing + status.waiting == 0
    })
    .await;
}

/// `count` connections can be had at the same time, and each answers.
pub(crate) async fn all_at_once(db: &Database, count: usize) -> Vec<Session> {
    let sessions: Vec<Session> = (0..count).map(|_| db.session()).collect();
    for (number, session) in sessions.iter().enumerate() {
        assert_eq!(in_time("a connection", nonce(session, number as i64)).await.unwrap(), number as i64);
    }
    assert_eq!(db.status().checked_out, count);
    sessions
}

/// The server's number for the session's connection.
pub(crate) async fn server_id(session: &impl ConnectionTrait) -> i64 {
    let sql = match session.get_database_backend() {
        DbBackend::Postgres => "SELECT pg_backend_pid()::bigint",
        _ => "SELECT CAST(CONNECTION_ID() AS SIGNED)",
    };
    number(session, sql).await
}

pub(crate) async fn number(connection: &impl ConnectionTrait, sql: &str) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

pub(crate) async fn text(connection: &impl ConnectionTrait, sql: &str) -> String {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    connection.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Tasks that ask for numbers until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Vec<Error>>>,
}

impl Load {
    pub(crate) fn start(db: &Database, tasks: i64) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..tasks)
            .map(|task| {
                let (db, stop, answers) = (db.clone(), stop.clone(), answers.clone());
                tokio::spawn(async move {
                    let mut failures = Vec::new();
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        round += 1;
                        let asked = task * 1_000_000 + round;
                        match nonce(&db, asked).await {
                            Ok(answer) => {
                                assert_eq!(answer, asked);
                                answers.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => failures.push(error),
                        }
                    }
                    failures
                })
            })
            .collect();
        Self { stop, answers, tasks }
    }

    /// Waits until so many more answers have come.
    pub(crate) async fn goes_on(&self, more: u64) {
        let wanted = self.answers.load(Ordering::Relaxed) + more;
        eventually("the load goes on", async || self.answers.load(Ordering::Relaxed) >= wanted).await;
    }

    /// Stops the tasks and gives all their failures.
    pub(crate) async fn stop(self) -> Vec<Error> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        for task in self.tasks {
            failures.extend(in_time("a task of the load ends", task).await.unwrap());
        }
        failures
    }
}
