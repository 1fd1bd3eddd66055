//! Whether the database answers.

use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use serde::Serialize;

use super::Database;
use crate::{
    error::{Error, Result},
    pool::PoolStatus,
};

/// How the database answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// From sending the question to its answer, the wait for a connection not included.
    pub latency: Duration,
    /// How long a connection was waited for.
    pub wait: Duration,
    /// The server's version, as it calls itself.
    pub server_version: String,
    /// The server takes no writes: it is a replica, or was made read-only.
    pub read_only: bool,
    /// What the pool held at that moment.
    pub pool: PoolStatus,
}

impl Database {
    /// Asks the database for its version and whether it takes writes.
    ///
    /// # Errors
    ///
    /// [`Error::PoolTimeout`], [`Error::PoolClosed`], [`Error::Connect`] or the failure of the statement.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn health(&self) -> Result<Health> {
        let session = self.session();
        let asked = Instant::now();
        session.take_connection().await?;
        let wait = asked.elapsed();
        let sent = Instant::now();
        let statement = sea_orm::Statement::from_string(self.backend(), self.health_sql());
        let row = session.query_one_raw(statement).await?;
        let latency = sent.elapsed();
        let pool = self.status();
        let row = row.ok_or_else(|| Error::unsupported("a database that does not tell its version"))?;
        let server_version = row.try_get_by_index::<String>(0)?;
        let read_only = row.try_get_by_index::<i64>(1)? != 0;
        Ok(Health { latency, wait, server_version, read_only, pool })
    }
}
