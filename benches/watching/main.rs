//! What watching costs: a row by its key from SQLite in memory, with more and more of it switched on.
//!
//! The contenders take turns in short rounds, so that what the machine does beside concerns all of them alike, and each is
//! compared with the first one round by round. The second one is the same as the first: its ratio says how exact the others
//! are. Without a hook a statement only asks whether there is one; with an empty one it does so too, and reads the clock,
//! and calls it: what an empty hook costs is more than what no hook does.
//!
//! `cargo bench -p sea-dao-benches --bench watching`; after `--`: `--rounds N`, `--operations N`, and a name of a
//! contender to run only that one, for a tool that counts instructions.

#![allow(clippy::unwrap_used, reason = "a benchmark ends with a panic")]

use std::{
    env,
    time::{Duration, Instant},
};

use entities::user;
use migration::{Migrator, MigratorTrait};
use sea_dao::{
    BaseDao, Database, DatabaseConfig,
    hooks::{AlertRule, SqlHook},
};
use sea_orm::ActiveValue::Set;

struct Empty;

impl SqlHook for Empty {}

struct Contender {
    name: &'static str,
    /// The most that its ratio may be, where something is promised.
    most: Option<f64>,
    users: BaseDao<user::Entity>,
    key: i64,
    /// Nanoseconds for each operation, one a round.
    rounds: Vec<f64>,
    _db: Database,
}

impl Contender {
    async fn make(name: &'static str, most: Option<f64>, config: DatabaseConfig) -> Self {
        let db = config.connect().await.unwrap();
        Migrator::up(&db.sea_orm_connection().await.unwrap(), None).await.unwrap();
        let users = BaseDao::<user::Entity>::new(db.clone());
        let ada = user::ActiveModel { username: Set("ada".into()), phone: Set("1".into()), ..Default::default() };
        let key = users.insert(ada).await.unwrap().id;
        Self { name, most, users, key, rounds: Vec::new(), _db: db }
    }

    async fn run(&mut self, operations: u32) {
        let started = Instant::now();
        for _ in 0..operations {
            assert!(self.users.find_by_id(self.key).await.unwrap().is_some());
        }
        self.rounds.push(started.elapsed().as_nanos() as f64 / f64::from(operations));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut rounds, mut operations, mut only) = (401, 200, None);
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rounds" => rounds = arguments.next().unwrap().parse().unwrap(),
            "--operations" => operations = arguments.next().unwrap().parse().unwrap(),
            _ => only = Some(argument),
        }
    }
    let plain = || DatabaseConfig::new("sqlite::memory:").no_slow_log();
    let mut contenders = vec![
        Contender::make("nothing", None, plain()).await,
        Contender::make("nothing-again", None, plain()).await,
        Contender::make("empty-hook", Some(1.02), plain().hook(Empty)).await,
        Contender::make("slow-log", None, DatabaseConfig::new("sqlite::memory:")).await,
        Contender::make("statistics", Some(1.05), plain().statement_statistics(500)).await,
        Contender::make("alerts", None, plain().alerts(AlertRule::defaults())).await,
        Contender::make("history", None, plain().history(Duration::from_secs(600))).await,
        Contender::make("n-plus-one", None, plain().n_plus_one(20)).await,
        Contender::make("everything", None, DatabaseConfig::new("sqlite::memory:").watch_everything()).await,
    ];
    contenders.retain(|contender| only.as_ref().is_none_or(|only| contender.name == only));
    for round in 0..=rounds {
        // Who begins changes from round to round.
        let first = round % contenders.len();
        contenders.rotate_left(first);
        for contender in &mut contenders {
            contender.run(operations).await;
            if round == 0 {
                // Not counted: everything is cold.
                contender.rounds.clear();
            }
        }
        contenders.rotate_right(first);
    }
    let base = contenders.first().map(|contender| contender.rounds.clone()).unwrap_or_default();
    println!("| switched on | time for a row | ratio, median of the rounds | at most |\n|---|--:|--:|--:|");
    for contender in &contenders {
        let ratios: Vec<f64> = contender.rounds.iter().zip(&base).map(|(one, base)| one / base).collect();
        let (time, ratio) = (median(&contender.rounds) / 1e3, median(&ratios));
        let most = match contender.most {
            Some(most) => format!("{most:.2}, {}", if ratio < most { "kept" } else { "not kept" }),
            None => String::new(),
        };
        println!("| {} | {time:.2} µs | {ratio:.3} | {most} |", contender.name);
    }
}
