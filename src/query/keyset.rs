//! The rows behind a row: `ORDER BY` as a condition.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, DbBackend, EntityTrait, IdenStatic, IntoSimpleExpr, Iterable, ModelTrait,
    Order, PrimaryKeyToColumn, QueryResult, QuerySelect, Value,
    sea_query::{Expr, ExprTrait, NullOrdering},
};

use super::{QueryBuilder, clause::never, fetch::failed, order::OrderTerm, scope::table};
use crate::{
    backend::{
        compared, compares_rows_by_index, enum_values_beyond, is_kept_otherwise, is_kept_value, kept, nulls_are_largest,
    },
    convention::is_null,
    error::{Error, Result},
};

/// A column that rows are ordered by.
struct Term<C> {
    column: C,
    descending: bool,
    nulls: Option<NullOrdering>,
    /// The database may compare another form of the value than the one that is read.
    kept_otherwise: bool,
}

/// An order that tells all rows of an entity apart: the caller's columns, then the key.
pub(super) struct Keyset<E: EntityTrait> {
    terms: Vec<Term<E::Column>>,
    backend: DbBackend,
}

impl<E: EntityTrait> Keyset<E> {
    /// # Errors
    ///
    /// [`Error::Unsupported`] for an order by something else than columns of the entity.
    pub(super) fn of(orders: &[OrderTerm], backend: DbBackend) -> Result<Self> {
        let mut terms: Vec<Term<E::Column>> = Vec::new();
        let term = |column: E::Column, descending, nulls| {
            let kept_otherwise = is_kept_otherwise(backend, &E::Model::get_value_type(column));
            Term { column, descending, nulls, kept_otherwise }
        };
        for OrderTerm { by, order, nulls } in orders {
            let column = E::Column::iter().find(|column| column.into_simple_expr() == *by);
            let (Some(column), Order::Asc | Order::Desc) = (column, order) else {
                let what = format!("a cursor over an order by something else than columns of {}", table::<E>());
                return Err(Error::unsupported(what));
            };
            push_new(&mut terms, term(column, *order == Order::Desc, *nulls));
        }
        // In the direction of the last column, so that one index serves.
        let descending = terms.last().is_some_and(|term| term.descending);
        for key in E::PrimaryKey::iter() {
            push_new(&mut terms, term(key.into_column(), descending, None));
        }
        Ok(Self { terms, backend })
    }

    pub(super) fn backend(&self) -> DbBackend {
        self.backend
    }

    /// The order, or the opposite one.
    pub(super) fn orders(&self, backwards: bool) -> Vec<OrderTerm> {
        let terms = self.terms.iter().map(|Term { column, descending, nulls, .. }| OrderTerm {
            by: column.into_simple_expr(),
            order: if *descending == backwards { Order::Asc } else { Order::Desc },
            nulls: nulls.map(|nulls| match (nulls, backwards) {
                (NullOrdering::First, false) | (NullOrdering::Last, true) => NullOrdering::First,
                (NullOrdering::Last, false) | (NullOrdering::First, true) => NullOrdering::Last,
            }),
        });
        terms.collect()
    }

    /// With what [`place_of`](Self::place_of) needs beside the model.
    pub(super) fn with_kept_values(&self, query: QueryBuilder<E>) -> QueryBuilder<E> {
        let kept = self.terms.iter().enumerate().filter(|(_, term)| term.kept_otherwise);
        kept.fold(query, |query, (index, term)| {
            query.change(|select| select.expr_as(term.expression(), kept_name(index)))
        })
    }

    /// The values of the columns in a row, as the database compares them.
    pub(super) fn place_of(&self, row: &QueryResult, model: &E::Model) -> Result<Vec<Value>> {
        let values = self.terms.iter().enumerate().map(|(index, term)| {
            if term.kept_otherwise {
                kept(row, &kept_name(index)).map_err(failed::<E>)
            } else {
                Ok(model.get(term.column))
            }
        });
        values.collect()
    }

    /// Whether the values are of the columns' types.
    pub(super) fn accepts(&self, values: &[Value]) -> bool {
        let mut probe = <E::ActiveModel as ActiveModelTrait>::default();
        let mut fits = |(term, value): (&Term<E::Column>, &Value)| match term.kept_otherwise {
            true => is_kept_value(value),
            false => probe.try_set(term.column, value.clone()).is_ok(),
        };
        values.len() == self.terms.len() && self.terms.iter().zip(values).all(&mut fits)
    }

    /// Holds for the rows that come behind the one with these values, with it when `inclusive`.
    pub(super) fn behind(&self, values: &[Value], backwards: bool, inclusive: bool) -> Condition {
        let backend = self.backend;
        if let Some(condition) = self.behind_as_row(values, backwards, inclusive) {
            return Condition::all().add(condition);
        }
        let terms: Vec<_> = self.terms.iter().zip(values).collect();
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
    fn behind_as_row(&self, values: &[Value], backwards: bool, inclusive: bool) -> Option<Expr> {
        let descending = self.terms.first()?.descending;
        let alike = self.terms.iter().all(|term| term.descending == descending && !term.is_nullable());
        if self.terms.len() == 1 || !alike || !compares_rows_by_index(self.backend) {
            return None;
        }
        let row = Expr::tuple(self.terms.iter().map(|term| Expr::col(term.column.as_column_ref())));
        let place = self.terms.iter().zip(values).map(|(term, value)| term.compared(value));
        let place = Expr::tuple(place);
        Some(match (descending != backwards, inclusive) {
            (false, false) => row.gt(place),
            (false, true) => row.gte(place),
            (true, false) => row.lt(place),
            (true, true) => row.lte(place),
        })
    }
}

/// What the database keeps of a column, beside the columns of the entity.
fn kept_name(index: usize) -> String {
    format!("sea_dao_place_{index}")
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
