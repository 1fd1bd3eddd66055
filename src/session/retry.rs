//! Running a transaction again when the database could not keep it apart from others.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    RepeatableAsyncFunc, Session, SessionProvider, TransactionBuilder, core::Failed, transaction::LivenessCheck,
};
use crate::error::{Error, ErrorClass, Result};

/// Which lost connections are worth another attempt. The database undoes what a lost connection had not committed, so that
/// nothing is done twice; a COMMIT whose answer was lost ([`Error::CommitUnknown`]) is never tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RetryDisconnects {
    /// None.
    Never,
    /// Those that were lost before the first statement of the transaction was answered: the server was restarted, or the
    /// connection was cut, while nobody used it.
    #[default]
    BeforeFirstStatement,
    /// Those that were lost at any time before COMMIT was sent. Costs a round trip before each COMMIT, which tells a
    /// connection that is dead already from one that dies with the COMMIT.
    BeforeCommit,
}

/// When a transaction is run again, how often, and after which pause.
///
/// Tried again are serialization failures (40001) and deadlocks (40P01, 1213), at COMMIT too; locks that were not had in
/// time (55P03, 1205, SQLite's "database is locked"); and [lost connections](RetryDisconnects). The callback's own errors
/// are not: what counts is that the transaction's last statement failed in one of these ways, whatever error the callback
/// made of it.
///
/// The pause before attempt *n* + 1 is `base_delay` × `factor`ⁿ⁻¹, at most `max_delay`, of which a random part of up to
/// `jitter` is left out, so that those who collided do not meet again.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::RetryPolicy;
///
/// let policy = RetryPolicy::default()
///     .attempts(5)
///     .budget(Duration::from_secs(3))
///     .on_retry(|retry| eprintln!("attempt {} failed: {}", retry.attempt, retry.error));
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    attempts: u32,
    base_delay: Duration,
    factor: f64,
    max_delay: Duration,
    jitter: f64,
    budget: Duration,
    lock_timeouts: bool,
    disconnects: RetryDisconnects,
    on_retry: Option<Arc<OnRetry>>,
}

type OnRetry = dyn Fn(&RetryEvent<'_>) + Send + Sync;

/// An attempt that failed and is followed by another.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RetryEvent<'e> {
    /// The attempt that failed, from 1.
    pub attempt: u32,
    /// What the database, or the way to it, said.
    pub error: &'e Error,
    /// The pause before the next attempt.
    pub delay: Duration,
}

impl Default for RetryPolicy {
    /// 10 attempts within 30 s, 10 ms and then twice as long each time, at most 1 s, with full jitter.
    fn default() -> Self {
        Self {
            attempts: 10,
            base_delay: Duration::from_millis(10),
            factor: 2.0,
            max_delay: Duration::from_secs(1),
            jitter: 1.0,
            budget: Duration::from_secs(30),
            lock_timeouts: true,
            disconnects: RetryDisconnects::default(),
            on_retry: None,
        }
    }
}

impl RetryPolicy {
    /// The most attempts, the first included; at least 1. Default 10.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The pause after the first attempt. Default 10 ms.
    #[must_use]
    pub fn base_delay(mut self, delay: Duration) -> Self {
        self.base_delay = delay;
        self
    }

    /// How many times longer each pause is than the one before; at least 1. Default 2.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// The longest pause. Default 1 s.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// How much of a pause is up to chance: 0 none of it, 1 all of it. Default 1.
    #[must_use]
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction;
        self
    }

    /// No attempt is begun later than this after the first. Default 30 s.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = budget;
        self
    }

    /// Whether a lock that was not had in time is worth another attempt. Default true.
    #[must_use]
    pub fn lock_timeouts(mut self, retry: bool) -> Self {
        self.lock_timeouts = retry;
        self
    }

    /// Which lost connections are worth another attempt. Default: those lost before the first statement.
    #[must_use]
    pub fn disconnects(mut self, disconnects: RetryDisconnects) -> Self {
        self.disconnects = disconnects;
        self
    }

    /// Is told of each attempt that failed and is followed by another. It must not block.
    #[must_use]
    pub fn on_retry(mut self, hook: impl Fn(&RetryEvent<'_>) + Send + Sync + 'static) -> Self {
        self.on_retry = Some(Arc::new(hook));
        self
    }

    fn validate(&self) -> Result<()> {
        if self.attempts == 0 {
            return Err(Error::argument("attempts", self.attempts, "at least 1"));
        }
        if !(1.0..=1e6).contains(&self.factor) {
            return Err(Error::argument("factor", self.factor, "1 to 1 000 000"));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            return Err(Error::argument("jitter", self.jitter, "0 to 1"));
        }
        Ok(())
    }

    fn covers(&self, failed: &Failed) -> bool {
        match failed.error.class() {
            Some(ErrorClass::SerializationFailure | ErrorClass::Deadlock) => true,
            Some(ErrorClass::LockTimeout) => self.lock_timeouts,
            Some(ErrorClass::Disconnect) => match self.disconnects {
                RetryDisconnects::Never => false,
                RetryDisconnects::BeforeFirstStatement => failed.at_first_statement,
                RetryDisconnects::BeforeCommit => true,
            },
            _ => false,
        }
    }

    /// The longest pause after this many attempts.
    fn longest_pause(&self, attempts: u32) -> Duration {
        if self.base_delay.is_zero() {
            return Duration::ZERO;
        }
        let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = self.base_delay.as_secs_f64() * self.factor.powi(exponent);
        // Beyond what a `Duration` holds, the maximum is the shorter one.
        Duration::try_from_secs_f64(seconds).map_or(self.max_delay, |pause| pause.min(self.max_delay))
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, base_delay, factor, max_delay, jitter, budget, lock_timeouts, disconnects, on_retry } =
            self;
        f.debug_struct("RetryPolicy")
            .field("attempts", attempts)
            .field("base_delay", base_delay)
            .field("factor", factor)
            .field("max_delay", max_delay)
            .field("jitter", jitter)
            .field("budget", budget)
            .field("lock_timeouts", lock_timeouts)
            .field("disconnects", disconnects)
            .field("on_retry", &on_retry.is_some())
            .finish()
    }
}

