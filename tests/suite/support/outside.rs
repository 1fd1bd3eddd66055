//! A look at the database that does not pass through the crate.

use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, Statement};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, sqlite::SqliteConnectOptions};

use super::place::{Place, Site};

/// A connection of SeaORM's own to the test's database, and what the server says about the database's sessions.
pub(crate) struct Outside {
    connection: DatabaseConnection,
    /// The server's number for the connection.
    own_session: i64,
}

impl Outside {
    pub(crate) async fn open(site: &Site) -> Self {
        let connection = connect_one(&site.url).await;
        let own_session = match site.place {
            Place::Postgres => number(&connection, "SELECT pg_backend_pid()::bigint").await,
            Place::MariaDb => number(&connection, "SELECT CAST(CONNECTION_ID() AS SIGNED)").await,
            Place::SqliteFile | Place::SqliteMemory => 0,
        };
        Self { connection, own_session }
    }

    pub(crate) fn connection(&self) -> &DatabaseConnection {
        &self.connection
    }

    /// The server's numbers for the sessions of others on this database. Only for databases that are servers.
    pub(crate) async fn sessions(&self, site: &Site) -> Vec<i64> {
        self.session_ids(site, "TRUE").await
    }

    /// How many transactions of others are open without a statement under way: for SQLite, whether anybody has the
    /// write lock.
    pub(crate) async fn idle_transactions(&self, site: &Site) -> usize {
        let sql = match site.place {
            Place::Postgres => format!(
                "SELECT COUNT(*)::bigint FROM pg_stat_activity WHERE datname = '{}' AND pid <> {} \
                 AND state LIKE 'idle in transaction%'",
                site.name, self.own_session
            ),
            Place::MariaDb => return self.idle_transactions_of_mariadb(site).await,
            Place::SqliteFile => return usize::from(is_locked(&site.url).await),
            Place::SqliteMemory => return 0,
        };
        number(site.admin.as_ref().expect("a server"), &sql).await as usize
    }

    /// `information_schema.innodb_trx` would be simpler, but it is not brought up to date while somebody keeps asking.
    async fn idle_transactions_of_mariadb(&self, site: &Site) -> usize {
        let admin = site.admin.as_ref().expect("a server");
        let statement = Statement::from_string(admin.get_database_backend(), "SHOW ENGINE INNODB STATUS");
        let row = admin.query_one_raw(statement).await.expect("the status").expect("one row");
        let status: String = row.try_get("", "Status").expect("a text");
        let active: Vec<i64> = status
            .split("---TRANSACTION")
            .filter(|transaction| transaction.lines().next().is_some_and(|line| line.contains(", ACTIVE")))
            .filter_map(|transaction| transaction.split_once("thread id ")?.1.split(',').next()?.parse().ok())
            .collect();
        let asleep = self.session_ids(site, "command = 'Sleep'").await;
        asleep.iter().filter(|session| active.contains(session)).count()
    }

    /// Ends all sessions of others on this database, as an administrator would.
    pub(crate) async fn kill_sessions(&self, site: &Site) -> usize {
        let admin = site.admin.as_ref().expect("a server");
        let sessions = self.session_ids(site, "TRUE").await;
        for id in &sessions {
            let sql = match site.place {
                Place::Postgres => format!("SELECT pg_terminate_backend({id})"),
                _ => format!("KILL CONNECTION {id}"),
            };
            // It may have ended meanwhile.
            let _ = admin.execute_unprepared(&sql).await;
        }
        sessions.len()
    }

    async fn session_ids(&self, site: &Site, condition: &str) -> Vec<i64> {
        let admin = site.admin.as_ref().expect("a server");
        let sql = match site.place {
            Place::Postgres => format!(
                "SELECT pid::bigint FROM pg_stat_activity WHERE datname = '{}' AND pid <> {} AND {condition}",
                site.name, self.own_session
            ),
            _ => format!(
                "SELECT CAST(id AS SIGNED) FROM information_schema.processlist WHERE db = '{}' AND id <> {} \
                 AND command <> 'Killed' AND {condition}",
                site.name, self.own_session
            ),
        };
        let rows = admin.query_all_raw(Statement::from_string(admin.get_database_backend(), sql)).await;
        rows.expect("the sessions").iter().map(|row| row.try_get_by_index(0).expect("a number")).collect()
    }
}

/// One connection, so that its session is always the same.
pub(crate) async fn connect_one(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    match sea_orm::Database::connect(options).await {
        Ok(connection) => connection,
        Err(error) => panic!("no connection to the test server: {error}"),
    }
}

async fn number(connection: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let row = connection.query_one_raw(statement).await.expect("a number's query").expect("one row");
    row.try_get_by_index(0).expect("a number")
}

/// Whether somebody has SQLite's write lock.
async fn is_locked(url: &str) -> bool {
    let options: SqliteConnectOptions = url.parse().expect("the URL");
    let options = options.busy_timeout(std::time::Duration::ZERO).disable_statement_logging();
    let mut connection = options.connect().await.expect("a connection");
    let locked = connection.execute("BEGIN IMMEDIATE").await.is_err();
    connection.close().await.expect("closed");
    locked
}
