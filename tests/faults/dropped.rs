//! Futures that are dropped: no wrong answer, nothing left open, nothing that goes on running on the server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entities::user;
use futures_util::TryStreamExt;
use sea_dao::{Database, PoolConfig, Result};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Statement};

use crate::{
    common::{all_at_once, at_rest, check_books, in_time, number, proxied},
    proxy::Direction,
    support::{TestDb, add_to_balance, eventually, insert_user, new_user, nonce, poll_times},
};

for_each_backend!(a_thousand_tasks_on_five_connections_wait_their_turn);

mod storm {
    use crate::support::{Place, run::run_within};

    const LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

    #[test]
    fn a_storm_of_dropped_operations_leaves_nothing_behind_on_sqlite() {
        run_within(LIMIT, Place::SqliteFile, super::a_storm_of_dropped_operations_leaves_nothing_behind);
    }

    #[test]
    fn a_storm_of_dropped_operations_leaves_nothing_behind_on_postgres() {
        run_within(LIMIT, Place::Postgres, super::a_storm_of_dropped_operations_leaves_nothing_behind);
    }

    #[test]
    fn a_storm_of_dropped_operations_leaves_nothing_behind_on_mariadb() {
        run_within(LIMIT, Place::MariaDb, super::a_storm_of_dropped_operations_leaves_nothing_behind);
    }
}

const TASKS: usize = 16;

/// Each one dropped costs a new connection. For a storm of 20 000: `SEA_DAO_STORM=20000`.
fn operations_per_task() -> usize {
    let all = std::env::var("SEA_DAO_STORM").ok().and_then(|text| text.parse().ok()).unwrap_or(3200);
    usize::max(all / TASKS, 1)
}

async fn a_storm_of_dropped_operations_leaves_nothing_behind(db: TestDb) {
    for number in 0..50 {
        insert_user(db.outside(), &format!("first-{number}")).await.unwrap();
    }
    let pool = db.open(|config| config.pool_size(5).max_overflow(3)).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (pool, random) = (pool.clone(), fastrand::Rng::with_seed(seed ^ task as u64));
            tokio::spawn(operations(pool, task, random))
        })
        .collect();
    let mut dropped = 0;
    for task in tasks {
        dropped += task.await.unwrap();
    }
    println!("{dropped} of {} were dropped", TASKS * operations_per_task());
    assert!(dropped > TASKS * operations_per_task() / 10);
    db.is_quiet().await;
    check_books(&pool);
    let status = pool.status();
    assert!(status.size <= 5 && status.checked_out == 0 && status.waiting == 0, "{status:?}");
    let sessions = all_at_once(&pool, 8).await;
    for session in &sessions {
        let prepared = prepared_statements(session).await;
        assert!(prepared <= 110, "{prepared} statements are prepared");
    }
    drop(sessions);
    at_rest(&pool).await;
    println!("{}\n{:?}", pool.status(), pool.counters());
}

/// How many statements the server holds for the session; 0 where there is no server.
async fn prepared_statements(session: &impl ConnectionTrait) -> i64 {
    match session.get_database_backend() {
        DbBackend::Postgres => number(session, "SELECT COUNT(*)::bigint FROM pg_prepared_statements").await,
        DbBackend::MySql => {
            let sql = "SELECT CAST(SUM(IF(variable_name = 'COM_STMT_PREPARE', 1, -1) * variable_value) AS SIGNED) \
                       FROM information_schema.session_status \
                       WHERE variable_name IN ('COM_STMT_PREPARE', 'COM_STMT_CLOSE')";
            number(session, sql).await
        }
        _ => 0,
    }
}

/// Gives the number of those that were dropped.
async fn operations(pool: Database, task: usize, mut random: fastrand::Rng) -> usize {
    let mut dropped = 0;
    for round in 0..operations_per_task() {
        let asked = (task * operations_per_task() + round) as i64;
        let polls = if random.u8(0..4) == 0 { usize::MAX } else { random.usize(0..10) };
        let done = match random.u8(0..5) {
            0 => poll_times(nonce(&pool, -asked), polls).await.map(|answer| assert_eq!(answer.unwrap(), -asked)),
            1 => poll_times(insert_user(&pool, &format!("one-{asked}")), polls).await.map(|user| drop(user.unwrap())),
            2 => poll_times(transaction(&pool, asked), polls).await.map(Result::unwrap),
            3 => poll_times(stream(&pool), polls).await.map(|rows| assert!(rows.unwrap() >= 20)),
            _ => poll_times(many(&pool, asked), polls).await.map(Result::unwrap),
        };
        dropped += usize::from(done.is_none());
        assert_eq!(nonce(&pool, asked).await.unwrap(), asked, "the next answer is its own");
    }
    dropped
}

