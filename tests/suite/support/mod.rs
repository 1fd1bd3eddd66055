//! What the tests stand on: a new database for each test, a way to look at it from outside, and a record of what was
//! sent.

mod database;
pub(crate) mod depots;
mod outside;
mod place;
mod recorder;
mod rows;
pub(crate) mod run;
pub(crate) mod staff;

pub(crate) use database::TestDb;
pub(crate) use place::Place;
pub(crate) use recorder::{Ended, Recorder, Seen};
pub(crate) use rows::{
    add_to_balance, balances, count_users, insert_user, new_user, new_user_with, nonce, slow_query, usernames,
};
pub(crate) use run::{poll_times, run};
pub(crate) use staff::{create_staff, employee};

use std::time::{Duration, Instant};

/// How long a test waits for something that has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Makes one test for each database out of each `async fn(TestDb)`, in modules `sqlite`, `postgres` and `mariadb`.
macro_rules! for_each_backend {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test]
            fn $test() {
                crate::support::run(crate::support::Place::SqliteFile, super::$test);
            })+
        }

        mod postgres {
            $(#[test]
            fn $test() {
                crate::support::run(crate::support::Place::Postgres, super::$test);
            })+
        }

        mod mariadb {
            $(#[test]
            fn $test() {
                crate::support::run(crate::support::Place::MariaDb, super::$test);
            })+
        }
    };
}

/// Waits until `check` holds.
///
/// # Panics
///
/// When it does not within [`PATIENCE`].
pub(crate) async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !check().await {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
