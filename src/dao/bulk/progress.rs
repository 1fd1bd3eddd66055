//! How far a long write has come.

use crate::error::Result;

/// How far a long write has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Rows written so far. Nobody else sees them before the whole call has succeeded.
    pub done: u64,
    /// All rows, when the caller's iterator knows their number.
    pub total: Option<u64>,
}

/// Whoever is told, when there is nobody.
pub(super) const NOBODY: Option<fn(Progress) -> Result<()>> = None;
