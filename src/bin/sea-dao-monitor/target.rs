//! What is watched: a database, or the health page of a service.

use std::time::{Duration, Instant};

use sea_dao::{Database, DatabaseConfig, Error, PoolConfig, pool::CloseReason};
use tokio::time::timeout;

use crate::sample::Sample;

pub(crate) enum Target {
    Database { config: Box<DatabaseConfig>, open: Option<Database>, deadline: Duration },
    Page { url: String, name: String, agent: ureq::Agent, deadline: Duration },
}

impl Target {
    pub(crate) fn database(config: DatabaseConfig, deadline: Duration) -> Result<Self, String> {
        let pool = PoolConfig::default()
            .pool_size(1)
            .max_overflow(0)
            .pool_timeout(deadline)
            .connect_timeout(deadline)
            .statement_timeout(Some(deadline));
        let config = Box::new(config.no_slow_log().pool(pool));
        Ok(Self::Database { config, open: None, deadline })
    }

    pub(crate) fn page(url: &str, deadline: Duration) -> Result<Self, String> {
        let expected = || "a health page has an address such as http://host:port/path".to_owned();
        let mut url = url::Url::parse(url).map_err(|_| expected())?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(expected());
        }
        if url.path() == "/" {
            url.set_path("/api/v1/hc/database");
        }
        let agent = ureq::Agent::config_builder().timeout_global(Some(deadline)).http_status_as_error(false).build();
        let name = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{}://{host}:{port}{}", url.scheme(), url.path()),
            (host, _) => format!("{}://{}{}", url.scheme(), host.unwrap_or_default(), url.path()),
        };
        Ok(Self::Page { url: url.into(), name, agent: agent.into(), deadline })
    }

    /// For people; without passwords.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Database { config, .. } => config.redacted_url(),
            Self::Page { name, .. } => name.clone(),
        }
    }

    /// # Errors
    ///
    /// What no later sample could mend: a setting that makes no sense.
    pub(crate) async fn sample(&mut self) -> Result<Sample, Error> {
        match self {
            Self::Database { config, open, deadline } => ask_database(config, open, *deadline).await,
            Self::Page { url, agent, deadline, .. } => Ok(ask_page(url, agent, *deadline).await),
        }
    }

    pub(crate) async fn close(self) {
        if let Self::Database { open: Some(database), .. } = self {
            database.close_within(Duration::from_secs(1)).await;
        }
    }
}

async fn ask_database(
    config: &DatabaseConfig,
    open: &mut Option<Database>,
    deadline: Duration,
) -> Result<Sample, Error> {
    let sample = Sample::now();
    let asked = async {
        let database = match open {
            Some(database) => database,
            None => open.insert(config.clone().connect().await?),
        };
        database.health().await
    };
    let answer = match timeout(deadline, asked).await {
        Ok(Err(error @ (Error::Config { .. } | Error::Unsupported { .. }))) => return Err(error),
        Ok(answer) => answer.map_err(|error: Error| error.to_string()),
        Err(_) => Err(format!("no answer within {deadline:?}")),
    };
    let mut sample = match answer {
        Ok(health) => {
            let mut sample = sample.answered_in(health.latency);
            sample.up = true;
            sample.server_version = Some(health.server_version);
            sample.read_only = Some(health.read_only);
            sample
        }
        Err(error) => sample.failed(error),
    };
    if let Some(database) = open {
        sample.pool = Some(database.status());
        let counters = database.counters();
        let lost = [CloseReason::Broken, CloseReason::Invalidated, CloseReason::Cancelled];
        sample.reconnects = lost.into_iter().map(|reason| counters.closed_for(reason)).sum();
    }
    Ok(sample)
}

async fn ask_page(url: &str, agent: &ureq::Agent, deadline: Duration) -> Sample {
    let sample = Sample::now();
    let started = Instant::now();
    let (url, agent) = (url.to_owned(), agent.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let mut answer = agent.get(&url).call()?;
        let body = answer.body_mut().with_config().limit(1 << 20).read_to_string()?;
        Ok::<_, ureq::Error>((answer.status(), body))
    });
    // The agent has a deadline of its own; this one is for what it does not cover.
    let answer = timeout(deadline + Duration::from_secs(1), asked).await;
    let sample = sample.answered_in(started.elapsed());
    match answer {
        Ok(Ok(Ok((status, body)))) => {
            let mut sample = sample;
            sample.page = serde_json::from_str(&body).ok();
            sample.up = status.is_success();
            if status.is_success() { sample } else { sample.failed(format!("status {}", status.as_u16())) }
        }
        Ok(Ok(Err(error))) => Sample { latency_ms: None, ..sample.failed(error) },
        Ok(Err(error)) => Sample { latency_ms: None, ..sample.failed(error) },
        Err(_) => Sample { latency_ms: None, ..sample.failed(format!("no answer within {deadline:?}")) },
    }
}
