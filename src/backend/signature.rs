//! One prepared statement for one list of types.
//!
//! sqlx's PostgreSQL driver finds a prepared statement by its text alone, and sends values in binary. The same text with
//! a value of another type (`5_i64` where `5_i32` was before) would have its bytes read as the first type: an error at
//! best, another number at worst. So a text that comes again with other types is made another text.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, Hasher},
    mem::discriminant,
    sync::Arc,
};

use foldhash::quality::FixedState;
use sea_orm::Values;

/// More texts than the driver keeps; beyond it, each new one carries its types.
const MOST: usize = 1_024;

/// The types with which each text was first seen on a connection. Two texts that are taken for the same share the types
/// of the first, and are told apart all the same: it only makes another text of one of them.
#[derive(Default)]
pub(super) struct Signatures(HashMap<u64, u64, FixedState>);

impl Signatures {
    /// The text to prepare for `sql` with values of these types.
    pub(super) fn text_for(&mut self, sql: Arc<str>, values: Option<&Values>) -> Arc<str> {
        let signature = signature(values);
        let text = fingerprint(&sql);
        match self.0.get(&text) {
            Some(first) if *first == signature => sql,
            None if self.0.len() < MOST => {
                self.0.insert(text, signature);
                sql
            }
            // On a line of its own, so that a comment at the end of the text does not swallow it.
            _ => format!("{sql}\n/* types {signature:016x} */").into(),
        }
    }
}

/// In place of the text itself, which may be long.
fn fingerprint(sql: &str) -> u64 {
    FixedState::default().hash_one(sql)
}

fn signature(values: Option<&Values>) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    for value in values.iter().flat_map(|values| &values.0) {
        discriminant(value).hash(&mut hasher);
        #[cfg(feature = "postgres")]
        if let sea_orm::Value::Array(of, _) = value {
            format!("{of:?}").hash(&mut hasher);
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use sea_orm::{Value, Values};

    use super::{MOST, Signatures};

    fn values(value: impl Into<Value>) -> Option<Values> {
        Some(Values(vec![value.into()]))
    }

    #[test]
    fn other_types_make_another_text() {
        let mut seen = Signatures::default();
        let mut text = |values: Option<Values>| seen.text_for("SELECT $1".into(), values.as_ref());
        let first = text(values(1_i32));
        assert_eq!(&*first, "SELECT $1");
        assert_eq!(text(values(2_i32)), first);
        assert_eq!(text(values(None::<i32>)), first);
        let second = text(values(1_i64));
        assert_ne!(second, first);
        assert_ne!(text(values(1.0_f64)), second);
        assert_eq!(text(values(3_i64)), second);
        assert_eq!(text(values(4_i32)), first);
    }

    #[test]
    fn memory_is_bounded() {
        let mut seen = Signatures::default();
        for number in 0..MOST {
            seen.text_for(format!("SELECT {number}").into(), None);
        }
        let late = seen.text_for("SELECT 'late'".into(), None);
        assert!(late.starts_with("SELECT 'late'\n/* types "), "{late}");
        assert_eq!(seen.text_for("SELECT 'late'".into(), None), late);
        assert_eq!(seen.0.len(), MOST);
    }
}
