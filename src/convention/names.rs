//! How the columns are called that bring behaviour with them.

use super::Ids;

/// The names of the columns that bring behaviour with them.
///
/// An entity that has such a column, of a type that fits, gets the behaviour; no attribute and no trait is needed. Each
/// name can be changed, or switched off with `None`.
///
/// ```
/// use sea_dao::Conventions;
///
/// let conventions = Conventions { deleted_at: None, updated_at: Some("changed_at"), ..Conventions::default() };
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conventions {
    /// Rows in which it is not NULL count as deleted: reads, counts, updates and pages leave them out, and deleting sets
    /// it. A date and time that may be NULL. Default `deleted_at`.
    pub deleted_at: Option<&'static str>,
    /// Set when a row is inserted, unless the caller sets it. A date and time. Default `created_at`.
    pub created_at: Option<&'static str>,
    /// Set when a row is inserted, updated, deleted softly or restored, unless the caller sets it. A date and time.
    /// Default `updated_at`.
    pub updated_at: Option<&'static str>,
    /// Set to the [current actor](super::with_actor) when a row is inserted, unless the caller sets it. Default
    /// `creator_id`.
    pub creator_id: Option<&'static str>,
    /// Set to the [current actor](super::with_actor) whenever `updated_at` is. Default `updater_id`.
    pub updater_id: Option<&'static str>,
    /// Where a primary key comes from that the caller does not set. Default [`Ids::ByType`].
    pub ids: Ids,
}

impl Default for Conventions {
    fn default() -> Self {
        Self {
            deleted_at: Some("deleted_at"),
            created_at: Some("created_at"),
            updated_at: Some("updated_at"),
            creator_id: Some("creator_id"),
            updater_id: Some("updater_id"),
            ids: Ids::ByType,
        }
    }
}

impl Conventions {
    /// No convention at all.
    pub const NONE: Self = Self {
        deleted_at: None,
        created_at: None,
        updated_at: None,
        creator_id: None,
        updater_id: None,
        ids: Ids::Database,
    };
}
