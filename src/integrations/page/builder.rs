//! What the page shows, and to whom.

use std::{fmt, net::SocketAddr};

use ::axum::Router;

use super::{
    guard::Guard,
    routes::{Shared, routes},
    server::{PageServer, listen},
};
use crate::{
    error::{Error, Result},
    integrations::axum::Draining,
    session::Database,
};

/// The page, before it is served.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::{DatabaseConfig, integrations::page::Page, lifecycle::Lifecycle};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> sea_dao::Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").watch_everything().connect().await?;
/// let mut lifecycle = Lifecycle::new();
/// lifecycle.database("database", db.clone(), Duration::from_secs(10));
///
/// let server = Page::new().database("primary", db).serve().await?;
/// println!("http://{}", server.address());
/// server.close_with(&mut lifecycle);
///
/// assert!(lifecycle.close().await.is_clean());
/// # Ok(())
/// # }
/// ```
pub struct Page {
    databases: Vec<(String, Database)>,
    token: Option<String>,
    address: SocketAddr,
    draining: Draining,
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// Without databases, for everybody who reaches it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            databases: Vec::new(),
            token: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            draining: Draining::default(),
        }
    }

    /// Adds a database under a name; the last one of the same name counts.
    #[must_use]
    pub fn database(mut self, name: impl Into<String>, database: Database) -> Self {
        let name = name.into();
        self.databases.retain(|(other, _)| *other != name);
        self.databases.push((name, database));
        self
    }

    /// Only for those who know this token. Take a long random one.
    ///
    /// Programs send it as `Authorization: Bearer …`, or as `?token=…`; people are asked for it, or follow a link with
    /// `?token=…`, and have it in a cookie from then on.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Where [`serve`](Self::serve) listens. Default: 127.0.0.1, on a port that is free. Another address than a loopback
    /// one needs a [token](Self::token).
    #[must_use]
    pub fn address(mut self, address: impl Into<SocketAddr>) -> Self {
        self.address = address.into();
        self
    }

    /// Ends the page's event streams when this is started, as that of
    /// [`HealthRoutes`](crate::integrations::axum::HealthRoutes::draining), so that they do not hold up the end of the
    /// server.
    #[must_use]
    pub fn draining(mut self, draining: Draining) -> Self {
        self.draining = draining;
        self
    }

    /// The routes, to be nested into an application's own: `Router::new().nest("/page", page.into_router())`.
    ///
    /// The server in front is the application's, and so is the decision who reaches it; take a [token](Self::token) where
    /// there is none. An event stream ends when [draining](Self::draining) is started, when all databases are closed,
    /// and in any case after 15 s: the page then asks for the next one, and a server that ends waits for readers no longer than that.
    pub fn into_router<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        let Self { databases, token, address: _, draining } = self;
        routes(Shared::new(databases, Guard::new(token), draining))
    }

    /// Serves the page from a task of its own, until the [server](PageServer) is closed or dropped.
    ///
    /// On a loopback address without a token, it answers only to requests for `localhost` or a loopback address: no
    /// other site can have a browser read it under a name of its own.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the address cannot be bound, is not a loopback one and there is no token, or when the
    /// token is empty.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn serve(self) -> Result<PageServer> {
        let Self { databases, token, address, draining } = self;
        if token.as_ref().is_some_and(String::is_empty) {
            return Err(Error::config("page token", "(empty)", "a token of at least one character, or none"));
        }
        let is_local = address.ip().is_loopback();
        if !is_local && token.is_none() {
            let expected = "a loopback address such as 127.0.0.1:0, or a token: the page shows the program's SQL";
            return Err(Error::config("page address", address, expected));
        }
        let guard = if is_local && token.is_none() { Guard::local() } else { Guard::new(token) };
        listen(address, Shared::new(databases, guard, draining)).await
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.databases.iter().map(|(name, _)| name).collect();
        f.debug_struct("Page")
            .field("databases", &names)
            .field("address", &self.address)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish()
    }
}
