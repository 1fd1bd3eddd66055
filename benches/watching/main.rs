//! What watching costs: a row by its key from SQLite in memory, with more and more of it switched on.
//!
//! What counts is the processor's time, of all threads: what else the machine does makes no difference to it. The
//! contenders take turns in slices of some milliseconds, and each is compared with the first one, slice by slice. Where a
//! database lies in memory makes a difference too, so all of them are opened anew for each block; a ratio is the median of
//! the blocks', with their quartiles. The second contender is the same as the first: its ratio says how exact the others are.
//!
//! `cargo bench -p sea-dao-benches --bench watching`; after `--`: `--seconds S` for all of it, and `--operations N` with the
//! name of a contender, which reads N rows and measures nothing: for a tool that counts instructions.

#![allow(clippy::unwrap_used, reason = "a benchmark ends with a panic")]

use std::{
    env,
    time::{Duration, Instant},
};

use entities::user;
use migration::{Migrator, MigratorTrait};
use rustix::time::{ClockId, clock_gettime};
use sea_dao::{
    BaseDao, Database, DatabaseConfig,
    hooks::{AlertRule, SqlHook},
};
use sea_orm::ActiveValue::Set;

/// Databases are opened so often.
const BLOCKS: u32 = 16;
/// Rows read in a slice.
const SLICE: u32 = 100;

struct Empty;

impl SqlHook for Empty {}

/// What is switched on.
struct Contender {
    name: &'static str,
    /// The most that its ratio may be, where something is promised.
    most: Option<f64>,
    config: fn() -> DatabaseConfig,
    /// Microseconds for a row: of the processors', and as they pass.
    processor: Vec<f64>,
    passed: Vec<f64>,
    /// One for each block.
    ratios: Vec<f64>,
}

fn contenders() -> Vec<Contender> {
    fn plain() -> DatabaseConfig {
        DatabaseConfig::new("sqlite::memory:").no_slow_log()
    }
    let contender = |name, most, config| Contender {
        name,
        most,
        config,
        processor: Vec::new(),
        passed: Vec::new(),
        ratios: Vec::new(),
    };
    vec![
        contender("nothing", None, plain),
        contender("nothing-again", None, plain),
        contender("empty-hook", Some(1.02), || plain().hook(Empty)),
        contender("slow-log", None, || DatabaseConfig::new("sqlite::memory:")),
        contender("statistics", Some(1.05), || plain().statement_statistics(500)),
        contender("alerts", None, || plain().alerts(AlertRule::defaults())),
        contender("history", None, || plain().history(Duration::from_secs(600))),
        contender("n-plus-one", None, || plain().n_plus_one(20)),
        contender("everything", None, || DatabaseConfig::new("sqlite::memory:").watch_everything()),
    ]
}

/// A database with one row to read.
struct Open {
    db: Database,
    users: BaseDao<user::Entity>,
    key: i64,
}

impl Open {
    async fn make(config: DatabaseConfig) -> Self {
        let db = config.connect().await.unwrap();
        Migrator::up(&db.sea_orm_connection().await.unwrap(), None).await.unwrap();
        let users = BaseDao::<user::Entity>::new(db.clone());
        let ada = user::ActiveModel { username: Set("ada".into()), phone: Set("1".into()), ..Default::default() };
        let key = users.insert(ada).await.unwrap().id;
        Self { db, users, key }
    }

    async fn read(&self, rows: u32) {
        for _ in 0..rows {
            assert!(self.users.find_by_id(self.key).await.unwrap().is_some());
        }
    }

    /// Microseconds for a row: the processors', and those that pass.
    async fn slice(&self) -> (f64, f64) {
        let (began, started) = (processor_time(), Instant::now());
        self.read(SLICE).await;
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(SLICE);
        (each(processor_time() - began), each(started.elapsed()))
    }
}

/// What all threads of the process have used.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// One block: everything is opened, and takes turns until the time is over.
async fn block(contenders: &mut [Contender], length: Duration) {
    let mut open = Vec::new();
    for contender in &*contenders {
        let one = Open::make((contender.config)()).await;
        // The first rows find everything cold.
        one.read(SLICE).await;
        open.push(one);
    }
    let until = Instant::now() + length;
    let mut ratios = vec![Vec::new(); contenders.len()];
    let mut first = 0;
    while Instant::now() < until {
        let mut times = vec![(0.0, 0.0); contenders.len()];
        for turn in 0..contenders.len() {
            // Who begins changes from round to round.
            let at = (first + turn) % contenders.len();
            times[at] = open[at].slice().await;
        }
        first += 1;
        for (at, (contender, (processor, passed))) in contenders.iter_mut().zip(&times).enumerate() {
            contender.processor.push(*processor);
            contender.passed.push(*passed);
            ratios[at].push(processor / times[0].0);
        }
    }
    for (contender, mut ratios) in contenders.iter_mut().zip(ratios) {
        contender.ratios.push(quartile(&mut ratios, 2));
    }
    for one in open {
        one.db.close().await;
    }
}

fn quartile(values: &mut [f64], quarter: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * quarter / 4]
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (mut seconds, mut operations, mut only) = (60.0, 0, None);
    let mut arguments = env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().unwrap().parse().unwrap(),
            "--operations" => operations = arguments.next().unwrap().parse().unwrap(),
            _ => only = Some(argument),
        }
    }
    let mut contenders = contenders();
    if let Some(only) = only {
        let contender = contenders.iter().find(|contender| contender.name == only).unwrap();
        Open::make((contender.config)()).await.read(operations).await;
        return;
    }
    for _ in 0..BLOCKS {
        block(&mut contenders, Duration::from_secs_f64(seconds) / BLOCKS).await;
    }
    println!("| switched on | time for a row | processor time | ratio (quartiles) | at most |\n|---|--:|--:|--:|--:|");
    for Contender { name, most, processor, passed, ratios, .. } in &mut contenders {
        let [low, ratio, high] = [1, 2, 3].map(|quarter| quartile(ratios, quarter));
        let most = match *most {
            Some(most) if high < most => format!("{most:.2}, kept"),
            Some(most) if low < most => format!("{most:.2}, not decided"),
            Some(most) => format!("{most:.2}, not kept"),
            None => String::new(),
        };
        let (passed, processor) = (quartile(passed, 2), quartile(processor, 2));
        println!("| {name} | {passed:.2} µs | {processor:.2} µs | {ratio:.3} ({low:.3}–{high:.3}) | {most} |");
    }
}
