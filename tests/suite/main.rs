//! What the crate promises, on every database: each test is written once and runs on SQLite, PostgreSQL and MariaDB.
//!
//! Tests ask for abilities (`capabilities()`); where one is missing they check what is promised instead. They look at the
//! database's name only to speak its SQL. The servers are named by `TEST_POSTGRES_URL` and `TEST_MYSQL_URL`; `tests/run` starts some.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[macro_use]
mod support;

mod aborted;
mod bulk;
mod callback;
mod cancellation;
mod connecting;
mod dao;
mod dao_rules;
mod dao_sessions;
mod dialects;
mod ends;
mod errors;
mod hooks;
mod hostile;
mod leaks;
mod memory;
mod notes;
mod pool;
mod query;
mod query_numbers;
mod session;
mod sql;
mod sql_writes;
mod storm;
mod transactions;
mod unit_of_work;
