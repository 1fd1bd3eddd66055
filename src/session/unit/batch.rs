//! What the queue knows of the pending writes of an entity.

use std::{
    any::{Any, TypeId},
    collections::HashSet,
    sync::Weak,
};

use futures_util::future::BoxFuture;

use super::{
    identity::Known,
    links::{Link, TableKey},
    rows::{Levels, Node},
    runner::Runner,
    slot::{Fate, Fated},
};
use crate::{error::Result, session::Session};

/// A row that was taken out. It may own a closure of the caller's, and MUST NOT be dropped under the session's lock.
pub(super) type Gone = Box<dyn Any + Send>;

/// The pending writes of one entity, whatever it is.
///
/// A flush calls [`prepare`](Self::prepare), then the `write_` methods with the numbers that [`saves`](Self::saves) and
/// [`removals`](Self::removals) gave, and in the end [`publish`](Self::publish), or [`reset`](Self::reset) when it has
/// failed. Everything before `publish` MUST be forgotten by `reset`.
pub(super) trait Batch: Send {
    fn as_any(&mut self) -> &mut dyn Any;
    fn entity(&self) -> TypeId;
    fn table(&self) -> &'static str;
    fn key(&self) -> &TableKey;
    /// The foreign keys that the entity's relations tell of.
    fn links(&self) -> &[Link];
    /// The entities of the rows that its rows were added after.
    fn added_after(&self) -> Vec<TypeId>;
    /// How many writes it has. Edits that change nothing do not count.
    fn len(&self) -> usize;
    /// Whether nothing at all is in it.
    fn is_empty(&self) -> bool;
    /// The tables of the first rows that cannot be written because a row before them is not in this flush.
    fn check_parents(&self, known: &HashSet<u64>) -> Result<()>;
    /// The rows that are to be inserted.
    fn ids(&self) -> Vec<u64>;
    /// Takes over what was asked for later.
    fn absorb(&mut self, newer: Box<dyn Batch>);
    /// Says that what is in it is not in the queue any more, while it is flushed.
    fn leave_queue(&self);
    /// Takes the rows out whose number, or the number of a row before them, is in `ids`, and adds theirs to it.
    fn expunge(&mut self, ids: &mut HashSet<u64>) -> Vec<Gone>;

    /// Makes the rows that can be made: those that come after others only when these are there. Nothing is called and
    /// nothing sent.
    fn make(&mut self) -> Result<()>;
    /// Makes everything ready that can be, and calls what the entity and the DAO do before a write.
    fn prepare<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<()>>;
    /// Whether anything is done before or after a write that undoes it when it fails.
    fn has_callbacks(&self) -> bool;
    /// Whether all that is made takes one statement that writes all or nothing. Asked when everything is made.
    fn is_one_statement(&self, runner: &Runner<'_>) -> bool;
    /// The rows that are ready and not yet saved, with how they refer to each other by `links`.
    fn saves(&self, links: &[Link]) -> Vec<Node>;
    /// The rows that are not yet deleted, with how they refer to each other by `links`.
    fn removals(&self, links: &[Link]) -> Vec<Node>;
    /// Whether a row is not yet saved, be it ready or not.
    fn has_unsaved(&self) -> bool;
    fn write_edits<'a>(&'a mut self, runner: &'a Runner<'_>, rows: Vec<usize>) -> BoxFuture<'a, Result<()>>;
    fn write_inserts<'a>(&'a mut self, runner: &'a Runner<'_>, levels: Levels) -> BoxFuture<'a, Result<()>>;
    fn write_deletes<'a>(&'a mut self, runner: &'a Runner<'_>, rows: Vec<usize>) -> BoxFuture<'a, Result<()>>;

    /// Runs what the entity does after a write.
    fn run_after<'a>(&'a mut self, session: &'a Session) -> BoxFuture<'a, Result<()>>;
    /// Gives the rows to the handles and to the identity map; gives what may still be rolled back.
    fn publish(&mut self, known: &mut Known) -> Vec<Weak<dyn Fated>>;
    /// Forgets a flush that has failed.
    fn reset(&mut self);
    /// Tells the handles what became of writes that leave the unit of work.
    fn give_up(&self, fate: Fate);
}
