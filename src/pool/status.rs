//! What the pool holds at one moment.

use std::fmt;

use serde::Serialize;

/// What the pool holds at one moment. The numbers are of the same moment, so that their sums are right:
/// `size = checked_out + idle + closing` and `overflow = max(0, size - pool_size)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStatus {
    /// Connections that are kept open.
    pub pool_size: usize,
    /// Connections that may be opened beyond these.
    pub max_overflow: usize,
    /// Open connections.
    pub size: usize,
    /// Open connections beyond `pool_size`.
    pub overflow: usize,
    /// Connections in use, those that a task is rolling back or checking included.
    pub checked_out: usize,
    /// Connections ready to be handed out.
    pub idle: usize,
    /// Connections that are being closed.
    pub closing: usize,
    /// Connections that are being opened.
    pub connecting: usize,
    /// Callers that wait for a connection of somebody else.
    pub waiting: usize,
    /// The pool has been closed.
    pub closed: bool,
}

impl PoolStatus {
    /// The share of connections in use, from 0 to 1: `checked_out / (pool_size + max_overflow)`.
    #[must_use]
    pub fn usage(&self) -> f64 {
        self.checked_out as f64 / (self.pool_size + self.max_overflow).max(1) as f64
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "size {}, overflow {}, checked out {}, idle {}, connecting {}, waiting {}",
            self.size, self.overflow, self.checked_out, self.idle, self.connecting, self.waiting
        )?;
        if self.closing > 0 {
            write!(f, ", closing {}", self.closing)?;
        }
        if self.closed { f.write_str(", closed") } else { Ok(()) }
    }
}
