//! Data-access objects: what a domain DAO is built on.
#![doc = include_str!("../../docs/dao.md")]

mod among;
mod base;
mod bulk;
mod change;
mod found;
mod in_order;
mod loader;
mod lookup;
mod restore;
mod texts;
mod unit;
mod version;
mod write;

pub use base::BaseDao;
pub use bulk::{Progress, Upsert};
pub use loader::Loader;

pub use crate::session::Callbacks;

use crate::session::key;
