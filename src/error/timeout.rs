//! What the pool looked like when an acquire gave up.

use std::time::Duration;

/// What the pool looked like when an acquire gave up.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "no connection within {waited:.1?}: {}size {size} of {limit}, overflow {overflow}, checked out {checked_out}, \
     connecting {connecting}, waiting {waiting}{}", suspension(.suspended), self.cause()
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
    /// The pool was suspended, and handed out no connection.
    pub suspended: bool,
    /// The URL without its password.
    pub target: String,
    /// The last failure to open a connection, when there was one since the last success.
    pub last_connect_error: Option<String>,
}

impl PoolTimeout {
    fn cause(&self) -> String {
        match &self.last_connect_error {
            Some(error) => format!("; last failure to connect: {error}"),
            None if self.connecting > 0 => format!("; {} has not answered yet", self.target),
            None => String::new(),
        }
    }
}

fn suspension(suspended: &bool) -> &'static str {
    if *suspended { "the pool is suspended; " } else { "" }
}
