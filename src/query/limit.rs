//! LIMIT and OFFSET.

use sea_orm::{EntityTrait, QueryTrait, sea_query::SelectStatement};

use super::QueryBuilder;

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    /// At most so many rows.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Leaves out the first rows.
    pub fn offset(mut self, rows: u64) -> Self {
        self.offset = Some(rows);
        self
    }

    /// Takes away every limit and offset, those of SeaORM's builder too.
    pub(super) fn unlimited(mut self) -> Self {
        if let Some(select) = &mut self.select {
            QueryTrait::query(select.as_mut()).reset_limit().reset_offset();
        }
        (self.limit, self.offset) = (None, None);
        self
    }

    /// Whether no row can match, so that nothing needs to be sent. What SeaORM's builder asks for may be one row about
    /// none, such as their number.
    pub(super) fn is_empty(&self) -> bool {
        (self.scope.never && !self.custom) || self.limit_within(1) == 0
    }

    /// The limit, that of SeaORM's builder too, or `most` when it is no smaller.
    pub(super) fn limit_within(&self, most: u64) -> u64 {
        match (self.limit, &self.select) {
            (Some(rows), _) => Ord::min(rows, most),
            (None, Some(select)) if self.custom => {
                let statement = QueryTrait::as_query(select.as_ref());
                (0..most).find(|rows| is_limited_to(statement, *rows)).unwrap_or(most)
            }
            (None, _) => most,
        }
    }
}

/// Whether a limit has been set on SeaORM's builder itself, which does not tell.
pub(super) fn has_limit(statement: &SelectStatement) -> bool {
    let mut without = statement.clone();
    without.reset_limit();
    without != *statement
}

fn is_limited_to(statement: &SelectStatement, rows: u64) -> bool {
    let mut limited = statement.clone();
    limited.limit(rows);
    limited == *statement
}
