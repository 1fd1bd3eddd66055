//! The plain model: what is written in each open transaction, and what waits there.

use super::tables::{Mark, Part, Rows};

/// A write that waits.
#[derive(Debug, Clone)]
pub(super) enum Ask {
    AddPart { number: usize, slot: Option<i32>, parent: Option<usize> },
    AddMark { number: usize, part: usize },
    EditPart { number: usize, slot: Option<i32> },
    EditMark { number: usize, value: i32 },
    DeletePart { number: usize },
    DeleteMark { number: usize },
}

impl Ask {
    /// What it deletes: a part or a mark, and its number.
    fn deletes(&self) -> Option<(bool, usize)> {
        match self {
            Self::DeletePart { number } => Some((true, *number)),
            Self::DeleteMark { number } => Some((false, *number)),
            _ => None,
        }
    }
}

/// What became of an added row. `usize` is the depth of the transaction that it waits or was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Pending(usize),
    Written(usize),
    Undone,
    Unknown,
}

/// The session, or a transaction in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    pub(super) rows: Rows,
    pub(super) queue: Vec<Ask>,
}

/// The session and its open transactions.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) layers: Vec<Layer>,
    pub(super) parts: Vec<Fate>,
    pub(super) marks: Vec<Fate>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self { layers: vec![Layer::default()], parts: Vec::new(), marks: Vec::new() }
    }

    pub(super) fn depth(&self) -> usize {
        self.layers.len() - 1
    }

    pub(super) fn top(&mut self) -> &mut Layer {
        self.layers.last_mut().expect("a layer")
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.layers.last().expect("a layer").rows
    }

    pub(super) fn pending(&self) -> usize {
        let queue = &self.layers.last().expect("a layer").queue;
        let is_again =
            |at: usize| queue[..at].iter().any(|ask| ask.deletes().is_some() && ask.deletes() == queue[at].deletes());
        (0..queue.len()).filter(|&at| !is_again(at)).count()
    }

    fn fates(&mut self) -> impl Iterator<Item = &mut Fate> {
        self.parts.iter_mut().chain(&mut self.marks)
    }

    /// What the innermost transaction holds after a flush; `None` when the flush fails.
    pub(super) fn flushed(&self) -> Option<Rows> {
        let queue = &self.layers.last()?.queue;
        let mut rows = self.rows().clone();
        let parent_is_there = |fate: Fate| match fate {
            Fate::Written(_) => true,
            Fate::Pending(depth) => depth == self.depth(),
            Fate::Undone | Fate::Unknown => false,
        };
        for ask in queue {
            let parent = match ask {
                Ask::AddPart { parent, .. } => *parent,
                Ask::AddMark { part, .. } => Some(*part),
                _ => None,
            };
            if parent.is_some_and(|parent| !parent_is_there(self.parts[parent])) {
                return None;
            }
        }
        edit_parts(queue, &mut rows)?;
        for ask in queue {
            if let Ask::AddPart { number, slot, parent } = ask {
                let taken = slot.is_some() && rows.parts.values().any(|part| part.slot == *slot);
                if taken || rows.parts.insert(*number, Part { slot: *slot, parent: *parent }).is_some() {
                    return None;
                }
            }
        }
        // They may stand in the queue before the parts that they belong to.
        if !rows.parts.values().all(|part| part.parent.is_none_or(|parent| rows.parts.contains_key(&parent))) {
            return None;
        }
        for ask in queue {
            match ask {
                Ask::EditMark { number, value } => rows.marks.get_mut(number)?.value = *value,
                Ask::AddMark { number, part } => {
                    rows.parts.get(part)?;
                    rows.marks.insert(*number, Mark { part: *part, value: 0 });
                }
                _ => {}
            }
        }
        delete(queue, &mut rows)?;
        Some(rows)
    }

    /// A flush of the innermost transaction has succeeded.
    pub(super) fn flush(&mut self) {
        let rows = self.flushed().expect("a flush that succeeds");
        let depth = self.depth();
        *self.top() = Layer { rows, queue: Vec::new() };
        for fate in self.fates().filter(|fate| **fate == Fate::Pending(depth)) {
            *fate = Fate::Written(depth);
        }
    }

    /// Nobody knows what became of the innermost transaction's, or the session's, waiting writes.
    pub(super) fn doubt(&mut self) {
        let depth = self.depth();
        self.top().queue.clear();
        for fate in self.fates().filter(|fate| **fate == Fate::Pending(depth)) {
            *fate = Fate::Unknown;
        }
    }

    pub(super) fn begin(&mut self) {
        let rows = self.rows().clone();
        self.layers.push(Layer { rows, queue: Vec::new() });
    }

    pub(super) fn commit(&mut self) {
        let depth = self.depth();
        let Layer { rows, .. } = self.layers.pop().expect("a transaction");
        self.top().rows = rows;
        for fate in self.fates().filter(|fate| **fate == Fate::Written(depth)) {
            *fate = Fate::Written(depth - 1);
        }
    }

    /// Everything from the transaction at `depth` on is gone, or nobody knows.
    pub(super) fn end(&mut self, depth: usize, becomes: Fate) {
        self.layers.truncate(depth);
        for fate in self.fates() {
            if let Fate::Pending(at) | Fate::Written(at) = *fate
                && at >= depth
            {
                *fate = becomes;
            }
        }
    }
}

/// Rows that get the same value are updated together, where the first of them stands.
fn edit_parts(queue: &[Ask], rows: &mut Rows) -> Option<()> {
    let mut statements: Vec<(Option<i32>, Vec<usize>)> = Vec::new();
    for ask in queue {
        if let Ask::EditPart { number, slot } = ask {
            match statements.iter_mut().rev().find(|(other, _)| other == slot) {
                Some((_, numbers)) if !numbers.contains(number) => numbers.push(*number),
                _ => statements.push((*slot, vec![*number])),
            }
        }
    }
    for (slot, numbers) in statements {
        for number in numbers {
            let taken = |(other, part): (&usize, &Part)| slot.is_some() && *other != number && part.slot == slot;
            if rows.parts.iter().any(taken) {
                return None;
            }
            rows.parts.get_mut(&number)?.slot = slot;
        }
    }
    Some(())
}

fn delete(queue: &[Ask], rows: &mut Rows) -> Option<()> {
    let numbers = |pick: fn(&Ask) -> Option<usize>| {
        let mut numbers: Vec<usize> = queue.iter().filter_map(pick).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    };
    let marks = numbers(|ask| if let Ask::DeleteMark { number } = ask { Some(*number) } else { None });
    let parts = numbers(|ask| if let Ask::DeletePart { number } = ask { Some(*number) } else { None });
    for number in marks {
        rows.marks.remove(&number)?;
    }
    for number in parts {
        rows.parts.remove(&number)?;
    }
    let parts = &rows.parts;
    let parents_are_there = parts.values().all(|part| part.parent.is_none_or(|parent| parts.contains_key(&parent)));
    (parents_are_there && rows.marks.values().all(|mark| parts.contains_key(&mark.part))).then_some(())
}
