//! The handle of a session.

use std::{
    fmt, mem,
    panic::Location,
    sync::{Arc, Mutex, PoisonError},
};

use sea_orm::DbBackend;

use super::{caller::current, core::Core};
use crate::{
    backend::Capabilities,
    error::{Error, Result},
    hooks::Observation,
    pool::Pool,
};

/// When pending writes go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushMode {
    /// Before each statement of the session, be it a read or not, at [`Session::flush`], and at commit.
    #[default]
    Auto,
    /// Only at [`Session::flush`] and at commit.
    Manual,
}

/// One connection for the length of a piece of work: a request, a job, a transaction.
///
/// The connection is taken at the first statement and given back when the session is dropped. A session is a SeaORM
/// connection: every SeaORM call works on it. It is also a [provider](super::SessionProvider) of itself, so that a DAO
/// runs [within](crate::BaseDao::within) it.
///
/// A session runs one statement at a time. A second one meanwhile, from another task or while a stream is open, is
/// refused with [`Error::SessionBusy`]; it never waits and never mixes answers.
///
/// A session that [`begin`](Self::begin) returned is a transaction: it is [committed](Self::commit),
/// [rolled back](Self::rollback), or rolled back when dropped.
///
/// ```
/// # use sea_dao::{DatabaseConfig, Result};
/// # use sea_dao::sea_orm::ConnectionTrait;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// let session = db.session();
/// session.execute_unprepared("CREATE TABLE note (text TEXT)").await?;
///
/// let tx = session.begin().await?;
/// tx.execute_unprepared("INSERT INTO note VALUES ('kept')").await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Session {
    pub(super) core: Arc<Core>,
    /// The transaction that this handle stands for; `None` for the session outside of any.
    pub(super) scope: Option<u64>,
    /// Dropping the handle rolls its transaction back.
    pub(super) ends_scope: bool,
    /// Dropping the handle ends the session.
    pub(super) ends_session: bool,
    /// Pending writes go out before this handle's statements.
    pub(super) autoflush: bool,
    /// Its transactions are a flush's own.
    pub(super) flushing: bool,
    /// The [`Current`](super::Current) that it came from: its transactions become that one's.
    pub(super) ambient: Option<u64>,
    /// The session's flush mode that comes back when the handle is dropped.
    flush_mode_before: Option<FlushMode>,
    /// The line of the caller's that this handle's statements come from, when it is known.
    pub(super) location: Option<&'static Location<'static>>,
    /// The statement whose rows are being decoded, on a handle that is dropped when they are.
    decoding: Option<Mutex<Observation>>,
}

impl Session {
    pub(crate) fn new(pool: Pool, location: &'static Location<'static>) -> Self {
        Self {
            core: Core::new(pool, location),
            scope: None,
            ends_scope: false,
            ends_session: true,
            autoflush: true,
            flushing: false,
            ambient: None,
            flush_mode_before: None,
            location: Some(location),
            decoding: None,
        }
    }

    /// Another handle of the same session and transaction, which ends neither.
    pub(crate) fn share(&self) -> Self {
        Self {
            core: self.core.clone(),
            scope: self.scope,
            ends_scope: false,
            ends_session: false,
            autoflush: self.autoflush,
            flushing: false,
            ambient: self.ambient,
            flush_mode_before: None,
            location: self.location,
            decoding: None,
        }
    }

    /// A new session on another connection.
    pub(super) fn sibling(&self, location: &'static Location<'static>) -> Self {
        let mut sibling = Self::new(self.core.pool.clone(), location);
        sibling.ambient = self.ambient;
        sibling
    }

    /// Lets the session's transactions be current for those who ask the `Current` with this key.
    pub(super) fn of_current(mut self, key: u64) -> Self {
        self.ambient = Some(key);
        self
    }

    /// A shared handle before whose statements nothing is flushed.
    pub(super) fn quiet(&self) -> Self {
        let mut quiet = self.share();
        quiet.autoflush = false;
        quiet
    }

