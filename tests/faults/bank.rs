//! Money moves between accounts from many tasks, in serializable transactions that are run again, while connections are
//! killed: nothing is lost, nothing is done twice.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use entities::user;
use sea_dao::{Database, Error, Result, RetryPolicy, Session, error::ErrorClass};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, IsolationLevel, QueryFilter, Statement, sea_query::Expr};

use crate::{
    common::check_books,
    support::{TestDb, balances, new_user_with},
};

for_each_backend!(ten_thousand_transfers_are_all_accounted_for);

const ACCOUNTS: usize = 20;
const START: i64 = 1_000_000;
const TASKS: usize = 64;
const TRANSFERS: usize = 10_000;
/// All connections are killed each time so many transfers have ended.
const KILL_EVERY: usize = 500;

#[derive(Debug)]
enum Failure {
    /// By the bank, after it had written.
    Refused,
    Database(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Acknowledged,
    Refused,
    Failed,
    Unknown,
}

struct Bank {
    db: TestDb,
    pool: Database,
    accounts: Vec<i64>,
    ended: AtomicUsize,
    retries: Arc<AtomicUsize>,
}

async fn ten_thousand_transfers_are_all_accounted_for(db: TestDb) {
    let users = (0..ACCOUNTS).map(|number| new_user_with(&format!("account-{number:02}"), START));
    user::Entity::insert_many(users).exec(db.outside()).await.unwrap();
    // No key: one that was written twice would be seen.
    let sql = "CREATE TABLE ledger (transfer BIGINT NOT NULL, source BIGINT NOT NULL, target BIGINT NOT NULL, amount BIGINT NOT NULL)";
    db.outside().execute_unprepared(sql).await.unwrap();
    let accounts = user::Entity::find().all(db.outside()).await.unwrap().iter().map(|user| user.id).collect();
    let pool = db.open(|config| config.pool_size(4).max_overflow(0).pool_timeout(Duration::from_secs(60))).await;
    let (ended, retries) = (AtomicUsize::new(0), Arc::default());
    let bank = Arc::new(Bank { db: db.clone(), pool: pool.clone(), accounts, ended, retries });
    let seed = fastrand::u64(..);
    println!("seed {seed}");

    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(work(bank.clone(), task, seed ^ task as u64))).collect();
    let mut endings = HashMap::new();
    for task in tasks {
        endings.extend(task.await.unwrap());
    }
    db.is_quiet().await;
    let count = |wanted| endings.values().filter(|ending| **ending == wanted).count();
    println!(
        "{} acknowledged, {} refused, {} failed, {} unknown, {} run again",
        count(Ending::Acknowledged),
        count(Ending::Refused),
        count(Ending::Failed),
        count(Ending::Unknown),
        bank.retries.load(SeqCst)
    );
    assert_eq!(endings.len(), TRANSFERS);
    assert!(count(Ending::Acknowledged) > TRANSFERS * 9 / 10 && count(Ending::Refused) > 0);
    if !db.capabilities().server {
        assert_eq!(count(Ending::Failed) + count(Ending::Unknown), 0, "nobody is told that the database is locked");
    }

    let mut expected: HashMap<i64, i64> = bank.accounts.iter().map(|account| (*account, START)).collect();
    let mut written = HashMap::new();
    for (transfer, source, target, amount) in ledger(&db).await {
        *written.entry(transfer).or_insert(0) += 1;
        *expected.get_mut(&source).unwrap() -= amount;
        *expected.get_mut(&target).unwrap() += amount;
    }
    for (transfer, ending) in &endings {
        let times = written.get(transfer).copied().unwrap_or(0);
        match ending {
            Ending::Acknowledged => assert_eq!(times, 1, "{transfer} was acknowledged"),
            Ending::Refused | Ending::Failed => assert_eq!(times, 0, "{transfer} failed: {ending:?}"),
            Ending::Unknown => assert!(times <= 1, "{transfer} was done twice"),
        }
    }
    assert!(written.keys().all(|transfer| endings.contains_key(transfer)));
    let expected: Vec<i64> = bank.accounts.iter().map(|account| expected[account]).collect();
    let balances = balances(db.outside()).await;
    assert_eq!(balances, expected, "the accounts are what the ledger says");
    assert_eq!(balances.iter().sum::<i64>(), ACCOUNTS as i64 * START);
    check_books(&pool);
}

