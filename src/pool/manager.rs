//! What deadpool asks of us: open a connection, and say whether an idle one may be handed out.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use sea_orm::{DbErr, RuntimeErr};
use tokio::time::timeout;

use super::{
    connection::Connection,
    ledger::{Column, Ledger},
};
use crate::{
    backend::Driver,
    config::{PoolConfig, PrePing},
    error::{Error, Result},
    hooks::Hooks,
};

pub(super) struct Manager {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) config: PoolConfig,
    pub(super) hooks: Hooks,
    /// The URL without its password, for errors.
    pub(super) target: String,
    pub(super) last_connect_error: Mutex<Option<String>>,
}

impl Manager {
    async fn open(&self) -> Result<Connection> {
        let entry = self.ledger.enter(Column::Connecting);
        let opened = timeout(self.config.connect_timeout, self.driver.connect()).await;
        let source = match opened {
            Ok(Ok(raw)) => {
                self.remember(None);
                let mut connection = Connection::new(raw, entry, self.hooks.clone(), self.lifetime());
                connection.entry.move_to(Column::CheckedOut);
                return Ok(connection);
            }
            Ok(Err(error)) => DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))),
            Err(_) => {
                let limit = self.config.connect_timeout;
                DbErr::Conn(RuntimeErr::Internal(format!("no answer within connect_timeout = {limit:?}")))
            }
        };
        let error = Error::Connect { target: self.target.clone(), source };
        self.remember(Some(error.to_string()));
        Err(error)
    }

    fn remember(&self, failure: Option<String>) {
        *self.last_connect_error.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// `pool_recycle`, up to 2.5 % more or less, so that connections opened together do not all expire together.
    fn lifetime(&self) -> Duration {
        let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let fraction = f64::from(nanoseconds % 1_000_000) / 1e6;
        self.config.pool_recycle.mul_f64(0.975 + 0.05 * fraction)
    }

    fn needs_ping(&self, connection: &Connection) -> bool {
        match self.config.pool_pre_ping {
            PrePing::Never => false,
            PrePing::IfIdleFor(idle) => Instant::now().duration_since(connection.returned) >= idle,
            PrePing::Always => true,
        }
    }
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = Error;

    async fn create(&self) -> Result<Connection> {
        // Opening is rare and its future large: keep it out of the future of every acquire.
        Box::pin(self.open()).await
    }

    async fn recycle(&self, connection: &mut Connection, _: &Metrics) -> RecycleResult<Error> {
        // From here on it is the caller's; dropped in between, its entry goes with it.
        connection.entry.move_to(Column::CheckedOut);
        if !connection.is_clean() {
            // Its clean-up was cut short, as when a runtime ends under it.
            return Err(RecycleError::message("not clean"));
        }
        if connection.is_expired() {
            Box::pin(connection.close()).await;
            return Err(RecycleError::message("expired"));
        }
        if self.needs_ping(connection) {
            Box::pin(connection.ping()).await.map_err(RecycleError::Backend)?;
        }
        Ok(())
    }
}
