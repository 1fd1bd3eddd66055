//! PostgreSQL, and what speaks its protocol.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture};
use sea_orm::{DatabaseConnection, DbBackend, Values};
use sqlx::{
    ConnectOptions as _, Postgres,
    error::BoxDynError,
    postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgPoolOptions, PgSeverity},
};

use super::{
    Capabilities,
    connection::Backend,
    connector::SqlxDriver,
    driver::{Aborted, CopySource, Driver, TransactionOptions, bad_url, only_known_parameters, with_tls_explained},
    errors::Effect,
    input::bind_limit,
    probe::{Probe, Switch},
    usual_limit::with_usual_limit_written_out,
};
use crate::error::{Error, ErrorClass, Result};

/// What the driver reads behind the `?` of a URL.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

pub(super) fn open(url: &str) -> Result<Arc<dyn Driver>> {
    let url = only_known_parameters(url, &PARAMETERS)?;
    let options: PgConnectOptions = url.parse().map_err(|error| bad_url(&url, &error))?;
    // Without prepared statements it is, in all likelihood, a pooler that deals its server connections out by transaction.
    let pooler = url.contains("statement-cache-capacity=0");
    Ok(Arc::new(SqlxDriver::<Postgres>::new(options.disable_statement_logging()).kills(!pooler)))
}

impl Backend for Postgres {
    const BACKEND: DbBackend = DbBackend::Postgres;
    const CAPABILITIES: Capabilities = Capabilities {
        returning: true,
        insert_returning: true,
        bind_limit: bind_limit(DbBackend::Postgres),
        arrays: true,
        update_from: true,
        on_conflict: true,
        failure_aborts_transaction: true,
        isolation_levels: true,
        concurrent_writers: true,
        copy_in: true,
        server: true,
    };
    const FETCHES_ONE_CLEANLY: bool = true;
    const TYPED_STATEMENTS: bool = true;
    const HEALTH_SQL: &'static str = "SELECT current_setting('server_version'), \
         (pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean)::int::bigint";
    // The start tells the backend from a later one with the same number.
    const KILL_SQL: Option<&'static str> = Some(
        "SELECT format('SELECT pg_terminate_backend(pid) FROM pg_stat_get_activity(%s) WHERE backend_start = %L', \
         pid, backend_start) FROM pg_stat_get_activity(pg_backend_pid())",
    );
    const PROBE: Probe = Probe::FailsOutside("SAVEPOINT sea_dao_probe; RELEASE SAVEPOINT sea_dao_probe");
    const PROCEDURES_BEGIN: bool = false;
    const RESET_SQL: Option<&'static str> = Some("DISCARD ALL");
    const READ_ONLY_SWITCH: Option<Switch> = None;

    fn begin_sql(options: &TransactionOptions) -> Result<Arc<str>> {
        let TransactionOptions { isolation, access, sqlite_mode, statement_timeout: _ } = options;
        if sqlite_mode.is_some() {
            return Err(Error::unsupported("an SQLite transaction mode on PostgreSQL"));
        }
        let mut sql = "BEGIN".to_owned();
        if let Some(isolation) = isolation {
            sql.push_str(&format!(" ISOLATION LEVEL {isolation}"));
        }
        if let Some(access) = access {
            sql.push_str(&format!(" {access}"));
        }
        Ok(sql.into())
    }

    fn written_out(sql: Arc<str>, values: Option<Values>) -> (Arc<str>, Option<Values>) {
        match values {
            Some(values) => with_usual_limit_written_out(sql, values),
            None => (sql, None),
        }
    }

    fn arguments(values: Values) -> Result<PgArguments, BoxDynError> {
        super::arguments::arguments(values)
    }

    fn copy_in<'s>(
        connection: &'s mut PgConnection,
        sql: Arc<str>,
        mut source: CopySource<'s>,
    ) -> BoxFuture<'s, sqlx::Result<Option<u64>>> {
        async move {
            let mut copy = connection.copy_in_raw(&sql).await?;
            while let Some(data) = source.next().await {
                match data {
                    Ok(data) => drop(copy.send(data).await?),
                    Err(Aborted) => {
                        // An error of the server's own that came before is not read to its end.
                        let aborted = copy.abort("the source of the rows has failed").await;
                        return aborted.map(|()| None).map_err(|error| sqlx::Error::Protocol(error.to_string()));
                    }
                }
            }
            copy.finish().await.map(Some)
        }
        .boxed()
    }

    fn explain(error: sqlx::Error) -> sqlx::Error {
        with_tls_explained(error, "sslmode", "disable")
    }

    fn sea_orm_connection(options: PgConnectOptions, connect_timeout: Duration) -> DatabaseConnection {
        PgPoolOptions::new().max_connections(2).acquire_timeout(connect_timeout).connect_lazy_with(options).into()
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
pub(super) fn classify(error: &PgDatabaseError) -> (ErrorClass, Effect) {
    if matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic) {
        // The server ends the connection with it, whatever the reason.
        return (ErrorClass::Disconnect, Effect::EndsTransaction);
    }
    let class = match error.code() {
        "23505" | "23P01" => ErrorClass::UniqueViolation,
        "23503" => ErrorClass::ForeignKeyViolation,
        "23502" => ErrorClass::NotNullViolation,
        "23514" => ErrorClass::CheckViolation,
        "40001" => ErrorClass::SerializationFailure,
        "40P01" => ErrorClass::Deadlock,
        "55P03" => ErrorClass::LockTimeout,
        "57014" => ErrorClass::StatementCancelled,
        "25006" => ErrorClass::ReadOnly,
        // Not 08…: what does not end this connection tells of another one, as that of a foreign table.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => ErrorClass::Disconnect,
        _ => ErrorClass::Other,
    };
    (class, Effect::AbortsScope)
}

/// Whether the statements that the connection has prepared are of no use any more: the next use of each would fail in the
/// same way.
pub(super) fn has_lost_its_statements(error: &PgDatabaseError) -> bool {
    match error.code() {
        // Those of the driver are called so; another one is the caller's own.
        "26000" => error.message().contains("sqlx_s_"),
        // "cached plan must not change result type", which the server may say in another language.
        "0A000" => error.routine() == Some("RevalidateCachedQuery"),
        _ => false,
    }
}
