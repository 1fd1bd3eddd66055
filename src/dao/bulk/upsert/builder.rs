//! What is said of an upsert before it is run.

use std::future::IntoFuture;

use futures_util::future::BoxFuture;
use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::{
    plan::{Change, Plan},
    run::Outcome,
};
use crate::{error::Result, session::located};

/// An INSERT that updates the row that is in the way; made by [`BaseDao::upsert`](crate::BaseDao::upsert),
/// [`upsert_many`](crate::BaseDao::upsert_many) and
/// [`upsert_many_returning`](crate::BaseDao::upsert_many_returning). `.await` runs it.
///
/// # What is in the way
///
/// A row that has the same values in the columns of the conflict target: those that [`on`](Self::on) names, for which the
/// database must have a unique index, or the primary key. A row that is in the way in another unique column is a unique
/// violation on every database, and nothing is written.
///
/// NULL is in nobody's way: a row with NULL in a column of the target is inserted. So is one without a primary key, when
/// that is the target.
///
/// Give the target's values as its column keeps them. Of a column that rounds them, several rows back are
/// [`Error::Unsupported`](crate::Error::Unsupported) on PostgreSQL and SQLite, and MySQL and MariaDB do not find the row
/// that is there, which is a unique violation.
///
/// # What is updated
///
/// All columns for which the row has a value, but not the primary key, the target, `created_at` and `creator_id`; or those
/// that [`update`](Self::update) names. `updated_at` and `updater_id` are set with them, and with
/// [optimistic locking](crate::BaseDao::optimistic_lock) the version is raised: an upsert takes none for known and checks
/// none. A row that has nothing to update leaves the other one as it is.
///
/// A row that is marked as deleted is not updated: it is [`Error::HeldByDeleted`](crate::Error::HeldByDeleted), unless
/// [`restore_deleted`](Self::restore_deleted) is said, or the unique index leaves deleted rows out, so that it is not in
/// the way.
///
/// # All or none
///
/// Each call is one transaction, or one savepoint of the transaction it runs in, which goes on after a failure. Outside of
/// a transaction a deadlock is tried again, and one row on PostgreSQL or SQLite is one statement with nothing around it, as
/// [`insert`](crate::BaseDao::insert) is: an error of the entity's `after_save` comes too late to undo it.
///
/// PostgreSQL and SQLite get `INSERT … ON CONFLICT (target) DO UPDATE`. `ON DUPLICATE KEY UPDATE` of MySQL and MariaDB
/// would update a row that is in the way in any unique column, so the rows are looked up there, those that exist are
/// locked and updated, and the others are inserted; when somebody else inserts one meanwhile, it begins again. That takes
/// two to five statements where the others take one. Inside of a longer transaction two that insert the same row at the
/// same time may end in a deadlock or, with `innodb_snapshot_isolation`, in a serialization failure, which
/// [`RetryPolicy`](crate::RetryPolicy) covers; and without a unique index, which
/// the other databases ask for, nothing there keeps them from inserting it twice.
///
/// On PostgreSQL, MySQL and MariaDB rows are written in the order of their targets' values, whatever order they were given
/// in, so that calls for the same rows wait for each other and seldom deadlock; keys that the database makes rise in that
/// order. Rows that do not set the same columns are written one group after the other, after what is there was locked in
/// that order. An entity that is related to itself keeps the order that was given, as a row may refer to an earlier one.
///
/// # Callbacks
///
/// The DAO's [`Callbacks`](crate::dao::Callbacks) see what databases show to their triggers: `before_insert` every row, as
/// each may be inserted, before anything is looked up; `before_update` those that are there and change, as they are, with
/// what is to be set; `after_insert` and `after_update` what was inserted and what was updated. To tell the two apart,
/// every database is asked as MariaDB is above. What is tried again, after a deadlock or because somebody else was faster, is
/// shown again; what the callbacks wrote the first time is undone.
///
/// # The entity's own callbacks
///
/// `before_save` runs for each row, and `after_save` for each that was written and comes back. Both are told that the row
/// is inserted: which of the two it will be is not known beforehand.
///
/// # Errors
///
/// [`Error::Row`](crate::Error::Row) with the place of the row, around the database's failure,
/// [`Error::HeldByDeleted`](crate::Error::HeldByDeleted), or [`Error::InvalidArgument`](crate::Error::InvalidArgument) for
/// a row that has the target's values of an earlier one, or does not set a column that has to be set;
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a target or columns that make no sense;
/// [`Error::Operation`](crate::Error::Operation) around every other failure.
///
/// # Cancel safety
///
/// As [`BaseDao::insert`](crate::BaseDao::insert).
#[must_use = "an upsert does nothing until it is awaited"]
pub struct Upsert<E: EntityTrait, T> {
    plan: Plan<E>,
    models: Vec<E::ActiveModel>,
    /// The rows are asked for.
    returning: bool,
    give: fn(Outcome<E>) -> Result<T>,
}

impl<E: EntityTrait, T> Upsert<E, T> {
    pub(super) fn new(
        plan: Plan<E>,
        models: Vec<E::ActiveModel>,
        returning: bool,
        give: fn(Outcome<E>) -> Result<T>,
    ) -> Self {
        Self { plan, models, returning, give }
    }

    /// The columns whose values make a row the same, in place of the primary key: those of a unique index, in any order,
    /// no more and no fewer. Every row has to set them.
    pub fn on(mut self, target: impl IntoIterator<Item = E::Column>) -> Self {
        self.plan.target = target.into_iter().collect();
        self
    }

    /// Of a row that is there, updates these columns and no others. Every row has to set them.
    pub fn update(mut self, columns: impl IntoIterator<Item = E::Column>) -> Self {
        self.plan.change = Change::Only(columns.into_iter().collect());
        self
    }

    /// Leaves a row that is there as it is.
    pub fn do_nothing(mut self) -> Self {
        self.plan.change = Change::Nothing;
        self
    }

    /// Restores a row that is in the way and marked as deleted, and updates it as any other. With
    /// [`do_nothing`](Self::do_nothing) it is restored as it was.
    pub fn restore_deleted(mut self) -> Self {
        self.plan.restores = true;
        self
    }
}

impl<E, T> IntoFuture for Upsert<E, T>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
    T: 'static,
{
    type Output = Result<T>;
    type IntoFuture = BoxFuture<'static, Result<T>>;

    #[track_caller]
    fn into_future(self) -> Self::IntoFuture {
        let Self { plan, models, returning, give } = self;
        Box::pin(located(async move { give(plan.run(models, returning).await?) }))
    }
}
