//! Settings from files and environment variables, one laid over the other.

use std::{collections::HashMap, fmt::Display, ops::RangeInclusive, path::Path, str::FromStr, time::Duration};

use config::{Config, Environment, File, FileFormat, Map, Value};

use super::{PoolOrder, PrePing, ResetOnReturn};
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

/// The settings found, by name, each taken out once it was read.
pub(super) struct Layers(Map<String, Value>);

/// Where settings come from, the later ones first.
#[derive(Default)]
pub(super) struct Sources<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) environment: HashMap<String, String>,
}

impl Layers {
    pub(super) fn read(sources: Sources<'_>) -> Result<Self> {
        let mut builder = Config::builder();
        if let Some(path) = sources.file {
            let file = File::from(path).format(FileFormat::Toml);
            let read = Config::builder().add_source(file.clone()).build().map_err(|error| unreadable(path, &error))?;
            refuse_unknown(path, &read.cache.into_table().map_err(|error| unreadable(path, &error))?)?;
            builder = builder.add_source(file);
        }
        // Values stay text: a password of digits must not become a number.
        let variables = Environment::with_prefix("DB").source(Some(sources.environment)).ignore_empty(true);
        let all = builder.add_source(variables).build().and_then(|all| all.cache.into_table());
        Ok(Self(all.map_err(|error| Error::config("environment", error, "readable settings"))?))
    }

    pub(super) fn text(&mut self, setting: &'static str) -> Result<Option<String>> {
        let Some(value) = self.0.remove(setting) else { return Ok(None) };
        // The value itself is not shown: it may be a password.
        value.into_string().map(Some).map_err(|_| Error::config(setting, "(not a text)", "a text"))
    }

    pub(super) fn number<N>(&mut self, setting: &'static str, allowed: RangeInclusive<N>) -> Result<Option<N>>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        match text.trim().parse() {
            Ok(number) if allowed.contains(&number) => Ok(Some(number)),
            _ => Err(Error::config(setting, text, format!("{} to {}", allowed.start(), allowed.end()))),
        }
    }

    pub(super) fn seconds(&mut self, setting: &'static str) -> Result<Option<Duration>> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        parse_seconds(&text)
            .map(Some)
            .ok_or_else(|| Error::config(setting, text, "a number of seconds, such as 30 or 0.5"))
    }

    pub(super) fn flag(&mut self, setting: &'static str) -> Result<Option<bool>> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(Error::config(setting, text, "true or false")),
        }
    }

    pub(super) fn pre_ping(&mut self) -> Result<Option<PrePing>> {
        let Some(text) = self.text("pool_pre_ping")? else { return Ok(None) };
        let lower = text.trim().to_ascii_lowercase();
        match (lower.as_str(), parse_seconds(&lower)) {
            ("always" | "true", _) => Ok(Some(PrePing::Always)),
            ("never" | "false", _) => Ok(Some(PrePing::Never)),
            (_, Some(idle)) => Ok(Some(PrePing::IfIdleFor(idle))),
            _ => Err(Error::config("pool_pre_ping", text, "never, always, or the seconds of idleness before a check")),
        }
    }

    pub(super) fn order(&mut self) -> Result<Option<PoolOrder>> {
        self.choice("pool_order", &[("lifo", PoolOrder::Lifo), ("fifo", PoolOrder::Fifo)])
    }

    pub(super) fn reset(&mut self) -> Result<Option<ResetOnReturn>> {
        let choices =
            [("rollback", ResetOnReturn::Rollback), ("full", ResetOnReturn::Full), ("none", ResetOnReturn::None)];
        self.choice("reset_on_return", &choices)
    }

    /// One text, or a list of them in a file.
    pub(super) fn texts(&mut self, setting: &'static str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.0.remove(setting) else { return Ok(None) };
        let texts = match value.clone().into_array() {
            Ok(list) => list.into_iter().map(Value::into_string).collect(),
            Err(_) => value.into_string().map(|text| vec![text]),
        };
        texts.map(Some).map_err(|error| Error::config(setting, error, "a text or a list of texts"))
    }

    pub(super) fn choice<T: Copy>(&mut self, setting: &'static str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        let chosen = choices.iter().find(|(name, _)| text.trim().eq_ignore_ascii_case(name));
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        chosen
            .map(|(_, value)| Some(*value))
            .ok_or_else(|| Error::config(setting, &text, format!("one of {}", names())))
    }
}

fn parse_seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.trim().parse().ok()?).ok()
}

fn unreadable(path: &Path, error: &config::ConfigError) -> Error {
    // What follows the first line shows the file's own text, which may hold a password.
    let error = error.to_string();
    let error = error.lines().next().unwrap_or_default();
    Error::config("file", path.display(), format!("a readable TOML file ({error})"))
}

/// A misspelt setting would silently keep its default.
fn refuse_unknown(path: &Path, found: &Map<String, Value>) -> Result<()> {
    let Some(unknown) = found.keys().find(|key| !SETTINGS.contains(&key.as_str())) else { return Ok(()) };
    let nearest = SETTINGS
        .iter()
        .copied()
        .max_by(|one, other| strsim::jaro_winkler(one, unknown).total_cmp(&strsim::jaro_winkler(other, unknown)));
    let place = format!("{unknown} in {}", path.display());
    Err(Error::config("file", place, format!("a known setting; the nearest is {}", nearest.unwrap_or_default())))
}
