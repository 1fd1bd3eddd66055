//! Queries within the conditions of another one.

use sea_orm::{
    DbBackend, EntityTrait, IntoSimpleExpr,
    sea_query::{Alias, Expr, ExprTrait, SelectStatement},
};

use super::{Conditions, QueryBuilder, fetch::MATCHING};
use crate::error::Result;

/// The name of the values of a query that chooses among its rows.
const SELECTED: &str = "sea_dao_selected";

/// What becomes of the NULLs among the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nulls {
    Kept,
    LeftOut,
}

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    /// The values of a column in the rows.
    pub(super) fn into_values(
        mut self,
        selected: E::Column,
        nulls: Nulls,
        backend: DbBackend,
    ) -> Result<SelectStatement> {
        if self.is_custom() || !self.chooses() {
            let query = if nulls == Nulls::LeftOut { self.is_not_null(selected) } else { self };
            return query.into_expression(selected.into_simple_expr(), backend);
        }
        self.lock = None;
        let shaped = self.shaped;
        let mut rows = self.into_sea_query(backend)?;
        if !shaped {
            rows.clear_selects();
        }
        rows.expr_as(selected.into_simple_expr(), Alias::new(SELECTED));
        let value = || Expr::col(Alias::new(SELECTED));
        let mut values = SelectStatement::new();
        // From outside: the rows are chosen before a NULL is left out, and not every database takes LIMIT within IN.
        values.expr(value()).from_subquery(rows, MATCHING);
        if nulls == Nulls::LeftOut {
            values.and_where(value().is_not_null());
        }
        Ok(values)
    }

    /// For EXISTS.
    pub(super) fn into_existence(self, backend: DbBackend) -> Result<SelectStatement> {
        self.into_expression(Expr::cust("1"), backend)
    }

    /// One expression over the rows.
    fn into_expression(mut self, selected: Expr, backend: DbBackend) -> Result<SelectStatement> {
        self.lock = None;
        let chooses = self.chooses();
        if self.is_custom() || (self.shaped && chooses) {
            return self.into_sea_query(backend);
        }
        if self.shaped {
            // All of the rows in any order; DISTINCT takes an order only by what is selected.
            self.orders.clear();
        }
        let mut statement = self.into_sea_query(backend)?;
        statement.clear_selects().expr(selected);
        Ok(statement)
    }

    /// Whether the caller has said what is selected.
    fn is_custom(&self) -> bool {
        self.custom || self.grouped
    }

    /// Whether the rows are not all that meet the conditions, so that their order counts.
    fn chooses(&self) -> bool {
        self.limit.is_some() || self.offset.is_some() || self.is_distinct_on()
    }
}
