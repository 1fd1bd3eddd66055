//! What to connect to, and how the pool behaves.

mod database;
mod pool;
mod redact;

pub use database::DatabaseConfig;
pub use pool::{PoolConfig, PrePing};

pub(crate) use redact::redact_url;
