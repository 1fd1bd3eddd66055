//! Which tables refer to which, by the entities' relations.

use sea_orm::{
    EntityTrait, Iden, IdenStatic, Identity, Iterable, RelationDef, RelationTrait, Value, sea_query::TableRef,
};

/// A table's name with its schema's.
pub(super) type TableKey = String;

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) child: TableKey,
    pub(super) parent: TableKey,
    /// The columns of the child.
    pub(super) from: Vec<String>,
    /// Those of the parent that they refer to.
    pub(super) to: Vec<String>,
}

pub(super) fn table_key<E: EntityTrait>() -> TableKey {
    key_of(&E::default().table_ref())
}

fn key_of(table: &TableRef) -> TableKey {
    match table {
        TableRef::Table(name, _) => format!("{name:?}"),
        other => format!("{other:?}"),
    }
}

/// The foreign keys that the entity's relations tell of, to and from it.
pub(super) fn links_of<E: EntityTrait>() -> Vec<Link> {
    E::Relation::iter().map(|relation| link(relation.def())).collect()
}

fn link(relation: RelationDef) -> Link {
    // `has_one` and `has_many` begin at the parent.
    let RelationDef { from_tbl, to_tbl, from_col, to_col, .. } =
        if relation.is_owner { relation.rev() } else { relation };
    Link { child: key_of(&from_tbl), parent: key_of(&to_tbl), from: names(from_col), to: names(to_col) }
}

fn names(columns: Identity) -> Vec<String> {
    columns.into_iter().map(|column| column.to_string()).collect()
}

/// A text that is the same for equal values of the columns named; `None` when one of them is NULL or unknown.
pub(super) fn reference<E: EntityTrait>(
    table: &str,
    columns: &[String],
    value: impl Fn(E::Column) -> Option<Value>,
) -> Option<String> {
    let mut text = table.to_owned();
    for name in columns {
        let column = E::Column::iter().find(|column| column.as_str() == name || Iden::to_string(column) == *name)?;
        let value = value(column).filter(|value| *value != value.as_null())?;
        text.push('\u{1f}');
        // Integers of different widths compare equal in a foreign key.
        text.push_str(&value.to_string());
    }
    Some(text)
}
