//! The frame around a transaction's callback: what is begun or joined before it, and ended after it.

use std::panic::Location;

use super::{
    FlushMode, Propagation, Session, SessionProvider,
    core::{Abort, Failed},
    propagation::with_current,
    transaction::LivenessCheck,
};
use crate::{
    backend::TransactionOptions,
    error::{Error, Result},
};

/// How a transaction is run.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) options: TransactionOptions,
    pub(super) flush_mode: Option<FlushMode>,
    pub(super) propagation: Propagation,
    pub(super) liveness_check: LivenessCheck,
    pub(super) location: &'static Location<'static>,
}

/// Where a callback runs.
#[must_use]
pub(super) struct Stage {
    session: Session,
    role: Role,
    /// Aborts the transaction that was joined, unless the callback succeeds.
    part: Option<Part>,
    liveness_check: LivenessCheck,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// In the session's own transaction.
    Outermost,
    /// Behind a savepoint.
    Nested,
    /// In somebody else's transaction.
    Joined,
    /// In none.
    Plain,
}

/// The callback was not run.
pub(super) struct Refused {
    pub(super) error: Error,
    /// It would have been the session's outermost transaction.
    pub(super) outermost: bool,
}

impl Stage {
    pub(super) async fn enter<P>(provider: &P, settings: &Settings) -> Result<Self, Refused>
    where
        P: SessionProvider + ?Sized,
    {
        let Settings { options, flush_mode, propagation, liveness_check, location } = settings;
        let refused = |error| Refused { error, outermost: false };
        if options.statement_timeout.is_some_and(|limit| limit.is_zero()) {
            return Err(refused(Error::argument("statement_timeout", "0 s", "more than zero")));
        }
        let session = provider.session().located_at(location);
        let (session, role) = match (propagation, session.is_in_transaction()) {
            (Propagation::Nested, true) => (session, Role::Nested),
            (Propagation::RequiresNew, true) => (session.sibling(location), Role::Outermost),
            (Propagation::Nested | Propagation::RequiresNew | Propagation::Required, false) => {
                (session, Role::Outermost)
            }
            (Propagation::Required | Propagation::Mandatory | Propagation::Supports, true) => (session, Role::Joined),
            (Propagation::Supports | Propagation::NotSupported | Propagation::Never, false) => (session, Role::Plain),
            (Propagation::NotSupported, true) => (session.sibling(location), Role::Plain),
            (Propagation::Mandatory, false) => return Err(refused(Error::NoTransaction)),
            (Propagation::Never, true) => return Err(refused(Error::InTransaction)),
        };
        let mut session = match role {
            Role::Outermost | Role::Nested => {
                let begun = session.into_transaction(*options).await;
                begun.map_err(|error| Refused { error, outermost: role == Role::Outermost })?
            }
            Role::Joined | Role::Plain if *options != TransactionOptions::default() => {
                let expected = "none where no transaction is begun";
                return Err(refused(Error::argument("transaction options", format!("{options:?}"), expected)));
            }
            Role::Joined | Role::Plain => session,
        };
        if let Some(mode) = flush_mode {
            session.flush_mode_until_dropped(*mode);
        }
        let part = (role == Role::Joined).then(|| Part { session: session.share(), complete: false });
        Ok(Self { session, role, part, liveness_check: *liveness_check })
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    pub(super) fn into_session(self) -> Session {
        self.session
    }

    /// Runs the callback's future.
    pub(super) async fn run<F: Future + Send>(&self, work: F) -> F::Output {
        match self.session.ambient {
            None => work.await,
            Some(key) => with_current(key, self.session.share(), Box::pin(work)).await,
        }
    }

    /// Ends what was begun, as the callback's result says. With an error of a session's outermost transaction comes the
    /// failure of its last statement, if it ended with one.
    pub(super) async fn leave<T, E: From<Error>>(self, result: Result<T, E>) -> (Result<T, E>, Option<Failed>) {
        let Self { session, role, part, liveness_check } = self;
        let core = session.core.clone();
        let (result, failed) = match (role, result) {
            (Role::Outermost | Role::Nested, Ok(value)) => match session.commit_as(liveness_check).await {
                Ok(()) => return (Ok(value), None),
                Err(error) => {
                    let failed = match &error {
                        // Nobody knows whether it took effect: never again.
                        Error::CommitUnknown { .. } => None,
                        // The failure that the callback swallowed.
                        Error::TransactionAborted { .. } => core.lock().failure.clone(),
                        error => {
                            // A flush may have failed before it sent anything.
                            let noted = core.lock().failure.clone();
                            let noted = noted.filter(|noted| noted.error.class() == error.class());
                            Some(noted.unwrap_or_else(|| Failed { error: error.clone(), at_first_statement: false }))
                        }
                    };
                    (Err(error.into()), failed)
                }
            },
            (Role::Outermost | Role::Nested, Err(error)) => {
                session.rollback_or_report().await;
                (Err(error), core.lock().failure.clone())
            }
            (Role::Joined, result) => {
                if let (Some(mut part), Ok(_)) = (part, &result) {
                    part.complete = true;
                }
                (result, None)
            }
            (Role::Plain, Ok(value)) => (session.flush().await.map(|_| value).map_err(E::from), None),
            (Role::Plain, Err(error)) => (Err(error), None),
        };
        (result, failed.filter(|_| role == Role::Outermost))
    }
}

/// A callback that takes part in somebody else's transaction.
struct Part {
    session: Session,
    complete: bool,
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        let mut state = self.session.core.lock();
        let joined = state.scopes.iter_mut().find(|scope| Some(scope.id) == self.session.scope);
        if let Some(joined) = joined {
            joined.aborted.get_or_insert_with(Abort::incomplete);
        }
    }
}
