//! The two traits that the layers above speak to, and the choice of the database by URL.

use std::{sync::Arc, time::Duration};

use futures_util::{future::BoxFuture, stream::BoxStream};
use sea_orm::{
    AccessMode, DatabaseConnection, DbBackend, ExecResult, IsolationLevel, QueryResult, SqliteTransactionMode, Values,
};

use super::Capabilities;
use crate::{
    config::{decoded, holds_parameters, redact_url},
    error::{Error, Result},
};

/// The data of a COPY, in pieces of any size; an error ends it without any row.
pub(crate) type CopySource<'s> = BoxStream<'s, Result<Vec<u8>, Aborted>>;

/// The source of a COPY has failed, and knows why.
#[derive(Debug)]
pub(crate) struct Aborted;

/// One open connection to a database.
///
/// A future or stream of these methods that is dropped before its end leaves the connection in an unknown state: the
/// caller MUST close it then, except that a stream that has given a row may be dropped when
/// [`ping`](Self::ping) is awaited before anything else is sent.
pub(crate) trait RawConnection: Send {
    /// Runs a prepared statement and reads all rows.
    fn query_all(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<Vec<QueryResult>>>;
    /// Runs a prepared statement and reads its first row. MUST leave no part of the answer unread.
    fn query_one(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<Option<QueryResult>>>;
    /// Runs a prepared statement.
    fn execute(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxFuture<'_, sqlx::Result<ExecResult>>;
    /// Runs SQL as it is, possibly several statements.
    fn execute_unprepared(&mut self, sql: Arc<str>) -> BoxFuture<'_, sqlx::Result<ExecResult>>;
    /// Runs a prepared statement and gives its rows one by one.
    fn stream(&mut self, sql: Arc<str>, values: Option<Values>) -> BoxStream<'_, sqlx::Result<QueryResult>>;
    /// Runs one `COPY … FROM STDIN` and gives the number of rows; `None` when its source has aborted it. Only where
    /// [`Capabilities::copy_in`] says so.
    fn copy_in<'s>(&'s mut self, sql: Arc<str>, source: CopySource<'s>) -> BoxFuture<'s, sqlx::Result<Option<u64>>>;
    /// Reads what is left of a dropped stream's answer and makes sure that the other side is there and in step.
    fn ping(&mut self) -> BoxFuture<'_, sqlx::Result<()>>;
    /// The SQL by which another connection ends this one on the server, with whatever it does there.
    fn kill_sql(&self) -> Option<Arc<str>>;
    /// Whether a statement that says nothing of it, such as CALL, may leave a transaction open that it has begun.
    fn hides_begin(&self) -> bool;
    /// Asks whether a transaction is open, of a connection that had one. MUST leave none open that was not.
    fn in_transaction(&mut self) -> BoxFuture<'_, sqlx::Result<bool>>;
    /// Begins a transaction with `sql`; when it is to write nothing, the database MUST be kept from writing until
    /// [`end`](Self::end) even where `sql` does not do that. After a failure that leaves the connection usable, no
    /// transaction is open.
    fn begin(&mut self, sql: Arc<str>, read_only: bool) -> BoxFuture<'_, sqlx::Result<()>>;
    /// Ends the transaction with `sql`.
    fn end(&mut self, sql: Arc<str>) -> BoxFuture<'_, sqlx::Result<()>>;
    /// Takes everything from the session that was set in it. `false`: this database cannot.
    fn reset(&mut self) -> BoxFuture<'_, sqlx::Result<bool>>;
    /// Says goodbye to the other side and closes.
    fn close(self: Box<Self>) -> BoxFuture<'static, sqlx::Result<()>>;
}

/// One database, as named by a URL.
pub(crate) trait Driver: Send + Sync {
    /// SeaORM's name for it.
    fn backend(&self) -> DbBackend;
    /// What it can do.
    fn capabilities(&self) -> Capabilities;
    /// Opens a connection and sets it up.
    fn connect(&self) -> BoxFuture<'_, sqlx::Result<Box<dyn RawConnection>>>;
    /// Runs statements on one connection of their own, each whatever became of those before it; gives the last failure.
    fn run_apart(&self, statements: Vec<Arc<str>>) -> BoxFuture<'_, sqlx::Result<()>>;
    /// The SQL that begins a transaction.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an option that the database does not know.
    fn begin_sql(&self, options: &TransactionOptions) -> Result<Arc<str>>;
    /// Asks for the server's version as a text and, as a BIGINT, whether it takes no writes.
    fn health_sql(&self) -> &'static str;
    /// The database whose data live only as long as some connection to it is open.
    fn needs_anchor(&self) -> bool;
    /// A connection of SeaORM's own to the same database, opened at its first use.
    fn sea_orm_connection(&self, connect_timeout: Duration) -> DatabaseConnection;
}

/// How a transaction is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TransactionOptions {
    pub(crate) isolation: Option<IsolationLevel>,
    pub(crate) access: Option<AccessMode>,
    pub(crate) sqlite_mode: Option<SqliteTransactionMode>,
    /// The most that one statement may take.
    pub(crate) statement_timeout: Option<Duration>,
}

/// The driver for `url`.
pub(crate) fn open(url: &str) -> Result<Arc<dyn Driver>> {
    let Some((scheme, _)) = url.split_once(':') else {
        return Err(Error::config("url", redact_url(url), "postgres://…, mysql://… or sqlite:…"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "postgres" | "postgresql" => check_server_url(url).and_then(|()| open_postgres(url)),
        "mysql" | "mariadb" => check_server_url(url).and_then(|()| open_mysql(url)),
        "sqlite" => open_sqlite(url),
        "oracle" => Err(Error::unsupported("Oracle; use PostgreSQL, MySQL, MariaDB or SQLite")),
        _ => Err(Error::config("url", redact_url(url), "a scheme of postgres, mysql, mariadb or sqlite")),
    }
}

/// A password that is taken for another part of the URL would be shown by the server's own errors.
fn check_server_url(url: &str) -> Result<()> {
    let bad = |expected: &str| Err(Error::config("url", redact_url(url), expected));
    let Some((_, rest)) = url.split_once("://") else { return bad("scheme://user:password@host:port/database") };
    let behind_host = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    if behind_host.contains(['@', '#']) {
        return bad("special characters in user, password and database percent-encoded, such as %40 for @");
    }
    let Ok(parsed) = url::Url::parse(url) else { return Ok(()) };
    let host = parsed.host_str().map(decoded).unwrap_or_default();
    let names = [parsed.username(), parsed.path()].map(decoded);
    let mut values =
        parsed.query_pairs().filter(|(name, _)| name != "password" && name != "options").map(|(_, value)| value);
    if host.contains(';') || names.iter().any(|name| holds_parameters(name)) || values.any(|it| holds_parameters(&it)) {
        return bad("scheme://user:password@host:port/database?name=value&name=value, without parameters behind a ;");
    }
    Ok(())
}

/// The parameters of `url` that the driver knows; what it does not know it would leave out without a word, or log with its
/// value.
///
/// # Errors
///
/// [`Error::Config`] for one that is known but for its spelling, that holds a password, or that says what stands
/// elsewhere in the URL.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn only_known_parameters(url: &str, known: &[&str]) -> Result<String> {
    let Ok(mut parsed) = url::Url::parse(url) else { return Ok(url.to_owned()) };
    let bad = |expected: String| Error::config("url", redact_url(url), expected);
    let plain = |name: &str| name.replace(['-', '_'], "").to_ascii_lowercase();
    let elsewhere =
        ["user", "username", "password", "passwd", "pwd", "pass", "secret", "host", "port", "database", "dbname"];
    let mut kept = Vec::new();
    for (name, value) in parsed.query_pairs() {
        if known.contains(&&*name) || known.contains(&"options") && name.starts_with("options[") {
            kept.push((name.into_owned(), value.into_owned()));
            continue;
        }
        if let Some(meant) = known.iter().find(|known| plain(known) == plain(&name)) {
            return Err(bad(format!("{meant} in place of {name}")));
        }
        if elsewhere.contains(&plain(&name).as_str()) || plain(&name).contains("password") {
            return Err(bad(format!(
                "no parameter {name}; scheme://user:password@host:port/database has a place for it"
            )));
        }
        tracing::warn!(target: "sea_dao::config", %name, "a parameter of the URL that the driver does not know is left out");
    }
    if kept.len() < parsed.query_pairs().count() {
        parsed.set_query(None);
        if !kept.is_empty() {
            parsed.query_pairs_mut().extend_pairs(kept);
        }
    }
    Ok(parsed.into())
}

/// A failure to connect, with the parameter of the URL that asks for TLS where that is the matter.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn with_tls_explained(error: sqlx::Error, parameter: &str, off: &str) -> sqlx::Error {
    match error {
        sqlx::Error::Tls(error) => sqlx::Error::Tls(
            format!("{error}; {parameter} in the URL asks for TLS, {parameter}={off} goes without").into(),
        ),
        error => error,
    }
}

/// The error for a URL that the driver cannot read.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub(super) fn bad_url(url: &str, error: &sqlx::Error) -> Error {
    Error::config("url", redact_url(url), format!("a complete database URL ({error})"))
}

#[cfg(feature = "postgres")]
fn open_postgres(url: &str) -> Result<Arc<dyn Driver>> {
    super::postgres::open(url)
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_url: &str) -> Result<Arc<dyn Driver>> {
    Err(missing_feature("PostgreSQL", "postgres"))
}

#[cfg(feature = "mysql")]
fn open_mysql(url: &str) -> Result<Arc<dyn Driver>> {
    super::mysql::open(url)
}

#[cfg(not(feature = "mysql"))]
fn open_mysql(_url: &str) -> Result<Arc<dyn Driver>> {
    Err(missing_feature("MySQL and MariaDB", "mysql"))
}

#[cfg(feature = "sqlite")]
fn open_sqlite(url: &str) -> Result<Arc<dyn Driver>> {
    super::sqlite::open(url)
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_url: &str) -> Result<Arc<dyn Driver>> {
    Err(missing_feature("SQLite", "sqlite"))
}

#[cfg(not(all(feature = "sqlite", feature = "postgres", feature = "mysql")))]
fn missing_feature(database: &str, feature: &str) -> Error {
    Error::unsupported(format!("{database} in this build; add the feature `{feature}` of sea-dao"))
}

#[cfg(test)]
mod tests {
    use super::open;
    use crate::error::Error;

    /// Which of them are missing depends on how the tests are built.
    #[test]
    fn a_driver_that_was_left_out_is_named_with_its_feature() {
        for (url, feature, present) in [
            ("sqlite::memory:", "sqlite", cfg!(feature = "sqlite")),
            ("postgres://localhost/app", "postgres", cfg!(feature = "postgres")),
            ("mysql://localhost/app", "mysql", cfg!(feature = "mysql")),
            ("mariadb://localhost/app", "mysql", cfg!(feature = "mysql")),
        ] {
            match open(url) {
                Ok(_) => assert!(present, "{url}"),
                Err(error) => {
                    assert!(!present && matches!(error, Error::Unsupported { .. }), "{url}: {error:?}");
                    let hint = format!("in this build; add the feature `{feature}` of sea-dao");
                    assert!(error.to_string().ends_with(&hint), "{error}");
                }
            }
        }
    }
}
