//! Behaviour that a column's name brings with it, on unmodified generated entities: soft deletion, times, actors, ids.
//!
//! [`Conventions`] names the columns and can switch each of them off, [`with_actor`] says on whose behalf rows are
//! written, [`IdGenerator`] makes primary keys.
//!
#![doc = include_str!("../../docs/conventions.md")]

mod actor;
mod columns;
mod ids;
mod moment;
mod names;
mod snowflake;
mod value;
mod version;

pub use actor::{ActorId, current_actor, with_actor};
pub use ids::{IdGenerator, Ids, UuidV7};
pub use names::Conventions;
pub use snowflake::Snowflake;

pub(crate) use actor::on_behalf_of;
pub(crate) use columns::{ConventionColumns, has_changes, is_set};
pub(crate) use moment::{Moment, moment_for, no_moment_for, now};
pub(crate) use value::{exact_text, integer, is_null};
pub(crate) use version::ExpectedVersion;
