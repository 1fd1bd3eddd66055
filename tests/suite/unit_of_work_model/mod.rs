//! Random sequences of what can be done with a session, against a plain model of it.
//!
//! A sequence that fails prints its seed; `UNIT_OF_WORK_SEED=…` runs that one alone, `UNIT_OF_WORK_SEQUENCES=…` another
//! number than 500 in each of the four tests.

mod model;
mod tables;
mod world;

use std::{env, panic::AssertUnwindSafe, panic::resume_unwind};

use futures_util::FutureExt;
use world::World;

use crate::support::TestDb;

for_each_backend!(
    random_sequences_a_agree_with_the_model,
    random_sequences_b_agree_with_the_model,
    random_sequences_c_agree_with_the_model,
    random_sequences_d_agree_with_the_model,
);

async fn random_sequences_a_agree_with_the_model(db: TestDb) {
    sequences(db, 1_000_000).await;
}

async fn random_sequences_b_agree_with_the_model(db: TestDb) {
    sequences(db, 2_000_000).await;
}

async fn random_sequences_c_agree_with_the_model(db: TestDb) {
    sequences(db, 3_000_000).await;
}

async fn random_sequences_d_agree_with_the_model(db: TestDb) {
    sequences(db, 4_000_000).await;
}

async fn sequences(db: TestDb, first: u64) {
    tables::create(db.outside()).await;
    let number = |name: &str| env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = match number("UNIT_OF_WORK_SEED") {
        Some(seed) => seed..seed + 1,
        None => first..first + number("UNIT_OF_WORK_SEQUENCES").unwrap_or(500),
    };
    for seed in seeds {
        tables::empty(db.outside()).await;
        let mut world = World::new(&db, seed);
        let outcome = AssertUnwindSafe(world.run()).catch_unwind().await;
        if let Err(panic) = outcome {
            eprintln!("seed {seed} fails after:\n{}", world.log());
            resume_unwind(panic);
        }
    }
}
