//! Numbered pages.

use serde::Serialize;

use crate::error::{Error, Result};

/// The most rows of one page.
pub const MAX_PAGE_SIZE: u64 = 10_000;

/// One page of a query's rows, and how many there are in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows of this page.
    pub items: Vec<T>,
    /// The rows of all pages.
    pub total: u64,
    /// The number of this page, from 1.
    pub page: u64,
    /// The most rows of a page.
    pub per_page: u64,
}

impl<T> Page<T> {
    /// How many pages there are.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(self.per_page.max(1))
    }

    /// Whether there is a page after this one.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.page < self.pages()
    }

    /// The same page with each row turned into something else.
    #[must_use]
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        let Self { items, total, page, per_page } = self;
        Page { items: items.into_iter().map(turn).collect(), total, page, per_page }
    }
}

/// The offset of a page.
///
/// # Errors
///
/// [`Error::InvalidArgument`] for a page or size out of range.
pub(super) fn offset(page: u64, per_page: u64) -> Result<u64> {
    if page == 0 {
        return Err(Error::argument("page", page, "1 or more"));
    }
    check_size(per_page)?;
    match (page - 1).checked_mul(per_page) {
        // The databases' offsets are signed.
        Some(offset) if i64::try_from(offset).is_ok() => Ok(offset),
        _ => Err(Error::argument("page", page, "a page within 2^63 rows")),
    }
}

/// # Errors
///
/// [`Error::InvalidArgument`] for a size out of range.
pub(super) fn check_size(per_page: u64) -> Result<()> {
    if (1..=MAX_PAGE_SIZE).contains(&per_page) {
        return Ok(());
    }
    Err(Error::argument("per_page", per_page, format!("1 to {MAX_PAGE_SIZE}")))
}
