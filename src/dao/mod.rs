//! Data-access objects: what a domain DAO is built on.

mod base;
mod bulk;
mod key;
mod lookup;
mod write;

pub use base::BaseDao;
