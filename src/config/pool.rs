//! The pool's settings.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::seconds;
use crate::error::{Error, Result};

/// When a connection is checked before it is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PrePing {
    /// Never: a dead connection shows at its first statement.
    Never,
    /// When nobody used it for so long, in seconds. Costs nothing while connections are busy.
    #[serde(with = "seconds")]
    IfIdleFor(Duration),
    /// Each time, at the price of one round trip.
    Always,
}

/// Which idle connection is handed out next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PoolOrder {
    /// The one that came back last: the others can grow old and go.
    #[default]
    Lifo,
    /// The one that has been idle for longest: all are used alike. With `keepalive` those that were pinged come last.
    Fifo,
}

/// What happens to a connection that comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetOnReturn {
    /// An open transaction is rolled back; a connection whose session was changed is closed.
    #[default]
    Rollback,
    /// Everything that a session can hold is reset: `DISCARD ALL` on PostgreSQL, at the price of a round trip and of the
    /// prepared statements. Other databases cannot do that, their connections are closed.
    Full,
    /// An open transaction is rolled back; what else was left in the session stays. For callers who set up their
    /// sessions on purpose.
    None,
}

/// How many connections there are, how long they live, and how long to wait for one.
///
/// The names are those of SQLAlchemy's `QueuePool`. In files and environment variables, durations are in seconds.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::PoolConfig;
///
/// let pool = PoolConfig::default().pool_size(5).max_overflow(5).pool_timeout(Duration::from_secs(3));
/// assert_eq!(pool.max_connections(), 10);
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Connections that are kept open. Default 10; 1 to 10 000.
    pub pool_size: u32,
    /// Connections that may be opened beyond `pool_size` and are closed when they come back, unless somebody waits.
    /// Default 20; 0 to 10 000.
    pub max_overflow: u32,
    /// The most that a caller waits for a connection: for its turn, for the check, and for a new one to open. Default
    /// 30 s.
    #[serde(with = "seconds")]
    pub pool_timeout: Duration,
    /// A connection older than this is replaced at its next checkout or by the reaper, give or take 2.5 %. Default
    /// 1 800 s.
    #[serde(with = "seconds")]
    pub pool_recycle: Duration,
    /// When a connection is checked before it is handed out. Default: when idle for 500 ms.
    pub pool_pre_ping: PrePing,
    /// Which idle connection is handed out next. Default: the one that came back last.
    pub pool_order: PoolOrder,
    /// What happens to a connection that comes back. Default: an open transaction is rolled back.
    pub reset_on_return: ResetOnReturn,
    /// An idle connection that nobody used for so long is closed. Default: none is.
    #[serde(with = "seconds::option")]
    pub idle_timeout: Option<Duration>,
    /// An idle connection from which nothing was heard for so long is pinged, so that firewalls and servers do not forget
    /// it; one that does not answer is closed. Default: none is.
    #[serde(with = "seconds::option")]
    pub keepalive: Option<Duration>,
    /// So many idle connections are kept ready, as far as `pool_size` allows: what is missing is opened within about a
    /// second, and `idle_timeout` leaves so many. Default 0; at most `pool_size`, which keeps the pool always full.
    pub min_idle: u32,
    /// The most that opening one connection may take. Default 10 s.
    #[serde(with = "seconds")]
    pub connect_timeout: Duration,
    /// The most that one statement may take, or the wait for the next row of a stream; the connection is closed when it
    /// takes longer. Default: no limit.
    #[serde(with = "seconds::option")]
    pub statement_timeout: Option<Duration>,
    /// SQL that each new connection runs before its first use: `SET TIME ZONE 'UTC'`, `PRAGMA cache_size = -65536`. It may
    /// not begin a transaction. It may hold secrets: `Debug`, logs and hooks are not told what it says, and of a failure only
    /// the text's number, the class and the database's code.
    pub after_connect: Vec<String>,
    /// A connection that is out for longer is reported once, with where it was taken. Default: none is.
    #[serde(with = "seconds::option")]
    pub leak_threshold: Option<Duration>,
    /// More connections than so many out at the same time are reported, with where they were taken; once until there are
    /// fewer again. Default: never.
    pub leak_count: Option<u32>,
    /// Log every statement, as a `tracing` event of level INFO with target `sea_dao::sql`. Default off.
    pub echo: bool,
    /// Log connections as they are opened and closed, with the reason. Default off.
    pub echo_pool: bool,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            pool_size: 10,
            max_overflow: 20,
            pool_timeout: Duration::from_secs(30),
            pool_recycle: Duration::from_secs(1800),
            pool_pre_ping: PrePing::IfIdleFor(Duration::from_millis(500)),
            pool_order: PoolOrder::default(),
            reset_on_return: ResetOnReturn::default(),
            idle_timeout: None,
            keepalive: None,
            min_idle: 0,
            connect_timeout: Duration::from_secs(10),
            statement_timeout: None,
            after_connect: Vec::new(),
            leak_threshold: None,
            leak_count: None,
            echo: false,
            echo_pool: false,
        }
    }
}

impl PoolConfig {
    pub(super) const MOST: u32 = 10_000;
    /// Beyond this a wait is a mistake in the unit.
    const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

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

