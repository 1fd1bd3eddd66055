//! Measures the contenders in turns.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{
    arguments::{Arguments, Length},
    contender::{Contender, Result},
    fixture::Store,
    scenario::Scenario,
};

/// One scenario with one number of tasks, measured for all contenders.
pub(crate) struct Group {
    pub(crate) scenario: Scenario,
    pub(crate) tasks: usize,
    /// The first one is the one that the others are compared with.
    pub(crate) results: Vec<Measured>,
}

/// The medians of one contender's rounds.
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Of the operations per second, to those of the first contender in the same round.
    pub(crate) ratio: f64,
    /// The lower and the upper quartile of the ratios.
    pub(crate) spread: (f64, f64),
    /// Of the 99th percentile, to that of the first contender in the same round.
    pub(crate) p99_ratio: f64,
}

/// What one contender did in one turn.
#[derive(Clone, Copy)]
struct Turn {
    per_second: f64,
    p50: f64,
    p99: f64,
}

/// Lets the contenders take turns; who begins changes from round to round.
pub(crate) async fn group(
    contenders: &[Arc<dyn Contender>],
    store: &Store,
    scenario: Scenario,
    tasks: usize,
    arguments: &Arguments,
) -> Result<Group> {
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); contenders.len()];
    for round in 0..arguments.rounds {
        for position in 0..contenders.len() {
            let index = (round + position) % contenders.len();
            if scenario.writes() {
                store.fill().await?;
            }
            let contender = &contenders[index];
            // Opens connections, prepares statements, and pings what was idle for long.
            turn(contender, scenario, tasks, arguments.turn.warm_up()).await?;
            turns[index].push(turn(contender, scenario, tasks, arguments.turn).await?);
        }
    }
    let first = turns[0].clone();
    let results = contenders.iter().zip(&turns).map(|(contender, turns)| {
        let of = |pick: fn(&Turn) -> f64| quantile(turns.iter().map(pick), 0.5);
        let ratios =
            |pick: fn(&Turn) -> f64| turns.iter().zip(&first).map(move |(turn, first)| pick(turn) / pick(first));
        Measured {
            name: contender.name(),
            per_second: of(|turn| turn.per_second),
            p50: Duration::from_secs_f64(of(|turn| turn.p50)),
            p99: Duration::from_secs_f64(of(|turn| turn.p99)),
            ratio: quantile(ratios(|turn| turn.per_second), 0.5),
            spread: (quantile(ratios(|turn| turn.per_second), 0.25), quantile(ratios(|turn| turn.per_second), 0.75)),
            p99_ratio: quantile(ratios(|turn| turn.p99), 0.5),
        }
    });
    Ok(Group { scenario, tasks, results: results.collect() })
}

async fn turn(contender: &Arc<dyn Contender>, scenario: Scenario, tasks: usize, length: Length) -> Result<Turn> {
    let started = Instant::now();
    let mut working: JoinSet<_> = (0..tasks).map(|_| work(contender.clone(), scenario, length)).collect();
    let mut latencies = Vec::new();
    while let Some(finished) = working.join_next().await {
        latencies.extend(finished??);
    }
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_unstable_by(f64::total_cmp);
    let nearest = |part: f64| latencies[(latencies.len() as f64 * part) as usize];
    Ok(Turn { per_second: latencies.len() as f64 / elapsed, p50: nearest(0.5), p99: nearest(0.99) })
}

/// Works for so long, once at least, and gives the seconds that each operation took.
async fn work(contender: Arc<dyn Contender>, scenario: Scenario, length: Length) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    let mut random = fastrand::Rng::new();
    let started = Instant::now();
    let mut before = started;
    loop {
        scenario.run(contender.as_ref(), &mut random).await?;
        let after = Instant::now();
        latencies.push((after - before).as_secs_f64());
        let done = match length {
            Length::Time(time) => after - started >= time,
            Length::Operations(operations) => latencies.len() >= operations,
        };
        if done {
            return Ok(latencies);
        }
        before = after;
    }
}

fn quantile(values: impl Iterator<Item = f64>, quantile: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = (values.len() - 1) as f64 * quantile;
    let (below, above) = (values[at.floor() as usize], values[at.ceil() as usize]);
    below + (above - below) * at.fract()
}
