//! One look at what is watched.

use std::time::{Duration, SystemTime};

use sea_dao::pool::PoolStatus;
use serde::Serialize;

/// What was seen at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sample {
    /// RFC 3339, UTC.
    pub(crate) at: String,
    pub(crate) up: bool,
    /// From question to answer.
    pub(crate) latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pool: Option<PoolStatus>,
    /// Connections that were lost and had to be replaced, so far.
    pub(crate) reconnects: u64,
    /// What a health page said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<serde_json::Value>,
}

impl Sample {
    pub(crate) fn now() -> Self {
        Self {
            at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            up: false,
            latency_ms: None,
            error: None,
            server_version: None,
            read_only: None,
            pool: None,
            reconnects: 0,
            page: None,
        }
    }

    pub(crate) fn answered_in(mut self, latency: Duration) -> Self {
        self.latency_ms = Some(latency.as_secs_f64() * 1e3);
        self
    }

    pub(crate) fn failed(mut self, error: impl ToString) -> Self {
        self.up = false;
        self.error = Some(error.to_string());
        self
    }
}
