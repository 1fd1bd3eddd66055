//! Money moves between users from many tasks at once, while some transfers are refused and some are dropped: the sum
//! stays, and nothing is left behind.

use std::{sync::Arc, time::Duration};

use entities::user;
use sea_dao::{Database, Error, Result};
use sea_orm::EntityTrait;

use crate::support::{TestDb, add_to_balance, balances, new_user_with, poll_times};

for_each_backend!(a_storm_of_transfers_keeps_every_penny);

const USERS: usize = 20;
const START: i64 = 1000;
const TASKS: u64 = 32;
const TRANSFERS: usize = 32;

/// How a transfer ended.
#[derive(Default)]
struct Outcomes {
    /// What each user gained by the transfers that were acknowledged.
    gains: Vec<i64>,
    acknowledged: usize,
    refused: usize,
    failed: usize,
    dropped: usize,
}

async fn a_storm_of_transfers_keeps_every_penny(db: TestDb) {
    let users = (0..USERS).map(|number| new_user_with(&format!("user-{number:02}"), START));
    user::Entity::insert_many(users).exec(db.outside()).await.unwrap();
    let pool = db.open(|config| config.pool_size(3).max_overflow(2)).await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");

    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(transfer_often(pool.clone(), seed ^ task))).collect();
    let mut all = Outcomes { gains: vec![0; USERS], ..Outcomes::default() };
    for task in tasks {
        let outcomes = task.await.unwrap();
        for (sum, gain) in all.gains.iter_mut().zip(outcomes.gains) {
            *sum += gain;
        }
        all.acknowledged += outcomes.acknowledged;
        all.refused += outcomes.refused;
        all.failed += outcomes.failed;
        all.dropped += outcomes.dropped;
    }
    db.is_quiet().await;
    println!(
        "{} acknowledged, {} refused, {} failed, {} dropped",
        all.acknowledged, all.refused, all.failed, all.dropped
    );
    assert!(all.acknowledged > 0 && all.refused > 0 && all.dropped > 0);

    let balances = balances(db.outside()).await;
    assert_eq!(balances.iter().sum::<i64>(), USERS as i64 * START, "{balances:?}");
    // A transfer dropped during its COMMIT may have been written; each moves at most 10.
    let unexplained: i64 = balances.iter().zip(&all.gains).map(|(balance, gain)| (balance - START - gain).abs()).sum();
    assert!(unexplained <= 20 * all.dropped as i64, "{unexplained} with {} dropped", all.dropped);
    let status = pool.status();
    assert!(status.size <= 3 && status.waiting == 0, "{status:?}");
}

async fn transfer_often(pool: Database, seed: u64) -> Outcomes {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut outcomes = Outcomes { gains: vec![0; USERS], ..Outcomes::default() };
    for _ in 0..TRANSFERS {
        let (from, to) = (random.usize(0..USERS), random.usize(0..USERS));
        let amount = random.i64(1..=10);
        let refuse = random.u8(0..10) == 0;
        let transfer = transfer(&pool, from, to, amount, refuse);
        let result = match random.u8(0..10) {
            0 => poll_times(transfer, random.usize(0..12)).await,
            1 => tokio::time::timeout(Duration::from_micros(random.u64(0..20_000)), transfer).await.ok(),
            _ => Some(transfer.await),
        };
        match result {
            Some(Ok(())) => {
                outcomes.acknowledged += 1;
                outcomes.gains[from] -= amount;
                outcomes.gains[to] += amount;
            }
            Some(Err(Refusal::Refused)) => outcomes.refused += 1,
            Some(Err(Refusal::Failed(error))) => {
                assert!(error.is_retryable(), "{error:?}");
                outcomes.failed += 1;
            }
            None => outcomes.dropped += 1,
        }
    }
    outcomes
}

#[derive(Debug)]
enum Refusal {
    Refused,
    Failed(Arc<Error>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(Arc::new(error))
    }
}

async fn transfer(pool: &Database, from: usize, to: usize, amount: i64, refuse: bool) -> Result<(), Refusal> {
    pool.execute_transaction(async |tx| -> Result<(), Refusal> {
        add_to_balance(tx, &format!("user-{from:02}"), -amount).await?;
        if refuse {
            return Err(Refusal::Refused);
        }
        add_to_balance(tx, &format!("user-{to:02}"), amount).await?;
        Ok(())
    })
    .await
}
