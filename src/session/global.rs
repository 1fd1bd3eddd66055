//! One database for the whole process.
//!
//! ```
//! use sea_dao::{DatabaseConfig, Error, global};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> sea_dao::Result<()> {
//! assert!(matches!(global::get(), Err(Error::NotInitialized)));
//!
//! global::init(DatabaseConfig::new("sqlite::memory:")).await?;
//! global::get()?.status();
//!
//! global::close().await;
//! assert!(global::get().is_err());
//! # Ok(())
//! # }
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Mutex as AsyncMutex;

use super::Database;
use crate::{
    config::DatabaseConfig,
    error::{Error, Result},
};

/// Where the database is kept.
struct Slot {
    database: Option<Database>,
    /// How often it was emptied.
    emptied: u64,
}

static SLOT: Mutex<Slot> = Mutex::new(Slot { database: None, emptied: 0 });
/// Held while connecting, so that two that start together open one pool.
static STARTING: AsyncMutex<()> = AsyncMutex::const_new(());

fn slot() -> MutexGuard<'static, Slot> {
    SLOT.lock().unwrap_or_else(PoisonError::into_inner)
}

fn empty() -> Option<Database> {
    let mut slot = slot();
    slot.emptied += 1;
    slot.database.take()
}

/// Connects the process's database. When there is one already that was not closed, it is given back and `config` is not
/// looked at.
///
/// # Errors
///
/// Those of [`DatabaseConfig::connect`]; the next call tries again. [`Error::PoolClosed`] when [`close`] or [`reset`] was
/// called meanwhile: nothing stays open.
///
/// # Cancel safety
///
/// Dropping the future leaves the process without a database.
pub async fn init(config: DatabaseConfig) -> Result<Database> {
    let _starting = STARTING.lock().await;
    let emptied = {
        let slot = slot();
        if let Some(database) = slot.database.as_ref().filter(|database| !database.status().closed) {
            return Ok(database.clone());
        }
        slot.emptied
    };
    let database = config.connect().await?;
    {
        let mut slot = slot();
        if slot.emptied == emptied {
            slot.database = Some(database.clone());
            return Ok(database);
        }
    }
    database.close().await;
    Err(Error::PoolClosed)
}

/// The process's database.
///
/// # Errors
///
/// [`Error::NotInitialized`] before [`init`] and after [`close`] or [`reset`].
pub fn get() -> Result<Database> {
    slot().database.clone().ok_or(Error::NotInitialized)
}

/// Closes the process's database, as [`Database::close`]; [`init`] works again afterwards. Harmless without one.
///
/// # Cancel safety
///
/// Dropping the future stops the waiting, not the closing.
pub async fn close() {
    if let Some(database) = empty() {
        database.close().await;
    }
}

/// Forgets the process's database without waiting for anything, as [`Database::reset`]: for a process that goes on with
/// a new runtime, such as a worker that was forked.
pub fn reset() {
    if let Some(database) = empty() {
        database.reset();
    }
}
