//! One question to a database, however many ask.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    error::{Error, ErrorClass},
    pool::PoolStatus,
    session::{Database, Health},
};

/// Asks a database how it is: with a deadline, at most once in a while, and to the end, whoever stops waiting.
#[derive(Clone)]
pub(super) struct Probe {
    pub(super) name: String,
    database: Database,
    deadline: Duration,
    max_age: Duration,
    last: Arc<Mutex<Option<(Instant, Answer)>>>,
}

/// What the database answered, or why it did not.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    #[serde(flatten)]
    state: State,
    pool: Pool,
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum State {
    Up { server_version: String, read_only: bool, latency_ms: f64, wait_ms: f64 },
    Down { error: &'static str },
    Draining,
}

#[derive(Debug, Clone, Serialize)]
struct Pool {
    #[serde(flatten)]
    status: PoolStatus,
    usage: f64,
}

impl Probe {
    pub(super) fn new(name: String, database: Database, deadline: Duration, max_age: Duration) -> Self {
        Self { name, database, deadline, max_age, last: Arc::default() }
    }

    /// The state now; not older than `max_age`, except for the pool's figures, which are of this moment.
    ///
    /// # Cancel safety
    ///
    /// The question goes on in a task of its own: no connection is given up because somebody stopped waiting.
    pub(super) async fn ask(&self) -> Answer {
        let pool = self.database.status();
        if pool.closed {
            return Answer { state: State::Draining, pool: pool.into() };
        }
        let asked = Instant::now();
        let probe = self.clone();
        let question = tokio::spawn(async move {
            let mut last = probe.last.lock().await;
            match &*last {
                // Who waited for another's question takes its answer.
                Some((at, answer)) if *at >= asked || at.elapsed() < probe.max_age => answer.clone(),
                _ => {
                    let answer = probe.ask_now().await;
                    *last = Some((Instant::now(), answer.clone()));
                    answer
                }
            }
        });
        let answered = timeout(self.deadline, question).await;
        let pool = self.database.status().into();
        match answered {
            Ok(Ok(answer)) => Answer { pool, ..answer },
            Ok(Err(_)) => Answer { state: State::Down { error: "internal" }, pool },
            Err(_) => Answer { state: State::Down { error: "timeout" }, pool },
        }
    }

    async fn ask_now(&self) -> Answer {
        let answered = timeout(self.deadline, self.database.health()).await;
        let state = match answered {
            Ok(Ok(Health { latency, wait, server_version, read_only, .. })) => {
                let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
                let (latency_ms, wait_ms) = (milliseconds(latency), milliseconds(wait));
                State::Up { server_version, read_only, latency_ms, wait_ms }
            }
            Ok(Err(Error::PoolClosed)) => State::Draining,
            Ok(Err(error)) => {
                // Who may ask may not always know hosts and users; the log's readers may.
                tracing::warn!(target: "sea_dao::health", database = %self.name, %error, "the database is down");
                State::Down { error: kind(&error) }
            }
            Err(_) => {
                tracing::warn!(target: "sea_dao::health", database = %self.name, "the database did not answer in time");
                State::Down { error: "timeout" }
            }
        };
        Answer { state, pool: self.database.status().into() }
    }
}

impl Answer {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining)
    }
}

impl From<PoolStatus> for Pool {
    fn from(status: PoolStatus) -> Self {
        Self { usage: status.usage(), status }
    }
}

/// The kind of a failure, without anything of its text.
fn kind(error: &Error) -> &'static str {
    match (error.root(), error.class()) {
        _ if error.is_timeout() => "timeout",
        (Error::Connect { .. }, _) => "connect",
        (_, Some(ErrorClass::Disconnect)) => "disconnect",
        _ => "query",
    }
}
