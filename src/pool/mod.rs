//! The pool: hands connections out, takes them back, and knows the state of each one.

mod connection;
mod ledger;
mod manager;
mod release;
mod shared;
mod status;

pub use status::PoolStatus;

pub(crate) use release::PooledConnection;
pub(crate) use shared::Pool;