async fn ledger(db: &TestDb) -> Vec<(i64, i64, i64, i64)> {
    let sql = "SELECT transfer, source, target, amount FROM ledger";
    let rows = db.outside().query_all_raw(Statement::from_string(db.backend(), sql)).await.unwrap();
    let number = |row: &sea_orm::QueryResult, index| row.try_get_by_index::<i64>(index).unwrap();
    rows.iter().map(|row| (number(row, 0), number(row, 1), number(row, 2), number(row, 3))).collect()
}

async fn work(bank: Arc<Bank>, task: usize, seed: u64) -> Vec<(i64, Ending)> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut endings = Vec::new();
    for number in (task..TRANSFERS).step_by(TASKS) {
        // One account in every other transfer.
        let hot = if random.bool() { 0 } else { random.usize(0..ACCOUNTS) };
        let other = (hot + random.usize(1..ACCOUNTS)) % ACCOUNTS;
        let (source, target) = if random.bool() { (hot, other) } else { (other, hot) };
        let amount = random.i64(1..100);
        let refuse = random.u8(0..50) == 0;
        let ending = bank.transfer(number as i64, source, target, amount, refuse).await;
        endings.push((number as i64, ending));
        if (bank.ended.fetch_add(1, SeqCst) + 1).is_multiple_of(KILL_EVERY) && bank.db.capabilities().server {
            bank.db.kill_server_sessions().await;
        }
    }
    endings
}

impl Bank {
    async fn transfer(&self, number: i64, source: usize, target: usize, amount: i64, refuse: bool) -> Ending {
        let (source, target) = (self.accounts[source], self.accounts[target]);
        let retries = self.retries.clone();
        let policy = RetryPolicy::default()
            .attempts(1_000)
            .base_delay(Duration::from_millis(1))
            .max_delay(Duration::from_millis(50))
            .budget(Duration::from_secs(60))
            .on_retry(move |_| {
                retries.fetch_add(1, SeqCst);
            });
        let builder = self.pool.transaction().isolation(IsolationLevel::Serializable).retry(policy);
        let result = builder.run(async |tx| -> Result<(), Failure> {
            move_money(tx, source, target, amount).await?;
            let sql = format!("INSERT INTO ledger VALUES ({number}, {source}, {target}, {amount})");
            tx.execute_unprepared(&sql).await.map_err(Error::from)?;
            if refuse { Err(Failure::Refused) } else { Ok(()) }
        });
        match result.await {
            Ok(()) => Ending::Acknowledged,
            Err(Failure::Refused) => Ending::Refused,
            Err(Failure::Database(Error::CommitUnknown { .. })) => Ending::Unknown,
            // The connection was killed in the middle.
            Err(Failure::Database(error)) if error.class() == Some(ErrorClass::Disconnect) => Ending::Failed,
            Err(Failure::Database(error)) => panic!("{error:?}"),
        }
    }
}

/// Reads both balances, then writes what they should be: without isolation, this loses money.
async fn move_money(tx: &Session, source: i64, target: i64, amount: i64) -> Result<()> {
    let found = user::Entity::find().filter(user::Column::Id.is_in([source, target])).all(tx).await?;
    for account in found {
        let change = if account.id == source { -amount } else { amount };
        user::Entity::update_many()
            .col_expr(user::Column::Balance, Expr::value(account.balance + change))
            .filter(user::Column::Id.eq(account.id))
            .exec(tx)
            .await?;
    }
    Ok(())
}
