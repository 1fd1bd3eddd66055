//! Which database, and everything about the connections to it.

use std::{collections::HashMap, env, fmt, path::Path, time::Duration};

use super::{
    PoolConfig, PrePing,
    layers::{Layers, Sources},
    names::refuse_misspelt,
    redact_url,
    url::url_of,
    watching::Watching,
};
use crate::{
    error::{Error, Result},
    hooks::ValueDisplay,
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
    pub(super) watching: Watching,
}

impl DatabaseConfig {
    /// For the database at `url`: `postgres://…`, `mysql://…`, `sqlite:path` or `sqlite::memory:`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), pool: PoolConfig::default(), watching: Watching::default() }
    }

    /// With settings from environment variables; SQLite in memory when none names a database.
    ///
    /// `DATABASE_URL` or `DB_URL`, or else `DB_TYPE` (`postgres`, `mysql`, `mariadb`, `sqlite`), `DB_HOST`, `DB_PORT`,
    /// `DB_USER`, `DB_PASSWORD` and `DB_NAME`. The settings of [`PoolConfig`] by their names behind `DB_`, such as
    /// `DB_POOL_SIZE` and `DB_POOL_TIMEOUT`; `DB_SLOW_THRESHOLD`, `DB_SLOW_INTERVAL` and `DB_SLOW_VALUES` (`hidden`,
    /// `shown`); `DB_STATEMENT_STATISTICS`, `DB_N_PLUS_ONE` and `DB_HISTORY`. Durations are in seconds. Other variables
    /// are other programs' and not looked at.
    ///
    /// Beside a URL, `DB_PASSWORD` is the password of one that has none; SQLite takes `DB_NAME` alone.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the setting, its value and what would have been accepted; also for parts that name no
    /// database, such as `DB_HOST` without `DB_TYPE`.
    pub fn from_env() -> Result<Self> {
        Self::from_sources(Sources { file: None, variables: vec![environment()?] })
    }

    /// With settings from a TOML file, by the names of [`from_env`](Self::from_env) in lower case and without `DB_`;
    /// environment variables are laid over it.
    ///
    /// Where both name a database, that of the environment counts: its URL or its `type` takes the place of the file's
    /// URL, with the parts that stand beside that; its URL takes the place of the file's parts; its parts are laid over
    /// the file's parts one by one. `DB_PASSWORD` alone is the password of the file's URL. Any other part alone, such as
    /// `DB_HOST`, beside the file's URL is an error.
    ///
    /// ```toml
    /// url = "postgres://ada@localhost/app"
    /// pool_size = 20
    /// pool_timeout = 5
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the setting, its value and what would have been accepted; also for a setting that is not
    /// known, with the nearest that is.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_sources(Sources { file: Some(path.as_ref()), variables: vec![environment()?] })
    }

    /// With settings from a file of environment variables, as `.env`; those of the process are laid over it as over
    /// those of [`from_file`](Self::from_file).
    ///
    /// # Errors
    ///
    /// Those of [`from_env`](Self::from_env), and [`Error::Config`] for a file that cannot be read, or with a variable
    /// that is all but one of those, such as `DB_POOL_SIZ` or `DB_USERNAME`.
    pub fn from_env_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bad =
            |error| Error::config("file", path.display(), format!("a readable file of NAME=value lines ({error})"));
        let mut variables = HashMap::new();
        for line in dotenvy::from_path_iter(path).map_err(|error| bad(error.to_string()))? {
            // The line itself is not shown: it may hold a password.
            let (name, value) = line.map_err(|_| bad("a line cannot be read".to_owned()))?;
            variables.insert(name, value);
        }
        refuse_misspelt(path, variables.keys())?;
        Self::from_sources(Sources { file: None, variables: vec![variables, environment()?] })
    }

    fn from_sources(sources: Sources<'_>) -> Result<Self> {
        let mut layers = Layers::read(sources)?;
        let url = url_of(&mut layers)?;
        let mut config = Self::new(url.map_or_else(|| "sqlite::memory:".to_owned(), |url| url.trim().to_owned()));
        let pool = &mut config.pool;
        set(&mut pool.pool_size, layers.number("pool_size", 1..=PoolConfig::MOST)?);
        set(&mut pool.max_overflow, layers.number("max_overflow", 0..=PoolConfig::MOST)?);
        set(&mut pool.pool_timeout, layers.seconds("pool_timeout")?);
        set(&mut pool.pool_recycle, layers.seconds("pool_recycle")?);
        set(&mut pool.pool_pre_ping, layers.pre_ping()?);
        set(&mut pool.pool_order, layers.order()?);
        set(&mut pool.reset_on_return, layers.reset()?);
        set(&mut pool.idle_timeout, layers.seconds("idle_timeout")?.map(Some));
        set(&mut pool.keepalive, layers.seconds("keepalive")?.map(Some));
        set(&mut pool.min_idle, layers.number("min_idle", 0..=PoolConfig::MOST)?);
        set(&mut pool.connect_timeout, layers.seconds("connect_timeout")?);
        set(&mut pool.statement_timeout, layers.seconds("statement_timeout")?.map(Some));
        set(&mut pool.after_connect, layers.texts("after_connect")?);
        set(&mut pool.leak_threshold, layers.seconds("leak_threshold")?.map(Some));
        set(&mut pool.leak_count, layers.number("leak_count", 0..=PoolConfig::MOST)?.map(Some));
        set(&mut pool.echo, layers.flag("echo")?);
        set(&mut pool.echo_pool, layers.flag("echo_pool")?);
        let watching = &mut config.watching;
        set(&mut watching.slow_threshold, layers.seconds("slow_threshold")?.map(Some));
        set(&mut watching.slow_interval, layers.seconds("slow_interval")?);
        let values = [("hidden", ValueDisplay::Hidden), ("shown", ValueDisplay::Shown)];
        set(&mut watching.slow_values, layers.choice("slow_values", &values)?);
        set(&mut watching.statement_statistics, layers.number("statement_statistics", 0..=1_000_000)?);
        set(&mut watching.history, layers.seconds("history")?);
        set(&mut watching.n_plus_one, layers.number("n_plus_one", 0..=u64::MAX)?);
        config.pool.validate()?;
        Ok(config)
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
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig")
            .field("url", &self.redacted_url())
            .field("pool", &self.pool)
            .field("watching", &self.watching)
            .finish()
    }
}

fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// The process's variables that matter here.
fn environment() -> Result<HashMap<String, String>> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name == "DATABASE_URL" || name.starts_with("DB_"))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Error::config("environment", format!("{name} (not Unicode)"), "Unicode")),
        })
        .collect()
}
