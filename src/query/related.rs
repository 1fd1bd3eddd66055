//! Rows of another entity that belong to a row.

use sea_orm::{
    Condition, EntityTrait, JoinType, Related,
    sea_query::{Expr, SelectStatement},
};

use super::{
    Clause, Conditions, DeletedRows,
    clause::resolve,
    scope::{deleted_rows, exclude_deleted, table},
};
use crate::{
    convention::{ConventionColumns, Conventions},
    error::Error,
};

/// Which rows of a related entity count for [`has_related`](Conditions::has_related).
#[derive(Clone)]
#[must_use = "conditions on related rows are to be returned"]
pub struct RelatedRows<R: EntityTrait> {
    clauses: Vec<Clause>,
    conventions: Conventions,
    deleted: DeletedRows,
    entity: std::marker::PhantomData<fn() -> R>,
}

impl<R: EntityTrait> Conditions<R> for RelatedRows<R> {
    fn push(&mut self, clause: Clause) {
        self.clauses.push(clause);
    }

    fn conventions(&self) -> Conventions {
        self.conventions
    }
}

impl<R: EntityTrait> RelatedRows<R> {
    pub(super) fn new(conventions: Conventions) -> Self {
        Self { clauses: Vec::new(), conventions, deleted: DeletedRows::default(), entity: std::marker::PhantomData }
    }

    deleted_rows!(deleted);

    /// There is one for the row of `E`.
    pub(super) fn exists_for<E: EntityTrait + Related<R>>(self) -> Clause {
        Clause::late(move |backend| {
            let (relation, junction) = (E::to(), E::via());
            if table::<E>() == table::<R>() {
                return Err(Error::unsupported(format!(
                    "has_related from {} to itself; use where_exists with a select of an alias",
                    table::<E>()
                )));
            }
            let Self { clauses, conventions, deleted, .. } = self.clone();
            let mut rows = SelectStatement::new();
            rows.expr(Expr::cust("1")).from(R::default().table_ref());
            match junction {
                None => rows.cond_where(Condition::from(relation)),
                Some(junction) => {
                    rows.join(JoinType::InnerJoin, junction.to_tbl.clone(), Condition::from(relation));
                    rows.cond_where(Condition::from(junction))
                }
            };
            let conditions = resolve(clauses, Condition::all(), backend)?;
            let deleted_at = ConventionColumns::<R>::of(conventions).deleted_at;
            rows.cond_where(exclude_deleted(conditions, deleted_at, deleted));
            Ok(Expr::exists(rows))
        })
    }
}
