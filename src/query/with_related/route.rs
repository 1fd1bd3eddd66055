//! The way from a row to its related rows.

use std::str::FromStr;

use sea_orm::{
    ColumnTrait, Condition, DbBackend, EntityTrait, Identity, Iterable, JoinType, Linked, ModelTrait,
    PrimaryKeyToColumn, Related, RelationDef, RelationType, Value,
    sea_query::{Alias, ArrayType, DynIden, Expr, ExprTrait, IntoIden, SelectStatement, TableRef},
};

use super::{
    super::scope::table,
    key::{Key, Part, is_exact, is_integer, name},
};
use crate::{
    backend::{compared, integer_type, padded},
    error::{Error, Result},
};

/// The relations from `E` to related rows, one for each table on the way.
#[derive(Clone)]
pub(super) struct Hops(Vec<RelationDef>);

impl Hops {
    pub(super) fn related<E: EntityTrait + Related<R>, R: EntityTrait>() -> Self {
        Self(E::via().into_iter().chain([E::to()]).collect())
    }

    pub(super) fn linked(link: &impl Linked) -> Self {
        Self(link.link())
    }

    /// Whether a row may have several related rows.
    pub(super) fn leads_to_many(&self) -> bool {
        self.0.len() > 1 || self.0.iter().any(|hop| hop.rel_type == RelationType::HasMany)
    }

    /// The keys of rows of `E`; `None` for a row that has no related rows because one of its columns is NULL.
    pub(super) fn keys<E: EntityTrait, R: EntityTrait>(&self, models: &[E::Model]) -> Result<Vec<Option<Key>>> {
        let columns = if self.is_direct::<E, R>()? { self.from::<E>()? } else { primary_key::<E>() };
        Ok(models.iter().map(|model| Key::of(columns.iter().map(|column| model.get(*column)).collect())).collect())
    }

    /// Whether related rows can be told by the value where the first hop ends, without a look at `E`'s own table.
    ///
    /// They cannot when the value has several forms, such as text in a collation that does not tell upper from lower
    /// case, and when the relation has a condition of its own, which may ask for other columns of `E`.
    fn is_direct<E: EntityTrait, R: EntityTrait>(&self) -> Result<bool> {
        let first = self.first::<E>()?;
        let from = self.from::<E>()?;
        let exact = |(from, to): (&E::Column, &DynIden)| {
            let to = R::Column::from_str(&to.to_string());
            let end = self.0.len() > 1 || to.is_ok_and(|to| is_exact(&R::Model::get_value_type(to)));
            end && is_exact(&E::Model::get_value_type(*from))
        };
        Ok(first.on_condition.is_none() && from.iter().zip(first.to_col.iter()).all(exact))
    }

    fn from<E: EntityTrait>(&self) -> Result<Vec<E::Column>> {
        let first = self.first::<E>()?;
        let columns = columns::<E>(&first.from_col)?;
        if columns.len() == first.to_col.arity() {
            return Ok(columns);
        }
        let named = format!("{:?} to {:?}", first.from_col, first.to_col);
        Err(Error::argument("relation", named, "a relation with as many columns on both sides"))
    }

    fn first<E: EntityTrait>(&self) -> Result<&RelationDef> {
        self.0.first().ok_or_else(|| {
            Error::argument("relation", format!("a link from {} without a hop", table::<E>()), "one hop or more")
        })
    }
}

fn primary_key<E: EntityTrait>() -> Vec<E::Column> {
    E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect()
}

fn columns<E: EntityTrait>(names: &Identity) -> Result<Vec<E::Column>> {
    let column = |name: String| {
        let expected = format!("a relation that begins with columns of {}", table::<E>());
        E::Column::from_str(&name).map_err(|_| Error::argument("relation", name, expected))
    };
    names.iter().map(|name| column(name.to_string())).collect()
}

