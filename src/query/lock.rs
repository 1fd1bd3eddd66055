//! Locks on the rows of a SELECT.

use sea_orm::{
    DbBackend, EntityTrait,
    sea_query::{LockBehavior, LockType, SelectStatement},
};

use super::QueryBuilder;
use crate::{
    backend::has_row_locks,
    error::{Error, Result},
};

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Lock {
    kind: Option<LockType>,
    behavior: Option<LockBehavior>,
}

impl Lock {
    pub(super) fn add_to(self, statement: &mut SelectStatement, backend: DbBackend) -> Result<()> {
        let Some(kind) = self.kind else {
            let expected = "for_update or for_share before it";
            return Err(Error::argument("lock", "skip_locked or nowait", expected));
        };
        match self.behavior {
            _ if !has_row_locks(backend) => {}
            None => {
                statement.lock(kind);
            }
            Some(behavior) => {
                statement.lock_with_behavior(kind, behavior);
            }
        }
        Ok(())
    }
}

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    /// Locks the rows that are read until the transaction ends: nobody else changes, deletes or locks them. Reads from the
    /// primary. Outside of a transaction it is [`Error::NoTransaction`].
    ///
    /// SQLite has no locks on rows, and nothing is added to the SQL there: a transaction has the whole database to itself
    /// for writing, from its beginning, unless it is read-only.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Database, Result, prelude::*};
    /// # use entities::customer_order::{self, Column::{Id, Status}};
    /// # async fn example(db: Database, orders: BaseDao<customer_order::Entity>) -> Result<()> {
    /// // The next piece of work that nobody else is at.
    /// db.execute_transaction(async |tx| -> Result<()> {
    ///     let orders = orders.within(tx);
    ///     let next = orders.query().eq(Status, 0).order_asc(Id).for_update().skip_locked().first().await?;
    ///     // …
    ///     Ok(())
    /// }).await
    /// # }
    /// ```
    pub fn for_update(self) -> Self {
        self.locked(|lock| lock.kind = Some(LockType::Update))
    }

    /// Locks the rows that are read until the transaction ends: nobody else changes or deletes them. Else as
    /// [`for_update`](Self::for_update).
    pub fn for_share(self) -> Self {
        self.locked(|lock| lock.kind = Some(LockType::Share))
    }

    /// Leaves out rows that somebody else has locked. MySQL itself, other than MariaDB, takes it only with
    /// [`for_update`](Self::for_update).
    pub fn skip_locked(self) -> Self {
        self.locked(|lock| lock.behavior = Some(LockBehavior::SkipLocked))
    }

    /// Fails at once, with an error of the class [`LockTimeout`](crate::error::ErrorClass::LockTimeout), when somebody else
    /// has locked one of the rows. MySQL itself, other than MariaDB, takes it only with
    /// [`for_update`](Self::for_update).
    pub fn nowait(self) -> Self {
        self.locked(|lock| lock.behavior = Some(LockBehavior::Nowait))
    }

    fn locked(mut self, set: impl FnOnce(&mut Lock)) -> Self {
        set(self.lock.get_or_insert_default());
        self
    }
}