    /// The session's number, unique in the process; hooks are told the same.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.core.id
    }

    /// Whether this handle stands for a transaction that has not ended.
    #[must_use]
    pub fn is_in_transaction(&self) -> bool {
        let state = self.core.lock();
        self.scope.is_some_and(|id| state.scopes.iter().any(|scope| scope.id == id))
    }

    /// SeaORM's name for the database.
    #[must_use]
    pub fn backend(&self) -> DbBackend {
        self.core.pool.backend()
    }

    /// What the database can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.core.pool.capabilities()
    }

    /// When pending writes go out.
    #[must_use]
    pub fn flush_mode(&self) -> FlushMode {
        self.core.lock().flush_mode
    }

    /// Says when pending writes go out, for all handles of the session.
    pub fn set_flush_mode(&self, mode: FlushMode) {
        self.core.lock().flush_mode = mode;
    }

    /// Whether the connection goes back to the pool after each statement outside of a transaction, and not only when
    /// the session ends. For sessions that are idle for long.
    pub fn release_after_statement(&self, release: bool) {
        let connection = {
            let mut state = self.core.lock();
            state.release_after_statement = release;
            if release && state.scopes.is_empty() { state.take_held() } else { None }
        };
        drop(connection);
    }

    /// Runs `work` on a handle of this session before whose statements nothing is flushed.
    ///
    /// # Errors
    ///
    /// What `work` returns.
    pub async fn no_autoflush<T, E>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, E>) -> Result<T, E> {
        work(&self.quiet()).await
    }

    pub(super) fn flush_mode_until_dropped(&mut self, mode: FlushMode) {
        self.flush_mode_before = Some(self.flush_mode());
        self.set_flush_mode(mode);
    }

    /// Says which line the statements of this handle come from, and where the session was made, unless it is shared
    /// already.
    pub(crate) fn located_at(mut self, location: &'static Location<'static>) -> Self {
        if let Some(core) = Arc::get_mut(&mut self.core) {
            core.location = location;
        }
        self.location = Some(location);
        self
    }

    /// Says that the line where the session was made is not the caller's; it may be known otherwise.
    pub(super) fn unlocated(mut self) -> Self {
        self.location = current();
        self
    }

    /// Gives the connection back after the next statement, unless the session is shared. The handle is to be dropped as
    /// soon as the statement's rows are decoded: that is how long decoding took.
    pub(crate) fn for_one_statement(mut self) -> Self {
        if let Some(core) = Arc::get_mut(&mut self.core) {
            core.release_after_statement();
        }
        self.decoding = Some(Mutex::default());
        self
    }

    /// The rows of a statement have arrived.
    pub(super) fn arrived(&self, statement: Observation) {
        if let Some(decoding) = &self.decoding {
            // What stood there before is over and tells the hooks, without the lock.
            let earlier = mem::replace(&mut *decoding.lock().unwrap_or_else(PoisonError::into_inner), statement);
            drop(earlier);
        }
    }

    /// Whether the session goes on when this handle is dropped.
    pub(crate) fn is_shared(&self) -> bool {
        !self.ends_session
    }

    pub(super) fn owned_scope(&self) -> Result<u64> {
        match self.scope {
            None => Err(Error::NoTransaction),
            Some(_) if !self.ends_scope => Err(Error::NotTransactionOwner),
            Some(id) => Ok(id),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(decoding) = self.decoding.take() {
            decoding.into_inner().unwrap_or_else(PoisonError::into_inner).decoded();
        }
        if self.ends_scope
            && let Some(id) = self.scope
        {
            self.core.abandon(id);
        }
        if let Some(mode) = self.flush_mode_before {
            self.set_flush_mode(mode);
        }
        if self.ends_session {
            self.core.close();
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("transaction", &self.scope).finish_non_exhaustive()
    }
}
