//! The pool: hands connections out, takes them back, and knows the state of each one.

mod apart;
mod connection;
mod copy;
mod killer;
mod ledger;
mod life;
mod loan;
#[allow(clippy::vec_box, reason = "deadpool and the ledger hold them boxed, and a connection is large")]
mod maintenance;
mod manager;
mod meter;
mod release;
mod reserve;
mod set_up;
mod shared;
mod shutdown;
#[allow(clippy::vec_box, reason = "deadpool and the ledger hold them boxed, and a connection is large")]
mod spares;
mod statements;
mod stats;
mod status;
mod watch;

pub use crate::hooks::Distribution;
pub use loan::Holder;
pub use shutdown::ShutdownReport;
pub use stats::{CloseReason, PoolCounters};
pub use status::PoolStatus;

pub(crate) use release::PooledConnection;
pub(crate) use shared::Pool;
