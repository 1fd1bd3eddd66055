//! Running an upsert: in a transaction, and again when somebody else was faster.

use std::time::Duration;

use sea_orm::{ActiveModelBehavior, EntityTrait, IntoActiveModel};

use super::{
    super::{
        engine::{Written, write_ready},
        operation::Operation,
        rows::Row,
    },
    plan::{Plan, failed},
    rows::Ready,
};
use crate::{
    error::{Error, ErrorClass, Result},
    session::Session,
};

/// Each one that fails means that somebody else has got on.
const ATTEMPTS: u32 = 10;

/// The longest pause after a deadlock, so that those who collided do not meet again.
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// So many rows of different columns are locked before they are written; more only after a deadlock.
const LOCKED_AT_FIRST: usize = 1_024;

/// What was written, with the rows in the order in which they were given.
pub(super) type Outcome<E> = Written<E>;

/// Why an attempt failed.
pub(super) enum Failure {
    /// What is in the way of a row has changed meanwhile; with the error when that does not end.
    Raced(Error),
    Failed(Error),
}

impl<X: Into<Error>> From<X> for Failure {
    fn from(error: X) -> Self {
        Self::Failed(error.into())
    }
}

/// One attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// From 1.
    pub(super) number: u32,
    /// In a transaction that goes on afterwards, and may see what was there when it began.
    pub(super) in_outer: bool,
    /// The rows are asked for.
    pub(super) returning: bool,
}

impl Attempt {
    pub(super) fn insert(self) -> Operation {
        if self.returning { Operation::InsertReturning } else { Operation::Insert }
    }
}

impl<E> Plan<E>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<E::ActiveModel> + Sync,
    E::ActiveModel: ActiveModelBehavior + Send + Sync,
{
    pub(super) async fn run(self, models: Vec<E::ActiveModel>, returning: bool) -> Result<Outcome<E>> {
        self.run_all(models, returning).await.map_err(failed::<E>)
    }

    async fn run_all(&self, models: Vec<E::ActiveModel>, returning: bool) -> Result<Outcome<E>> {
        self.check()?;
        if models.is_empty() {
            return Ok(Written::none());
        }
        let session = self.dao.session();
        if self.dao.callbacks.is_empty() {
            return self.run_on(&session, models, returning).await;
        }
        let in_outer = session.is_in_transaction();
        for _ in 1..ATTEMPTS {
            match self.run_guarded(&session, models.clone(), returning).await {
                Err(error) if !in_outer && may_pass(&error) => pause().await,
                done => return done,
            }
        }
        self.run_guarded(&session, models, returning).await
    }

    async fn run_guarded(&self, session: &Session, models: Vec<E::ActiveModel>, returning: bool) -> Result<Outcome<E>> {
        let guarded = self.dao.callbacks.guard(session.share()).await?;
        let written = self.run_on(guarded.session(), models, returning).await;
        guarded.end(written).await
    }

    async fn run_on(&self, session: &Session, models: Vec<E::ActiveModel>, returning: bool) -> Result<Outcome<E>> {
        let ready = self.prepare(session, models).await?;
        // The callbacks are shown the rows.
        let returning = returning || !self.dao.callbacks.is_empty();
        let mut attempt = Attempt { number: 1, in_outer: session.is_in_transaction(), returning };
        loop {
            let error = match self.attempt(session, &ready, attempt).await {
                Ok(mut written) => {
                    written.rows.sort_unstable_by_key(|(index, _)| *index);
                    return Ok(written);
                }
                Err(Failure::Raced(error)) => error,
                Err(Failure::Failed(error)) if !attempt.in_outer && may_pass(&error) => {
                    pause().await;
                    error
                }
                Err(Failure::Failed(error)) => return Err(error),
            };
            if attempt.number == ATTEMPTS {
                return Err(error);
            }
            attempt.number += 1;
        }
    }

    async fn attempt(&self, session: &Session, ready: &Ready<E>, attempt: Attempt) -> Result<Outcome<E>, Failure> {
        let capabilities = session.capabilities();
        let one_statement = ready.is_one() && (!self.splits(session) || ready.targeted.is_empty());
        // The entity, which is told of rows that come back, may refuse; outside of a transaction that is after the fact.
        let may_fail = capabilities.failure_aborts_transaction || attempt.returning;
        if one_statement && !(attempt.in_outer && may_fail) {
            return self.write(session, ready, attempt).await;
        }
        let tx = session.begin().await?;
        match self.write(&tx, ready, attempt).await {
            Ok(written) => {
                tx.commit().await?;
                Ok(written)
            }
            Err(failure) => {
                tx.rollback_or_report().await;
                Err(failure)
            }
        }
    }

    async fn write(&self, session: &Session, ready: &Ready<E>, attempt: Attempt) -> Result<Outcome<E>, Failure> {
        let mut written = Written::none();
        let count: usize = ready.targeted.iter().map(|group| group.rows.len()).sum();
        let locks = session.capabilities().concurrent_writers && !self.splits(session) && ready.targeted.len() > 1;
        if locks && (attempt.number > 1 || count <= LOCKED_AT_FIRST) {
            self.lock_in_order(session, &ready.targeted).await?;
        }
        for group in &ready.targeted {
            let part = match self.splits(session) {
                true => self.write_split(session, group, attempt).await?,
                false => self.write_on_conflict(session, group, attempt).await?,
            };
            written.absorb(part);
        }
        if !ready.free.is_empty() {
            let before = written.rows.len();
            let free = ready.free.iter().map(Row::copy).collect();
            written.absorb(write_ready(&self.dao, attempt.insert(), session, free).await?);
            self.call_after_insert(session, &written.rows[before..]).await?;
        }
        Ok(written)
    }

    /// Whether the rows that are there are told from the others before anything is written: where INSERT cannot do it, and
    /// for callbacks, each of which is about one of the two.
    pub(super) fn splits(&self, session: &Session) -> bool {
        !session.capabilities().on_conflict || !self.dao.callbacks.is_empty()
    }
}

async fn pause() {
    tokio::time::sleep(LONGEST_PAUSE.mul_f64(fastrand::f64())).await;
}

/// Whether a whole transaction may do better when it is run again at once.
fn may_pass(error: &Error) -> bool {
    matches!(error.class(), Some(ErrorClass::Deadlock | ErrorClass::SerializationFailure))
}
