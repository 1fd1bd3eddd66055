//! A column of a row of SQLite. Each value has a type of its own there.

use sea_orm::{DbBackend, Value};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{Cells, LastType, ResultId, begins_with, plain_types, read_plain, result_id};

impl Cells for SqliteRow {
    fn database(&self) -> DbBackend {
        DbBackend::Sqlite
    }

    fn result_id(&self) -> ResultId {
        result_id(self)
    }

    fn begins_with(&self, names: &[&str]) -> bool {
        begins_with(self, names)
    }

    fn fits(&self, kind: &Value, _: usize, _: &LastType) -> bool {
        // SeaORM reads it from a float.
        !matches!(kind, Value::Decimal(_))
    }

    fn read(&self, kind: &Value, place: usize) -> Option<Option<Value>> {
        plain_types!(read_plain!(kind, self.try_get::<Option<_>, _>(place).ok()) ChronoDateTimeWithTimeZone)
    }
}
