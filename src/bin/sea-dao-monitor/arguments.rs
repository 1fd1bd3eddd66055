//! What the program is told.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use sea_dao::DatabaseConfig;

use crate::target::Target;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// A line for each sample, until it is stopped.
    Monitor,
    /// A number of samples, then a summary.
    Test,
}

/// Watches a database, or the health page of a service.
///
/// Exit codes: 0, every sample was up; 1, some were not, or there was none; 2, the arguments make no sense; 3, the output
/// could not be written.
#[derive(Debug, Parser)]
#[command(name = "sea-dao-monitor", version)]
pub(crate) struct Arguments {
    /// The database: postgres://…, mysql://… or sqlite:… [default: DATABASE_URL, DB_URL or DB_TYPE, DB_HOST…]
    #[arg(long, conflicts_with = "health")]
    url: Option<String>,

    /// The health page of a service: http://… or https://…; without a path, /api/v1/hc/database
    #[arg(long)]
    health: Option<String>,

    #[arg(long, value_enum, default_value = "monitor")]
    pub(crate) mode: Mode,

    /// Seconds between samples of the monitor
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub(crate) interval: f64,

    /// Samples of the monitor; without it, it goes on until it is stopped
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Samples of the test
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) test_count: u64,

    /// Seconds between samples of the test
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    pub(crate) test_interval: f64,

    /// Seconds after which a sample that has no answer counts as down
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    deadline: f64,

    /// One JSON object on a line for each sample, and one for the summary
    #[arg(long)]
    pub(crate) json: bool,
}

impl Arguments {
    /// What is watched.
    pub(crate) fn target(&self) -> Result<Target, String> {
        let deadline = Duration::from_secs_f64(self.deadline);
        if let Some(health) = &self.health {
            return Target::page(health, deadline);
        }
        let config = match &self.url {
            Some(url) => DatabaseConfig::new(url),
            None => {
                let names = ["DATABASE_URL", "DB_URL", "DB_TYPE", "DB_HOST"];
                if names.iter().all(|name| std::env::var_os(name).is_none()) {
                    return Err("nothing to watch: give --url or --health, or set DATABASE_URL".to_owned());
                }
                DatabaseConfig::from_env().map_err(|error| error.to_string())?
            }
        };
        Target::database(config, deadline)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.001..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.001 to 86400".to_owned()),
    }
}
