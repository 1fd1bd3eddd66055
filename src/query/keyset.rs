//! The rows behind a row: `ORDER BY` as a condition.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbBackend, EntityTrait, IdenStatic, IntoSimpleExpr, Iterable, ModelTrait,
    Order, PrimaryKeyToColumn, Value,
    sea_query::{Expr, ExprTrait, NullOrdering},
};

use super::{clause::never, order::OrderTerm, scope::table};
use crate::{
    backend::{compared, compares_rows_by_index, enum_values_beyond, nulls_are_largest},
    convention::is_null,
    error::{Error, Result},
};

/// A column that rows are ordered by.
struct Term<C> {
    column: C,
    descending: bool,
    nulls: Option<NullOrdering>,
}

/// An order that tells all rows of an entity apart: the caller's columns, then the key.
pub(super) struct Keyset<E: EntityTrait>(Vec<Term<E::Column>>);

impl<E: EntityTrait> Keyset<E> {
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an order by something else than columns of the entity.
    pub(super) fn of(orders: &[OrderTerm]) -> Result<Self> {
        let mut terms: Vec<Term<E::Column>> = Vec::new();
        for OrderTerm { by, order, nulls } in orders {
            let column = E::Column::iter().find(|column| column.into_simple_expr() == *by);
            let (Some(column), Order::Asc | Order::Desc) = (column, order) else {
                let what = format!("a cursor over an order by something else than columns of {}", table::<E>());
                return Err(Error::unsupported(what));
            };
            push_new(&mut terms, Term { column, descending: *order == Order::Desc, nulls: *nulls });
        }
        // In the direction of the last column, so that one index serves.
        let descending = terms.last().is_some_and(|term| term.descending);
        for key in E::PrimaryKey::iter() {
            push_new(&mut terms, Term { column: key.into_column(), descending, nulls: None });
        }
        Ok(Self(terms))
    }

    /// The order, or the opposite one.
    pub(super) fn orders(&self, backwards: bool) -> Vec<OrderTerm> {
        let terms = self.0.iter().map(|Term { column, descending, nulls }| OrderTerm {
            by: column.into_simple_expr(),
            order: if *descending == backwards { Order::Asc } else { Order::Desc },
            nulls: nulls.map(|nulls| match (nulls, backwards) {
                (NullOrdering::First, false) | (NullOrdering::Last, true) => NullOrdering::First,
                (NullOrdering::Last, false) | (NullOrdering::First, true) => NullOrdering::Last,
            }),
        });
        terms.collect()
    }

    pub(super) fn place_of(&self, row: &E::Model) -> Vec<Value> {
        self.0.iter().map(|term| row.get(term.column)).collect()
    }

    /// Whether the values are of the columns' types.
    pub(super) fn accepts(&self, values: &[Value]) -> bool {
        let mut probe = <E::ActiveModel as ActiveModelTrait>::default();
        values.len() == self.0.len()
            && self.0.iter().zip(values).all(|(term, value)| probe.try_set(term.column, value.clone()).is_ok())
    }

    /// Holds for the rows that come behind the one with these values, with it when `inclusive`.
    pub(super) fn behind(&self, values: &[Value], backwards: bool, inclusive: bool, backend: DbBackend) -> Condition {
        if let Some(condition) = self.behind_as_row(values, backwards, inclusive, backend) {
            return Condition::all().add(condition);
        }
        let terms: Vec<_> = self.0.iter().zip(values).collect();
        let mut behind = inclusive.then(Condition::all);
        for (term, value) in terms.iter().rev() {
            let tied = behind.map(|rest| Condition::all().add(term.same(value)).add(rest));
            behind = match (term.beyond(value, backwards, backend), tied) {
                (Some(beyond), Some(tied)) => Some(Condition::any().add(beyond).add(tied)),
                (Some(beyond), None) => Some(beyond),
                (None, tied) => tied,
            };
        }
        let behind = behind.unwrap_or_else(|| Condition::all().add(never()));
        match terms.as_slice() {
            // Says nothing new, but an index can begin with it.
            [(first, value), _, ..] if !first.is_nullable() => {
                Condition::all().add(first.not_before(value, backwards, backend)).add(behind)
            }
            _ => behind,
        }
    }

    /// `(a, b) > (1, 2)`, where all columns run the same way and have no NULLs, and the database looks it up in an index.
    fn behind_as_row(&self, values: &[Value], backwards: bool, inclusive: bool, backend: DbBackend) -> Option<Expr> {
        let descending = self.0.first()?.descending;
        let alike = self.0.iter().all(|term| term.descending == descending && !term.is_nullable());
        if self.0.len() == 1 || !alike || !compares_rows_by_index(backend) {
            return None;
        }
        let row = Expr::tuple(self.0.iter().map(|term| Expr::col(term.column.as_column_ref())));
        let place = self.0.iter().zip(values).map(|(term, value)| term.compared(value));
        let place = Expr::tuple(place);
        Some(match (descending != backwards, inclusive) {
            (false, false) => row.gt(place),
            (false, true) => row.gte(place),
            (true, false) => row.lt(place),
            (true, true) => row.lte(place),
        })
    }
}

fn push_new<C: IdenStatic>(terms: &mut Vec<Term<C>>, term: Term<C>) {
    if !terms.iter().any(|other| other.column.as_str() == term.column.as_str()) {
        terms.push(term);
    }
}

impl<C: ColumnTrait> Term<C> {
    fn is_nullable(&self) -> bool {
        self.column.def().is_null()
    }

    fn same(&self, value: &Value) -> Expr {
        if is_null(value) { self.column.is_null() } else { self.expression().eq(self.compared(value)) }
    }

    /// The column's value comes later than this one; `None` when none can.
    fn beyond(&self, value: &Value, backwards: bool, backend: DbBackend) -> Option<Condition> {
        let nulls_come_last = backwards
            != match self.nulls {
                Some(NullOrdering::Last) => true,
                Some(NullOrdering::First) => false,
                None => nulls_are_largest(backend) != self.descending,
            };
        if is_null(value) {
            return (!nulls_come_last).then(|| Condition::all().add(self.column.is_not_null()));
        }
        let later = self.later(value, backwards, backend);
        Some(if nulls_come_last && self.is_nullable() {
            Condition::any().add(later).add(self.column.is_null())
        } else {
            Condition::all().add(later)
        })
    }

    /// The column's value comes later than this one, neither of them being NULL.
    fn later(&self, value: &Value, backwards: bool, backend: DbBackend) -> Expr {
        let rises = self.descending == backwards;
        match enum_values_beyond(backend, self.column.def().get_column_type(), value, rises) {
            Some(values) if values.is_empty() => never(),
            Some(values) => self.column.is_in(values),
            None if rises => self.expression().gt(self.compared(value)),
            None => self.expression().lt(self.compared(value)),
        }
    }

    /// The column's value does not come before this one, neither of them being NULL.
    fn not_before(&self, value: &Value, backwards: bool, backend: DbBackend) -> Condition {
        let rises = self.descending == backwards;
        let from_here = match enum_values_beyond(backend, self.column.def().get_column_type(), value, rises) {
            Some(_) => return Condition::any().add(self.later(value, backwards, backend)).add(self.same(value)),
            None if rises => self.expression().gte(self.compared(value)),
            None => self.expression().lte(self.compared(value)),
        };
        Condition::all().add(from_here)
    }

    fn expression(&self) -> Expr {
        Expr::col(self.column.as_column_ref())
    }

    fn compared(&self, value: &Value) -> Expr {
        compared(self.column, value)
    }
}
