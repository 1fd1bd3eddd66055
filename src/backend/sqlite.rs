//! SQLite, in a file or in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{AccessMode, DatabaseConnection, DbBackend, SqliteTransactionMode, Values};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Executor as _, Sqlite,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{
    Capabilities,
    connection::{Backend, Refresh},
    connector::SqlxDriver,
    driver::{Driver, TransactionOptions, bad_url},
    errors::Effect,
    input::bind_limit,
    limit::with_limit_written_out,
    probe::{Probe, Switch},
    statements::has_definition,
    tokens::{answers_with_all_columns, has_conflict_clause},
};
use crate::error::{ErrorClass, Result};

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn open(url: &str) -> Result<Arc<dyn Driver>> {
    let options: SqliteConnectOptions = url.parse().map_err(|error| bad_url(url, &error))?;
    let options = options.disable_statement_logging().foreign_keys(true).busy_timeout(BUSY_TIMEOUT);
    if is_memory(url) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // SQLite's `memdb` shares one database between the connections of a process under the locks of a file; its
        // shared cache would have locks of its own, without a timeout. A name that begins with `/` is shared.
        let name = format!("/sea-dao-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let options = SqliteConnectOptions::new()
            .disable_statement_logging()
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .filename(name)
            .vfs("memdb")
            .create_if_missing(true);
        return Ok(Arc::new(SqlxDriver::<Sqlite>::new(options).anchored()));
    }
    if url.contains("mode=ro") || url.contains("immutable=") {
        // A database that may only be read cannot be switched to another journal.
        return Ok(Arc::new(SqlxDriver::<Sqlite>::new(options).health_sql("SELECT sqlite_version(), 1")));
    }
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Normal);
    Ok(Arc::new(SqlxDriver::<Sqlite>::new(options)))
}

fn is_memory(url: &str) -> bool {
    let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
    path.is_empty() || path.starts_with(":memory:") || url.contains("mode=memory")
}

impl Backend for Sqlite {
    const BACKEND: DbBackend = DbBackend::Sqlite;
    const CAPABILITIES: Capabilities = Capabilities {
        returning: true,
        insert_returning: true,
        bind_limit: bind_limit(DbBackend::Sqlite),
        arrays: false,
        update_from: true,
        on_conflict: true,
        failure_aborts_transaction: false,
        isolation_levels: false,
        concurrent_writers: false,
        copy_in: false,
        server: false,
    };
    const FETCHES_ONE_CLEANLY: bool = true;
    const TYPED_STATEMENTS: bool = false;
    const HEALTH_SQL: &'static str = "SELECT sqlite_version(), query_only FROM pragma_query_only";
    const KILL_SQL: Option<&'static str> = None;
    const PROBE: Probe = Probe::Begin("BEGIN");
    const PROCEDURES_BEGIN: bool = false;
    const RESET_SQL: Option<&'static str> = None;
    // A transaction of SQLite's cannot be told not to write, a connection can.
    const READ_ONLY_SWITCH: Option<Switch> = Some(Switch {
        ask: "SELECT query_only FROM pragma_query_only",
        on: "PRAGMA query_only = ON",
        off: "PRAGMA query_only = OFF",
    });

    /// Transactions that may write take the write lock at once: the second of two writers then waits for its turn,
    /// where a deferred one would fail at its first write.
    fn begin_sql(options: &TransactionOptions) -> Result<Arc<str>> {
        // Every SQLite transaction is serializable, which keeps the promise of each weaker level too.
        let TransactionOptions { isolation: _, access, sqlite_mode, statement_timeout: _ } = options;
        Ok(match (sqlite_mode, access) {
            (Some(SqliteTransactionMode::Deferred), _) | (None, Some(AccessMode::ReadOnly)) => "BEGIN DEFERRED",
            (Some(SqliteTransactionMode::Exclusive), _) => "BEGIN EXCLUSIVE",
            (Some(SqliteTransactionMode::Immediate), _) | (None, _) => "BEGIN IMMEDIATE",
        }
        .into())
    }

    fn refresh(statement: &str) -> Option<Refresh> {
        let columns = answers_with_all_columns(statement, DbBackend::Sqlite);
        let reads_schema =
            has_conflict_clause(statement, DbBackend::Sqlite) || has_definition(statement, DbBackend::Sqlite);
        (columns || reads_schema).then_some(Refresh { sql: REFRESH_SCHEMA, columns })
    }

