//! MySQL and MariaDB.

use std::{sync::Arc, time::Duration};

use sea_orm::{
    AccessMode, DatabaseConnection, DbBackend, QueryResult, Value, Values,
    prelude::{DateTime, TimeDateTime},
};
use sea_query_sqlx::SqlxValues;
use sqlx::{
    ConnectOptions as _, IntoArguments, MySql,
    error::BoxDynError,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlDatabaseError, MySqlPoolOptions},
};

use super::{
    Capabilities,
    connection::Backend,
    connector::SqlxDriver,
    driver::{Driver, TransactionOptions, bad_url, only_known_parameters, with_tls_explained},
    errors::Effect,
    input::bind_limit,
    probe::{Probe, Switch},
};
use crate::error::{Error, ErrorClass, Result};

/// What the driver reads behind the `?` of a URL.
const PARAMETERS: [&str; 14] = [
    "ssl-mode",
    "sslmode",
    "ssl-ca",
    "sslca",
    "charset",
    "collation",
    "ssl-cert",
    "sslcert",
    "ssl-key",
    "sslkey",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

pub(super) fn open(url: &str) -> Result<Arc<dyn Driver>> {
    let url = only_known_parameters(url, &PARAMETERS)?;
    let options: MySqlConnectOptions = url.parse().map_err(|error| bad_url(&url, &error))?;
    Ok(Arc::new(SqlxDriver::<MySql>::new(options.disable_statement_logging())))
}

/// An instant that no TIMESTAMP holds, as a DATETIME. The driver binds instants as TIMESTAMP, and the server takes one that
/// is out of its range, 1970 to 2038, for NULL without a word.
fn as_datetime(value: &Value) -> Option<Value> {
    let beyond = |seconds: i64| !(1..=i64::from(i32::MAX)).contains(&seconds);
    let chrono = |utc: DateTime| beyond(utc.and_utc().timestamp()).then(|| utc.into());
    match value {
        Value::ChronoDateTimeUtc(Some(instant)) => chrono(instant.naive_utc()),
        Value::ChronoDateTimeLocal(Some(instant)) => chrono(instant.naive_utc()),
        Value::ChronoDateTimeWithTimeZone(Some(instant)) => chrono(instant.naive_utc()),
        Value::TimeDateTimeWithTimeZone(Some(instant)) if beyond(instant.unix_timestamp()) => {
            let utc = instant.checked_to_utc()?;
            Some(TimeDateTime::new(utc.date(), utc.time()).into())
        }
        _ => None,
    }
}

impl Backend for MySql {
    const BACKEND: DbBackend = DbBackend::MySql;
    const CAPABILITIES: Capabilities = Capabilities {
        returning: false,
        // MariaDB has it, MySQL has not: the server is asked.
        insert_returning: false,
        bind_limit: bind_limit(DbBackend::MySql),
        arrays: false,
        update_from: false,
        on_conflict: false,
        failure_aborts_transaction: false,
        isolation_levels: true,
        concurrent_writers: true,
        copy_in: false,
        server: true,
    };
    // The server sends the whole answer whether it is read or not.
    const FETCHES_ONE_CLEANLY: bool = false;
    const TYPED_STATEMENTS: bool = false;
    const HEALTH_SQL: &'static str = "SELECT VERSION(), CAST(@@global.read_only AS SIGNED)";
    // A server that was started again deals its numbers out from the beginning: the client's address tells the session
    // from a later one with the same number.
    const KILL_SQL: Option<&'static str> = Some(
        "SELECT CONCAT('SET @sea_dao_kill = COALESCE((SELECT CONCAT(''KILL CONNECTION '', id) \
         FROM information_schema.processlist WHERE id = ', id, ' AND host = ', QUOTE(host), '), ''DO 0''); \
         PREPARE sea_dao_kill FROM @sea_dao_kill; EXECUTE sea_dao_kill'), VERSION() \
         FROM information_schema.processlist WHERE id = CONNECTION_ID()",
    );
    // MySQL itself has no such variable.
    const PROBE: Probe = Probe::Ask("SELECT CAST(@@in_transaction AS SIGNED)");
    const PROCEDURES_BEGIN: bool = true;
    // The protocol has a command for it, which the driver does not give out.
    const RESET_SQL: Option<&'static str> = None;
    const READ_ONLY_SWITCH: Option<Switch> = None;

    fn has_insert_returning(answer: &QueryResult) -> bool {
        answer.try_get_by_index::<String>(1).is_ok_and(|version| knows_insert_returning(&version))
    }

    fn arguments(mut values: Values) -> Result<MySqlArguments, BoxDynError> {
        for value in &mut values.0 {
            if let Some(plain) = as_datetime(value) {
                *value = plain;
            }
        }
        Ok(IntoArguments::<Self>::into_arguments(SqlxValues(values)))
    }

    fn begin_sql(options: &TransactionOptions) -> Result<Arc<str>> {
        let TransactionOptions { isolation, access, sqlite_mode, statement_timeout: _ } = options;
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

    fn explain(error: sqlx::Error) -> sqlx::Error {
        with_tls_explained(error, "ssl-mode", "DISABLED")
    }

    fn sea_orm_connection(options: MySqlConnectOptions, connect_timeout: Duration) -> DatabaseConnection {
        MySqlPoolOptions::new().max_connections(2).acquire_timeout(connect_timeout).connect_lazy_with(options).into()
    }
}

/// MariaDB has it from 10.5 on: <https://mariadb.com/kb/en/insertreturning/>.
fn knows_insert_returning(version: &str) -> bool {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let release = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version.contains("MariaDB") && release >= (10, 5)
}

/// Too many connections, of all or of the user; the server goes down; the connection was killed.
/// The driver finds it out after it has begun to wait for an answer, which the connection then never gets.
pub(super) fn is_wrong_number_of_values(message: &str) -> bool {
    message.starts_with("prepared statement expected ") && message.contains(" parameters were provided")
}

pub(super) fn is_transient_in_connect_phase(number: u16) -> bool {
    matches!(number, 1040 | 1053 | 1203 | 1226 | 1927)
}

pub(super) fn classify(error: &MySqlDatabaseError) -> (ErrorClass, Effect) {
    classify_number(error.number(), error.message())
}

/// <https://mariadb.com/kb/en/mariadb-error-codes/>
fn classify_number(number: u16, message: &str) -> (ErrorClass, Effect) {
    let class = match number {
        // The server runs with some option, which the message names, that forbids the statement.
        1290 if message.contains("read-only") || message.contains("read_only") => ErrorClass::ReadOnly,
        1022 | 1062 | 1169 | 1586 => ErrorClass::UniqueViolation,
        1216 | 1217 | 1451 | 1452 | 1557 | 1761 | 1762 => ErrorClass::ForeignKeyViolation,
        1048 | 1364 => ErrorClass::NotNullViolation,
        3819 | 4025 => ErrorClass::CheckViolation,
        1020 => ErrorClass::SerializationFailure,
        1213 | 1614 => ErrorClass::Deadlock,
        1205 | 3572 => ErrorClass::LockTimeout,
        1317 | 1969 | 3024 => ErrorClass::StatementCancelled,
        1792 | 1836 => ErrorClass::ReadOnly,
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
    use super::{classify_number, knows_insert_returning};
    use crate::error::ErrorClass;

    #[test]
    fn mariadb_gives_inserted_rows_back() {
        for version in ["10.5.0-MariaDB", "10.11.6-MariaDB-0+deb12u1", "11.4.2-MariaDB-log"] {
            assert!(knows_insert_returning(version), "{version}");
        }
        for version in ["8.4.0", "10.4.34-MariaDB", "9.1.0-commercial", ""] {
            assert!(!knows_insert_returning(version), "{version}");
        }
    }

    #[test]
    fn a_session_that_the_server_ended_is_a_disconnect() {
        // Killed on MariaDB; killed, or idle for too long, on MySQL 8.
        for number in [1927, 3169, 4031] {
            assert_eq!(classify_number(number, "").0, ErrorClass::Disconnect, "{number}");
        }
    }

    #[test]
    fn only_the_option_that_forbids_writes_makes_a_server_read_only() {
        let class = |option: &str| {
            let message =
                format!("The MariaDB server is running with the {option} option so it cannot execute this statement");
            classify_number(1290, &message).0
        };
        for option in ["--read-only", "--super-read-only", "read_only"] {
            assert_eq!(class(option), ErrorClass::ReadOnly, "{option}");
        }
        for option in ["--secure-file-priv", "--skip-grant-tables"] {
            assert_eq!(class(option), ErrorClass::Other, "{option}");
        }
    }
}
