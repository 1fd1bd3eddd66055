//! Finding queries that are repeated where one would do.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use tokio::task_local;

use super::{Access, Fingerprint, SqlHook, StatementInfo, StatementKind, StatementOutcome};

/// Finds queries that one session sends again and again with other values, as a loop does that loads the children of
/// each parent one by one (*N + 1 queries*).
///
/// The first time that a session sends more than `limit` queries with the same [fingerprint](Fingerprint), a `tracing`
/// warning with target `sea_dao::n_plus_one` names the query, the count and the caller's line. Statements that do not
/// only read are not counted. Clones share what was found.
///
/// A DAO on a [`Database`](crate::Database) takes a session for each call, so that a loop over its calls repeats nothing in
/// any of them. Where a request or a job begins and ends is known to the program alone: [`as_one_request`] says it.
///
/// A test that must not contain such a loop asks [`check`](Self::check) at its end:
///
/// ```
/// # use sea_dao::{DatabaseConfig, Result};
/// # use sea_dao::sea_orm::{ConnectionTrait, Statement};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").n_plus_one(3).connect().await?;
/// let session = db.session();
/// for id in 0..5 {
///     let child = Statement::from_sql_and_values(db.backend(), "SELECT ?", [id.into()]);
///     session.query_one_raw(child).await?;
/// }
/// let found = db.repeated_queries().check().unwrap_err();
/// assert_eq!(found.queries[0].count, 5);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NPlusOneDetector(Arc<Inner>);

struct Inner {
    limit: u64,
    /// By the number of the session; those begun first go first when there are too many.
    sessions: [Mutex<BTreeMap<u64, Counts>>; SHARDS],
    found: Mutex<HashMap<u64, RepeatedQuery>>,
}

/// How often a session has sent a fingerprint.
type Counts<K = u64> = HashMap<K, u64, foldhash::fast::RandomState>;

/// How often a request has sent a fingerprint, for each detector that was told.
#[derive(Default)]
struct RequestCounts(Mutex<Counts<(usize, u64)>>);

task_local! {
    static REQUEST: RequestCounts;
}

/// Has the [`NPlusOneDetector`] count the queries of all sessions that are used in `work` together, as those of one
/// session: for the handler of a request, or a job. Tasks that `work` spawns are not part of it.
///
/// ```
/// # use sea_dao::{BaseDao, DatabaseConfig, Result, hooks::as_one_request};
/// # use entities::country;
/// # use migration::MigratorTrait;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let db = DatabaseConfig::new("sqlite::memory:").n_plus_one(3).connect().await?;
/// # migration::Migrator::up(&db.sea_orm_connection().await?, None).await?;
/// let countries = BaseDao::<country::Entity>::new(db.clone());
/// let request = async {
///     for code in ["NO", "SE", "DK", "FI"] {
///         countries.find_by_id(code).await?;
///     }
///     Ok::<(), sea_dao::Error>(())
/// };
/// as_one_request(request).await?;
/// assert!(db.repeated_queries().check().is_err());
/// # Ok(())
/// # }
/// ```
pub fn as_one_request<F: Future>(work: F) -> impl Future<Output = F::Output> {
    REQUEST.scope(RequestCounts::default(), work)
}

const SHARDS: usize = 16;
const MOST_SESSIONS_IN_SHARD: usize = 256;
const MOST_FINGERPRINTS: usize = 256;

/// A query that was repeated.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RepeatedQuery {
    /// What its repetitions have in common.
    pub fingerprint: Arc<Fingerprint>,
    /// The most that one session, or request, has sent.
    pub count: u64,
    /// How many sessions, or requests, sent more than the limit.
    pub sessions: u64,
    /// The line of the caller's where it was found first.
    pub location: Option<String>,
}

impl fmt::Display for RepeatedQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fingerprint, count, sessions, location } = self;
        write!(f, "{count} times in one session or request, in {sessions} of them")?;
        if let Some(location) = location {
            write!(f, ", at {location}")?;
        }
        write!(f, ": {fingerprint}")
    }
}

/// Queries were repeated more often than allowed.
#[derive(Debug, Clone, Serialize, thiserror::Error)]
#[error("queries that are repeated where one would do:{}", listed(.queries))]
#[non_exhaustive]
pub struct NPlusOneFound {
    /// The most often repeated first.
    pub queries: Vec<RepeatedQuery>,
}

