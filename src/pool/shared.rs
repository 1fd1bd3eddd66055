//! The pool itself: one deadline around an acquire.

use std::{
    future::{Future, poll_fn},
    panic::Location,
    pin::pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use deadpool::managed::{self, PoolError, QueueMode};
use futures_util::future::try_join_all;
use sea_orm::{DatabaseConnection, DbBackend};
use tokio::{
    sync::OnceCell,
    time::{timeout, timeout_at},
};

use super::{
    Holder, PoolCounters, PoolStatus,
    killer::Killer,
    ledger::Ledger,
    maintenance::maintain,
    manager::{Manager, OpenFailure},
    meter::Meter,
    release::PooledConnection,
    reserve::Reserve,
    spares::Spares,
    watch::watch,
};
use crate::{
    backend::{self, Capabilities, Driver, RawConnection, TransactionOptions},
    config::{DatabaseConfig, PoolOrder},
    error::{Error, PoolTimeout, Result},
    hooks::{Hooks, Watchers},
};

/// Hands out connections, and takes them back when their guard is dropped.
#[derive(Clone)]
pub(crate) struct Pool {
    pub(super) queue: managed::Pool<Manager>,
    pub(super) shared: Arc<Shared>,
    /// Where every connection comes from, if not from the queue.
    reserve: Option<Arc<Reserve>>,
}

/// Whether opening a connection is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Retries {
    None,
    UntilDeadline,
}

pub(super) struct Shared {
    /// Keeps a database in memory alive while no other connection is open.
    pub(super) anchor: Mutex<Option<Box<dyn RawConnection>>>,
    pub(super) sea_orm: OnceCell<DatabaseConnection>,
}

impl Pool {
    /// Opens the first connection, so that what is wrong shows now.
    pub(crate) async fn connect(config: &DatabaseConfig) -> Result<Self> {
        let settings = config.pool_config();
        settings.validate()?;
        let driver = backend::open(config.url())?;
        let hooks = config.build_hooks(backend::sql_dialect(driver.backend()))?;
        let meter = Meter::new(&hooks);
        let ledger = Ledger::new(settings.pool_size as usize, settings.max_overflow as usize, meter);
        let manager = Manager {
            driver: driver.clone(),
            ledger,
            config: settings.clone(),
            hooks,
            spares: Spares::default(),
            target: config.redacted_url(),
            last_connect_error: Mutex::default(),
            killer: Killer::new(driver.clone()),
            queue: OnceLock::new(),
        };
        let queue = managed::Pool::builder(manager)
            .max_size(settings.max_connections())
            .queue_mode(match settings.pool_order {
                PoolOrder::Lifo => QueueMode::Lifo,
                PoolOrder::Fifo => QueueMode::Fifo,
            })
            .build()
            .map_err(|error| Error::unsupported(error.to_string()))?;
        // It is the first to be set.
        let _ = queue.manager().queue.set(queue.weak());
        let shared = Arc::new(Shared { anchor: Mutex::new(None), sea_orm: OnceCell::new() });
        let pool = Self { queue, shared, reserve: None };
        tokio::spawn(maintain(pool.queue.weak(), pool.manager().ledger.clone(), settings.clone()));
        let Watchers { alerts, history, .. } = pool.hooks().watchers();
        if alerts.is_enabled() || history.is_enabled() || pool.manager().ledger.stats.meter.is_enabled() {
            tokio::spawn(watch(pool.queue.weak()));
        }
        pool.anchor().await?;
        // At the start a server that is not there is a mistake rather than a restart.
        let first = pool.acquire_with(Duration::ZERO, Retries::None).await?;
        let checked = timeout(settings.connect_timeout, first.check()).await;
        checked.unwrap_or_else(|_| {
            let manager = pool.manager();
            Err(Error::Connect { target: manager.target.clone(), source: manager.no_answer() })
        })?;
        Ok(pool)
    }

