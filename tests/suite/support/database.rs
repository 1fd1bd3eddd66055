//! A new, migrated database with the crate's own on it.

use std::{
    ops::Deref,
    sync::{Arc, Mutex},
    time::Duration,
};

use migration::{Migrator, MigratorTrait};
use sea_dao::{Database, DatabaseConfig, config::PrePing};
use sea_orm::DatabaseConnection;

use super::{PATIENCE, Place, Recorder, eventually, outside::Outside, place::Site};

/// A new, migrated database. It dereferences to a [`Database`] of 4 connections whose statements
/// [`recorder`](Self::recorder) records.
#[derive(Clone)]
pub(crate) struct TestDb {
    database: Database,
    recorder: Recorder,
    shared: Arc<Shared>,
}

struct Shared {
    site: Site,
    outside: Outside,
    opened: Mutex<Vec<Database>>,
}

impl TestDb {
    pub(crate) async fn make(place: Place) -> Self {
        let site = Site::make(place).await;
        let outside = Outside::open(&site).await;
        let recorder = Recorder::default();
        let config = config(&site.url).hook(recorder.clone());
        if place != Place::SqliteMemory {
            migrate(outside.connection()).await;
        }
        let database = config.connect().await.expect("a database");
        if place == Place::SqliteMemory {
            migrate(&database.sea_orm_connection().await.expect("SeaORM's connection")).await;
        }
        recorder.forget();
        let shared = Shared { site, outside, opened: Mutex::new(vec![database.clone()]) };
        Self { database, recorder, shared: Arc::new(shared) }
    }

    /// What was sent through the database itself, not through those that [`open`](Self::open) gave.
    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The settings that the tests begin with.
    pub(crate) fn config(&self) -> DatabaseConfig {
        config(&self.shared.site.url)
    }

    pub(crate) fn url(&self) -> &str {
        &self.shared.site.url
    }

    /// Another, independent `Database` on the same data.
    pub(crate) async fn open(&self, set: impl FnOnce(DatabaseConfig) -> DatabaseConfig) -> Database {
        let database = set(self.config()).connect().await.expect("a second database");
        self.shared.opened.lock().expect("not poisoned").push(database.clone());
        database
    }

    /// SeaORM's own connection to the same data.
    pub(crate) fn outside(&self) -> &DatabaseConnection {
        self.shared.outside.connection()
    }

    /// How many sessions the server holds on this database; 0 where the database is not a server.
    pub(crate) async fn server_sessions(&self) -> usize {
        self.server_session_ids().await.len()
    }

    /// The server's numbers for the sessions on this database; none where the database is not a server.
    pub(crate) async fn server_session_ids(&self) -> Vec<i64> {
        if self.capabilities().server { self.shared.outside.sessions(&self.shared.site).await } else { Vec::new() }
    }

    /// Ends all of the crate's sessions on the server.
    pub(crate) async fn kill_server_sessions(&self) -> usize {
        self.shared.outside.kill_sessions(&self.shared.site).await
    }

    /// Ends all of the crate's sessions where there is a server, and waits until they are gone.
    pub(crate) async fn end_server_sessions(&self) {
        if self.capabilities().server {
            self.kill_server_sessions().await;
            // Not `eventually`: a future with its closure inside is not provably `Send` in a callback.
            while self.server_sessions().await > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                // One that was being opened is there only now.
                self.kill_server_sessions().await;
            }
        }
    }

    /// Another `Database` on the same data whose connections have run this SQL.
    pub(crate) async fn open_set_up(&self, sql: &str) -> Database {
        self.open(|config| {
            let pool = config.pool_config().clone().after_connect(sql);
            config.pool(pool)
        })
        .await
    }

    /// How many transactions are open on the database while nothing is done in them.
    pub(crate) async fn idle_transactions(&self) -> usize {
        self.shared.outside.idle_transactions(&self.shared.site).await
    }

    /// Waits until every connection of every pool has come back and no transaction is open on the database.
    pub(crate) async fn is_quiet(&self) {
        for database in self.opened() {
            eventually("every connection comes back", async || {
                let status = database.status();
                status.checked_out == 0 && status.connecting == 0 && status.closing == 0
            })
            .await;
        }
        eventually("no transaction is left open", async || self.idle_transactions().await == 0).await;
    }

    /// Checks that the test has left nothing behind, and closes everything.
    pub(crate) async fn finish(&self) {
        self.is_quiet().await;
        for database in self.opened() {
            let closed = tokio::time::timeout(PATIENCE, database.close()).await;
            assert!(closed.is_ok(), "close() waits although nothing is checked out: {}", database.status());
        }
    }

    pub(crate) async fn remove(&self) {
        for database in self.opened() {
            let _ = tokio::time::timeout(Duration::from_millis(200), database.close()).await;
        }
        let _ = self.outside().clone().close().await;
        if self.capabilities().server {
            self.kill_server_sessions().await;
        }
        self.shared.site.remove().await;
    }

    fn opened(&self) -> Vec<Database> {
        self.shared.opened.lock().expect("not poisoned").clone()
    }
}

impl Deref for TestDb {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

fn config(url: &str) -> DatabaseConfig {
    // With the default, a machine that stands still for half a second would add a ping to what is recorded.
    let no_ping = PrePing::IfIdleFor(Duration::from_secs(3600));
    DatabaseConfig::new(url).pool_size(4).max_overflow(0).pool_timeout(PATIENCE).pool_pre_ping(no_ping).no_slow_log()
}

async fn migrate(connection: &DatabaseConnection) {
    Migrator::up(connection, None).await.expect("the migrations");
}
