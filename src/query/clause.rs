//! Conditions before the database is known.

use std::{marker::PhantomData, sync::Arc};

use sea_orm::{
    Condition, DbBackend, EntityTrait,
    sea_query::{Expr, IntoCondition},
};

use super::Conditions;
use crate::{convention::Conventions, error::Result};

/// A condition whose SQL depends on the database.
type Late = Arc<dyn Fn(DbBackend) -> Result<Expr> + Send + Sync>;

/// One condition of a builder.
#[derive(Clone)]
pub struct Clause(Kind);

#[derive(Clone)]
enum Kind {
    Expr(Expr),
    Condition(Condition),
    Late(Late),
    Group { empty: Condition, negated: bool, clauses: Vec<Clause> },
}

impl Clause {
    pub(super) fn late(write: impl Fn(DbBackend) -> Result<Expr> + Send + Sync + 'static) -> Self {
        Self(Kind::Late(Arc::new(write)))
    }

    fn add_to(self, all: Condition, backend: DbBackend) -> Result<Condition> {
        Ok(match self.0 {
            Kind::Expr(expression) => all.add(expression),
            Kind::Condition(condition) => all.add(condition),
            Kind::Late(write) => all.add(write(backend)?),
            Kind::Group { empty, negated, clauses } => {
                let group = resolve(clauses, empty, backend)?;
                all.add(if negated { group.not() } else { group })
            }
        })
    }
}

impl From<Expr> for Clause {
    fn from(expression: Expr) -> Self {
        Self(Kind::Expr(expression))
    }
}

impl From<Condition> for Clause {
    fn from(condition: Condition) -> Self {
        Self(Kind::Condition(condition))
    }
}

/// `start` with the clauses added, in the SQL of this database.
pub(super) fn resolve(clauses: Vec<Clause>, start: Condition, backend: DbBackend) -> Result<Condition> {
    clauses.into_iter().try_fold(start, |all, clause| clause.add_to(all, backend))
}

/// Conditions inside of [`or_`](Conditions::or_), [`and_`](Conditions::and_) or [`not_`](Conditions::not_).
#[derive(Clone)]
pub struct Group<E: EntityTrait> {
    clauses: Vec<Clause>,
    conventions: Conventions,
    entity: PhantomData<fn() -> E>,
}

impl<E: EntityTrait> Group<E> {
    pub(super) fn new(conventions: Conventions) -> Self {
        Self { clauses: Vec::new(), conventions, entity: PhantomData }
    }

    /// `None` without conditions: such a group asks for nothing.
    pub(super) fn into_clause(self, empty: Condition, negated: bool) -> Option<Clause> {
        let clauses = self.clauses;
        (!clauses.is_empty()).then_some(Clause(Kind::Group { empty, negated, clauses }))
    }
}

impl<E: EntityTrait> Conditions<E> for Group<E> {
    fn push(&mut self, clause: Clause) {
        self.clauses.push(clause);
    }

    fn conventions(&self) -> Conventions {
        self.conventions
    }
}

/// A condition that no row meets.
pub(super) fn never() -> Expr {
    Expr::cust("1 = 0")
}

/// As a clause, unless it asks for nothing.
pub(super) fn clause_of(condition: impl IntoCondition) -> Option<Clause> {
    let condition = condition.into_condition();
    (!condition.is_empty()).then(|| condition.into())
}