    /// Sets [`pool_order`](Self::pool_order).
    #[must_use]
    pub fn pool_order(mut self, order: PoolOrder) -> Self {
        self.pool_order = order;
        self
    }

    /// Sets [`reset_on_return`](Self::reset_on_return).
    #[must_use]
    pub fn reset_on_return(mut self, reset: ResetOnReturn) -> Self {
        self.reset_on_return = reset;
        self
    }

    /// Sets [`idle_timeout`](Self::idle_timeout).
    #[must_use]
    pub fn idle_timeout(mut self, limit: Option<Duration>) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets [`keepalive`](Self::keepalive).
    #[must_use]
    pub fn keepalive(mut self, interval: Option<Duration>) -> Self {
        self.keepalive = interval;
        self
    }

    /// Sets [`min_idle`](Self::min_idle).
    #[must_use]
    pub fn min_idle(mut self, connections: u32) -> Self {
        self.min_idle = connections;
        self
    }

    /// Sets [`connect_timeout`](Self::connect_timeout).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`leak_threshold`](Self::leak_threshold).
    #[must_use]
    pub fn leak_threshold(mut self, threshold: Option<Duration>) -> Self {
        self.leak_threshold = threshold;
        self
    }

    /// Sets [`leak_count`](Self::leak_count).
    #[must_use]
    pub fn leak_count(mut self, connections: Option<u32>) -> Self {
        self.leak_count = connections;
        self
    }

    /// Sets [`echo`](Self::echo).
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// Sets [`echo_pool`](Self::echo_pool).
    #[must_use]
    pub fn echo_pool(mut self, echo: bool) -> Self {
        self.echo_pool = echo;
        self
    }

    /// Sets [`statement_timeout`](Self::statement_timeout).
    #[must_use]
    pub fn statement_timeout(mut self, limit: Option<Duration>) -> Self {
        self.statement_timeout = limit;
        self
    }

    /// Adds SQL that each new connection runs before its first use.
    #[must_use]
    pub fn after_connect(mut self, sql: impl Into<String>) -> Self {
        self.after_connect.push(sql.into());
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
        let Self {
            pool_size,
            max_overflow,
            pool_timeout,
            pool_recycle,
            pool_pre_ping,
            pool_order: _,
            reset_on_return: _,
            idle_timeout,
            keepalive,
            min_idle,
            connect_timeout,
            statement_timeout,
            after_connect: _,
            leak_threshold,
            leak_count: _,
            echo: _,
            echo_pool: _,
        } = self;
        if !(1..=Self::MOST).contains(pool_size) {
            return Err(Error::config("pool_size", pool_size, format!("1 to {}", Self::MOST)));
        }
        if *max_overflow > Self::MOST {
            return Err(Error::config("max_overflow", max_overflow, format!("0 to {}", Self::MOST)));
        }
        if min_idle > pool_size {
            return Err(Error::config("min_idle", min_idle, format!("0 to pool_size, which is {pool_size}")));
        }
        let idle = match pool_pre_ping {
            PrePing::IfIdleFor(idle) => Some(*idle),
            PrePing::Never | PrePing::Always => None,
        };
        for (setting, value) in [
            ("pool_timeout", Some(*pool_timeout)),
            ("pool_recycle", Some(*pool_recycle)),
            ("connect_timeout", Some(*connect_timeout)),
            ("statement_timeout", *statement_timeout),
            ("idle_timeout", *idle_timeout),
            ("keepalive", *keepalive),
            ("leak_threshold", *leak_threshold),
            ("pool_pre_ping", idle.map(|idle| idle.max(Duration::from_nanos(1)))),
        ] {
            if value.is_some_and(|value| value.is_zero() || value > Self::LONGEST) {
                return Err(Error::config(
                    setting,
                    format!("{:?}", value.unwrap_or_default()),
                    "more than zero, at most 7 days",
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for PoolConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Destructured in full, so that a new setting has to be looked at here.
        let Self {
            pool_size,
            max_overflow,
            pool_timeout,
            pool_recycle,
            pool_pre_ping,
            pool_order,
            reset_on_return,
            idle_timeout,
            keepalive,
            min_idle,
            connect_timeout,
            statement_timeout,
            after_connect,
            leak_threshold,
            leak_count,
            echo,
            echo_pool,
        } = self;
        f.debug_struct("PoolConfig")
            .field("pool_size", pool_size)
            .field("max_overflow", max_overflow)
            .field("pool_timeout", pool_timeout)
            .field("pool_recycle", pool_recycle)
            .field("pool_pre_ping", pool_pre_ping)
            .field("pool_order", pool_order)
            .field("reset_on_return", reset_on_return)
            .field("idle_timeout", idle_timeout)
            .field("keepalive", keepalive)
            .field("min_idle", min_idle)
            .field("connect_timeout", connect_timeout)
            .field("statement_timeout", statement_timeout)
            // As PRAGMA key = '…' does, it may hold a secret.
            .field("after_connect", &vec!["***"; after_connect.len()])
            .field("leak_threshold", leak_threshold)
            .field("leak_count", leak_count)
            .field("echo", echo)
            .field("echo_pool", echo_pool)
            .finish()
    }
}
