//! What to connect to, and how the pool behaves.

mod database;
mod layers;
mod names;
mod pool;
mod presets;
mod redact;
mod seconds;
mod url;
mod watching;

pub use database::DatabaseConfig;
pub use pool::{PoolConfig, PoolOrder, PrePing, ResetOnReturn};

pub(crate) use redact::{decoded, holds_parameters, redact_url};