async fn transaction(pool: &Database, number: i64) -> Result<()> {
    pool.execute_transaction(async |tx| -> Result<()> {
        insert_user(tx, &format!("tx-{number}")).await?;
        assert_eq!(nonce(tx, number).await?, number);
        add_to_balance(tx, &format!("tx-{number}"), 1).await
    })
    .await
}

async fn stream(pool: &Database) -> Result<usize> {
    let mut rows = user::Entity::find().stream(pool).await?;
    let mut count = 0;
    while count < 20 && rows.try_next().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

async fn many(pool: &Database, number: i64) -> Result<()> {
    let users = (0..20).map(|part| new_user(&format!("many-{number}-{part}")));
    user::Entity::insert_many(users).exec_without_returning(pool).await?;
    Ok(())
}

async fn a_thousand_tasks_on_five_connections_wait_their_turn(db: TestDb) {
    const WAITERS: usize = 1000;
    const ROUNDS: usize = 8;
    let pool = db.open(|config| config.pool_size(5).pool_timeout(Duration::from_secs(120))).await;
    let served = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..WAITERS)
        .map(|task| {
            let (pool, served) = (pool.clone(), served.clone());
            tokio::spawn(async move {
                let mut overtaken = Vec::with_capacity(ROUNDS);
                for round in 0..ROUNDS {
                    let before = served.load(Ordering::SeqCst);
                    let asked = (task * ROUNDS + round) as i64;
                    assert_eq!(nonce(&pool, asked).await.unwrap(), asked);
                    overtaken.push(served.fetch_add(1, Ordering::SeqCst) - before);
                }
                overtaken
            })
        })
        .collect();
    // How many others had their turn while one waited: the same on a slow machine as on a fast one.
    let mut waits = Vec::with_capacity(WAITERS * ROUNDS);
    for task in tasks {
        waits.extend(task.await.unwrap());
    }
    waits.sort_unstable();
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    let counters = pool.counters();
    println!("median {median}, longest {longest} turns; {:?}", counters.wait);
    assert!(longest <= 3 * median, "the median waited for {median} others, the longest for {longest}");
    check_books(&pool);
    assert_eq!((counters.checkouts, counters.timeouts), ((WAITERS * ROUNDS) as u64, 0), "{counters:?}");
    assert!(counters.opened <= 5, "{counters:?}");
}

mod stopped {
    use super::*;

    for_each_server!(
        a_dropped_statement_is_stopped_on_the_server,
        a_dropped_transaction_releases_its_locks,
        a_statement_that_times_out_is_stopped_on_the_server,
        a_dropped_stream_is_stopped_on_the_server,
        a_statement_is_stopped_though_its_pool_is_gone,
        many_that_are_dropped_at_once_are_all_stopped,
    );
}

pub(crate) fn sleep_sql(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Postgres { "SELECT pg_sleep(600)" } else { "SELECT SLEEP(600)" }
}

/// Ten minutes on the server, more than anything here waits.
pub(crate) async fn sleep(connection: &impl ConnectionTrait) -> Result<()> {
    let backend = connection.get_database_backend();
    connection.query_all_raw(Statement::from_string(backend, sleep_sql(backend))).await?;
    Ok(())
}

/// How many of these are under way.
pub(crate) async fn sleeping(db: &TestDb) -> i64 {
    let sql = match db.backend() {
        DbBackend::Postgres => {
            "SELECT COUNT(*)::bigint FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
             AND query = 'SELECT pg_sleep(600)'"
        }
        _ => "SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info = 'SELECT SLEEP(600)'",
    };
    number(db.outside(), sql).await
}

