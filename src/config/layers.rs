//! Settings from files and environment variables, one laid over the other.

use std::{collections::HashMap, fmt::Display, ops::RangeInclusive, path::Path, str::FromStr, time::Duration};

use config::{Config, Environment, File, FileFormat, Map, Value};

use super::{PoolOrder, PrePing, ResetOnReturn, names::refuse_unknown, redact::without_secrets, url::has_password};
use crate::error::{Error, Result};

/// The settings that name a database by its parts.
pub(super) const PARTS: [&str; 6] = ["type", "host", "port", "user", "password", "name"];

/// The settings found, by name, each taken out once it was read.
pub(super) struct Layers(Map<String, Value>);

/// Where settings come from, the later ones laid over the earlier.
#[derive(Default)]
pub(super) struct Sources<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) variables: Vec<HashMap<String, String>>,
}

impl Layers {
    pub(super) fn read(sources: Sources<'_>) -> Result<Self> {
        let mut found = Map::new();
        if let Some(path) = sources.file {
            let file = Config::builder().add_source(File::from(path).format(FileFormat::Toml)).build();
            let table = file.and_then(|file| file.cache.into_table()).map_err(|error| unreadable(path, &error))?;
            refuse_unknown(path, &table)?;
            lay_over(&mut found, table);
        }
        for mut variables in sources.variables {
            // The better known name of the two.
            if let Some(url) = variables.remove("DATABASE_URL").filter(|url| !url.trim().is_empty()) {
                variables.insert("DB_URL".to_owned(), url);
            }
            // Values stay text: a password of digits must not become a number.
            let source = Environment::with_prefix("DB").source(Some(variables)).ignore_empty(true);
            let table = Config::builder().add_source(source).build().and_then(|all| all.cache.into_table());
            lay_over(&mut found, table.map_err(|error| Error::config("environment", error, "readable settings"))?);
        }
        Ok(Self(found))
    }

    /// The first of these settings that is there.
    pub(super) fn first_of(&self, settings: &[&'static str]) -> Option<&'static str> {
        settings.iter().copied().find(|setting| self.0.contains_key(*setting))
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
            _ => Err(bad(setting, &text, format!("{} to {}", allowed.start(), allowed.end()))),
        }
    }

    pub(super) fn seconds(&mut self, setting: &'static str) -> Result<Option<Duration>> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        parse_seconds(&text).map(Some).ok_or_else(|| bad(setting, &text, "a number of seconds, such as 30 or 0.5"))
    }

    pub(super) fn flag(&mut self, setting: &'static str) -> Result<Option<bool>> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(bad(setting, &text, "true or false")),
        }
    }

    pub(super) fn pre_ping(&mut self) -> Result<Option<PrePing>> {
        // As `PoolConfig` is serialized.
        let table = self.0.get("pool_pre_ping").and_then(|value| value.clone().into_table().ok());
        if let Some(seconds) = table.and_then(|mut table| table.remove("if_idle_for")) {
            self.0.insert("pool_pre_ping".to_owned(), seconds);
        }
        let Some(text) = self.text("pool_pre_ping")? else { return Ok(None) };
        let lower = text.trim().to_ascii_lowercase();
        match (lower.as_str(), parse_seconds(&lower)) {
            ("always" | "true", _) => Ok(Some(PrePing::Always)),
            ("never" | "false", _) => Ok(Some(PrePing::Never)),
            (_, Some(idle)) => Ok(Some(PrePing::IfIdleFor(idle))),
            _ => Err(bad("pool_pre_ping", &text, "never, always, or the seconds of idleness before a check")),
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
        texts.map(Some).map_err(|_| Error::config(setting, "(neither)", "a text or a list of texts"))
    }

    pub(super) fn choice<T: Copy>(&mut self, setting: &'static str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(setting)? else { return Ok(None) };
        let chosen = choices.iter().find(|(name, _)| text.trim().eq_ignore_ascii_case(name));
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        chosen.map(|(_, value)| Some(*value)).ok_or_else(|| bad(setting, &text, format!("one of {}", names())))
    }
}

fn bad(setting: &'static str, text: &str, expected: impl Into<String>) -> Error {
    Error::config(setting, without_secrets(text), expected)
}

/// What names a database above replaces what names one below; everything else is replaced one by one.
fn lay_over(below: &mut Map<String, Value>, mut above: Map<String, Value>) {
    let is_url = |table: &Map<String, Value>| table.contains_key("url");
    if let Some(url) = above.get("url").and_then(|url| url.clone().into_string().ok()) {
        // A password beside a database of its own belongs to that.
        let alone = !is_url(below) && !below.contains_key("type") && !has_password(&url);
        for part in PARTS {
            if part != "password" || has_password(&url) {
                above.remove(part);
            }
            if part != "password" || !alone {
                below.remove(part);
            }
        }
    } else if above.contains_key("type") && is_url(below) {
        below.retain(|setting, _| setting != "url" && !PARTS.contains(&setting.as_str()));
    }
    below.extend(above);
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
