//! Rows in the binary format of PostgreSQL's COPY.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use std::sync::Arc;

use sea_orm::Value;

use crate::error::Result;

/// Asks for the columns of the table `$1` that COPY fills as INSERT does, with the object ids of their types. None, where
/// COPY does something else or is not allowed: views, tables with rules or with policies for rows.
pub(crate) const COPY_COLUMNS_SQL: &str = "SELECT a.attname::text, a.atttypid::bigint FROM pg_catalog.pg_attribute a \
     JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
     WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity \
     AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid) \
     AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity <> 'a' AND a.attgenerated = ''";

/// The COPY into these columns of a table, which is named as it stands in SQL.
pub(crate) fn copy_sql<'c>(table: &str, columns: impl Iterator<Item = &'c str>) -> String {
    let columns: Vec<_> = columns.map(|column| format!("\"{}\"", column.replace('"', "\"\""))).collect();
    format!("COPY {table} ({}) FROM STDIN (FORMAT BINARY)", columns.join(", "))
}

/// The rows of one COPY into columns of these types; built row by row, and taken in pieces.
#[derive(Debug)]
pub(crate) struct CopyData {
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "nothing is copied there"))]
    types: Arc<[u32]>,
    #[cfg(feature = "postgres")]
    buffer: sqlx::postgres::PgArgumentBuffer,
}

#[cfg(not(feature = "postgres"))]
impl CopyData {
    pub(crate) fn new(types: Arc<[u32]>) -> Self {
        Self { types }
    }

    pub(crate) fn push(&mut self, _row: &[Value]) -> Result<bool> {
        Ok(false)
    }

    pub(crate) fn len(&self) -> usize {
        0
    }

    pub(crate) fn end(&mut self) {}

    pub(crate) fn take(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

#[cfg(feature = "postgres")]
impl CopyData {
    pub(crate) fn new(types: Arc<[u32]>) -> Self {
        let mut buffer = sqlx::postgres::PgArgumentBuffer::default();
        // No flags, no extension.
        buffer.extend_from_slice(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0");
        Self { types, buffer }
    }

    /// Adds a row; `false` when a value is not of just the type that its column has, so that COPY cannot be used for it.
    /// The row is left out then, as after an error.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a value that no column can hold.
    pub(crate) fn push(&mut self, row: &[Value]) -> Result<bool> {
        let before = self.buffer.len();
        let added = self.add(row);
        if !matches!(added, Ok(true)) {
            self.buffer.truncate(before);
        }
        added
    }

    fn add(&mut self, row: &[Value]) -> Result<bool> {
        use super::{arguments::encode, input::refuse_unbindable};
        use crate::error::Error;
        use sea_orm::DbBackend;
        use sqlx::encode::IsNull;

        let Self { types, buffer } = self;
        buffer.extend_from_slice(&i16::try_from(types.len()).unwrap_or(i16::MAX).to_be_bytes());
        for (value, of) in row.iter().zip(types.iter()) {
            refuse_unbindable(value, DbBackend::Postgres)?;
            if !is_just(value, *of) {
                return Ok(false);
            }
            let at = buffer.len();
            buffer.extend_from_slice(&(-1_i32).to_be_bytes());
            let written = encode(value, buffer);
            match written.map_err(|error| Error::argument("value", error, "a value that PostgreSQL can hold"))? {
                None => return Ok(false),
                Some(IsNull::Yes) => {}
                Some(IsNull::No) => {
                    let Ok(length) = i32::try_from(buffer.len() - at - 4) else { return Ok(false) };
                    buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
                    if let (JSON, Some(version)) = (*of, buffer.get_mut(at + 4)) {
                        // Only the other type of JSON has a version.
                        *version = b' ';
                    }
                }
            }
        }
        Ok(true)
    }

    /// In bytes, of what was not taken.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// No row comes any more.
    pub(crate) fn end(&mut self) {
        self.buffer.extend_from_slice(&(-1_i16).to_be_bytes());
    }

    /// What was added since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let next = Vec::with_capacity(self.buffer.len());
        std::mem::replace(&mut *self.buffer, next)
    }
}

#[cfg(feature = "postgres")]
const JSON: u32 = 114;

/// Whether the binary form of `value` is that of the type with this object id. Nothing is converted in a COPY.
///
/// <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat>
#[cfg(feature = "postgres")]
fn is_just(value: &Value, of: u32) -> bool {
    use sea_orm::sea_query::ArrayType as Kind;

    if matches!(value, Value::Array(..) | Value::Enum(_)) {
        return false;
    }
    match value.array_type() {
        Kind::Bool => of == 16,
        Kind::SmallInt | Kind::TinyUnsigned => of == 21,
        Kind::Int | Kind::SmallUnsigned => of == 23,
        Kind::BigInt | Kind::Unsigned | Kind::BigUnsigned => of == 20,
        Kind::Float => of == 700,
        Kind::Double => of == 701,
        Kind::String | Kind::Char => matches!(of, 25 | 1042 | 1043),
        Kind::Bytes => of == 17,
        Kind::Json => matches!(of, JSON | 3802),
        Kind::ChronoDate | Kind::TimeDate => of == 1082,
        Kind::ChronoTime | Kind::TimeTime => of == 1083,
        Kind::ChronoDateTime | Kind::TimeDateTime => of == 1114,
        Kind::ChronoDateTimeUtc
        | Kind::ChronoDateTimeLocal
        | Kind::ChronoDateTimeWithTimeZone
        | Kind::TimeDateTimeWithTimeZone => of == 1184,
        Kind::Uuid => of == 2950,
        Kind::Decimal => of == 1700,
        _ => false,
    }
}
