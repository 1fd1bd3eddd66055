//! Sessions: one pinned connection, SeaORM's traits on it, transactions, and who provides them.
#![doc = include_str!("../../docs/transactions.md")]

mod after;
mod builder;
mod callback;
mod callbacks;
mod caller;
mod copy;
mod core;
mod database;
pub mod global;
mod handle;
mod health;
pub(crate) mod key;
mod lease;
mod propagation;
mod provider;
mod retry;
mod sandbox;
mod seaorm;
mod stage;
mod transaction;
pub mod unit;

pub use after::TransactionOutcome;
pub use builder::TransactionBuilder;
pub use callback::{AsyncFunc, RepeatableAsyncFunc, execute_transaction};
pub use callbacks::Callbacks;
pub use database::Database;
pub use handle::{FlushMode, Session};
pub use health::{Health, ServerSessions};
pub use propagation::{Current, Propagation};
pub use provider::SessionProvider;
pub use retry::{RetryDisconnects, RetryEvent, RetryPolicy, RetryingTransaction};
pub use sandbox::Sandbox;
pub use seaorm::RowStream;
pub use unit::{Edited, Parents, Pending};

pub(crate) use callbacks::{Call, CallbackList, Kind};
pub(crate) use caller::{caller, located};
pub(crate) use unit::Rules;
