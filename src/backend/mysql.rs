//! MySQL and MariaDB.

use std::{sync::Arc, time::Duration};

use sea_orm::{AccessMode, DatabaseConnection, DbBackend};
use sqlx::{
    ConnectOptions as _, MySql,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

use super::{
    Capabilities,
    connection::{Backend, Probe, SqlxDriver},
    driver::{Driver, TransactionOptions, bad_url},
    errors::Effect,
    input::bind_limit,
};
use crate::error::{Error, ErrorClass, Result};

pub(super) fn open(url: &str) -> Result<Arc<dyn Driver>> {
    let options: MySqlConnectOptions = url.parse().map_err(|error| bad_url(url, &error))?;
    Ok(Arc::new(SqlxDriver::<MySql>::new(options.disable_statement_logging())))
}

impl Backend for MySql {
    const BACKEND: DbBackend = DbBackend::MySql;
    const CAPABILITIES: Capabilities = Capabilities {
        returning: false,
        bind_limit: bind_limit(DbBackend::MySql),
        failure_aborts_transaction: false,
        isolation_levels: true,
        concurrent_writers: true,
        server: true,
    };
    // The server sends the whole answer whether it is read or not.
    const FETCHES_ONE_CLEANLY: bool = false;
    const TYPED_STATEMENTS: bool = false;
    const HEALTH_SQL: &'static str = "SELECT VERSION(), CAST(@@global.read_only AS SIGNED)";
    const KILL_SQL: Option<&'static str> = Some("SELECT CONCAT('KILL CONNECTION ', CONNECTION_ID())");
    // MySQL itself has no such variable.
    const PROBE: Probe = Probe::Ask("SELECT CAST(@@in_transaction AS SIGNED)");
    // The protocol has a command for it, which the driver does not give out.
    const RESET_SQL: Option<&'static str> = None;

    fn begin_sql(options: &TransactionOptions) -> Result<Arc<str>> {
        let TransactionOptions { isolation, access, sqlite_mode } = options;
        if sqlite_mode.is_some() {
            return Err(Error::unsupported("an SQLite transaction mode on MySQL"));
        }
        let start = match access {
            None => "START TRANSACTION",
            Some(AccessMode::ReadOnly) => "START TRANSACTION READ ONLY",
            Some(AccessMode::ReadWrite) => "START TRANSACTION READ WRITE",
        };
        // The level is not part of START TRANSACTION; both go out in one message.
        Ok(match isolation {
            Some(isolation) => format!("SET TRANSACTION ISOLATION LEVEL {isolation}; {start}").into(),
            None => start.into(),
        })
    }

    fn sea_orm_connection(options: MySqlConnectOptions, connect_timeout: Duration) -> DatabaseConnection {
        MySqlPoolOptions::new().max_connections(2).acquire_timeout(connect_timeout).connect_lazy_with(options).into()
    }
}

/// Too many connections, of all or of the user; the server goes down; the connection was killed.
pub(super) fn is_transient_in_connect_phase(number: u16) -> bool {
    matches!(number, 1040 | 1053 | 1203 | 1226 | 1927)
}

/// <https://mariadb.com/kb/en/mariadb-error-codes/>
pub(super) fn classify(number: u16) -> (ErrorClass, Effect) {
    let class = match number {
        1022 | 1062 | 1169 | 1586 => ErrorClass::UniqueViolation,
        1216 | 1217 | 1451 | 1452 | 1557 | 1761 | 1762 => ErrorClass::ForeignKeyViolation,
        1048 | 1364 => ErrorClass::NotNullViolation,
        3819 | 4025 => ErrorClass::CheckViolation,
        1020 => ErrorClass::SerializationFailure,
        1213 | 1614 => ErrorClass::Deadlock,
        1205 | 3572 => ErrorClass::LockTimeout,
        1317 | 1969 | 3024 => ErrorClass::StatementCancelled,
        1290 | 1792 | 1836 => ErrorClass::ReadOnly,
        1053 | 1077 | 1078 | 1079 | 1080 | 1152 | 1158..=1161 | 1184 | 1927 | 3169 | 4031 => ErrorClass::Disconnect,
        _ => ErrorClass::Other,
    };
    let effect = match class {
        // InnoDB rolls the whole transaction back; what follows would run outside of it.
        ErrorClass::Deadlock | ErrorClass::SerializationFailure => Effect::EndsTransaction,
        // By innodb_rollback_on_timeout.
        ErrorClass::LockTimeout => Effect::Unclear,
        // The table of locks is full.
        _ if number == 1206 => Effect::EndsTransaction,
        _ => Effect::None,
    };
    (class, effect)
}

#[cfg(test)]
mod tests {
    use super::classify;
    use crate::error::ErrorClass;

    #[test]
    fn a_session_that_the_server_ended_is_a_disconnect() {
        // Killed on MariaDB; killed, or idle for too long, on MySQL 8.
        for number in [1927, 3169, 4031] {
            assert_eq!(classify(number).0, ErrorClass::Disconnect, "{number}");
        }
    }
}
