//! The SQL of a DAO's own statements. It depends on the entity and on the columns that are set, not on their values, and
//! is built once.

use std::{
    any::TypeId,
    collections::HashMap,
    mem::{Discriminant, discriminant},
    sync::{LazyLock, PoisonError, RwLock},
};

use foldhash::fast::FixedState;
use sea_orm::{
    ColumnTrait, DbBackend, EntityTrait, QueryResult, Statement, Value, Values,
    sea_query::{DynIden, Expr},
};

use crate::{
    backend::{PlainSql, is_bound_as_it_is, padded},
    error::Result,
    session::Session,
};

/// Far more than a program has statements of a DAO; what comes beyond is built each time.
const MOST: usize = 4_096;

static TEXTS: LazyLock<RwLock<HashMap<Shape, PlainSql, FixedState>>> = LazyLock::new(RwLock::default);

/// What is done with one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Select,
    Insert,
    Update,
}

/// All that the text of a statement depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    entity: TypeId,
    /// An entity may choose it as it goes.
    schema: Option<String>,
    database: Discriminant<DbBackend>,
    operation: Operation,
    /// The column by which deleted rows are left out.
    deleted_at: Option<&'static str>,
    /// The column that holds the version.
    version: Option<&'static str>,
    /// A bit for each column that is set.
    columns: u128,
    /// The types that values are cast to, with the places of their columns.
    casts: Vec<(usize, DynIden)>,
    /// Whether what is listed here is indeed all.
    regular: bool,
}

impl Shape {
    pub(super) fn new<E: EntityTrait>(
        operation: Operation,
        backend: DbBackend,
        deleted_at: Option<&'static str>,
    ) -> Self {
        let (entity, database) = (TypeId::of::<E>(), discriminant(&backend));
        let schema = E::default().schema_name().map(str::to_owned);
        Self {
            entity,
            schema,
            database,
            operation,
            deleted_at,
            version: None,
            columns: 0,
            casts: Vec::new(),
            regular: true,
        }
    }

    /// The column at `place` is set to this.
    pub(super) fn sets(&mut self, place: usize, expression: &Expr) {
        match u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place)) {
            Some(bit) => self.columns |= bit,
            None => self.regular = false,
        }
        self.binds(place, expression);
    }

    /// The key's column at `place` is compared with this.
    pub(super) fn compares<C: ColumnTrait>(&mut self, place: usize, column: C, value: &Value) {
        // Written as IS NULL, or with a cast.
        self.regular &= *value != value.as_null() && padded(column, value).is_none();
        self.binds(place, &column.save_as(Expr::Value(value.clone())));
    }

    /// The version is compared with this.
    pub(super) fn expects<C: ColumnTrait>(&mut self, column: C, value: &Value) {
        self.version = Some(column.as_str());
        self.compares(usize::MAX, column, value);
    }

    /// A value is a placeholder, whatever it is, and one that is cast to a type is one in a CAST.
    fn binds(&mut self, place: usize, expression: &Expr) {
        self.regular &= bound(expression).is_some_and(is_bound_as_it_is);
        if let Expr::AsEnum(name, _) = expression {
            self.casts.push((place, name.clone()));
        }
    }

    pub(super) fn known(&self) -> Option<PlainSql> {
        if !self.regular {
            return None;
        }
        TEXTS.read().unwrap_or_else(PoisonError::into_inner).get(self).cloned()
    }

    /// Keeps the text of a statement for others of its shape, when it binds these values in this order.
    pub(super) fn keep(self, statement: &Statement, values: impl Iterator<Item = Value>) {
        if !self.regular || !statement.values.as_ref().is_some_and(|bound| bound.0.iter().cloned().eq(values)) {
            return;
        }
        let Some(sql) = PlainSql::new(&statement.sql, statement.db_backend) else { return };
        let mut texts = TEXTS.write().unwrap_or_else(PoisonError::into_inner);
        if texts.len() < MOST {
            texts.insert(self, sql);
        }
    }
}

/// The value of an expression that is nothing else.
pub(super) fn bound(expression: &Expr) -> Option<&Value> {
    match expression {
        Expr::Value(value) => Some(value),
        Expr::AsEnum(_, inner) => match inner.as_ref() {
            Expr::Value(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// As [`bound`], without a copy.
pub(super) fn into_bound(expression: Expr) -> Option<Value> {
    match expression {
        Expr::Value(value) => Some(value),
        Expr::AsEnum(_, inner) => match *inner {
            Expr::Value(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// A statement that is ready to be sent.
#[derive(Debug)]
pub(super) enum Ready {
    Known(PlainSql, Values),
    Built(Statement),
}

impl Ready {
    pub(super) async fn query_one(self, session: &Session) -> Result<Option<QueryResult>> {
        match self {
            Self::Known(sql, values) => session.query_one_plain(sql, values).await,
            Self::Built(statement) => session.query_one_built(statement).await,
        }
    }
}
