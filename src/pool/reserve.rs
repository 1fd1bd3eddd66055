//! One connection set aside in a transaction that is never committed, lent to one session after the other.

use std::{
    mem,
    panic::Location,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use deadpool::managed::Object;

use super::{connection::Connection, manager::Manager, release::PooledConnection, shared::Pool};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
    hooks::StatementKind,
};

/// The connection of a [`Sandbox`](crate::session::Sandbox). Dropped, it is rolled back and goes to the pool.
pub(crate) struct Reserve(Mutex<Slot>);

enum Slot {
    Free(Object<Manager>),
    Lent,
    /// The connection died, or the database ended its transaction.
    Lost,
    Ended,
}

/// What a connection knows of the reserve that it belongs to.
pub(super) struct Reserved {
    home: Weak<Reserve>,
    /// A failed statement would take the whole transaction with it.
    guards_statements: bool,
    /// A statement outside of the session's transactions has its savepoint.
    guarding: bool,
}

impl Reserve {
    /// Takes a connection of the pool and begins the transaction; on another one than turns out to have died while it lay
    /// idle.
    pub(crate) async fn open(pool: &Pool, location: &'static Location<'static>) -> Result<Arc<Self>> {
        let options = TransactionOptions::default();
        let sql = pool.begin_sql(&options)?;
        let (mut connection, waited) = borrow(pool, location, Duration::ZERO).await?;
        match connection.begin(sql.clone(), 0, &options).await {
            Err(error) if error.is_disconnect() && !connection.is_usable() => {
                drop(connection);
                (connection, _) = borrow(pool, location, waited).await?;
                connection.begin(sql, 0, &options).await?;
            }
            begun => begun?,
        }
        let reserve = Arc::new(Self(Mutex::new(Slot::Lent)));
        connection.state.in_transaction = false;
        connection.reserved = Some(Reserved {
            home: Arc::downgrade(&reserve),
            guards_statements: pool.capabilities().failure_aborts_transaction,
            guarding: false,
        });
        drop(connection);
        Ok(reserve)
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, with nothing left of whoever had it before.
    ///
    /// # Errors
    ///
    /// [`Error::SessionBusy`] while somebody has it, [`Error::TransactionAborted`] when it was lost,
    /// [`Error::TransactionEnded`] after [`end`](Self::end).
    pub(super) async fn lend(&self) -> Result<PooledConnection> {
        let object = self.take()?;
        let mut connection = PooledConnection::new(object);
        connection.settle().await?;
        if connection.is_in_transaction() {
            connection.rollback().await?;
        }
        Ok(connection)
    }

    fn take(&self) -> Result<Object<Manager>> {
        let mut slot = self.lock();
        match mem::replace(&mut *slot, Slot::Lent) {
            Slot::Free(object) => Ok(object),
            Slot::Lent => {
                Err(Error::SessionBusy { activity: "a statement or transaction of another session of the sandbox" })
            }
            Slot::Lost => {
                *slot = Slot::Lost;
                let reason = "the sandbox has lost its connection or its transaction".to_owned();
                Err(Error::TransactionAborted { reason, source: None })
            }
            Slot::Ended => {
                *slot = Slot::Ended;
                Err(Error::TransactionEnded)
            }
        }
    }

    /// Rolls everything back.
    pub(crate) async fn end(&self) -> Result<()> {
        let mut object = match self.take() {
            Err(Error::TransactionAborted { .. }) => return Ok(()),
            taken => taken?,
        };
        *self.lock() = Slot::Ended;
        object.leave_reserve();
        let mut connection = PooledConnection::new(object);
        connection.settle().await?;
        connection.rollback().await
    }

    /// Takes a connection back from whoever had it; one that cannot be used any more is left to the pool.
    fn come_home(&self, mut object: Object<Manager>) -> Option<Object<Manager>> {
        let mut slot = self.lock();
        if object.is_usable() {
            *slot = Slot::Free(object);
            return None;
        }
        *slot = Slot::Lost;
        object.leave_reserve();
        Some(object)
    }
}

/// A connection, and how long it was waited for, by somebody who has waited before.
async fn borrow(
    pool: &Pool,
    location: &'static Location<'static>,
    before: Duration,
) -> Result<(PooledConnection, Duration)> {
    let started = Instant::now();
    let mut connection = pool.acquire_after(before).await?;
    let waited = started.elapsed();
    connection.borrowed_by(0, location, waited);
    Ok((connection, waited))
}

impl Drop for Reserve {
    fn drop(&mut self) {
        if let Slot::Free(mut object) = mem::replace(&mut *self.lock(), Slot::Ended) {
            object.leave_reserve();
            drop(PooledConnection::new(object));
        }
    }
}

/// Brings a connection that comes back to its reserve, if it has one; gives what belongs to the pool.
pub(super) fn bring_home(mut object: Object<Manager>) -> Option<Object<Manager>> {
    match object.reserved.as_ref().map(|reserved| reserved.home.upgrade()) {
        None => Some(object),
        Some(Some(home)) => home.come_home(object),
        Some(None) => {
            object.leave_reserve();
            Some(object)
        }
    }
}

/// A transaction of a session on a reserved connection.
const TRANSACTION: &str = "sea_dao_sandbox";
/// A statement outside of any.
const STATEMENT: &str = "sea_dao_statement";

impl Connection {
    /// From now on it is an ordinary connection with an open transaction.
    fn leave_reserve(&mut self) {
        self.reserved = None;
        self.state.in_transaction = true;
    }

