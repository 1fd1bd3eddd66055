//! Random writes of many rows: other sizes, other columns in each row, against the same in plain Rust.
//!
//! `SEA_DAO_SEED=…` runs one seed again, `SEA_DAO_CASES=…` runs more cases.

mod plain;
mod tables;

use fastrand::Rng;
use sea_dao::{BaseDao, Error};

use crate::support::TestDb;
use plain::{Given, Plain};
use tables::{Change, Table, cell, piece};

for_each_backend!(a_generated_key_and_a_unique_column, a_composite_key);

async fn a_generated_key_and_a_unique_column(db: TestDb) {
    piece::create(&db).await;
    agrees(BaseDao::<piece::Entity>::new((*db).clone())).await;
}

async fn a_composite_key(db: TestDb) {
    cell::create(&db).await;
    agrees(BaseDao::<cell::Entity>::new((*db).clone())).await;
}

/// What is done in one case.
#[derive(Debug, Clone, Copy)]
enum Step {
    Insert,
    InsertReturning,
    InsertTaken,
    Update,
    UpdateMissing,
    Upsert,
    UpsertReturning,
    Delete,
}

async fn agrees(table: impl Table) {
    let number = |name| std::env::var(name).ok().map(|value: String| value.parse().expect("a number"));
    let seed = number("SEA_DAO_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut rng = Rng::with_seed(seed);
    let mut plain = Plain::default();
    for case in 0..number("SEA_DAO_CASES").unwrap_or(30) {
        use Step::{Delete, Insert, InsertReturning, InsertTaken, Update, UpdateMissing, Upsert, UpsertReturning};
        let step = match plain.len() {
            0 => Insert,
            // Reading them all after each case takes its time.
            6_000.. => Delete,
            _ => {
                let inserts = [Insert, InsertReturning, InsertTaken];
                let updates = [Update, Update, UpdateMissing];
                let others = [Upsert, Upsert, UpsertReturning, Delete];
                let steps: Vec<Step> = inserts.into_iter().chain(updates).chain(others).collect();
                steps[rng.usize(..steps.len())]
            }
        };
        let size = size(&mut rng);
        let what = format!("SEA_DAO_SEED={seed}, case {case}: {step:?} of {size}");
        take(&table, step, size, &mut plain, &mut rng, &what).await;
        plain.is_what_was_read(table.all().await.expect(&what), &what);
    }
}

async fn take(table: &impl Table, step: Step, size: usize, plain: &mut Plain, rng: &mut Rng, what: &str) {
    match step {
        Step::Insert => {
            let rows = shaped(plain.new_keys(size, rng), rng);
            assert_eq!(table.insert_many(&rows).await.expect(what), rows.len() as u64, "{what}");
            rows.iter().for_each(|(key, given)| plain.insert(*key, given));
        }
        Step::InsertReturning => {
            let rows = shaped(plain.new_keys(size, rng), rng);
            let written = table.insert_many_returning(&rows).await.expect(what);
            rows.iter().for_each(|(key, given)| plain.insert(*key, given));
            plain.are_rows_of(&rows, &written, what);
        }
        Step::InsertTaken => {
            let mut keys = plain.new_keys(size.max(1), rng);
            let place = rng.usize(..keys.len());
            keys[place] = plain.keys(1, rng)[0];
            let rows = shaped(keys, rng);
            let error = match rng.bool() {
                true => table.insert_many(&rows).await.expect_err(what),
                false => table.insert_many_returning(&rows).await.map(drop).expect_err(what),
            };
            assert!(error.is_unique_violation(), "{what}: {error}");
            assert_eq!(error.row(), Some(place), "{what}: {error}");
        }
        Step::Update => {
            let rows = shaped(plain.keys(size, rng), rng);
            assert_eq!(table.update_many(&rows, plain).await.expect(what), rows.len() as u64, "{what}");
            rows.iter().for_each(|(key, given)| plain.update(*key, given));
        }
        Step::UpdateMissing => {
            let mut keys = plain.keys(size.max(1), rng);
            let place = rng.usize(..keys.len());
            keys[place] = plain.new_keys(1, rng)[0];
            let error = table.update_many(&shaped(keys, rng), plain).await.expect_err(what);
            assert!(matches!(error.root(), Error::NotFound { .. }), "{what}: {error}");
            assert_eq!(error.row(), Some(place), "{what}: {error}");
        }
        Step::Upsert | Step::UpsertReturning => {
            let known = rng.usize(..=size);
            let mut keys = plain.keys(known, rng);
            keys.extend(plain.new_keys(size - known, rng));
            rng.shuffle(&mut keys);
            let change = [Change::AllGiven, Change::Small, Change::Nothing][rng.usize(..3)];
            let mut rows = shaped(keys, rng);
            if change == Change::Small {
                rows.iter_mut().for_each(|(_, given)| given.small = Some(given.small.unwrap_or(11)));
            }
            let what = format!("{what}, {change:?}");
            let returned = match step {
                Step::UpsertReturning => Some(table.upsert_many_returning(&rows, change).await.expect(&what)),
                _ => None,
            };
            let written = match returned {
                None => Some(table.upsert_many(&rows, change).await.expect(&what)),
                Some(_) => None,
            };
            let expected = rows.iter().filter(|(key, given)| plain.upsert(*key, given, change)).count() as u64;
            assert_eq!(written.unwrap_or(expected), expected, "{what}");
            if let Some(returned) = returned {
                plain.are_rows_of(&rows, &returned, &what);
            }
        }
        Step::Delete => {
            let keys = if size > 1_500 { plain.keys(usize::MAX, rng) } else { plain.keys(size.max(600), rng) };
            assert_eq!(table.delete_many(&keys, plain).await.expect(what), keys.len() as u64, "{what}");
            keys.iter().for_each(|key| plain.delete(*key));
        }
    }
}

/// Few rows, or about as many as go into one statement: a list, a COPY, an array.
fn size(rng: &mut Rng) -> usize {
    let around = |middle: usize, rng: &mut Rng| middle - 1 + rng.usize(..3);
    match rng.u8(..20) {
        0 => 0,
        1..3 => 1,
        3..12 => rng.usize(2..70),
        12..15 => around(1_000, rng),
        15..17 => around(1_024, rng),
        17..19 => rng.usize(1_000..2_600),
        _ => around(10_000, rng),
    }
}

/// Rows that set the same columns, or some few choices of them, or each its own.
fn shaped(keys: Vec<usize>, rng: &mut Rng) -> Vec<(usize, Given)> {
    let shapes: Vec<u8> = (0..[1, 1, 2, 8][rng.usize(..4)]).map(|_| rng.u8(..8)).collect();
    let mut row = |key| (key, Given::random(shapes[rng.usize(..shapes.len())], rng));
    keys.into_iter().map(&mut row).collect()
}
