//! ORDER BY.

use sea_orm::{
    EntityTrait, IdenStatic, IntoSimpleExpr, Order,
    sea_query::{Expr, NullOrdering, SelectStatement},
};

use super::QueryBuilder;
use crate::error::{Error, Result};

/// One expression by which rows are ordered.
#[derive(Debug, Clone)]
pub(super) struct OrderTerm {
    pub(super) by: Expr,
    pub(super) order: Order,
    pub(super) nulls: Option<NullOrdering>,
}

impl OrderTerm {
    pub(super) fn add_to(self, statement: &mut SelectStatement) {
        match self.nulls {
            None => statement.order_by_expr(self.by, self.order),
            Some(nulls) => statement.order_by_expr_with_nulls(self.by, self.order, nulls),
        };
    }
}

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    /// Orders by a column or expression. Where NULLs stand is up to the database: PostgreSQL takes them for the largest
    /// values, the others for the smallest; [`order_by_with_nulls`](Self::order_by_with_nulls) says it.
    pub fn order_by(mut self, by: impl IntoSimpleExpr, order: Order) -> Self {
        self.orders.push(OrderTerm { by: by.into_simple_expr(), order, nulls: None });
        self
    }

    /// Orders by a column or expression, smallest first.
    pub fn order_asc(self, by: impl IntoSimpleExpr) -> Self {
        self.order_by(by, Order::Asc)
    }

    /// Orders by a column or expression, largest first.
    pub fn order_desc(self, by: impl IntoSimpleExpr) -> Self {
        self.order_by(by, Order::Desc)
    }

    /// Orders by a column or expression, with NULLs before or behind all others on every database.
    pub fn order_by_with_nulls(mut self, by: impl IntoSimpleExpr, order: Order, nulls: NullOrdering) -> Self {
        self.orders.push(OrderTerm { by: by.into_simple_expr(), order, nulls: Some(nulls) });
        self
    }

    /// Orders as a caller asks for it: names of columns with commas between them, each with `-` in front for largest first.
    /// Only the columns of `allowed` can be named. An empty request asks for no order.
    ///
    /// ```
    /// # use sea_dao::{BaseDao, Result, prelude::*, query::Page};
    /// # use entities::user::{self, Column::{CreatedAt, Id, Username}};
    /// # async fn example(users: BaseDao<user::Entity>, sort: &str) -> Result<Page<user::Model>> {
    /// // ?sort=-created_at,username
    /// users.query().sort(sort, [CreatedAt, Username])?.order_asc(Id).page(1, 20).await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for any other name, and for one that comes twice; it names those that are allowed.
    pub fn sort(mut self, request: &str, allowed: impl IntoIterator<Item = E::Column>) -> Result<Self> {
        let allowed: Vec<E::Column> = allowed.into_iter().collect();
        if request.trim().is_empty() {
            return Ok(self);
        }
        let mut seen: Vec<&str> = Vec::new();
        for part in request.split(',').map(str::trim) {
            let (name, order) = match part.strip_prefix('-') {
                Some(name) => (name, Order::Desc),
                None => (part, Order::Asc),
            };
            let column = allowed.iter().find(|column| column.as_str() == name);
            let Some(column) = column.filter(|column| !seen.contains(&column.as_str())) else {
                let names: Vec<_> = allowed.iter().map(|column| column.as_str()).collect();
                let expected = format!("each once, with - in front for largest first: {}", names.join(", "));
                return Err(Error::argument("sort", excerpt(part), expected));
            };
            seen.push(column.as_str());
            self = self.order_by(*column, order);
        }
        Ok(self)
    }
}

/// The beginning of a caller's text, fit for a message.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    let mut excerpt: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        excerpt.push('…');
    }
    excerpt
}