    async fn anchor(&self) -> Result<()> {
        let manager = self.manager();
        if manager.driver.needs_anchor() {
            let raw = manager.driver.connect().await.map_err(|error| Error::Connect {
                target: manager.target.clone(),
                source: sea_orm::DbErr::Conn(sea_orm::RuntimeErr::SqlxError(Arc::new(error))),
            })?;
            *self.shared.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw);
        }
        Ok(())
    }

    /// A connection, within `pool_timeout`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up the place in the queue; nothing else is lost.
    pub(crate) async fn acquire(&self) -> Result<PooledConnection> {
        self.acquire_after(Duration::ZERO).await
    }

    /// As [`acquire`](Self::acquire), for somebody who has waited for so long already.
    pub(crate) async fn acquire_after(&self, waited: Duration) -> Result<PooledConnection> {
        match &self.reserve {
            None => self.acquire_with(waited, Retries::UntilDeadline).await,
            Some(reserve) => Box::pin(reserve.lend()).await,
        }
    }

    /// A pool of one connection of this one, in a transaction that is never committed.
    pub(crate) async fn reserved(&self, location: &'static Location<'static>) -> Result<Self> {
        if self.reserve.is_some() {
            return Err(Error::unsupported("a sandbox in a sandbox; use a transaction in it"));
        }
        Ok(Self { reserve: Some(Reserve::open(self, location).await?), ..self.clone() })
    }

    pub(crate) fn is_reserved(&self) -> bool {
        self.reserve.is_some()
    }

    /// Rolls back what was done on a reserved connection.
    pub(crate) async fn end_reserve(&self) -> Result<()> {
        match &self.reserve {
            None => Ok(()),
            Some(reserve) => reserve.end().await,
        }
    }

    async fn acquire_with(&self, waited: Duration, retries: Retries) -> Result<PooledConnection> {
        let now = Instant::now();
        let started = now.checked_sub(waited).unwrap_or(now);
        let deadline = started + self.manager().config.pool_timeout;
        let ledger = &self.manager().ledger;
        loop {
            if ledger.is_suspended() {
                let _pending = ledger.pending();
                let resumed = timeout_at(deadline.into(), ledger.resumed()).await;
                resumed.map_err(|_| self.timed_out(started.elapsed()))?;
            }
            let connection = self.get(started, deadline, retries).await?;
            if ledger.is_closed() {
                // Closed while it was being opened or checked.
                return Err(Error::PoolClosed);
            }
            if !ledger.is_suspended() {
                return Ok(connection);
            }
            // Suspended meanwhile: it goes back, and the caller waits on.
        }
    }

    async fn get(&self, started: Instant, deadline: Instant, retries: Retries) -> Result<PooledConnection> {
        let mut get = pin!(self.queue.get());
        // Most of the time a connection is there, and no timer is needed.
        let first = poll_fn(|context| {
            Poll::Ready(match get.as_mut().poll(context) {
                Poll::Ready(result) => Some(result),
                Poll::Pending => None,
            })
        })
        .await;
        let got = match first {
            Some(got) => got,
            None => {
                let _pending = self.manager().ledger.pending();
                match timeout_at(deadline.into(), get).await {
                    Ok(got) => got,
                    Err(_) => return Err(self.timed_out(started.elapsed())),
                }
            }
        };
        match got {
            Ok(object) => Ok(PooledConnection::new(object)),
            Err(PoolError::Backend(OpenFailure { error, transient: true })) if retries == Retries::UntilDeadline => {
                // A server that restarts is waited for.
                Box::pin(self.acquire_again(started, deadline, error)).await
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Tries to open a connection again and again, at growing intervals, until the deadline.
    async fn acquire_again(&self, started: Instant, deadline: Instant, mut last: Error) -> Result<PooledConnection> {
        const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
        const LONGEST_PAUSE: Duration = Duration::from_millis(500);
        let ledger = &self.manager().ledger;
        let _pending = ledger.pending();
        let _seeking = ledger.seeking();
        let mut pause = SHORTEST_PAUSE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left < SHORTEST_PAUSE {
                ledger.stats.timed_out();
                return Err(last);
            }
            let jitter = f64::from(started.elapsed().subsec_nanos() % 1_000) / 2_000.0;
            // One that comes back meanwhile is as good as a new one.
            if timeout(pause.mul_f64(1.0 + jitter).min(left / 2), ledger.idle()).await.is_err() {
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            match timeout_at(deadline.into(), self.queue.get()).await {
                Err(_) => return Err(self.timed_out(started.elapsed())),
                Ok(Ok(object)) => return Ok(PooledConnection::new(object)),
                Ok(Err(PoolError::Backend(OpenFailure { error, transient: true }))) => last = error,
                Ok(Err(error)) => return Err(self.failed(error)),
            }
        }
    }

    fn failed(&self, error: PoolError<OpenFailure>) -> Error {
        match error {
            PoolError::Closed => Error::PoolClosed,
            PoolError::Backend(OpenFailure { error, .. }) => error,
            PoolError::Timeout(_) => self.timed_out(Duration::ZERO),
            PoolError::PostCreateHook(_) | PoolError::NoRuntimeSpecified => {
                Error::unsupported("a pool without a runtime")
            }
        }
    }

    fn timed_out(&self, waited: Duration) -> Error {
        let status = self.status();
        let manager = self.manager();
        manager.ledger.stats.timed_out();
        manager.hooks.watchers().alerts.timed_out(waited);
        manager.hooks.watchers().history.timed_out(waited);
        Error::PoolTimeout(Box::new(PoolTimeout {
            waited,
            size: status.size,
            limit: status.pool_size + status.max_overflow,
            overflow: status.overflow,
            checked_out: status.checked_out,
            connecting: status.connecting,
            waiting: status.waiting,
            suspended: manager.ledger.is_suspended(),
            target: manager.target.clone(),
            last_connect_error: manager.last_connect_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }))
    }

    pub(crate) fn status(&self) -> PoolStatus {
        self.manager().ledger.status(self.queue.is_closed())
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.driver().backend()
    }

    pub(crate) fn capabilities(&self) -> Capabilities {
        self.driver().capabilities()
    }

    pub(crate) fn begin_sql(&self, options: &TransactionOptions) -> Result<Arc<str>> {
        self.driver().begin_sql(options)
    }

    /// Asks for the server's version and, as a number, whether it takes no writes.
    pub(crate) fn health_sql(&self) -> &'static str {
        self.driver().health_sql()
    }

    pub(crate) fn hooks(&self) -> &Hooks {
        &self.manager().hooks
    }

    /// The most that a question to the database may take that only finds out whether it answers.
    pub(crate) fn check_limit(&self) -> Duration {
        self.manager().ping_limit()
    }

    pub(crate) fn target(&self) -> &str {
        &self.manager().target
    }

    /// SeaORM's own type, opened at its first use.
    pub(crate) async fn sea_orm_connection(&self) -> Result<DatabaseConnection> {
        if self.is_reserved() {
            return Err(Error::unsupported(
                "SeaORM's own connection in a sandbox, which it would be outside of; take it from the database itself",
            ));
        }
        if self.queue.is_closed() {
            return Err(Error::PoolClosed);
        }
        let timeout = self.manager().config.connect_timeout;
        let connection = self.shared.sea_orm.get_or_init(async || self.driver().sea_orm_connection(timeout)).await;
        Ok(connection.clone())
    }

    pub(crate) fn counters(&self) -> PoolCounters {
        self.manager().ledger.stats.counters()
    }

    /// The connections that are out, the longest first.
    pub(crate) fn holders(&self) -> Vec<Holder> {
        self.manager().ledger.loans.holders()
    }

    /// Opens connections until there are so many, at most `pool_size`.
    pub(crate) async fn warm_up(&self, connections: usize) -> Result<usize> {
        let wanted = connections.min(self.manager().config.pool_size as usize);
        let out = self.status().checked_out.min(wanted);
        // Held until all are open: else the first would serve every one.
        let opened = try_join_all((out..wanted).map(|_| self.acquire())).await?;
        Ok(out + opened.len())
    }

    pub(super) fn manager(&self) -> &Manager {
        self.queue.manager()
    }

    fn driver(&self) -> &Arc<dyn Driver> {
        &self.manager().driver
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Pool;
    use crate::{config::DatabaseConfig, error::Error};

    #[tokio::test]
    async fn who_has_waited_before_does_not_wait_as_long_again() {
        let limit = Duration::from_secs(1000);
        let config = DatabaseConfig::new("sqlite::memory:").pool_size(1).max_overflow(0).pool_timeout(limit);
        // A build without SQLite has none.
        let Ok(pool) = Pool::connect(&config).await else { return };
        let held = pool.acquire().await.expect("the connection");
        let late = timeout(limit / 10, pool.acquire_after(limit)).await.expect("no second wait").map(drop);
        assert!(matches!(&late, Err(Error::PoolTimeout(late)) if late.waited >= limit), "{late:?}");
        drop(held);
    }
}
