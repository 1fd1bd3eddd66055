//! The databases: the only place that knows one from another.
//!
//! One implementation over `sqlx::Database` serves all; each database's own file holds its options, the order of its BEGIN, its classes of errors and its capabilities.

mod capabilities;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod connection;
mod dialect;
mod driver;
mod errors;
mod input;
mod lexer;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod script;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod signature;
#[cfg(feature = "sqlite")]
mod sqlite;

pub use capabilities::Capabilities;

pub(crate) use dialect::{float_type, integer_type};
pub(crate) use driver::{Driver, RawConnection, TransactionOptions, open};
pub(crate) use errors::{Effect, Failure, database_error, is_transient_connect_failure};
pub(crate) use input::{check_script, check_statement};
pub(crate) use script::SqlNature;
