//! The columns of an entity as text, written once for each database.

use std::{
    any::TypeId,
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{LazyLock, PoisonError, RwLock},
};

use foldhash::fast::FixedState;
use sea_orm::{
    DbBackend, EntityTrait, QueryTrait, StatementBuilder,
    sea_query::{Expr, SelectStatement},
};

/// What `E::find()` selects.
struct Projection {
    /// An entity may choose its table as it goes.
    table: String,
    columns: String,
}

/// One for each entity and database, kept for as long as the program runs.
type Projections = HashMap<(TypeId, Discriminant<DbBackend>), Option<&'static Projection>, FixedState>;

static KNOWN: LazyLock<RwLock<Projections>> = LazyLock::new(RwLock::default);

/// `E::find()`, for this database only, unless it is more than the columns of the table. They are one piece of text, as
/// building them anew is most of the work.
pub(super) fn find<E: EntityTrait>(backend: DbBackend) -> Option<SelectStatement> {
    let key = (TypeId::of::<E>(), discriminant(&backend));
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
    let projection = known.unwrap_or_else(|| {
        let written = write::<E>(backend);
        let mut all = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        *all.entry(key).or_insert_with(|| written.map(|written| &*Box::leak(Box::new(written))))
    });
    let entity = E::default();
    match projection {
        Some(Projection { table, columns }) if table == entity.table_name() => {
            let mut select = SelectStatement::new();
            select.expr(Expr::cust(columns.as_str())).from(entity.table_ref());
            Some(select)
        }
        _ => None,
    }
}

/// `None` for an entity whose `find` is not the plain one.
fn write<E: EntityTrait>(backend: DbBackend) -> Option<Projection> {
    let entity = E::default();
    let written = E::find().build(backend);
    let nothing = SelectStatement::new().expr(Expr::cust("")).from(entity.table_ref()).take();
    let nothing = StatementBuilder::build(&nothing, &backend).sql;
    let columns = written.sql.strip_prefix("SELECT ")?.strip_suffix(nothing.strip_prefix("SELECT ")?)?;
    let plain = written.values.is_none_or(|values| values.0.is_empty());
    plain.then(|| Projection { table: entity.table_name().to_owned(), columns: columns.to_owned() })
}
