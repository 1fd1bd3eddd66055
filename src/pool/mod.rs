//! The pool: hands connections out, takes them back, and knows the state of each one.

mod connection;
mod ledger;
mod loan;
mod manager;
mod reaper;
mod release;
mod shared;
mod shutdown;
mod statements;
mod stats;
mod status;

pub use loan::Holder;
pub use shutdown::ShutdownReport;
pub use stats::{CloseReason, Distribution, PoolCounters};
pub use status::PoolStatus;

pub(crate) use release::PooledConnection;
pub(crate) use shared::Pool;
