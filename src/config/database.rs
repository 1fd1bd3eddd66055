//! Which database, and everything about the connections to it.

use std::{env, fmt, sync::Arc, time::Duration};

use super::{PoolConfig, PrePing, redact_url};
use crate::{
    error::{Error, Result},
    hooks::{Hooks, SlowSqlLog, SqlHook, ValueDisplay},
};

/// Which database, and everything about the connections to it.
///
/// ```
/// use std::time::Duration;
/// use sea_dao::DatabaseConfig;
///
/// let config = DatabaseConfig::new("postgres://ada:secret@localhost/app")
///     .pool_size(10)
///     .slow_threshold(Duration::from_millis(100));
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct DatabaseConfig {
    url: String,
    pool: PoolConfig,
    slow_threshold: Option<Duration>,
    slow_values: ValueDisplay,
    hooks: Vec<Arc<dyn SqlHook>>,
}

impl DatabaseConfig {
    /// The environment variable that [`from_env`](Self::from_env) reads.
    pub const URL_VARIABLE: &str = "DATABASE_URL";

    /// For the database at `url`: `postgres://…`, `mysql://…`, `sqlite:path` or `sqlite::memory:`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            pool: PoolConfig::default(),
            slow_threshold: Some(Duration::from_millis(500)),
            slow_values: ValueDisplay::default(),
            hooks: Vec::new(),
        }
    }

    /// For the database named by the environment variable `DATABASE_URL`; SQLite in memory when it is not set or empty.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] when the variable is not Unicode.
    pub fn from_env() -> Result<Self> {
        match env::var(Self::URL_VARIABLE) {
            Ok(url) if !url.trim().is_empty() => Ok(Self::new(url.trim())),
            Ok(_) | Err(env::VarError::NotPresent) => Ok(Self::new("sqlite::memory:")),
            Err(env::VarError::NotUnicode(_)) => {
                Err(Error::config(Self::URL_VARIABLE, "(not Unicode)", "a database URL"))
            }
        }
    }

    /// Replaces all settings of the pool.
    #[must_use]
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.pool = pool;
        self
    }

    /// Sets [`PoolConfig::pool_size`].
    #[must_use]
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool.pool_size = connections;
        self
    }

    /// Sets [`PoolConfig::max_overflow`].
    #[must_use]
    pub fn max_overflow(mut self, connections: u32) -> Self {
        self.pool.max_overflow = connections;
        self
    }

    /// Sets [`PoolConfig::pool_timeout`].
    #[must_use]
    pub fn pool_timeout(mut self, timeout: Duration) -> Self {
        self.pool.pool_timeout = timeout;
        self
    }

    /// Sets [`PoolConfig::pool_pre_ping`].
    #[must_use]
    pub fn pool_pre_ping(mut self, pre_ping: PrePing) -> Self {
        self.pool.pool_pre_ping = pre_ping;
        self
    }

    /// Statements that take at least this long are logged. Default 500 ms.
    #[must_use]
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.slow_threshold = Some(threshold);
        self
    }

    /// No slow-SQL log.
    #[must_use]
    pub fn no_slow_log(mut self) -> Self {
        self.slow_threshold = None;
        self
    }

    /// How bound values appear in the slow-SQL log. Default: hidden.
    #[must_use]
    pub fn slow_values(mut self, values: ValueDisplay) -> Self {
        self.slow_values = values;
        self
    }

    /// Adds a hook that is called before and after each statement.
    #[must_use]
    pub fn hook(mut self, hook: impl SqlHook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Adds a hook that something else holds too.
    #[must_use]
    pub fn shared_hook(mut self, hook: Arc<dyn SqlHook>) -> Self {
        self.hooks.push(hook);
        self
    }

    /// The URL without its password.
    #[must_use]
    pub fn redacted_url(&self) -> String {
        redact_url(&self.url)
    }

    /// The pool's settings.
    #[must_use]
    pub fn pool_config(&self) -> &PoolConfig {
        &self.pool
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn build_hooks(&self) -> Hooks {
        let mut hooks = self.hooks.clone();
        let threshold = if self.pool.echo { Some(Duration::ZERO) } else { self.slow_threshold };
        if let Some(threshold) = threshold {
            hooks.push(Arc::new(SlowSqlLog::new(threshold).values(self.slow_values)));
        }
        Hooks::new(hooks)
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &self.redacted_url())
            .field("pool", &self.pool)
            .field("slow_threshold", &self.slow_threshold)
            .field("slow_values", &self.slow_values)
            .field("hooks", &self.hooks.len())
            .finish()
    }
}
