//! What a close with a deadline left behind.

use std::{fmt, time::Duration};

use super::Holder;

/// How a close went.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The connections that were still out at the deadline, the longest first. Each is closed when it comes back.
    pub held: Vec<Holder>,
    /// How many were open then, those included that were being opened, rolled back or closed, and those of
    /// [`sea_orm_connection`](crate::Database::sea_orm_connection), whose holders are not known.
    pub open: usize,
    pub(super) complete: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl ShutdownReport {
    /// Every connection was closed in time.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_complete() {
            return write!(f, "closed in {:.1?}", self.elapsed);
        }
        let plural = if self.open == 1 { "" } else { "s" };
        write!(f, "gave up after {:.1?} with {} connection{plural} open", self.elapsed, self.open)?;
        if !self.held.is_empty() {
            f.write_str("; held:")?;
        }
        self.held.iter().try_for_each(|holder| write!(f, "\n  {holder}"))
    }
}
