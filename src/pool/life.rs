//! How a pool ends, and how it pauses.

use std::{
    sync::PoisonError,
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{join, join_all},
};
use tokio::{runtime::Handle, time::timeout};

use super::{ShutdownReport, shared::Pool};
use crate::backend::open_connections;

impl Pool {
    /// Refuses new checkouts at once, then waits until every connection has come back and is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the waiting, not the closing.
    pub(crate) async fn close(&self) {
        self.manager().ledger.close();
        // Taken out first: what the queue itself drops is cut off without a goodbye.
        let mut idle = self.queue.retain(|_, _| false).removed;
        idle.extend(self.manager().spares.retain(|_| false));
        self.queue.close();
        // Who waits for the end of a suspension is refused like everybody else.
        self.resume();
        let ours = async {
            join_all(idle.into_iter().map(|mut connection| async move { connection.close().await })).await;
            self.drained().await;
        };
        // At the same time: one that is held here must not keep the other open.
        let seaorms = async {
            if let Some(connection) = self.shared.sea_orm.get() {
                // A pool that is closed already is as good.
                let _ = connection.clone().close().await;
            }
        };
        join(ours, seaorms).await;
        let anchor = self.shared.anchor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(anchor) = anchor {
            let _ = anchor.close().await;
        }
    }

    /// Waits until nothing is open any more, and says now and then what is.
    async fn drained(&self) {
        const OFTEN: Duration = Duration::from_secs(2);
        while timeout(OFTEN, self.manager().ledger.emptied()).await.is_err() {
            let holders: Vec<String> = self.holders().iter().map(ToString::to_string).collect();
            tracing::info!(target: "sea_dao::pool", status = %self.status(), ?holders, "closing: waiting for connections");
        }
    }

    /// As [`close`](Self::close), but waits no longer than `limit` and reports what is still out then.
    pub(crate) async fn close_within(&self, limit: Duration) -> ShutdownReport {
        let started = Instant::now();
        let complete = timeout(limit, self.close()).await.is_ok();
        let held = if complete { Vec::new() } else { self.holders() };
        let status = self.status();
        let seaorms = if complete { 0 } else { self.open_on_seaorms_side() };
        let open = status.size + status.connecting + seaorms;
        ShutdownReport { held, open, complete, elapsed: started.elapsed() }
    }

    fn open_on_seaorms_side(&self) -> usize {
        let open = self.shared.sea_orm.get().map_or(0, open_connections);
        usize::try_from(open).unwrap_or(usize::MAX)
    }

    /// Refuses new checkouts and drops what is idle, without waiting for anything.
    pub(crate) fn reset(&self) {
        self.manager().ledger.close();
        self.queue.close();
        drop(self.manager().spares.retain(|_| false));
        self.resume();
        if let Some(connection) = self.shared.sea_orm.get() {
            // Asked once, it refuses from then on.
            let mut closing = connection.clone().close().boxed();
            if (&mut closing).now_or_never().is_none()
                && let Ok(runtime) = Handle::try_current()
            {
                runtime.spawn(closing);
            }
        }
        drop(self.shared.anchor.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Hands out no connection until [`resume`](Self::resume); who asks for one waits, within the timeout.
    pub(crate) fn suspend(&self) {
        if !self.queue.is_closed() {
            self.manager().ledger.suspend(true);
        }
    }

    pub(crate) fn resume(&self) {
        self.manager().ledger.suspend(false);
    }
}
