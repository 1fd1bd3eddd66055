//! What the tables should hold.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::tables::Change;

/// The columns that a row sets; the others take their defaults, or stay as they are.
#[derive(Debug, Clone, Default)]
pub(super) struct Given {
    pub(super) small: Option<i32>,
    pub(super) maybe: Option<Option<i64>>,
    pub(super) word: Option<Option<String>>,
}

impl Given {
    /// Sets the columns whose bits are set.
    pub(super) fn random(shape: u8, rng: &mut Rng) -> Self {
        const WORDS: [&str; 8] = ["", "plain", "a\tb\nc\\N", "'; --", "🦀 \u{301}", "\\.", "{\"a\"}", "NULL"];
        let sets = |column: u8| shape & (1 << column) != 0;
        Self {
            small: sets(0).then(|| rng.i32(..)),
            maybe: sets(1).then(|| rng.bool().then(|| rng.i64(..))),
            word: sets(2).then(|| rng.bool().then(|| WORDS[rng.usize(..WORDS.len())].to_owned())),
        }
    }

    fn sets_nothing(&self) -> bool {
        matches!(self, Self { small: None, maybe: None, word: None })
    }
}

/// A row as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    /// 0 where the database makes no key.
    pub(super) id: i64,
    pub(super) key: usize,
    /// Twice the key, computed by the database.
    pub(super) twice: usize,
    pub(super) small: i32,
    pub(super) maybe: Option<i64>,
    pub(super) word: Option<String>,
}

/// The rows by their keys.
#[derive(Debug, Default)]
pub(super) struct Plain {
    rows: BTreeMap<usize, Row>,
    next: usize,
}

impl Plain {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key that the database made for this one.
    pub(super) fn id(&self, key: usize) -> Option<i64> {
        self.rows.get(&key).map(|row| row.id)
    }

    /// Keys that were never there.
    pub(super) fn new_keys(&mut self, count: usize, rng: &mut Rng) -> Vec<usize> {
        let mut keys: Vec<usize> = (self.next..self.next + count).collect();
        self.next += count;
        rng.shuffle(&mut keys);
        keys
    }

    /// Keys that are there, as many as asked for, or all of them.
    pub(super) fn keys(&self, count: usize, rng: &mut Rng) -> Vec<usize> {
        let mut keys: Vec<usize> = self.rows.keys().copied().collect();
        rng.shuffle(&mut keys);
        keys.truncate(count);
        keys
    }

    pub(super) fn insert(&mut self, key: usize, given: &Given) {
        // What the tables say.
        let row = Row { id: 0, key, twice: 2 * key, small: 7, maybe: Some(-5), word: None };
        assert!(self.rows.insert(key, row).is_none());
        self.update(key, given);
    }

    pub(super) fn update(&mut self, key: usize, given: &Given) {
        let row = self.rows.get_mut(&key).expect("a row");
        let Given { small, maybe, word } = given.clone();
        row.small = small.unwrap_or(row.small);
        row.maybe = maybe.unwrap_or(row.maybe);
        row.word = word.unwrap_or(row.word.take());
    }

    /// Whether anything is written.
    pub(super) fn upsert(&mut self, key: usize, given: &Given, change: Change) -> bool {
        if !self.rows.contains_key(&key) {
            self.insert(key, given);
            return true;
        }
        match change {
            Change::Nothing => return false,
            Change::AllGiven if given.sets_nothing() => return false,
            Change::AllGiven => self.update(key, given),
            Change::Small => self.update(key, &Given { small: given.small, ..Given::default() }),
        }
        true
    }

    pub(super) fn delete(&mut self, key: usize) {
        self.rows.remove(&key).expect("a row");
    }

    /// Compares with all rows of the table, and takes over the keys that the database made: they stay as they are.
    pub(super) fn is_what_was_read(&mut self, mut read: Vec<Row>, what: &str) {
        read.sort_unstable_by_key(|row| row.key);
        assert_eq!(read.len(), self.rows.len(), "{what}");
        for (row, expected) in read.into_iter().zip(self.rows.values_mut()) {
            if expected.id == 0 {
                expected.id = row.id;
            }
            assert_eq!(row, *expected, "{what}");
        }
    }

    /// Compares what a write gave back, row by row in the order in which they were given.
    pub(super) fn are_rows_of(&self, given: &[(usize, Given)], returned: &[Row], what: &str) {
        assert_eq!(returned.len(), given.len(), "{what}");
        for ((key, _), row) in given.iter().zip(returned) {
            let expected = &self.rows[key];
            let id = if expected.id == 0 { row.id } else { expected.id };
            assert_eq!(*row, Row { id, ..expected.clone() }, "{what}");
        }
    }
}
