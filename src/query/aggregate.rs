//! Sums, averages and extremes over a query's rows.

use sea_orm::{
    ConnectionTrait, DbErr, EntityTrait, IntoSimpleExpr, QueryResult, TryGetable,
    sea_query::{Expr, ExprTrait, Func, FunctionCall, SelectStatement, ValueType},
};

use super::{
    QueryBuilder,
    fetch::{MATCHING, failed},
};
use crate::{
    backend::{float_type, integer_type, sum_type},
    error::{Error, Result},
};

impl<E: EntityTrait, M> QueryBuilder<E, M> {
    /// The sum of a column of integers over the query's rows; 0 without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all); an error of the class [`Decode`](crate::error::ErrorClass::Decode), or the database's own,
    /// for a sum that is not a whole number within 64 bits.
    pub async fn sum(self, column: E::Column) -> Result<i64> {
        let kind = integer_type(self.scope.read_session().backend());
        let row = self.compute(column, |column| {
            let sum = Expr::expr(Func::sum(column));
            let whole = sum.clone().cast_as(kind);
            // Not every database's cast refuses what does not fit.
            vec![whole.clone(), sum.eq(whole)]
        });
        let Some(row) = row.await? else { return Ok(0) };
        let sum: Option<i64> = row.try_get_by_index(0).map_err(failed::<E>)?;
        let exact: Option<bool> = row.try_get_by_index(1).map_err(failed::<E>)?;
        match sum {
            None => Ok(0),
            Some(sum) if exact == Some(true) => Ok(sum),
            Some(_) => Err(failed::<E>(DbErr::Type("the sum is not a whole number within 64 bits".to_owned()))),
        }
    }

    /// The average of a column of numbers over the query's rows; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn avg(self, column: E::Column) -> Result<Option<f64>> {
        let kind = float_type(self.scope.read_session().backend());
        self.aggregate(column, |column| Expr::expr(Func::avg(column)).cast_as(kind)).await
    }

    /// The sum of a column of numbers over the query's rows, read as `V`: `sum_as::<Decimal>`, `sum_as::<f64>`; `None`
    /// without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all); an error of the class [`Decode`](crate::error::ErrorClass::Decode), or the database's own,
    /// for a sum that `V` does not hold.
    pub async fn sum_as<V: TryGetable + ValueType + Send>(self, column: E::Column) -> Result<Option<V>> {
        let kind = sum_type(self.scope.read_session().backend(), &V::column_type());
        self.aggregate(column, |column| cast(Func::sum(column), kind)).await
    }

    /// The average of a column of numbers over the query's rows, read as `V`; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`sum_as`](Self::sum_as).
    pub async fn avg_as<V: TryGetable + ValueType + Send>(self, column: E::Column) -> Result<Option<V>> {
        let kind = sum_type(self.scope.read_session().backend(), &V::column_type());
        self.aggregate(column, |column| cast(Func::avg(column), kind)).await
    }

    /// The smallest value of a column in the query's rows; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn min<V: TryGetable + Send>(self, column: E::Column) -> Result<Option<V>> {
        self.aggregate(column, |column| Func::min(column).into()).await
    }

    /// The largest value of a column in the query's rows; `None` without rows.
    ///
    /// # Errors
    ///
    /// As [`all`](Self::all).
    pub async fn max<V: TryGetable + Send>(self, column: E::Column) -> Result<Option<V>> {
        self.aggregate(column, |column| Func::max(column).into()).await
    }

    async fn aggregate<V: TryGetable>(
        self,
        column: E::Column,
        of: impl FnOnce(Expr) -> Expr + Send,
    ) -> Result<Option<V>> {
        let row = self.compute(column, |column| vec![of(column)]).await?;
        row.map_or(Ok(None), |row| row.try_get_by_index::<Option<V>>(0).map_err(failed::<E>))
    }

    /// One row of expressions over the query's rows; `None` when nothing needs to be sent.
    async fn compute(
        mut self,
        column: E::Column,
        of: impl FnOnce(Expr) -> Vec<Expr> + Send,
    ) -> Result<Option<QueryResult>> {
        if self.grouped {
            let expected = "a query without group_by; aggregates of groups are read with select() and into_model()";
            return Err(Error::argument("query", "group_by", expected));
        }
        if self.is_empty() {
            return Ok(None);
        }
        let session = self.scope.read_session();
        let plain = self.is_plain();
        self.lock = None;
        let mut rows = self.into_sea_query(session.backend())?;
        let statement = if plain {
            rows.clear_selects().clear_order_by().exprs(of(column.into_simple_expr())).to_owned()
        } else {
            SelectStatement::new().exprs(of(Expr::col(column))).from_subquery(rows, MATCHING).to_owned()
        };
        session.query_one(&statement).await.map_err(failed::<E>)
    }
}

fn cast(sum: FunctionCall, kind: Option<&'static str>) -> Expr {
    match kind {
        Some(kind) => Expr::from(sum).cast_as(kind),
        None => sum.into(),
    }
}