    fn written_out(sql: Arc<str>, values: Option<Values>) -> (Arc<str>, Option<Values>) {
        match values {
            Some(values) => with_limit_written_out(sql, values),
            None => (sql, None),
        }
    }

    fn sea_orm_connection(options: SqliteConnectOptions, connect_timeout: Duration) -> DatabaseConnection {
        SqlitePoolOptions::new()
            .max_connections(2)
            .acquire_timeout(connect_timeout)
            .before_acquire(|connection, _| {
                // What the other of the two created or dropped is not there, or still there, otherwise.
                Box::pin(async move { connection.execute(AssertSqlSafe(REFRESH_SCHEMA)).await.map(|_| true) })
            })
            .connect_lazy_with(options)
            .into()
    }

    fn explain(error: sqlx::Error) -> sqlx::Error {
        match error {
            sqlx::Error::Database(error) if error.code().as_deref() == Some(CANNOT_OPEN) => {
                sqlx::Error::Configuration(Box::new(CannotOpen(error)))
            }
            error => error,
        }
    }
}

/// SQLite reads the schema again where a statement runs, not where it is prepared: until something has run, a unique
/// index made by another connection is not there for ON CONFLICT, one that was dropped cannot be created again, and a
/// column that was added cannot be dropped. A statement with `*` gets the columns that are there when it runs, for which
/// the driver has no place.
const REFRESH_SCHEMA: &str = "SELECT 1 FROM sqlite_schema LIMIT 0";

const CANNOT_OPEN: &str = "14";

/// SQLite does not say that it makes no file by itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}; a file that is not there yet is made with ?mode=rwc, in a folder that is")]
struct CannotOpen(#[source] Box<dyn sqlx::error::DatabaseError>);

/// <https://www.sqlite.org/rescode.html>
pub(super) fn classify(code: i32) -> (ErrorClass, Effect) {
    let class = match (code, code & 0xff) {
        (1555 | 2067 | 2579, _) => ErrorClass::UniqueViolation,
        (787, _) => ErrorClass::ForeignKeyViolation,
        (1299, _) => ErrorClass::NotNullViolation,
        (275, _) => ErrorClass::CheckViolation,
        (_, 5 | 6) => ErrorClass::LockTimeout,
        (_, 8) => ErrorClass::ReadOnly,
        (_, 9) => ErrorClass::StatementCancelled,
        _ => ErrorClass::Other,
    };
    let effect = match code & 0xff {
        // SQLite may have rolled the transaction back: <https://www.sqlite.org/lang_transaction.html>, 3.
        4 | 7 | 9 | 10 | 13 => Effect::EndsTransaction,
        // A constraint with ON CONFLICT ROLLBACK, a trigger with RAISE(ROLLBACK).
        19 => Effect::Unclear,
        _ => Effect::None,
    };
    (class, effect)
}

#[cfg(test)]
mod tests {
    use sea_orm::{Values, prelude::TimeDateTimeWithTimeZone};
    use sqlx::types::time::UtcOffset;

    use super::{is_memory, open};

    #[test]
    fn a_database_in_memory_is_told_from_a_file() {
        for url in ["sqlite::memory:", "sqlite://:memory:", "sqlite:", "sqlite://", "sqlite:x?mode=memory"] {
            assert!(is_memory(url), "{url}");
        }
        for url in ["sqlite:data.db", "sqlite:///var/data.db", "sqlite://data.db?mode=rwc"] {
            assert!(!is_memory(url), "{url}");
        }
    }
    #[tokio::test]
    async fn a_value_that_the_driver_leaves_out_is_an_error() {
        let driver = open("sqlite::memory:").expect("a driver");
        let mut connection = driver.connect().await.expect("a connection");
        // The text that it writes of an instant has no seconds in its offset.
        let offset = UtcOffset::from_hms(1, 2, 3).expect("an offset");
        let values = Values(vec![TimeDateTimeWithTimeZone::UNIX_EPOCH.to_offset(offset).into(), 5.into()]);
        let row = connection.query_one("SELECT ?, ?".into(), Some(values)).await;
        assert!(matches!(row, Err(sqlx::Error::Encode(_))));
    }
}