    /// What begins a session's transaction here, if that is not BEGIN.
    pub(super) fn begin_instead(&self) -> Option<Arc<str>> {
        self.reserved.as_ref().map(|_| format!("SAVEPOINT {TRANSACTION}").into())
    }

    pub(super) fn commit_sql(&self) -> Arc<str> {
        match self.reserved {
            None => "COMMIT".into(),
            Some(_) => format!("RELEASE SAVEPOINT {TRANSACTION}").into(),
        }
    }

    pub(super) fn rollback_sql(&self) -> Arc<str> {
        match self.reserved {
            None => "ROLLBACK".into(),
            Some(_) => undo(TRANSACTION).into(),
        }
    }

    /// There is a transaction on the database's side, a session's or the reserve's.
    pub(super) fn has_transaction(&self) -> bool {
        self.state.in_transaction || self.reserved.is_some()
    }

    /// Gives a statement its savepoint, where it needs one to fail alone.
    pub(super) async fn guard(&mut self) -> Result<()> {
        let Some(reserved) = &mut self.reserved else { return Ok(()) };
        if !reserved.guards_statements || self.state.in_transaction {
            return Ok(());
        }
        reserved.guarding = true;
        self.send(StatementKind::Savepoint, format!("SAVEPOINT {STATEMENT}").into()).await.map(drop)
    }

    /// Ends what [`guard`](Self::guard) began.
    pub(super) async fn unguard<T>(&mut self, result: Result<T>) -> Result<T> {
        let guarding = self.reserved.as_mut().is_some_and(|reserved| mem::take(&mut reserved.guarding));
        if !guarding || !self.is_usable() {
            return result;
        }
        let ended = match &result {
            Ok(_) => self.send(StatementKind::ReleaseSavepoint, format!("RELEASE SAVEPOINT {STATEMENT}").into()).await,
            Err(_) => self.send(StatementKind::RollbackToSavepoint, undo(STATEMENT).into()).await,
        };
        if ended.is_err() {
            // Nothing can be told any more of what is in the transaction.
            self.state.broken = true;
        }
        match ended {
            Err(error) if result.is_ok() => Err(error),
            _ => result,
        }
    }
}

fn undo(savepoint: &str) -> String {
    format!("ROLLBACK TO SAVEPOINT {savepoint}; RELEASE SAVEPOINT {savepoint}")
}
