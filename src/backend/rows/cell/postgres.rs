//! A column of a row of PostgreSQL.

use std::{ops::Range, sync::atomic::Ordering};

use sea_orm::{DbBackend, Value};
use sqlx::{
    Column as _, Postgres, Row as _, Type,
    postgres::{PgRow, PgTypeInfo},
};

use super::{Cells, LastType, ResultId, begins_with, fits_plain, plain_types, read_plain, result_id};

impl Cells for PgRow {
    fn database(&self) -> DbBackend {
        DbBackend::Postgres
    }

    fn result_id(&self) -> ResultId {
        result_id(self)
    }

    fn begins_with(&self, names: &[&str]) -> bool {
        begins_with(self, names)
    }

    fn fits(&self, kind: &Value, place: usize, last: &LastType) -> bool {
        let Some(column) = self.columns().get(place) else { return false };
        let number = number(column.type_info());
        if number != 0 && last.0.load(Ordering::Relaxed) == number {
            return true;
        }
        let fits = plain_types!(fits_plain!(kind, |value| is_of(column.type_info(), value)) Decimal ChronoDateTimeWithTimeZone);
        if fits {
            last.0.store(number, Ordering::Relaxed);
        }
        fits
    }

    fn read(&self, kind: &Value, place: usize) -> Option<Option<Value>> {
        plain_types!(read_plain!(kind, self.try_get_unchecked::<Option<_>, _>(place).ok()) Decimal ChronoDateTimeWithTimeZone)
    }
}

fn is_of<T: Type<Postgres>>(column: &PgTypeInfo, _: &Option<T>) -> bool {
    T::compatible(column)
}

/// The number of a type that is the same in every database; 0 for another.
fn number(of: &PgTypeInfo) -> u32 {
    const BUILT_IN: Range<u32> = 1..10_000;
    of.oid().map(|oid| oid.0).filter(|number| BUILT_IN.contains(number)).unwrap_or_default()
}
