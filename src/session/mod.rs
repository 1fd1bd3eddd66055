//! Sessions: one pinned connection, SeaORM's traits on it, transactions, and who provides them.

mod callback;
mod core;
mod database;
pub mod global;
mod handle;
mod health;
mod lease;
mod provider;
mod seaorm;
mod transaction;
mod unit;

pub use callback::{AsyncFunc, TransactionBuilder, execute_transaction};
pub use database::Database;
pub use handle::{FlushMode, Session};
pub use health::Health;
pub use provider::SessionProvider;
pub use seaorm::RowStream;
pub use unit::Pending;
