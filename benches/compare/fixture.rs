//! The database that the contenders work on.

use std::env;

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};

use crate::{contender::Result, reading};

/// Users in the table before a contender's turn.
pub(crate) const USERS: i64 = 10_000;

/// Rows of the plain table before a contender's turn.
pub(crate) const READINGS: i64 = 10_000;

/// A database with the schema of the tests.
pub(crate) struct Store(DatabaseConnection);

impl Store {
    pub(crate) async fn migrate(url: &str) -> Result<Self> {
        let connection = Database::connect(url).await?;
        Migrator::up(&connection, None).await?;
        let sql = match connection.get_database_backend() {
            // It would work in some contender's turn.
            DbBackend::Postgres => {
                let tables = ["\"user\"", "customer_order", "order_item", "tag"];
                let off = tables.map(|table| format!("ALTER TABLE {table} SET (autovacuum_enabled = off); "));
                off.concat() + reading::CREATE
            }
            _ => "PRAGMA journal_mode = WAL".to_owned(),
        };
        connection.execute_unprepared(&sql).await?;
        Ok(Self(connection))
    }

    /// Leaves exactly the rows that each turn begins with.
    pub(crate) async fn fill(&self) -> Result<()> {
        let columns = "\"user\" (username, email, phone, status, balance, profile)";
        let sql = match self.0.get_database_backend() {
            DbBackend::Postgres => format!(
                "TRUNCATE \"user\", tag, reading RESTART IDENTITY CASCADE; \
                 INSERT INTO {columns} SELECT 'user-' || n, 'user-' || n || '@example.com', '+49' || n, 1, n * 100, \
                 '{{\"language\": \"en\", \"newsletter\": true}}' FROM generate_series(1, {USERS}) AS n; \
                 INSERT INTO reading (sensor, taken_at, value) SELECT n % 100, now(), n FROM generate_series(1, {READINGS}) AS n; \
                 ANALYZE \"user\", reading"
            ),
            _ => format!(
                "DELETE FROM \"user\"; DELETE FROM sqlite_sequence WHERE name = 'user'; \
                 INSERT INTO {columns} WITH RECURSIVE numbers (n) AS \
                 (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {USERS}) \
                 SELECT 'user-' || n, 'user-' || n || '@example.com', '+49' || n, 1, n * 100, \
                 '{{\"language\": \"en\", \"newsletter\": true}}' FROM numbers"
            ),
        };
        self.0.execute_unprepared(&sql).await?;
        Ok(())
    }

    pub(crate) async fn close(self) -> Result<()> {
        Ok(self.0.close().await?)
    }
}

/// A new database on the server of `TEST_POSTGRES_URL`.
pub(crate) struct Server {
    admin: DatabaseConnection,
    name: String,
    url: String,
    store: Store,
}

impl Server {
    pub(crate) async fn create() -> Result<Self> {
        let server = env::var("TEST_POSTGRES_URL").map_err(
            |_| "TEST_POSTGRES_URL is not set; run `tests/run --exec cargo bench -p sea-dao-benches --bench compare`",
        )?;
        let admin = Database::connect(&server).await?;
        let name = format!("sea_dao_bench_{}", std::process::id());
        let mut url = url::Url::parse(&server)?;
        url.set_path(&name);
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await?;
        let url = String::from(url);
        let store = Store::migrate(&url).await?;
        Ok(Self { admin, name, url, store })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) async fn drop(self) -> Result<()> {
        self.store.close().await?;
        self.admin.execute_unprepared(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await?;
        Ok(self.admin.close().await?)
    }
}
