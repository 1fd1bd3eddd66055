//! What the pool looked like when an acquire gave up.

use std::time::Duration;

/// What the pool looked like when an acquire gave up.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "no connection within {waited:.1?}: size {size} of {limit}, overflow {overflow}, checked out {checked_out}, \
     connecting {connecting}, waiting {waiting}{}", last_failure(.last_connect_error)
)]
#[non_exhaustive]
pub struct PoolTimeout {
    /// How long the caller waited.
    pub waited: Duration,
    /// Open connections.
    pub size: usize,
    /// The most that may be open: `pool_size + max_overflow`.
    pub limit: usize,
    /// Open connections beyond `pool_size`.
    pub overflow: usize,
    /// Connections in use.
    pub checked_out: usize,
    /// Connections that were being opened; when the server does not answer, this caller waited for one of them.
    pub connecting: usize,
    /// Callers that were waiting for a connection of somebody else.
    pub waiting: usize,
    /// The last failure to open a connection, when there was one since the last success.
    pub last_connect_error: Option<String>,
}

fn last_failure(error: &Option<String>) -> String {
    error.as_ref().map(|error| format!("; last failure to connect: {error}")).unwrap_or_default()
}
