//! The pool's settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// When a connection is checked before it is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PrePing {
    /// Never: a dead connection shows at its first statement.
    Never,
    /// When nobody used it for so long. Costs nothing while connections are busy.
    IfIdleFor(Duration),
    /// Each time, at the price of one round trip.
    Always,
}

/// How many connections there are, how long they live, and how long to wait for one.
///
/// The names are those of SQLAlchemy's `QueuePool`.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::PoolConfig;
///
/// let pool = PoolConfig::default().pool_size(5).max_overflow(5).pool_timeout(Duration::from_secs(3));
/// assert_eq!(pool.max_connections(), 10);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Connections that are kept open. Default 10; 1 to 10 000.
    pub pool_size: u32,
    /// Connections that may be opened beyond `pool_size` and are closed when they come back. Default 20; 0 to 10 000.
    pub max_overflow: u32,
    /// The most that a caller waits for a connection: for its turn, for the check, and for a new one to open. Default
    /// 30 s.
    pub pool_timeout: Duration,
    /// A connection older than this is replaced at its next checkout, give or take 2.5 %. Default 1 800 s.
    pub pool_recycle: Duration,
    /// When a connection is checked before it is handed out. Default: when idle for 500 ms.
    pub pool_pre_ping: PrePing,
    /// The most that opening one connection may take. Default 10 s.
    pub connect_timeout: Duration,
    /// Log every statement. Default off.
    pub echo: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            pool_size: 10,
            max_overflow: 20,
            pool_timeout: Duration::from_secs(30),
            pool_recycle: Duration::from_secs(1800),
            pool_pre_ping: PrePing::IfIdleFor(Duration::from_millis(500)),
            connect_timeout: Duration::from_secs(10),
            echo: false,
        }
    }
}

impl PoolConfig {
    const MOST: u32 = 10_000;

    /// Sets [`pool_size`](Self::pool_size).
    #[must_use]
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections;
        self
    }

    /// Sets [`max_overflow`](Self::max_overflow).
    #[must_use]
    pub fn max_overflow(mut self, connections: u32) -> Self {
        self.max_overflow = connections;
        self
    }

    /// Sets [`pool_timeout`](Self::pool_timeout).
    #[must_use]
    pub fn pool_timeout(mut self, timeout: Duration) -> Self {
        self.pool_timeout = timeout;
        self
    }

    /// Sets [`pool_recycle`](Self::pool_recycle).
    #[must_use]
    pub fn pool_recycle(mut self, age: Duration) -> Self {
        self.pool_recycle = age;
        self
    }

    /// Sets [`pool_pre_ping`](Self::pool_pre_ping).
    #[must_use]
    pub fn pool_pre_ping(mut self, pre_ping: PrePing) -> Self {
        self.pool_pre_ping = pre_ping;
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`echo`](Self::echo).
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// The most connections that are ever open: `pool_size + max_overflow`.
    #[must_use]
    pub fn max_connections(&self) -> usize {
        self.pool_size as usize + self.max_overflow as usize
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] for the first setting that makes no sense, with its value and the allowed range.
    pub fn validate(&self) -> Result<()> {
        // Destructured in full, so that a new setting has to be looked at here.
        let Self { pool_size, max_overflow, pool_timeout, pool_recycle, pool_pre_ping: _, connect_timeout, echo: _ } =
            self;
        if !(1..=Self::MOST).contains(pool_size) {
            return Err(Error::config("pool_size", pool_size, format!("1 to {}", Self::MOST)));
        }
        if *max_overflow > Self::MOST {
            return Err(Error::config("max_overflow", max_overflow, format!("0 to {}", Self::MOST)));
        }
        for (setting, value) in
            [("pool_timeout", pool_timeout), ("pool_recycle", pool_recycle), ("connect_timeout", connect_timeout)]
        {
            if value.is_zero() {
                return Err(Error::config(setting, format!("{value:?}"), "more than zero"));
            }
        }
        Ok(())
    }
}
