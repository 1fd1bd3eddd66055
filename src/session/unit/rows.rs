//! The order of rows that refer to each other.

use std::collections::HashMap;

/// A row that is to be saved or deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) table: usize,
    pub(super) row: usize,
    /// The row is there already, and is changed.
    pub(super) is_edit: bool,
    /// What others may refer to it by.
    pub(super) provides: Vec<String>,
    /// What it refers to others by.
    pub(super) needs: Vec<String>,
}

/// Rows of one table that may be written now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wave {
    pub(super) table: usize,
    pub(super) are_edits: bool,
    pub(super) levels: Levels,
}

/// Rows by their numbers. Those of a level may refer to those of the levels before it.
pub(super) type Levels = Vec<Vec<usize>>;

/// The rows that may be saved next: they refer to none of the rows that are still to be inserted, unless it stands in a
/// level before them. `None` when there are no such rows.
pub(super) fn next_saves(nodes: &[Node]) -> Option<Wave> {
    let inserts = nodes.iter().enumerate().filter(|(_, node)| !node.is_edit);
    let providers = by_name(inserts.map(|(index, node)| (index, &node.provides)));
    let mut kinds: Vec<(usize, bool)> = nodes.iter().map(|node| (node.table, node.is_edit)).collect();
    // Edits first: they may free what an insert takes.
    kinds.sort_by_key(|(table, is_edit)| (*table, !is_edit));
    kinds.dedup();
    let mut waits = Waits::new(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        waits.add(index, node.needs.iter().filter_map(|need| providers.get(need.as_str())).flatten());
    }
    kinds.into_iter().find_map(|(table, are_edits)| {
        let levels = waits.clone().levels(nodes, |node| (node.table, node.is_edit) == (table, are_edits));
        (!levels.is_empty()).then_some(Wave { table, are_edits, levels })
    })
}

/// The rows that may be deleted next: none of those that are still to be deleted refers to them, unless it stands in a
/// level before them.
pub(super) fn next_deletes(nodes: &[Node]) -> Option<Wave> {
    let users = by_name(nodes.iter().enumerate().map(|(index, node)| (index, &node.needs)));
    let mut waits = Waits::new(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        waits.add(index, node.provides.iter().filter_map(|provided| users.get(provided.as_str())).flatten());
    }
    let table = nodes.iter().zip(&waits.waiting).find(|(_, waiting)| **waiting == 0)?.0.table;
    let levels = waits.levels(nodes, |node| node.table == table);
    Some(Wave { table, are_edits: false, levels })
}

/// The rows that have each name among theirs.
fn by_name<'n>(rows: impl Iterator<Item = (usize, &'n Vec<String>)>) -> HashMap<&'n str, Vec<usize>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, names) in rows {
        for name in names {
            found.entry(name).or_default().push(index);
        }
    }
    found
}

/// Which rows wait for which others.
#[derive(Clone)]
struct Waits {
    /// For how many others each row waits.
    waiting: Vec<usize>,
    /// The rows that wait for each row.
    followers: Vec<Vec<usize>>,
}

impl Waits {
    fn new(rows: usize) -> Self {
        Self { waiting: vec![0; rows], followers: vec![Vec::new(); rows] }
    }

