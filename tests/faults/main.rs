//! What the pool promises when something goes wrong, on every database: faults between client and server (a proxy that
//! delays, cuts and swallows), behind it (backends that are killed, a server that restarts), and mistakes of its user.
//!
//! The servers are named by `TEST_POSTGRES_URL` and `TEST_MYSQL_URL`; those that a test stops are its own, made with the
//! programs that `TEST_POSTGRES_BIN`, `TEST_MYSQLD` and `TEST_MYSQL_INSTALL_DB` name. `tests/run` sets all of them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[macro_use]
#[allow(dead_code, unused_imports, reason = "the suite's; not all of it is needed here")]
#[path = "../suite/support/mod.rs"]
mod support;

/// Makes one test for each server out of each `async fn(TestDb)`, in modules `postgres` and `mariadb`.
macro_rules! for_each_server {
    ($($test:ident),+ $(,)?) => {
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

mod capture;
mod common;
mod protocol;
mod proxy;
mod server;

mod alerts;
mod bad_input;
mod bank;
mod blackhole;
mod changed;
mod connections;
mod counts;
mod dropped;
mod dropped_ends;
mod everything;
mod hard_times;
mod health_pages;
mod killed;
mod kills;
mod life;
mod lost_commit;
mod maintenance;
mod monitor;
mod opening;
mod own_server;
mod process;
mod returned;
mod round_trips;
mod set_up;
mod settings;
mod woken;
