//! Whether the database answers.

use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use serde::Serialize;
use tokio::time::timeout;

use super::Database;
use crate::{
    backend::server_sessions,
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

/// Sessions as the server counts them, whichever program opened them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerSessions {
    /// Those of the pool's user on its database. More than the pools of all programs hold together are leaked by one of
    /// them, or left behind by a cut network.
    pub open: u64,
    /// Those among them that wait inside of a transaction; `None` where the server does not tell (MySQL, MariaDB).
    pub idle_in_transaction: Option<u64>,
    /// The most that the server takes, of all users.
    pub limit: u64,
}

impl Database {
    /// Asks the database for its version and whether it takes writes.
    ///
    /// # Errors
    ///
    /// [`Error::PoolTimeout`], [`Error::PoolClosed`], [`Error::Connect`] or the failure of the statement;
    /// [`Error::StatementTimeout`] when there is no answer within `connect_timeout` or half of `pool_timeout`, whichever is
    /// less.
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
        let limit = self.pool.check_limit();
        let answer = timeout(limit, session.query_one_raw(statement)).await;
        let row = answer.map_err(|_| Error::StatementTimeout { limit })??;
        let latency = sent.elapsed();
        let pool = self.status();
        let row = row.ok_or_else(|| Error::unsupported("a database that does not tell its version"))?;
        let server_version = row.try_get_by_index::<String>(0)?;
        let read_only = row.try_get_by_index::<i64>(1)? != 0;
        Ok(Health { latency, wait, server_version, read_only, pool })
    }

    /// Asks the server how many sessions it has for the pool's user on the pool's database.
    ///
    /// ```no_run
    /// # use sea_dao::{Database, Result};
    /// # async fn example(db: Database) -> Result<()> {
    /// let server = db.server_sessions().await?;
    /// println!("{} of {}, {} of them are this pool's", server.open, server.limit, db.status().size);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] on SQLite, which has no sessions; else as [`health`](Self::health).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn server_sessions(&self) -> Result<ServerSessions> {
        let Some(sql) = server_sessions(self.backend()) else {
            return Err(Error::unsupported("sessions on the server of this database"));
        };
        let statement = sea_orm::Statement::from_string(self.backend(), sql);
        let row = self.session().query_one_raw(statement).await?;
        let row = row.ok_or_else(|| Error::unsupported("a server that does not count its sessions"))?;
        let count = |column| row.try_get_by_index::<Option<i64>>(column).map(|count| count.map(i64::unsigned_abs));
        Ok(ServerSessions {
            open: count(0)?.unwrap_or_default(),
            idle_in_transaction: count(1)?,
            limit: count(2)?.unwrap_or_default(),
        })
    }
}
