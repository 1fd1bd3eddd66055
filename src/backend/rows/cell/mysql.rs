//! A column of a row of MariaDB or MySQL.

use sea_orm::{DbBackend, Value};
use sqlx::{
    Column as _, MySql, Row as _, Type,
    mysql::{MySqlRow, MySqlTypeInfo},
};

use super::{Cells, LastType, ResultId, begins_with, fits_plain, plain_types, read_plain, result_id};

impl Cells for MySqlRow {
    fn database(&self) -> DbBackend {
        DbBackend::MySql
    }

    fn result_id(&self) -> ResultId {
        result_id(self)
    }

    fn begins_with(&self, names: &[&str]) -> bool {
        begins_with(self, names)
    }

    fn fits(&self, kind: &Value, place: usize, _: &LastType) -> bool {
        let Some(column) = self.columns().get(place) else { return false };
        match kind {
            // SeaORM reads it in ways of its own, and an instant with an offset.
            Value::Uuid(_) => false,
            Value::String(_) => is_of(column.type_info(), &None::<Vec<u8>>),
            kind => plain_types!(fits_plain!(kind, |value| is_of(column.type_info(), value)) Decimal),
        }
    }

    fn read(&self, kind: &Value, place: usize) -> Option<Option<Value>> {
        match kind {
            // It takes any bytes that are a text.
            Value::String(_) => match self.try_get_unchecked::<Option<Vec<u8>>, _>(place).ok()? {
                None => Some(None),
                Some(bytes) => String::from_utf8(bytes).ok().map(|text| Some(Value::String(Some(text)))),
            },
            kind => plain_types!(read_plain!(kind, self.try_get_unchecked::<Option<_>, _>(place).ok()) Decimal),
        }
    }
}

fn is_of<T: Type<MySql>>(column: &MySqlTypeInfo, _: &Option<T>) -> bool {
    T::compatible(column)
}
