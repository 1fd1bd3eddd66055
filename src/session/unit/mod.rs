//! Writes that wait for the flush, and the rows that a session knows.
#![doc = include_str!("../../../docs/unit-of-work.md")]

mod api;
mod around;
mod batch;
mod delete;
mod edited;
mod entity;
mod flush;
mod identity;
mod insert;
mod keys;
mod links;
mod pending;
mod plan;
mod queue;
mod rows;
mod rules;
mod runner;
mod slot;
mod update;

pub use edited::Edited;
pub use pending::{Parents, Pending};

pub(super) use identity::Known;
pub(super) use queue::{Queue, Written};
pub(crate) use rules::Rules;
pub(super) use slot::{Fate, Fated};
