//! The databases: the only place that knows one from another.
//!
//! One implementation over `sqlx::Database` serves all; each database's own file holds its options, the order of its BEGIN, its classes of errors and its capabilities.

#[cfg(feature = "postgres")]
mod arguments;
mod blocks;
mod bulk;
mod calendar;
mod capabilities;
mod compare;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod connection;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod connector;
mod copy;
mod dialect;
mod driver;
mod errors;
mod fingerprint;
mod inline;
mod input;
pub(crate) mod json;
mod lasting;
mod lexer;
#[cfg(feature = "sqlite")]
mod limit;
mod list;
mod literal;
#[cfg(feature = "mysql")]
mod mysql;
mod pattern;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod probe;
mod rows;
mod script;
mod seaorm;
mod set_up;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod signature;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod stored;
mod tables;
mod tokens;
#[cfg(feature = "postgres")]
mod usual_limit;

pub use capabilities::Capabilities;

pub(crate) use bulk::{into_array, is_because_of_a_row};
pub(crate) use compare::{compared, enum_values_beyond, pad, padded, padded_length};
pub(crate) use copy::{COPY_COLUMNS_SQL, CopyData, copy_sql};
pub(crate) use dialect::{
    compares_rows_by_index, explain, float_type, has_distinct_on, has_row_locks, insert_returning, integer_type,
    is_bound_as_it_is, nulls_are_largest, server_sessions, sql_dialect, sum_type,
};
pub(crate) use driver::{Aborted, Driver, RawConnection, TransactionOptions, open};
pub(crate) use errors::{Effect, Failure, database_error, is_transient_connect_failure};
pub(crate) use input::{PlainSql, check_script, check_statement, check_values};
pub(crate) use list::{fill_up, list_as_one_value};
pub(crate) use pattern::{check_lowered, check_pattern, is_pattern_everywhere};
pub(crate) use rows::{Models, model, models};
pub(crate) use script::{SqlNature, is_copy_in};
pub(crate) use seaorm::open_connections;
pub(crate) use set_up::SetUp;
pub(crate) use stored::{is_kept_otherwise, is_kept_value, kept};