fn listed(queries: &[RepeatedQuery]) -> String {
    queries.iter().map(|query| format!("\n  {query}")).collect()
}

impl NPlusOneDetector {
    /// Allows `limit` queries with the same fingerprint in a session; with 0 nothing is looked at.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self(Arc::new(Inner { limit, sessions: Default::default(), found: Mutex::default() }))
    }

    /// Whether anything is looked at.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.0.limit > 0
    }

    /// How many queries with the same fingerprint a session may send.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.0.limit
    }

    /// What was found since the last [`clear`](Self::clear), the most often repeated first.
    #[must_use]
    pub fn found(&self) -> Vec<RepeatedQuery> {
        let mut found: Vec<RepeatedQuery> = lock(&self.0.found).values().cloned().collect();
        found.sort_by_key(|query| std::cmp::Reverse(query.count));
        found
    }

    /// Fails when anything was found: for tests.
    ///
    /// # Errors
    ///
    /// [`NPlusOneFound`] with what was found.
    pub fn check(&self) -> Result<(), NPlusOneFound> {
        match self.found() {
            found if found.is_empty() => Ok(()),
            queries => Err(NPlusOneFound { queries }),
        }
    }

    /// Forgets what was found.
    pub fn clear(&self) {
        lock(&self.0.found).clear();
    }

    /// How often the request, or else the session, has sent the fingerprint, this time included.
    fn count(&self, session: u64, fingerprint: u64) -> u64 {
        let own = Arc::as_ptr(&self.0).addr();
        let in_request = REQUEST.try_with(|request| raise(&mut lock(&request.0), (own, fingerprint)));
        in_request.unwrap_or_else(|_| self.count_in_session(session, fingerprint))
    }

    fn count_in_session(&self, session: u64, fingerprint: u64) -> u64 {
        let mut sessions = lock(self.shard(session));
        if !sessions.contains_key(&session) && sessions.len() >= MOST_SESSIONS_IN_SHARD {
            sessions.pop_first();
        }
        raise(sessions.entry(session).or_default(), fingerprint)
    }

    fn shard(&self, session: u64) -> &Mutex<BTreeMap<u64, Counts>> {
        &self.0.sessions[session as usize % SHARDS]
    }
}

impl SqlHook for NPlusOneDetector {
    fn after(&self, statement: &StatementInfo<'_>, _: &StatementOutcome<'_>) {
        let Some(session) = statement.session.filter(|_| self.is_enabled()) else { return };
        if !matches!(statement.kind, StatementKind::Query | StatementKind::Stream) {
            return;
        }
        let fingerprint = statement.fingerprint();
        if fingerprint.access != Access::Read {
            return;
        }
        let count = self.count(session, fingerprint.id);
        if count <= self.0.limit {
            return;
        }
        let is_new = count == self.0.limit + 1;
        let location = statement.location.map(ToString::to_string);
        if is_new {
            tracing::warn!(
                target: "sea_dao::n_plus_one",
                session,
                count,
                location,
                "the same query again and again in one session or request, where one query for all might do: {fingerprint}"
            );
        }
        let mut found = lock(&self.0.found);
        if found.len() >= MOST_FINGERPRINTS && !found.contains_key(&fingerprint.id) {
            return;
        }
        let query = found.entry(fingerprint.id).or_insert_with(|| RepeatedQuery {
            fingerprint: fingerprint.clone(),
            count,
            sessions: 0,
            location,
        });
        query.count = query.count.max(count);
        query.sessions += u64::from(is_new);
    }

    fn session_ended(&self, session: u64) {
        if self.is_enabled() {
            lock(self.shard(session)).remove(&session);
        }
    }
}

impl fmt::Debug for NPlusOneDetector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NPlusOneDetector").field("limit", &self.0.limit).field("found", &self.found()).finish()
    }
}

/// One more of these; zero when there are too many different ones to count this too.
fn raise<K: Eq + Hash>(counts: &mut Counts<K>, key: K) -> u64 {
    if counts.len() >= MOST_FINGERPRINTS && !counts.contains_key(&key) {
        return 0;
    }
    let count = counts.entry(key).or_default();
    *count += 1;
    *count
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
