//! Resources that are closed in reverse order.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::time::timeout;

use crate::session::Database;

type Close = Box<dyn FnOnce() -> BoxFuture<'static, Result<(), String>> + Send>;
type Progress = Box<dyn Fn(&Closing<'_>) + Send + Sync>;

/// Everything that a program has to close, in the order in which it was started.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::{DatabaseConfig, lifecycle::Lifecycle};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> sea_dao::Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").connect().await?;
/// let mut lifecycle = Lifecycle::new();
/// lifecycle.database("database", db.clone(), Duration::from_secs(10));
/// lifecycle.resource("cache", Duration::from_secs(1), async || -> Result<(), std::io::Error> { Ok(()) });
///
/// let report = lifecycle.close().await;
/// assert!(report.is_clean(), "{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Lifecycle {
    resources: Vec<Resource>,
    progress: Option<Progress>,
}

struct Resource {
    name: String,
    limit: Duration,
    close: Close,
}

/// A resource that is about to be closed, or was.
#[derive(Debug)]
#[non_exhaustive]
pub struct Closing<'a> {
    /// The resource's name.
    pub name: &'a str,
    /// How it went; `None` before.
    pub outcome: Option<&'a Outcome>,
}

/// How closing one resource went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was closed.
    Closed,
    /// Closing it failed, or panicked.
    Failed(String),
    /// It was not closed by its deadline.
    TimedOut,
}

/// How a shutdown went, in the order of closing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LifecycleReport {
    /// Each resource with its outcome and the time it took.
    pub resources: Vec<(String, Outcome, Duration)>,
}

impl Lifecycle {
    /// Without anything to close.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers something that was just started. What `close` gets within `limit` is done; whatever happens, the others
    /// are closed too.
    pub fn resource<F, Fut, E>(&mut self, name: impl Into<String>, limit: Duration, close: F)
    where
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        let close: Close = Box::new(|| close().map(|result| result.map_err(|error| error.to_string())).boxed());
        self.resources.push(Resource { name: name.into(), limit, close });
    }

    /// Registers a database; what it still holds at its deadline is part of the report.
    pub fn database(&mut self, name: impl Into<String>, database: Database, limit: Duration) {
        // Its own deadline comes first, so that it can say who still holds what.
        self.resource(name, limit.saturating_add(Duration::from_secs(1)), move || async move {
            let report = database.close_within(limit).await;
            if report.is_complete() { Ok(()) } else { Err(report.to_string()) }
        });
    }

    /// Calls `progress` before and after each resource is closed. A panic in it is logged, and goes no further.
    pub fn on_progress(&mut self, progress: impl Fn(&Closing<'_>) + Send + Sync + 'static) {
        self.progress = Some(Box::new(progress));
    }

    /// Closes everything, what was registered last first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the rest unclosed.
    pub async fn close(self) -> LifecycleReport {
        let Self { resources, progress } = self;
        let tell = |name: &str, outcome: Option<&Outcome>| {
            let Some(progress) = &progress else { return };
            // What watches must not stop what is watched.
            if catch_unwind(AssertUnwindSafe(|| progress(&Closing { name, outcome }))).is_err() {
                tracing::error!(target: "sea_dao::lifecycle", %name, "the progress callback panicked");
            }
        };
        let mut done = Vec::with_capacity(resources.len());
        for Resource { name, limit, close } in resources.into_iter().rev() {
            tell(&name, None);
            tracing::info!(target: "sea_dao::lifecycle", %name, ?limit, "closing");
            let started = Instant::now();
            let closing = AssertUnwindSafe(async move { close().await }).catch_unwind();
            let outcome = match timeout(limit, closing).await {
                Ok(Ok(Ok(()))) => Outcome::Closed,
                Ok(Ok(Err(error))) => Outcome::Failed(error),
                Ok(Err(_)) => Outcome::Failed("it panicked".to_owned()),
                Err(_) => Outcome::TimedOut,
            };
            let elapsed = started.elapsed();
            tracing::info!(target: "sea_dao::lifecycle", %name, ?outcome, ?elapsed, "closed");
            tell(&name, Some(&outcome));
            done.push((name, outcome, elapsed));
        }
        LifecycleReport { resources: done }
    }
}

impl LifecycleReport {
    /// Everything was closed in time and without an error.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.resources.iter().all(|(_, outcome, _)| *outcome == Outcome::Closed)
    }
}

impl fmt::Display for LifecycleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, outcome, elapsed)) in self.resources.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{name}: ")?;
            match outcome {
                Outcome::Closed => write!(f, "closed in {elapsed:.1?}")?,
                Outcome::Failed(error) => write!(f, "failed after {elapsed:.1?}: {error}")?,
                Outcome::TimedOut => write!(f, "not closed within {elapsed:.1?}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.resources.iter().map(|resource| (&resource.name, resource.limit))).finish()
    }
}
