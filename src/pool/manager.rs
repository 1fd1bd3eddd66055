//! What deadpool asks of us: open a connection, and say whether an idle one may be handed out.

use std::{
    mem,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult, WeakPool};
use sea_orm::{DbErr, RuntimeErr};
use tokio::{runtime::Handle, time::timeout};

use super::{
    connection::Connection,
    killer::Killer,
    ledger::{Column, Entry, Ledger},
    spares::Spares,
    stats::CloseReason,
};
use crate::{
    backend::{Driver, SetUp, is_transient_connect_failure},
    config::{PoolConfig, PrePing},
    error::{Error, Result},
    hooks::Hooks,
};

pub(super) struct Manager {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) config: PoolConfig,
    pub(super) hooks: Hooks,
    pub(super) spares: Spares,
    /// The URL without its password, for errors.
    pub(super) target: String,
    pub(super) last_connect_error: Mutex<Option<String>>,
    pub(super) killer: Arc<Killer>,
    /// The queue that it works for.
    pub(super) queue: OnceLock<WeakPool<Manager>>,
}

/// Why a connection could not be opened.
pub(super) struct OpenFailure {
    pub(super) error: Error,
    /// A moment later it may succeed.
    pub(super) transient: bool,
}

impl Manager {
    /// One from the spares, a new one as soon as there is room for it, or one that comes back until then.
    async fn open(&self) -> Result<Box<Connection>, OpenFailure> {
        let mut seeking = None;
        loop {
            if self.ledger.is_closed() {
                return Err(OpenFailure { error: Error::PoolClosed, transient: false });
            }
            let changed = self.ledger.changed();
            if let Some(connection) = self.take_idle(seeking.is_some()).await {
                return Ok(connection);
            }
            if let Some(entry) = self.ledger.enter() {
                return self.connect_apart(entry).await;
            }
            if seeking.is_some() {
                changed.await;
            } else {
                seeking = Some(self.ledger.seeking());
            }
        }
    }

    /// One of the spares that may be handed out, or of the queue.
    pub(super) async fn take_idle(&self, of_queue: bool) -> Option<Box<Connection>> {
        loop {
            let returned = || if of_queue { self.take_from_queue() } else { None };
            let mut connection = self.spares.take().or_else(returned)?;
            if self.check(&mut connection).await.is_ok() {
                return Some(connection);
            }
        }
    }

    fn take_from_queue(&self) -> Option<Box<Connection>> {
        let queue = self.queue.get()?.upgrade()?;
        let mut found = false;
        queue.retain(|_, _| mem::replace(&mut found, true)).removed.pop()
    }

