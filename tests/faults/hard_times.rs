//! Faults that last, and that come again and again, under a load that goes on.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_dao::{
    Database, DatabaseConfig, Error, PoolConfig,
    hooks::{SqlHook, StatementInfo, StatementOutcome},
};

use crate::{
    common::{all_at_once, at_rest, check_books, proxied},
    support::{Place, TestDb, insert_user, nonce, run::run_within},
};

const LIMIT: Duration = Duration::from_secs(150);

macro_rules! for_each_server_at_length {
    ($($test:ident),+ $(,)?) => {
        mod postgres {
            $(#[test]
            fn $test() {
                super::run_within(super::LIMIT, super::Place::Postgres, super::$test);
            })+
        }

        mod mariadb {
            $(#[test]
            fn $test() {
                super::run_within(super::LIMIT, super::Place::MariaDb, super::$test);
            })+
        }
    };
}

for_each_server_at_length!(all_backends_killed_five_times, a_minute_without_a_network);

async fn all_backends_killed_five_times(db: TestDb) {
    const TASKS: usize = 32;
    const KILLS: u64 = 5;
    const PERIOD: Duration = Duration::from_secs(4);
    // More connections than tasks: some are idle when they are killed.
    let pool = db.open(|config| config.pool_size(40)).await;
    pool.warm_up(40).await.unwrap();
    let (stop, answers, kills) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (pool, stop, answers, kills) = (pool.clone(), stop.clone(), answers.clone(), kills.clone());
            tokio::spawn(async move {
                let mut failures = Vec::new();
                let mut asked = task as i64;
                while !stop.load(Ordering::Relaxed) {
                    asked += TASKS as i64;
                    match nonce(&pool, asked).await {
                        Ok(answer) => {
                            assert_eq!(answer, asked);
                            answers.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => failures.push((kills.load(Ordering::Relaxed), error)),
                    }
                }
                failures
            })
        })
        .collect();
    let speed = async |during: Duration| {
        let before = answers.load(Ordering::Relaxed);
        tokio::time::sleep(during).await;
        (answers.load(Ordering::Relaxed) - before) as f64 / during.as_secs_f64()
    };
    let mut report = Vec::new();
    for _ in 0..KILLS {
        let usual = speed(PERIOD / 4).await;
        kills.fetch_add(1, Ordering::Relaxed);
        let killed = db.kill_server_sessions().await;
        assert!(killed >= TASKS, "{killed} were killed");
        let meanwhile = speed(PERIOD / 4).await;
        let after = speed(PERIOD / 4).await;
        report.push(format!(
            "{killed} killed; {usual:.0}/s before, {meanwhile:.0}/s in the next second, {after:.0}/s then"
        ));
        assert!(meanwhile > 0.0 && after > 0.0, "{report:?}");
        tokio::time::sleep(PERIOD / 4).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut failed = 0;
    for task in tasks {
        let failures = task.await.unwrap();
        failed += failures.len();
        for kill in 1..=KILLS {
            // A task uses one connection at a time; the next one that it gets was opened after the kill.
            let of_kill: Vec<_> = failures.iter().filter(|(during, _)| *during == kill).collect();
            assert!(of_kill.len() <= 1, "{of_kill:?}");
        }
        assert!(failures.iter().all(|(_, error)| error.is_disconnect()), "{failures:?}");
    }
    println!("{}\n{failed} statements failed of {}", report.join("\n"), answers.load(Ordering::Relaxed));
    at_rest(&pool).await;
    assert_eq!(pool.counters().timeouts, 0, "{:?}", pool.counters());
    check_books(&pool);
    drop(all_at_once(&pool, 40).await);
}

/// The longest that a statement took.
#[derive(Clone, Default)]
struct Longest(Arc<Mutex<Duration>>);

impl SqlHook for Longest {
    fn after(&self, _: &StatementInfo<'_>, outcome: &StatementOutcome<'_>) {
        let mut longest = self.0.lock().unwrap();
        *longest = longest.max(outcome.execute);
    }
}

async fn a_minute_without_a_network(db: TestDb) {
    const DEADLINE: Duration = Duration::from_secs(10);
    const LATE: Duration = Duration::from_secs(11);
    let longest = Longest::default();
    let set = |config: DatabaseConfig| {
        let settings = PoolConfig::default().pool_size(6).max_overflow(2).pool_timeout(DEADLINE);
        let settings = settings.connect_timeout(DEADLINE).statement_timeout(Some(DEADLINE));
        config.pool(settings).hook(longest.clone())
    };
    let (proxy, pool) = proxied(&db, set).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks: Vec<_> = (0..16).map(|task| tokio::spawn(work(pool.clone(), stop.clone(), task))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    proxy.blackhole();
    let mut slowest_return = Duration::ZERO;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = pool.status();
        assert!(status.size + status.connecting <= 8, "{status:?}");
        // Nobody holds one, or has it cleaned up, for longer than two deadlines allow: a statement's and a return's.
        let held = pool.holders().first().map_or(Duration::ZERO, |holder| holder.held_for());
        slowest_return = slowest_return.max(held);
    }
    proxy.heal();
    stop.store(true, Ordering::Relaxed);
    let (mut longest_wait, mut timeouts) = (Duration::ZERO, 0);
    for task in tasks.drain(..) {
        for error in task.await.unwrap() {
            assert!(error.is_timeout() || error.is_disconnect(), "{error:?}");
            if let Error::PoolTimeout(timeout) = error.root() {
                longest_wait = longest_wait.max(timeout.waited);
            }
            timeouts += 1;
        }
    }
    let (statement, counters) = (*longest.0.lock().unwrap(), pool.counters());
    println!(
        "{timeouts} errors; the longest acquire {longest_wait:?} in vain and {:?} with success, statement \
         {statement:?}, hold {slowest_return:?}",
        counters.wait.max
    );
    assert!(timeouts > 16, "each has given up at least once: {timeouts}");
    assert!(longest_wait.max(counters.wait.max) < LATE, "an acquire took longer than its deadline: {counters:?}");
    assert!(statement < LATE, "a statement took {statement:?}");
    at_rest(&pool).await;
    check_books(&pool);
    drop(all_at_once(&pool, 8).await);
    at_rest(&pool).await;
    assert_eq!(crate::support::count_users(db.outside()).await, 0, "nothing was committed");
}

/// Statements, transactions that are rolled back, and such as are dropped; gives the errors.
async fn work(pool: Database, stop: Arc<AtomicBool>, task: usize) -> Vec<Error> {
    let mut errors = Vec::new();
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let result = match (task + round) % 3 {
            0 => nonce(&pool, 1).await.map(drop),
            way => in_transaction(&pool, &format!("{task}-{round}"), way == 1).await,
        };
        errors.extend(result.err());
    }
    errors
}

async fn in_transaction(pool: &Database, name: &str, roll_back: bool) -> Result<(), Error> {
    let tx = pool.begin().await?;
    insert_user(&tx, name).await?;
    if roll_back {
        return tx.rollback().await;
    }
    let dropping = Instant::now();
    drop(tx);
    assert!(dropping.elapsed() < Duration::from_secs(1), "a return holds nobody up");
    Ok(())
}
