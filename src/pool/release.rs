//! A connection on loan, and its way back.

use std::{
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

use deadpool::managed::Object;
use tokio::{runtime::Handle, time::timeout};

use super::{
    connection::{Connection, Wire},
    ledger::Column,
    manager::Manager,
    reserve::bring_home,
    stats::CloseReason,
};
use crate::{
    config::ResetOnReturn,
    error::{Error, Result},
    hooks::{Origin, StatementKind},
};

/// The most that cleaning up one connection may take before it is closed instead.
const CLEAN_UP_LIMIT: Duration = Duration::from_secs(5);

/// The most that reading the rest of an answer may take: somebody may be waiting for the connection.
const DRAIN_LIMIT: Duration = Duration::from_millis(300);

/// A connection on loan. Dropped, it goes back: at once when nothing is open on it, else through a task that cleans up
/// before anybody else gets it.
pub(crate) struct PooledConnection(Option<Object<Manager>>);

impl PooledConnection {
    pub(super) fn new(object: Object<Manager>) -> Self {
        Self(Some(object))
    }

    /// Asks the database for an answer.
    pub(super) async fn check(mut self) -> Result<()> {
        self.send(StatementKind::Script, "SELECT 1".into()).await.map(drop)
    }
}

impl Deref for PooledConnection {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.0 {
            Some(object) => object,
            // The object leaves only in `drop`.
            None => unreachable!("a connection is used after its return"),
        }
    }
}

impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.0 {
            Some(object) => object,
            None => unreachable!("a connection is used after its return"),
        }
    }
}

/// What has to happen to a connection before somebody else may have it.
enum Disposal {
    Nothing,
    CleanUp,
    Close,
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(mut object) = self.0.take().and_then(bring_home) else { return };
        object.came_back();
        match disposal(&object) {
            Disposal::Nothing => put_back(object),
            Disposal::CleanUp => spawn(object, clean_up),
            Disposal::Close => spawn(object, close),
        }
    }
}

fn disposal(connection: &Connection) -> Disposal {
    let state = connection.state;
    let full = connection.reset_on_return == ResetOnReturn::Full;
    let dirty = state.session_changed && !full;
    if state.broken || dirty || state.wire == Wire::InFlight {
        Disposal::Close
    } else if connection.needs_rollback() || state.wire == Wire::Undrained || full {
        Disposal::CleanUp
    } else {
        Disposal::Nothing
    }
}

fn put_back(mut object: Object<Manager>) {
    object.returned = Instant::now();
    // What is sent next on it is not its last holder's.
    object.origin = Origin::default();
    match object.entry.come_back() {
        Column::Idle => {
            let ledger = object.entry.shared_ledger();
            drop(object);
            // Asked only now: who begins to seek one later finds it in the queue.
            if ledger.is_sought() {
                ledger.tell_of_idle();
            }
        }
        _ => {
            let closed = Object::pool(&object).is_none_or(|pool| pool.is_closed());
            object.condemn(if closed { CloseReason::Shutdown } else { CloseReason::Overflow });
            spawn(object, close);
        }
    }
}

async fn clean_up(mut object: Object<Manager>) {
    match timeout(CLEAN_UP_LIMIT, make_clean(&mut object)).await {
        Ok(Ok(true)) => return put_back(object),
        Ok(Ok(false)) => object.condemn(CloseReason::SessionChanged),
        Ok(Err(_)) if object.is_usable() => object.condemn(CloseReason::Broken),
        // What was cut off is still in flight.
        Ok(Err(_)) | Err(_) => {}
    }
    close(object).await;
}

/// `false` when the database cannot do it.
async fn make_clean(object: &mut Object<Manager>) -> Result<bool> {
    let drained = timeout(DRAIN_LIMIT, object.settle()).await;
    drained.unwrap_or(Err(Error::StatementTimeout { limit: DRAIN_LIMIT }))?;
    if object.needs_rollback() {
        object.rollback().await?;
    }
    if object.reset_on_return != ResetOnReturn::Full {
        return Ok(true);
    }
    if !object.reset().await? {
        return Ok(false);
    }
    // The reset took these settings too.
    if let Some(pool) = Object::pool(object) {
        pool.manager().set_up(object).await?;
    }
    Ok(true)
}

/// The object, and with it the permit, is given up only when the connection is closed: never more are open than may be.
async fn close(mut object: Object<Manager>) {
    object.close_and_end().await;
    drop(Object::take(object));
}

fn spawn<F: Future<Output = ()> + Send + 'static>(object: Object<Manager>, work: impl FnOnce(Object<Manager>) -> F) {
    match Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn(work(object))),
        // Without a runtime nothing can be awaited: dropping the connection cuts it, and the server rolls back.
        Err(_) => drop(Object::take(object)),
    }
}
