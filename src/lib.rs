//! Generic data-access objects, sessions with a unit of work, transactions and a fluent query builder for SeaORM, on a
//! pool whose whole life it manages.

pub mod backend;
pub mod config;
mod convention;
mod dao;
pub mod error;
pub mod hooks;
pub mod pool;
pub mod prelude;
pub mod query;
pub mod session;

pub use sea_orm;

pub use config::{DatabaseConfig, PoolConfig};
pub use convention::Conventions;
pub use dao::BaseDao;
pub use error::{Error, Result};
pub use session::{Database, FlushMode, Session, SessionProvider, execute_transaction};
