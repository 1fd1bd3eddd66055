//! What statements have in common that differ only in their values.

use std::{
    collections::HashMap,
    fmt,
    hash::BuildHasher,
    sync::{Arc, PoisonError, RwLock},
};

use sea_orm::{DbBackend, Value, Values};
use serde::{Serialize, Serializer};

use crate::error::Error;

/// What statements have in common that differ only in their values, in the number of values behind IN, in the number of
/// rows behind VALUES, in blanks, or in comments.
///
/// The tables, the operation and the access are read from the text, without asking the database: a function that writes
/// is not noticed, a view is taken for a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fingerprint {
    /// A number that depends on the text alone: it is the same in another process and in another version of this crate
    /// that folds in the same way. Serialized as 16 hexadecimal digits, since not every reader of JSON has 64 bits.
    #[serde(serialize_with = "hexadecimal")]
    pub id: u64,
    /// The statement with `?` for each value, cut after 4 000 characters.
    pub text: Arc<str>,
    /// The first keyword in capitals, such as SELECT; for WITH, that of the statement that it is for. Cut after 32
    /// characters.
    pub operation: Box<str>,
    /// The tables named, as in `schema.table`, without quotes: the first 32 of them, each cut after 128 characters.
    pub tables: Box<[String]>,
    /// Whether rows are read or written.
    pub access: Access,
}

/// Whether a statement reads or writes rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Access {
    /// It begins or ends a transaction, changes a setting, or checks a connection.
    #[default]
    Neither,
    /// It only reads; also when it locks what it reads.
    Read,
    /// It writes, or may write.
    Write,
}

impl Fingerprint {
    const LONGEST: usize = 4_000;
    const LONGEST_OPERATION: usize = 32;
    const LONGEST_TABLE: usize = 128;
    const MOST_TABLES: usize = 32;

    pub(crate) fn new(text: String, operation: String, mut tables: Vec<String>, access: Access) -> Self {
        // FNV-1a, which is simple enough to stay the same for ever.
        let id = text
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        tables.truncate(Self::MOST_TABLES);
        Self {
            id,
            text: cut(text, Self::LONGEST).into(),
            operation: cut(operation, Self::LONGEST_OPERATION).into(),
            tables: tables.into_iter().map(|table| cut(table, Self::LONGEST_TABLE)).collect(),
            access,
        }
    }

    /// The operation and its tables, such as `SELECT user`: few different ones, to group by.
    #[must_use]
    pub fn summary(&self) -> String {
        std::iter::once(&*self.operation).chain(self.tables.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The first characters: what is kept of a text that somebody else has made is bounded.
fn cut(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
        text.push('…');
    }
    text.shrink_to_fit();
    text
}

fn hexadecimal<S: Serializer>(id: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{id:016x}"))
}

/// What watching statements has to know of the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialect {
    pub(crate) backend: DbBackend,
    /// OpenTelemetry's name for the database.
    pub(crate) system: &'static str,
    pub(crate) fingerprint: fn(&str, DbBackend) -> Fingerprint,
    /// SQL with its values in place.
    pub(crate) inline: fn(&str, &Values, DbBackend) -> String,
    /// A value as it is written in SQL.
    pub(crate) literal: fn(&Value, DbBackend) -> String,
    /// The database's own code for a failure.
    pub(crate) status_code: fn(&Error) -> Option<String>,
}

/// Where a database is, as far as its URL tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Endpoint {
    /// The server's name or address; `None` for SQLite.
    pub address: Option<String>,
    /// The server's port; `None` for SQLite.
    pub port: Option<u16>,
    /// The database's name on the server, or SQLite's file.
    pub namespace: Option<String>,
}

/// The fingerprints of the texts seen lately.
pub(crate) struct Fingerprints {
    dialect: Dialect,
    endpoint: Endpoint,
    hasher: foldhash::fast::RandomState,
    shards: [RwLock<HashMap<Place, Arc<Fingerprint>, foldhash::fast::RandomState>>; Self::SHARDS],
}

/// A text's hash and length, in place of a text that may be long.
type Place = (u64, usize);

impl Fingerprints {
    const SHARDS: usize = 16;
    /// Beyond it a shard is emptied and fills again with what is in use.
    const MOST_IN_SHARD: usize = 128;

    pub(crate) fn new(dialect: Dialect, endpoint: Endpoint) -> Self {
        Self { dialect, endpoint, hasher: foldhash::fast::RandomState::default(), shards: Default::default() }
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn of(&self, sql: &str) -> Arc<Fingerprint> {
        let place = (self.hasher.hash_one(sql), sql.len());
        let shard = &self.shards[place.0 as usize % Self::SHARDS];
        if let Some(known) = shard.read().unwrap_or_else(PoisonError::into_inner).get(&place) {
            return known.clone();
        }
        let fingerprint = Arc::new((self.dialect.fingerprint)(sql, self.dialect.backend));
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= Self::MOST_IN_SHARD {
            shard.clear();
        }
        shard.insert(place, fingerprint.clone());
        fingerprint
    }
}
