//! The names of settings, and what somebody may have meant by another one.

use std::path::Path;

use config::{Map, Value};

use crate::error::{Error, Result};

/// Every setting that a file may hold. In the environment their names are upper case behind `DB_`.
const SETTINGS: &[&str] = &[
    "url",
    "type",
    "host",
    "port",
    "user",
    "password",
    "name",
    "pool_size",
    "max_overflow",
    "pool_timeout",
    "pool_recycle",
    "pool_pre_ping",
    "pool_order",
    "reset_on_return",
    "idle_timeout",
    "keepalive",
    "min_idle",
    "connect_timeout",
    "statement_timeout",
    "after_connect",
    "leak_threshold",
    "leak_count",
    "echo",
    "echo_pool",
    "slow_threshold",
    "slow_interval",
    "slow_values",
    "statement_statistics",
    "n_plus_one",
    "history",
];

/// What the same thing is called elsewhere.
const CALLED_ELSEWHERE: &[(&str, &str)] = &[
    ("database_url", "url"),
    ("uri", "url"),
    ("dsn", "url"),
    ("driver", "type"),
    ("hostname", "host"),
    ("username", "user"),
    ("passwd", "password"),
    ("pass", "password"),
    ("database", "name"),
    ("dbname", "name"),
    ("db_name", "name"),
    ("max_connections", "pool_size, beside max_overflow"),
    ("max_pool_size", "pool_size, beside max_overflow"),
    ("min_connections", "min_idle"),
    ("acquire_timeout", "pool_timeout"),
    ("max_lifetime", "pool_recycle"),
    ("sqlx_logging", "echo"),
];

/// A misspelt setting would silently keep its default.
pub(super) fn refuse_unknown(path: &Path, found: &Map<String, Value>) -> Result<()> {
    match found.keys().find(|key| !SETTINGS.contains(&key.as_str())) {
        None => Ok(()),
        Some(unknown) => Err(unknown_setting(unknown, nearest(&unknown.to_lowercase()), path)),
    }
}

/// The same for a file of variables, which may hold those of other programs too: only what is all but a setting's name,
/// or a setting's name elsewhere, is refused.
pub(super) fn refuse_misspelt<'v>(path: &Path, variables: impl Iterator<Item = &'v String>) -> Result<()> {
    for variable in variables {
        let Some(name) = variable.strip_prefix("DB_").map(str::to_lowercase) else { continue };
        // As in DB_HOST_2: no setting has a digit.
        if SETTINGS.contains(&name.as_str()) || name.contains(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let is_near = |setting: &str| strsim::osa_distance(setting, &name) <= if setting.len() > 4 { 2 } else { 1 };
        let near = SETTINGS.iter().copied().find(|setting| is_near(setting));
        if let Some(meant) = called_elsewhere(&name).or(near) {
            return Err(unknown_setting(variable, meant, path));
        }
    }
    Ok(())
}

fn nearest(unknown: &str) -> &'static str {
    let by_letters = || {
        let likeness = |setting: &str| strsim::jaro_winkler(setting, unknown);
        SETTINGS.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
    };
    called_elsewhere(unknown).or_else(by_letters).unwrap_or_default()
}

fn called_elsewhere(name: &str) -> Option<&'static str> {
    CALLED_ELSEWHERE.iter().find(|(elsewhere, _)| *elsewhere == name).map(|(_, here)| *here)
}

fn unknown_setting(unknown: &str, nearest: &str, path: &Path) -> Error {
    let place = format!("{unknown} in {}", path.display());
    Error::config("file", place, format!("a known setting; the nearest is {nearest}"))
}
