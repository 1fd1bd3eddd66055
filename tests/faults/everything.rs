//! Everything at once: short lives, pings, drops, kills and pauses, and the numbers are right at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_dao::{Database, Error, PoolConfig, config::PrePing};
use sea_orm::ConnectionTrait;

use crate::{
    common::{all_at_once, at_rest, check_books, in_time},
    support::{TestDb, eventually, insert_user, nonce, poll_times},
};

for_each_backend!(a_pool_with_everything_at_once_keeps_its_books, a_close_in_the_middle_of_everything_ends);

const TASKS: u64 = 12;
const ROUNDS: usize = 120;

fn settings() -> PoolConfig {
    let short = Duration::from_millis;
    PoolConfig::default()
        .pool_size(3)
        .max_overflow(2)
        .pool_recycle(short(150))
        .idle_timeout(Some(short(60)))
        .keepalive(Some(short(10)))
        .min_idle(2)
        .pool_pre_ping(PrePing::IfIdleFor(short(5)))
        .leak_threshold(Some(short(1)))
        .leak_count(Some(1))
}

/// Gives what went wrong.
async fn borrow_in_every_way(pool: Database, mut random: fastrand::Rng) -> Vec<Error> {
    let mut errors = Vec::new();
    for round in 0..ROUNDS {
        let asked = random.i64(0..i64::MAX);
        let polls = if random.u8(0..3) == 0 { random.usize(0..8) } else { usize::MAX };
        let work = async {
            match random.u8(0..4) {
                0 => {
                    let tx = pool.begin().await?;
                    insert_user(&tx, &format!("{asked}-{round}")).await?;
                    assert_eq!(nonce(&tx, asked).await?, asked);
                }
                1 => {
                    let session = pool.session();
                    // It leaves the connection changed; SQLite closes such a one too.
                    session.execute_unprepared("PREPARE x FROM 'SELECT 1'").await.ok();
                    assert_eq!(nonce(&session, asked).await?, asked);
                }
                _ => assert_eq!(nonce(&pool, asked).await?, asked),
            }
            Ok(())
        };
        if let Some(Err(error)) = poll_times(work, polls).await {
            errors.push(error);
        }
    }
    errors
}

/// Kills and pauses until it is told to stop, and looks at the numbers all the while.
async fn trouble(db: TestDb, pool: Database, stop: Arc<AtomicBool>) {
    for round in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let status = pool.status();
        assert_eq!(status.size, status.checked_out + status.idle + status.closing, "{status:?}");
        assert!(status.size + status.connecting <= 5, "{status:?}");
        match round % 40 {
            10 if db.capabilities().server => drop(db.kill_server_sessions().await),
            20 => pool.suspend(),
            25 => pool.resume(),
            _ => tokio::time::sleep(Duration::from_millis(3)).await,
        }
    }
    pool.resume();
}

async fn a_pool_with_everything_at_once_keeps_its_books(db: TestDb) {
    let pool = db.open(|config| config.pool(settings())).await;
    let stop = Arc::new(AtomicBool::new(false));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let troubled = tokio::spawn(trouble(db.clone(), pool.clone(), stop.clone()));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(borrow_in_every_way(pool.clone(), fastrand::Rng::with_seed(seed ^ task))))
        .collect();
    for task in tasks {
        for error in task.await.unwrap() {
            let lost = error.is_disconnect() || matches!(error.root(), Error::TransactionAborted { .. });
            assert!(lost && db.capabilities().server, "{error:?}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    troubled.await.unwrap();
    drop(all_at_once_calmly(&pool).await);
    in_time("closing", pool.close()).await;
    assert_eq!((pool.status().size, pool.status().waiting), (0, 0));
    check_books(&pool);
    assert_eq!(crate::support::count_users(db.outside()).await, 0);
}

/// All connections, although the maintenance has its hands on some of them now and then.
async fn all_at_once_calmly(pool: &Database) -> Vec<sea_dao::Session> {
    let sessions: Vec<_> = (0..5).map(|_| pool.session()).collect();
    for (number, session) in sessions.iter().enumerate() {
        // What was killed last may not be known to be dead yet.
        eventually("a connection answers", async || nonce(session, number as i64).await.is_ok()).await;
    }
    assert!(pool.status().checked_out >= 5, "{}", pool.status());
    sessions
}

async fn a_close_in_the_middle_of_everything_ends(db: TestDb) {
    for round in 0..4 {
        let pool = db.open(|config| config.pool(settings())).await;
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| tokio::spawn(borrow_in_every_way(pool.clone(), fastrand::Rng::with_seed(round ^ task))))
            .collect();
        eventually("it is busy", async || pool.counters().checkouts > 10 * round).await;
        let report = in_time("closing", pool.close_within(Duration::from_secs(10))).await;
        assert!(report.is_complete(), "{report}");
        for task in tasks {
            for error in task.await.unwrap() {
                assert!(matches!(error.root(), Error::PoolClosed), "{error:?}");
            }
        }
        at_rest(&pool).await;
        assert_eq!(pool.status().size, 0);
        check_books(&pool);
    }
    drop(all_at_once(&db, 1).await);
}
