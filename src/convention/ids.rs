//! Primary keys that are made here and not by the database.

use std::{fmt, ptr, str::FromStr};

use sea_orm::{
    ColumnTrait, EntityTrait, Iterable, ModelTrait, PrimaryKeyToColumn, PrimaryKeyTrait, RelationTrait, Value,
    prelude::Uuid, sea_query::ArrayType,
};

use super::{Snowflake, value::fit};
use crate::error::Result;

/// Makes primary keys.
///
/// An implementation MUST give a new value at every call, from every thread, and MUST NOT block. An integer fits every
/// column of integers that is wide enough; everything else has to be of the column's own type.
///
/// ```
/// use std::sync::atomic::{AtomicI64, Ordering};
/// use sea_dao::{BaseDao, Conventions, Result, convention::{IdGenerator, Ids}, sea_orm::Value};
///
/// /// Numbers from 1, for a program that is alone with its database.
/// struct Numbers(AtomicI64);
///
/// impl IdGenerator for Numbers {
///     fn next_id(&self) -> Result<Value> {
///         Ok(self.0.fetch_add(1, Ordering::Relaxed).into())
///     }
/// }
///
/// static NUMBERS: Numbers = Numbers(AtomicI64::new(1));
///
/// let conventions = Conventions { ids: Ids::From(&NUMBERS), ..Conventions::default() };
/// ```
pub trait IdGenerator: Send + Sync {
    /// A value that was never given before.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being sure of that.
    fn next_id(&self) -> Result<Value>;
}

/// Where a primary key comes from that the caller does not set. Keys of several columns are never made.
#[derive(Clone, Copy, Default)]
pub enum Ids {
    /// What the database does not generate is made by the key's type: a [`Snowflake`] of this process for a 64-bit
    /// integer, a [`UuidV7`] for a UUID, nothing for other types.
    ///
    /// The database generates a key when its entity says so (`auto_increment`, or a default of the column). A key that
    /// is also a foreign key, as in a one-to-one relation, belongs to the other row and is not made.
    #[default]
    ByType,
    /// Nothing is made here.
    Database,
    /// From this generator, whatever the entity says. It lives as long as the process, as what it must not give twice
    /// does.
    From(&'static dyn IdGenerator),
}

impl PartialEq for Ids {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ByType, Self::ByType) | (Self::Database, Self::Database) => true,
            (Self::From(one), Self::From(other)) => ptr::addr_eq(*one, *other),
            _ => false,
        }
    }
}

impl Eq for Ids {}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByType => "ByType",
            Self::Database => "Database",
            Self::From(_) => "From(generator)",
        })
    }
}

/// UUIDs of version 7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#section-5.7)): the time in milliseconds, then a
/// counter, then chance. They sort by when they were made, also within a millisecond, and do not repeat when the clock
/// steps back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UuidV7;

impl IdGenerator for UuidV7 {
    fn next_id(&self) -> Result<Value> {
        Ok(Uuid::now_v7().into())
    }
}

/// The column of a primary key, and what makes its values.
#[derive(Clone, Copy)]
pub(super) struct GeneratedKey<E: EntityTrait> {
    pub(super) column: E::Column,
    source: Source,
}

#[derive(Clone, Copy)]
enum Source {
    Snowflake,
    UuidV7,
    Own(&'static dyn IdGenerator),
}

impl<E: EntityTrait> GeneratedKey<E> {
    pub(super) fn of(ids: Ids) -> Option<Self> {
        let mut columns = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column);
        let (Some(column), None) = (columns.next(), columns.next()) else { return None };
        let source = match ids {
            Ids::Database => return None,
            Ids::From(generator) => Source::Own(generator),
            Ids::ByType if comes_from_elsewhere::<E>(column) => return None,
            Ids::ByType => match E::Model::get_value_type(column) {
                ArrayType::BigInt | ArrayType::BigUnsigned => Source::Snowflake,
                ArrayType::Uuid => Source::UuidV7,
                _ => return None,
            },
        };
        Some(Self { column, source })
    }

    pub(super) fn next(&self) -> Result<Value> {
        let value = match self.source {
            Source::Snowflake => Snowflake::of_process()?.next_id()?,
            Source::UuidV7 => UuidV7.next_id()?,
            Source::Own(generator) => generator.next_id()?,
        };
        fit::<E>(self.column, &value, "generated id")
    }
}

/// Whether the database generates the key, or another row has it first.
fn comes_from_elsewhere<E: EntityTrait>(column: E::Column) -> bool {
    let is_key = |name: &str| E::Column::from_str(name).is_ok_and(|other| E::PrimaryKey::from_column(other).is_some());
    <E::PrimaryKey as PrimaryKeyTrait>::auto_increment()
        || column.def().get_column_default().is_some()
        || E::Relation::iter()
            .map(|relation| relation.def())
            // SeaORM calls the side that is pointed to the owner.
            .any(|relation| !relation.is_owner && relation.from_col.iter().any(|column| is_key(&column.to_string())))
}