    pub(super) async fn connect(&self, entry: Entry) -> Result<Box<Connection>, OpenFailure> {
        let started = Instant::now();
        match timeout(self.config.connect_timeout, self.open_and_set_up(entry)).await {
            Ok(Ok(connection)) => {
                self.remember(None);
                self.ledger.stats.meter.opened(started.elapsed());
                if self.config.echo_pool {
                    tracing::info!(target: "sea_dao::pool", target = %self.target, "connection opened");
                }
                Ok(connection)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(self.failed(self.no_answer(), true)),
        }
    }

    async fn open_and_set_up(&self, entry: Entry) -> Result<Box<Connection>, OpenFailure> {
        let raw = self.driver.connect().await.map_err(|error| {
            let transient = is_transient_connect_failure(&error);
            self.failed(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))), transient)
        })?;
        let mut connection = Box::new(Connection::new(raw, entry, self));
        connection.entry.move_to(Column::CheckedOut);
        let mut opening = Opening(Some(connection));
        if let Some(connection) = &mut opening.0
            && let Err(error) = self.set_up(connection).await
        {
            connection.condemn(CloseReason::Broken);
            let transient = error.is_disconnect();
            return Err(match error {
                Error::Database { source, .. } => self.failed(source, transient),
                error => OpenFailure { error, transient },
            });
        }
        opening.0.take().ok_or_else(|| self.failed(self.no_answer(), true))
    }

    /// Runs the caller's own SQL on a connection that is as the server made it.
    pub(super) async fn set_up(&self, connection: &mut Connection) -> Result<()> {
        for (number, sql) in (1..).zip(&self.config.after_connect) {
            let set_up = SetUp::new(sql, number, self.driver.backend())?;
            connection.run_set_up(&set_up).await?;
        }
        Ok(())
    }

    pub(super) fn no_answer(&self) -> DbErr {
        let limit = self.config.connect_timeout;
        DbErr::Conn(RuntimeErr::Internal(format!("no answer within connect_timeout = {limit:?}")))
    }

    pub(super) fn failed(&self, source: DbErr, transient: bool) -> OpenFailure {
        let error = Error::Connect { target: self.target.clone(), source };
        self.remember(Some(error.to_string()));
        OpenFailure { error, transient }
    }

    fn remember(&self, failure: Option<String>) {
        *self.last_connect_error.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// `pool_recycle`, up to 2.5 % more or less, so that connections opened together do not all expire together.
    pub(super) fn lifetime(&self) -> Duration {
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let fraction = f64::from(nanoseconds % 1_000_000) / 1e6;
        self.config.pool_recycle.mul_f64(0.975 + 0.05 * fraction)
    }

    /// The most that a check may take: it leaves time to open another connection before the deadline.
    pub(super) fn ping_limit(&self) -> Duration {
        self.config.connect_timeout.min(self.config.pool_timeout / 2)
    }

    fn needs_ping(&self, connection: &Connection) -> bool {
        match self.config.pool_pre_ping {
            PrePing::Never => false,
            PrePing::IfIdleFor(idle) => Instant::now().duration_since(connection.last_heard()) >= idle,
            PrePing::Always => true,
        }
    }

    /// Whether an idle connection may be handed out.
    async fn check(&self, connection: &mut Connection) -> Result<(), &'static str> {
        // From here on it is the caller's; dropped in between, its entry goes with it.
        connection.entry.move_to(Column::CheckedOut);
        if !connection.is_clean() {
            // Its clean-up was cut short, as when a runtime ends under it.
            return Err("not clean");
        }
        if let Some(reason) = connection.outdated() {
            connection.condemn(reason);
            Box::pin(connection.close()).await;
            return Err("outdated");
        }
        if self.needs_ping(connection) {
            let limit = self.ping_limit();
            let alive = Box::pin(timeout(limit, connection.ping())).await;
            if let Err(error) = alive.unwrap_or(Err(Error::StatementTimeout { limit })) {
                connection.unanswered(&error);
                return Err("no answer");
            }
        }
        Ok(())
    }
}

impl managed::Manager for Manager {
    // Boxed: it is moved with every statement.
    type Type = Box<Connection>;
    type Error = OpenFailure;

    async fn create(&self) -> Result<Box<Connection>, OpenFailure> {
        // Opening is rare and its future large: keep it out of the future of every acquire.
        Box::pin(self.open()).await
    }

    async fn recycle(&self, connection: &mut Box<Connection>, _: &Metrics) -> RecycleResult<OpenFailure> {
        self.check(connection).await.map_err(RecycleError::message)
    }
}

/// A connection that is being set up. When nobody waits for that any more, what runs on the server is ended.
struct Opening(Option<Box<Connection>>);

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(mut connection) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { connection.close_and_end().await });
        }
    }
}

/// What the unit tests of the pool begin with: two connections at most, to a database that is not in every build.
#[cfg(test)]
pub(super) fn manager_of_two() -> Option<Manager> {
    let config = crate::DatabaseConfig::new("sqlite::memory:");
    let driver = crate::backend::open(config.url()).ok()?;
    let hooks = config.build_hooks(crate::backend::sql_dialect(driver.backend())).expect("no hooks");
    Some(Manager {
        ledger: Ledger::new(2, 0, super::meter::Meter::new(&hooks)),
        killer: Killer::new(driver.clone()),
        driver,
        config: config.pool_config().clone(),
        hooks,
        spares: Spares::default(),
        target: String::new(),
        last_connect_error: Mutex::default(),
        queue: OnceLock::new(),
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use super::manager_of_two;

    #[test]
    fn connections_that_were_opened_together_do_not_expire_together() {
        let Some(mut manager) = manager_of_two() else { return };
        manager.config.pool_recycle = Duration::from_secs(1000);
        // They differ by the clock, which has to have gone on.
        let lifetimes: HashSet<Duration> = (0..100_000).map(|_| manager.lifetime()).collect();
        assert!(lifetimes.len() > 1, "{lifetimes:?}");
        let bounds = Duration::from_secs(975)..=Duration::from_secs(1025);
        assert!(lifetimes.iter().all(|lifetime| bounds.contains(lifetime)), "{lifetimes:?}");
    }
}
