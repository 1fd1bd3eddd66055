//! Opening a connection in a task of its own.

use deadpool::managed::WeakPool;
use tokio::{runtime::Handle, select, sync::oneshot};

use super::{
    connection::Connection,
    ledger::Entry,
    manager::{Manager, OpenFailure},
};

type Answer = Result<Box<Connection>, OpenFailure>;

impl Manager {
    /// Opens a connection, unless another one comes back sooner. A caller who has that, or gives up, leaves the one that is
    /// being opened to the next one, so that a server that is slow to let them in is not asked in vain again and again.
    pub(super) async fn connect_apart(&self, entry: Entry) -> Answer {
        let _attending = self.ledger.attending();
        let (Some(queue), Ok(runtime)) = (self.queue.get().and_then(WeakPool::upgrade), Handle::try_current()) else {
            return self.connect(entry).await;
        };
        let (sender, answer) = oneshot::channel();
        runtime.spawn(async move {
            let manager = queue.manager();
            if let Err(Ok(connection)) = sender.send(manager.connect(entry).await) {
                manager.leave_to_the_next(connection);
            }
        });
        let mut coming = Coming { manager: self, answer };
        let _seeking = self.ledger.seeking();
        loop {
            let changed = self.ledger.changed();
            if let Some(connection) = self.take_idle(true).await {
                return Ok(connection);
            }
            select! {
                biased;
                // The task ends without an answer only with its runtime.
                answer = &mut coming.answer => {
                    return answer.unwrap_or_else(|_| Err(self.failed(self.no_answer(), false)));
                }
                () = changed => {}
            }
        }
    }

    fn leave_to_the_next(&self, connection: Box<Connection>) {
        if let Some(mut surplus) = self.spares.put(connection)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move { surplus.close().await });
        }
    }
}

/// A connection that is being opened, and the caller that waits for it.
struct Coming<'m> {
    manager: &'m Manager,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.answer.close();
        // It may have come since it was last looked for.
        if let Ok(Ok(connection)) = self.answer.try_recv() {
            self.manager.leave_to_the_next(connection);
        }
    }
}
