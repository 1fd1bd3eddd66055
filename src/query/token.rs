//! A place in a query's rows as text that a client keeps and sends back.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use crc::{CRC_32_ISO_HDLC, CRC_64_XZ, Crc};
use sea_orm::Value;
use serde::{Deserialize, Serialize};

use super::order::excerpt;
use crate::error::{Error, Result};

/// Changes whenever old tokens cannot be read any more.
const VERSION: u8 = 2;

/// A place in a query's rows, and which way to go from there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    /// The values of the columns that the rows are ordered by, in a row that is or was there.
    pub(super) values: Vec<Value>,
    /// Towards the first row.
    pub(super) backwards: bool,
    /// With the row itself.
    pub(super) inclusive: bool,
}

/// Tells one query from another.
pub(super) fn fingerprint(sql: &str) -> u64 {
    Crc::<u64>::new(&CRC_64_XZ).checksum(sql.as_bytes())
}

impl Place {
    /// # Errors
    ///
    /// [`Error::Unsupported`] for values that do not come back as they were, such as NaN.
    pub(super) fn encode(&self, fingerprint: u64) -> Result<String> {
        let Self { values, backwards, inclusive } = self;
        let values: Vec<Written> = values.iter().map(Written::from).collect();
        let text = serde_json::to_vec(&(VERSION, fingerprint, backwards, inclusive, values));
        let back = text.as_deref().ok().and_then(|text| parse(text).ok());
        let (Ok(mut text), true) = (text, back == Some((fingerprint, self.clone()))) else {
            return Err(Error::unsupported("a cursor over a value of this type; order by another column"));
        };
        text.extend(checksum(&text).to_le_bytes());
        Ok(BASE64_URL_SAFE_NO_PAD.encode(text))
    }

    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for anything but a whole token of the query with this fingerprint.
    pub(super) fn decode(token: &str, fingerprint: u64) -> Result<Self> {
        let text = BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| refused(token))?;
        let (text, sum) = text.split_last_chunk::<4>().ok_or_else(|| refused(token))?;
        if checksum(text) != u32::from_le_bytes(*sum) {
            return Err(refused(token));
        }
        let (of, place) = parse(text).map_err(|_| refused(token))?;
        if of != fingerprint {
            return Err(Error::argument("cursor", excerpt(token), "a token that this query gave, not another one"));
        }
        Ok(place)
    }
}

fn parse(text: &[u8]) -> serde_json::Result<(u64, Place)> {
    let (version, fingerprint, backwards, inclusive, values): (u8, u64, bool, bool, Vec<Written>) =
        serde_json::from_slice(text)?;
    if version != VERSION {
        return Err(serde::de::Error::custom("a token of another version"));
    }
    let values = values.into_iter().map(Value::from).collect();
    Ok((fingerprint, Place { values, backwards, inclusive }))
}

/// A value as a token holds it. A floating point number goes by its bits: as one of JSON, it would be read back with less
/// precision than it has.
#[derive(Serialize, Deserialize)]
enum Written {
    Double(u64),
    Float(u32),
    Other(Value),
}

impl From<&Value> for Written {
    fn from(value: &Value) -> Self {
        match value {
            Value::Double(Some(number)) => Self::Double(number.to_bits()),
            Value::Float(Some(number)) => Self::Float(number.to_bits()),
            other => Self::Other(other.clone()),
        }
    }
}

impl From<Written> for Value {
    fn from(written: Written) -> Self {
        match written {
            Written::Double(bits) => f64::from_bits(bits).into(),
            Written::Float(bits) => f32::from_bits(bits).into(),
            Written::Other(value) => value,
        }
    }
}

fn checksum(text: &[u8]) -> u32 {
    Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(text)
}

pub(super) fn refused(token: &str) -> Error {
    Error::argument("cursor", excerpt(token), "a token that a page of this query gave, unchanged")
}
