//! What the crate promises, on every database: each test is written once and runs on SQLite, PostgreSQL and MariaDB.
//!
//! Tests ask for abilities (`capabilities()`); where one is missing they check what is promised instead. They look at the
//! database's name only to speak its SQL. The servers are named by `TEST_POSTGRES_URL` and `TEST_MYSQL_URL`; `tests/run` starts some.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[macro_use]
mod support;

mod aborted;
mod after_end;
mod bulk;
mod bulk_copy;
mod bulk_insert;
mod bulk_keys;
mod bulk_undone;
mod bulk_update;
mod by_position;
mod callback;
mod cancellation;
mod compared;
mod connecting;
mod conventions;
mod copy;
mod cursor;
mod dao;
mod dao_callbacks;
mod dao_rules;
mod dao_sessions;
mod dialects;
mod ends;
mod errors;
mod extremes;
#[path = "../../fuzz/src/lib.rs"]
mod fuzz;
mod health_pages;
mod history;
mod hooks;
mod hostile;
mod hostile_query;
mod ids;
mod in_order;
mod inlined;
mod leaks;
mod loader;
mod members;
mod memory;
mod metrics;
mod nanoseconds;
mod notes;
mod page;
mod places;
mod pool;
mod propagation;
mod property;
mod property_bulk;
mod query;
mod query_numbers;
mod query_related;
mod query_rows;
mod restore;
mod retry;
mod sandbox;
mod seaorm_compared;
mod session;
mod sql;
mod sql_more;
mod sql_runs;
mod sql_sent;
mod sql_writes;
mod statistics;
mod storm;
mod transaction_functions;
mod transactions;
mod unit_of_work;
mod unit_of_work_callbacks;
mod unit_of_work_entities;
mod unit_of_work_graph;
mod unit_of_work_hostile;
mod unit_of_work_model;
mod unit_of_work_rows;
mod unit_of_work_versions;
mod upsert;
mod upsert_callbacks;
mod upsert_deadlocks;
mod upsert_order;
mod upsert_races;
mod upsert_rules;
mod versions;
mod watching;
mod with_related;
mod with_related_keys;