/// The attempts at one transaction.
struct Attempts<'p> {
    policy: &'p RetryPolicy,
    started: Instant,
    made: u32,
}

impl Attempts<'_> {
    /// Waits before the next attempt; `false` when there is none.
    async fn again(&mut self, failed: Option<Failed>) -> bool {
        let Some(failed) = failed.filter(|failed| self.policy.covers(failed)) else { return false };
        self.made += 1;
        let longest = self.policy.longest_pause(self.made);
        let delay = part_of(longest, 1.0 - self.policy.jitter * fastrand::f64());
        if self.made >= self.policy.attempts || self.started.elapsed().saturating_add(delay) > self.policy.budget {
            return false;
        }
        let event = RetryEvent { attempt: self.made, error: &failed.error, delay };
        tracing::debug!(target: "sea_dao::session", attempt = event.attempt, error = %event.error, ?delay, "transaction is run again");
        if let Some(hook) = &self.policy.on_retry {
            hook(&event);
        }
        sleep(delay).await;
        true
    }
}

/// `part` is from 0 to 1.
fn part_of(whole: Duration, part: f64) -> Duration {
    // The longest `Duration` is rounded up to one that is none.
    Duration::try_from_secs_f64(whole.as_secs_f64() * part).map_or(whole, |pause| pause.min(whole))
}

/// A transaction that is run again when it fails in a way that may pass; made by [`TransactionBuilder::retry`].
#[derive(Debug)]
#[must_use = "a transaction does nothing until it is run"]
pub struct RetryingTransaction<'p, P: ?Sized> {
    builder: TransactionBuilder<'p, P>,
    policy: RetryPolicy,
}

impl<'p, P: SessionProvider + ?Sized> RetryingTransaction<'p, P> {
    pub(super) fn new(mut builder: TransactionBuilder<'p, P>, policy: RetryPolicy) -> Self {
        if policy.disconnects == RetryDisconnects::BeforeCommit {
            builder.settings.liveness_check = LivenessCheck::Ping;
        }
        Self { builder, policy }
    }

    /// Runs `callback` in a transaction, and again in a new one while the policy says so.
    ///
    /// Each attempt begins with nothing of the one before: what it wrote and what was pending in it is gone, and its
    /// [`after_rollback`](Session::after_rollback) callbacks run. What `callback` does outside of the database is its own
    /// business; it must bear being done again. When there are no more attempts, the last one's error is returned as it was.
    ///
    /// On a provider that is in a transaction already, `callback` runs once, behind a savepoint: only the outermost
    /// transaction can be run again, by whoever began it.
    ///
    /// # Errors
    ///
    /// Those of [`TransactionBuilder::run`]; [`Error::InvalidArgument`] for a policy that makes no sense.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future rolls back, unless COMMIT is under way, and ends the attempts.
    #[expect(clippy::manual_async_fn, reason = "the future has to be Send in generic callers too")]
    pub fn run<T, E, F>(self, callback: F) -> impl Future<Output = Result<T, E>> + Send
    where
        T: Send,
        E: From<Error> + Send,
        for<'t> F: AsyncFn(&'t Session) -> Result<T, E>
            + RepeatableAsyncFunc<&'t Session, Result<T, E>, Fut: Send>
            + Send
            + Sync,
    {
        async move {
            let Self { builder, policy } = self;
            policy.validate()?;
            let mut attempts = Attempts { policy: &policy, started: Instant::now(), made: 0 };
            loop {
                let stage = match builder.enter().await {
                    Ok(stage) => stage,
                    Err(refused) => {
                        let failed = Failed { error: refused.error.clone(), at_first_statement: true };
                        if refused.outermost && attempts.again(Some(failed)).await {
                            continue;
                        }
                        return Err(refused.error.into());
                    }
                };
                let result = stage.run(callback(stage.session())).await;
                let (result, failed) = stage.leave(result).await;
                // An error of the last attempt is returned as it was.
                if result.is_ok() || !attempts.again(failed).await {
                    return result;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{RetryPolicy, part_of};

    #[test]
    fn pauses_grow_up_to_the_longest_and_never_overflow() {
        let policy = RetryPolicy::default().base_delay(Duration::from_millis(10)).max_delay(Duration::from_millis(65));
        let pauses = [1, 2, 3, 4, 5, u32::MAX].map(|attempts| policy.longest_pause(attempts).as_millis());
        assert_eq!(pauses, [10, 20, 40, 65, 65, 65]);
        let policy = policy.factor(1e6).max_delay(Duration::MAX);
        assert_eq!(policy.longest_pause(u32::MAX), Duration::MAX);
        assert_eq!(part_of(Duration::MAX, 1.0), Duration::MAX);
        assert_eq!(part_of(Duration::from_secs(2), 0.5), Duration::from_secs(1));
        assert_eq!(policy.base_delay(Duration::ZERO).longest_pause(u32::MAX), Duration::ZERO);
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused() {
        assert!(RetryPolicy::default().validate().is_ok());
        for wrong in [
            RetryPolicy::default().attempts(0),
            RetryPolicy::default().factor(0.5),
            RetryPolicy::default().factor(f64::NAN),
            RetryPolicy::default().jitter(1.1),
            RetryPolicy::default().jitter(f64::NAN),
        ] {
            assert!(wrong.validate().is_err(), "{wrong:?}");
        }
    }
}