/// How the related rows of many rows are found by one statement.
pub(super) struct Route {
    /// The key by which a related row belongs to a row.
    pub(super) parts: Vec<Part>,
    joins: Vec<(TableRef, Condition)>,
}

impl Route {
    /// From `E` to `R`.
    pub(super) fn new<E: EntityTrait, R: EntityTrait>(hops: &Hops, backend: DbBackend) -> Result<Self> {
        let first = hops.first::<E>()?;
        let last = hops.0.len() - 1;
        let end = |hop: usize| if hop == last { None } else { Some(Alias::new(format!("sea_dao_hop_{hop}"))) };
        let mut joins = Vec::new();
        for (hop, relation) in hops.0.iter().enumerate().skip(1).rev() {
            if let Some(start) = end(hop - 1) {
                joins.push(join(relation, &start, end(hop)));
            }
        }
        let parts = if hops.is_direct::<E, R>()? {
            let columns = hops.from::<E>()?.into_iter().zip(first.to_col.iter());
            columns.map(|(from, to)| part_at_end::<E, R>(from, to, end(0), backend)).collect()
        } else {
            let start = Alias::new("sea_dao_parent");
            joins.push(join(first, &start, end(0)));
            primary_key::<E>().into_iter().map(|column| own_part::<E>(column, &start)).collect()
        };
        Ok(Self { parts, joins })
    }

    /// Joins the tables on the way, and selects the key.
    pub(super) fn add_to(&self, statement: &mut SelectStatement, grouped: bool) {
        for (table, condition) in &self.joins {
            statement.join(JoinType::InnerJoin, table.clone(), condition.clone());
        }
        for (number, part) in self.parts.iter().enumerate() {
            statement.expr_as(part.selected.clone(), Alias::new(name(number)));
            if grouped {
                statement.add_group_by([part.selected.clone()]);
            }
        }
    }
}

/// The table where the relation begins, under another name, with the condition that ties it to where it ends.
fn join(relation: &RelationDef, start: &Alias, end: Option<Alias>) -> (TableRef, Condition) {
    let table = relation.from_tbl.clone().alias(start.clone());
    let mut relation = relation.clone();
    relation.from_tbl = table.clone();
    if let Some(end) = end {
        relation.to_tbl = relation.to_tbl.alias(end);
    }
    (table, relation.into())
}

/// A column where the first hop ends: one of `R`, or one of a table on the way.
fn part_at_end<E: EntityTrait, R: EntityTrait>(
    from: E::Column,
    to: &DynIden,
    end: Option<Alias>,
    backend: DbBackend,
) -> Part {
    let Some(end) = end else {
        let column = Expr::col((R::default().into_iden(), to.clone()));
        let own = R::Column::from_str(&to.to_string()).ok();
        let kind = own.map_or_else(|| E::Model::get_value_type(from), R::Model::get_value_type);
        let cast = Box::new(move |value: &Value| {
            own.and_then(|own| padded(own, value)).unwrap_or_else(|| Expr::val(value.clone()))
        });
        return Part { selected: column.clone(), column, kind, cast };
    };
    let cast = Box::new(|value: &Value| Expr::val(value.clone()));
    let column = Expr::col((end.into_iden(), to.clone()));
    let kind = E::Model::get_value_type(from);
    if !is_integer(&kind) {
        return Part { selected: column.clone(), column, kind, cast };
    }
    // How the column is declared is not known here.
    let selected = column.clone().cast_as(integer_type(backend));
    Part { column, selected, kind: ArrayType::BigInt, cast }
}

/// A column of `E` itself.
fn own_part<E: EntityTrait>(column: E::Column, start: &Alias) -> Part {
    let here = || Expr::col((start.clone().into_iden(), column.into_iden()));
    let kind = E::Model::get_value_type(column);
    let cast = Box::new(move |value: &Value| compared(column, value));
    Part { column: here(), selected: column.select_as(here()), kind, cast }
}
