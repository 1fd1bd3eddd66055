//! A database whose every change is undone, for tests.

use std::{fmt, panic::Location};

use super::{Database, Session, SessionProvider};
use crate::error::Result;

/// A database whose every session runs inside one transaction that is rolled back at the end: for the tests of code that
/// uses a [`Database`] or a [`SessionProvider`].
///
/// Sessions come one after the other and see what those before have written; the rest of the world sees nothing of it.
/// Transactions in it are savepoints and behave as real ones: committed they stay until the sandbox ends, rolled back they
/// are undone, their [callbacks](Session::after_commit) run, they are [run again](super::TransactionBuilder::retry), and a
/// failure in one aborts it where the database does that. A statement that fails outside of a transaction leaves the
/// others as they were. Clones are the same sandbox. When the last is dropped, with its sessions, everything is rolled
/// back too.
///
/// ```
/// # use sea_dao::{DatabaseConfig, Result, execute_transaction};
/// # use sea_dao::session::{Sandbox, SessionProvider};
/// # use sea_dao::sea_orm::ConnectionTrait;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// # let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// # db.session().execute_unprepared("CREATE TABLE note (text TEXT)").await?;
/// let sandbox = Sandbox::begin(&db).await?;
/// execute_transaction(&sandbox, async |tx| -> Result<()> {
///     tx.execute_unprepared("INSERT INTO note VALUES ('for now')").await?;
///     Ok(())
/// }).await?;
/// assert_eq!(sandbox.session().execute_unprepared("DELETE FROM note").await?.rows_affected(), 1);
/// sandbox.rollback().await?;
/// # Ok(())
/// # }
/// ```
///
/// What it cannot do:
///
/// - Two things at once. While a statement, a stream or a transaction of one session is open, every other session's
///   statement is [`Error::SessionBusy`](crate::Error::SessionBusy), also in another task.
///   [`Propagation::RequiresNew`](super::Propagation::RequiresNew) inside of a transaction is such a case.
/// - Isolation level, access mode and SQLite's mode of a transaction are accepted and do nothing: there is one real
///   transaction, with the database's defaults.
/// - Constraints that are deferred to the commit are not checked: there is none. PostgreSQL's `now()` stands still.
///   Sequences and AUTO_INCREMENT go on and are not undone.
/// - On MySQL and MariaDB, CREATE TABLE and its like are refused, as in every transaction: they would commit. There, a
///   deadlock or a lock wait with somebody outside may end the sandbox.
/// - A connection that dies, a statement's future that is dropped before its answer, or a statement that takes longer than
///   `statement_timeout`, ends the sandbox: everything after it is
///   [`Error::TransactionAborted`](crate::Error::TransactionAborted).
/// - [`sea_orm_connection`](Database::sea_orm_connection) is refused: it would be outside of the sandbox.
/// - On SQLite it holds the write lock: who writes to the same database beside it waits, and fails.
#[derive(Clone)]
pub struct Sandbox {
    database: Database,
}

impl Sandbox {
    /// Takes a connection of `database` and begins the transaction.
    ///
    /// # Errors
    ///
    /// Those of [`Session::begin`]; [`Error::Unsupported`](crate::Error::Unsupported) for a sandbox in a sandbox.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no transaction open.
    #[track_caller]
    pub fn begin(database: &Database) -> impl Future<Output = Result<Self>> + Send + '_ {
        let location = Location::caller();
        async move { Ok(Self { database: database.reserved(location).await? }) }
    }

    /// The sandbox as a database, for code that takes one. [Closing](Database::close) it closes the real one, which waits
    /// for the sandbox to end.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Rolls everything back. What is done in the sandbox afterwards is
    /// [`Error::TransactionEnded`](crate::Error::TransactionEnded).
    ///
    /// # Errors
    ///
    /// [`Error::SessionBusy`](crate::Error::SessionBusy) while a session of it is doing something,
    /// [`Error::TransactionEnded`](crate::Error::TransactionEnded) when called again, or the failure of the ROLLBACK: the
    /// connection is closed then, which rolls back too.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back as well.
    pub async fn rollback(&self) -> Result<()> {
        self.database.end_reserve().await
    }
}

impl SessionProvider for Sandbox {
    fn session(&self) -> Session {
        SessionProvider::session(&self.database)
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sandbox").field(&self.database).finish()
    }
}
