//! A small server for the page alone.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use ::axum::{Router, serve::Listener};
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    cut::Cut,
    routes::{Shared, routes},
};
use crate::{
    error::{Error, Result},
    integrations::axum::Draining,
    lifecycle::Lifecycle,
};

/// How long a closing server waits for those who read slowly.
const GRACE: Duration = Duration::from_secs(1);

/// A server that shows the page until it is closed or dropped.
#[must_use = "the server ends when it is dropped"]
pub struct PageServer {
    address: SocketAddr,
    closing: Draining,
    task: JoinHandle<()>,
}

pub(super) async fn listen(address: SocketAddr, shared: Arc<Shared>) -> Result<PageServer> {
    let refused = |error: io::Error| {
        Error::config("page address", address, format!("an address that can be listened on ({error})"))
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let closing = shared.closing.clone();
    let listener = Connections { listener, closing: closing.clone() };
    let router: Router = routes(shared);
    let until = closing.clone();
    let task = tokio::spawn(async move {
        let served = ::axum::serve(listener, router).with_graceful_shutdown(async move { until.started().await }).await;
        if let Err(error) = served {
            tracing::error!(target: "sea_dao::page", %error, "the page's server ended");
        }
    });
    tracing::info!(target: "sea_dao::page", %address, "serving the page");
    Ok(PageServer { address, closing, task })
}

impl PageServer {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the event streams and stops listening. Who has not read its answer within a second is cut off.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close(mut self) {
        self.closing.start();
        let _ = timeout(2 * GRACE, &mut self.task).await;
    }

    /// Has the server closed with the rest of the program.
    pub fn close_with(self, lifecycle: &mut Lifecycle) {
        lifecycle.resource("page", 3 * GRACE, async move || {
            self.close().await;
            Ok::<(), Error>(())
        });
    }
}

impl Drop for PageServer {
    fn drop(&mut self) {
        self.closing.start();
    }
}

impl fmt::Debug for PageServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Takes connections that do not outlast the server by much.
struct Connections {
    listener: TcpListener,
    closing: Draining,
}

impl Listener for Connections {
    type Io = Cut<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Tries again after a failure.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let closing = self.closing.clone();
        let over = async move {
            closing.started().await;
            sleep(GRACE).await;
        };
        (Cut::after(over, stream), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
