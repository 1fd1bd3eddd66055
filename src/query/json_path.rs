//! Where something stands inside of a JSON document.

use crate::backend::json::Step;

/// Where something stands inside of a JSON document: keys of objects and positions in arrays, from the outside in.
///
/// ```
/// use sea_dao::query::JsonPath;
///
/// let city = JsonPath::from(["address", "city"]);
/// let first_score = JsonPath::from("scores").index(0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Goes on with a key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.0.push(Step::Key(key.into()));
        self
    }

    /// Goes on with a position, counted from 0.
    #[must_use]
    pub fn index(mut self, index: u32) -> Self {
        self.0.push(Step::Index(index));
        self
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }
}

impl From<&str> for JsonPath {
    fn from(key: &str) -> Self {
        Self(Vec::new()).key(key)
    }
}

impl From<String> for JsonPath {
    fn from(key: String) -> Self {
        Self(Vec::new()).key(key)
    }
}

impl<const N: usize> From<[&str; N]> for JsonPath {
    fn from(keys: [&str; N]) -> Self {
        keys.into_iter().fold(Self(Vec::new()), Self::key)
    }
}