    /// Lets a row wait for others. It need not wait for itself.
    fn add<'o>(&mut self, row: usize, others: impl Iterator<Item = &'o usize>) {
        for &other in others.filter(|other| **other != row) {
            self.waiting[row] += 1;
            self.followers[other].push(row);
        }
    }

    /// The rows of a kind that wait for none, then those that wait for these only, and so on.
    fn levels(mut self, nodes: &[Node], is_of_kind: impl Fn(&Node) -> bool) -> Levels {
        let mut level: Vec<usize> =
            (0..nodes.len()).filter(|&index| self.waiting[index] == 0 && is_of_kind(&nodes[index])).collect();
        let mut levels = Levels::new();
        while !level.is_empty() {
            let mut next = Vec::new();
            for &row in &level {
                for &follower in &self.followers[row] {
                    self.waiting[follower] -= 1;
                    if self.waiting[follower] == 0 && is_of_kind(&nodes[follower]) {
                        next.push(follower);
                    }
                }
            }
            next.sort_unstable();
            levels.push(level.iter().map(|&index| nodes[index].row).collect());
            level = next;
        }
        levels
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Wave, next_deletes, next_saves};

    fn node(table: usize, row: usize, provides: &str, needs: &str) -> Node {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Node { table, row, is_edit: false, provides: list(provides), needs: list(needs) }
    }

    fn wave(table: usize, levels: &[&[usize]]) -> Option<Wave> {
        Some(Wave { table, are_edits: false, levels: levels.iter().map(|level| level.to_vec()).collect() })
    }

    #[test]
    fn a_tree_is_saved_from_its_root_in_one_wave() {
        let nodes = [node(0, 0, "c", "b"), node(0, 1, "a", ""), node(0, 2, "b", "a"), node(0, 3, "d", "elsewhere")];
        assert_eq!(next_saves(&nodes), wave(0, &[&[1, 3], &[2], &[0]]));
    }

    #[test]
    fn rows_of_two_tables_take_turns() {
        // Table 0, row 1 refers to table 1, row 0, which refers to table 0, row 0.
        let nodes = [node(0, 0, "a", ""), node(0, 1, "b", "x"), node(1, 0, "x", "a")];
        assert_eq!(next_saves(&nodes), wave(0, &[&[0]]));
        assert_eq!(next_saves(&nodes[1..]), wave(1, &[&[0]]));
        assert_eq!(next_saves(&nodes[1..2]), wave(0, &[&[1]]));
    }

    #[test]
    fn a_circle_of_rows_has_no_order() {
        assert_eq!(next_saves(&[node(0, 0, "a", "b"), node(0, 1, "b", "a")]), None);
        assert_eq!(next_deletes(&[node(0, 0, "a", "b"), node(0, 1, "b", "a")]), None);
    }

    #[test]
    fn a_row_may_refer_to_itself() {
        let nodes = [node(0, 7, "a", "a")];
        assert_eq!(next_saves(&nodes), wave(0, &[&[7]]));
        assert_eq!(next_deletes(&nodes), wave(0, &[&[7]]));
    }

    #[test]
    fn edits_come_before_inserts_unless_they_refer_to_one() {
        let edit = |needs| Node { is_edit: true, ..node(0, 0, "", needs) };
        let insert = node(0, 0, "a", "");
        assert_eq!(
            next_saves(&[insert.clone(), edit("")]),
            Some(Wave { are_edits: true, table: 0, levels: vec![vec![0]] })
        );
        assert_eq!(next_saves(&[insert, edit("a")]), wave(0, &[&[0]]));
    }

    #[test]
    fn a_tree_is_deleted_leaf_by_leaf() {
        let nodes = [node(0, 0, "a", ""), node(0, 1, "b", "a"), node(0, 2, "c", "a"), node(0, 3, "d", "b")];
        assert_eq!(next_deletes(&nodes), wave(0, &[&[2, 3], &[1], &[0]]));
        assert_eq!(next_deletes(&nodes[..2]), wave(0, &[&[1], &[0]]));
        assert_eq!(next_deletes(&nodes[..1]), wave(0, &[&[0]]));
        assert_eq!(next_deletes(&[]), None);
    }

    /// One that compared each row with each other would not come to an end.
    #[test]
    fn long_chains_are_put_in_order() {
        const ROWS: usize = 200_000;
        let name = |row: usize| row.to_string();
        let nodes: Vec<Node> = (0..ROWS)
            .map(|row| Node { row, provides: vec![name(row)], needs: vec![name(row + 1)], ..Node::default() })
            .collect();
        let rows = |wave: Option<Wave>| wave.map(|wave| wave.levels.concat()).unwrap_or_default();
        assert!(rows(next_saves(&nodes)).into_iter().eq((0..ROWS).rev()));
        assert!(rows(next_deletes(&nodes)).into_iter().eq(0..ROWS));
    }
}