async fn a_dropped_statement_is_stopped_on_the_server(db: TestDb) {
    let pool = db.open(|config| config.pool_size(1)).await;
    let task = tokio::spawn({
        let pool = pool.clone();
        async move { sleep(&pool).await }
    });
    eventually("it sleeps", async || sleeping(&db).await == 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    eventually("it is stopped", async || sleeping(&db).await == 0).await;
    assert_eq!(in_time("the pool goes on", nonce(&pool, 1)).await.unwrap(), 1);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_dropped_transaction_releases_its_locks(db: TestDb) {
    insert_user(db.outside(), "a").await.unwrap();
    let pool = db.open(|config| config.pool_size(1)).await;
    let task = tokio::spawn({
        let pool = pool.clone();
        async move {
            pool.execute_transaction(async |tx| -> Result<()> {
                add_to_balance(tx, "a", 1).await?;
                sleep(tx).await
            })
            .await
        }
    });
    eventually("it sleeps", async || sleeping(&db).await == 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    in_time("the row is free", add_to_balance(db.outside(), "a", 10)).await.unwrap();
    assert_eq!(crate::support::balances(db.outside()).await, [10]);
    eventually("it is stopped", async || sleeping(&db).await == 0).await;
}

async fn a_statement_that_times_out_is_stopped_on_the_server(db: TestDb) {
    insert_user(db.outside(), "a").await.unwrap();
    let settings = PoolConfig::default().pool_size(1).max_overflow(0);
    let settings = settings.statement_timeout(Some(Duration::from_millis(500)));
    let pool = db.open(|config| config.pool(settings)).await;
    let tx = pool.begin().await.unwrap();
    add_to_balance(&tx, "a", 1).await.unwrap();
    let error = in_time("the statement", sleep(&tx)).await.unwrap_err();
    assert!(matches!(error, sea_dao::Error::StatementTimeout { .. }), "{error:?}");
    drop(tx);
    in_time("the row is free", add_to_balance(db.outside(), "a", 10)).await.unwrap();
    eventually("it is stopped", async || sleeping(&db).await == 0).await;
    assert_eq!(in_time("the pool goes on", nonce(&pool, 1)).await.unwrap(), 1);
    at_rest(&pool).await;
    check_books(&pool);
}

async fn a_statement_is_stopped_though_its_pool_is_gone(db: TestDb) {
    let pool = db.config().pool_size(1).connect().await.unwrap();
    let task = tokio::spawn(async move { sleep(&pool).await });
    eventually("it sleeps", async || sleeping(&db).await == 1).await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    eventually("it is stopped", async || sleeping(&db).await == 0).await;
}

async fn many_that_are_dropped_at_once_are_all_stopped(db: TestDb) {
    const ALL: i64 = 40;
    let (proxy, pool) = proxied(&db, |config| config.pool_size(ALL as u32)).await;
    let tasks: Vec<_> = (0..ALL)
        .map(|_| {
            let pool = pool.clone();
            tokio::spawn(async move { sleep(&pool).await })
        })
        .collect();
    eventually("they sleep", async || sleeping(&db).await == ALL).await;
    // The server is far: to end one takes a sixth of a second, to reach it some times as long.
    proxy.delay(Direction::ToServer, Duration::from_millis(75));
    proxy.delay(Direction::ToClient, Duration::from_millis(75));
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    eventually("they are stopped", async || sleeping(&db).await == 0).await;
    at_rest(&pool).await;
    check_books(&pool);
}

/// Most of its answer is not even computed when it is left.
async fn a_dropped_stream_is_stopped_on_the_server(db: TestDb) {
    let sql = match db.backend() {
        DbBackend::Postgres => "SELECT pg_sleep(0.01), repeat('x', 1000) FROM generate_series(1, 6000)",
        _ => "SELECT SLEEP(0.01), REPEAT('x', 1000) FROM seq_1_to_6000",
    };
    // Who comes next does not wait for the rest of the answer.
    let pool = db.open(|config| config.pool_size(1).pool_timeout(Duration::from_secs(3))).await;
    let mut rows = sea_orm::StreamTrait::stream_raw(&pool, Statement::from_string(db.backend(), sql)).await.unwrap();
    assert!(in_time("the first row", rows.try_next()).await.unwrap().is_some());
    drop(rows);
    assert_eq!(in_time("the pool goes on", nonce(&pool, 1)).await.unwrap(), 1);
    at_rest(&pool).await;
    check_books(&pool);
    eventually("no more than one session is left", async || db.server_session_ids().await.len() <= 2).await;
}
