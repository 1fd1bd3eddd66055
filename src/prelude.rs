//! The traits that make the crate's types work: `use sea_dao::prelude::*`.

pub use sea_orm::ConnectionTrait;

pub use crate::{query::Conditions, session::SessionProvider};
