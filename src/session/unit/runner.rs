//! Running the statements of a flush.

use std::sync::atomic::{AtomicBool, Ordering};

use sea_orm::{DbBackend, QueryResult, Statement};

use crate::{
    backend::Capabilities,
    error::{Error, ErrorClass, Result},
    session::{
        Session,
        lease::{Lease, Purpose},
    },
};

/// Runs the statements of a flush on `session`, past what is pending there.
pub(super) struct Runner<'s> {
    session: &'s Session,
    /// Raised while it is not known whether what was sent took effect; only of interest outside of a transaction.
    doubt: &'s AtomicBool,
}

impl<'s> Runner<'s> {
    pub(super) fn new(session: &'s Session, doubt: &'s AtomicBool) -> Self {
        Self { session, doubt }
    }

    pub(super) fn session(&self) -> &Session {
        self.session
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.session.backend()
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.session.capabilities()
    }

    /// Says that what was sent had no effect.
    pub(super) fn took_no_effect(&self) {
        self.doubt.store(false, Ordering::Relaxed);
    }

    /// The rows that the statement gives.
    pub(super) async fn rows(&self, statement: Statement) -> Result<Vec<QueryResult>> {
        let mut lease = self.lease().await?;
        let connection = lease.connection()?;
        self.doubt.store(true, Ordering::Relaxed);
        let result = connection.query_all(statement).await;
        let (rows, _) = self.settle(lease.check(result))?;
        Ok(rows)
    }

    /// How many rows the statement matched.
    pub(super) async fn execute(&self, statement: Statement) -> Result<u64> {
        let mut lease = self.lease().await?;
        let connection = lease.connection()?;
        self.doubt.store(true, Ordering::Relaxed);
        let result = connection.execute(statement).await;
        Ok(self.settle(lease.check(result))?.rows_affected())
    }

    async fn lease(&self) -> Result<Lease> {
        Lease::take(self.session, "a flush", Purpose::Statement).await
    }

    fn settle<T>(&self, result: Result<T>) -> Result<T> {
        match &result {
            // The answer was lost, or could not be understood.
            Ok(_) | Err(Error::StatementTimeout { .. }) => {}
            Err(Error::Database { class: ErrorClass::Disconnect | ErrorClass::Decode, .. }) => {}
            Err(_) => self.took_no_effect(),
        }
        result
    }
}
