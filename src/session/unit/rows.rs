//! The order of rows that refer to each other.

use std::collections::{HashMap, HashSet};

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
    let mut providers: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| !node.is_edit) {
        for provided in &node.provides {
            providers.entry(provided).or_default().push(index);
        }
    }
    let mut kinds: Vec<(usize, bool)> = nodes.iter().map(|node| (node.table, node.is_edit)).collect();
    // Edits first: they may free what an insert takes.
    kinds.sort_by_key(|(table, is_edit)| (*table, !is_edit));
    kinds.dedup();
    for (table, are_edits) in kinds {
        let mut taken: HashSet<usize> = HashSet::new();
        let mut levels = Levels::new();
        loop {
            let is_free = |index: usize, node: &Node| {
                let mut needed = node.needs.iter().filter_map(|need| providers.get(need.as_str())).flatten();
                needed.all(|provider| *provider == index || taken.contains(provider))
            };
            let level: Vec<usize> = (0..nodes.len())
                .filter(|&index| (nodes[index].table, nodes[index].is_edit) == (table, are_edits))
                .filter(|&index| !taken.contains(&index) && is_free(index, &nodes[index]))
                .collect();
            if level.is_empty() {
                break;
            }
            levels.push(level.iter().map(|&index| nodes[index].row).collect());
            taken.extend(level);
        }
        if !levels.is_empty() {
            return Some(Wave { table, are_edits, levels });
        }
    }
    None
}

/// The rows that may be deleted next: none of those that are still to be deleted refers to them.
pub(super) fn next_deletes(nodes: &[Node]) -> Option<Wave> {
    let mut needed: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, node) in nodes.iter().enumerate() {
        for need in &node.needs {
            needed.entry(need).or_default().push(index);
        }
    }
    let is_free = |index: usize, node: &Node| {
        let mut users = node.provides.iter().filter_map(|provided| needed.get(provided.as_str())).flatten();
        users.all(|user| *user == index)
    };
    let free = || nodes.iter().enumerate().filter(|(index, node)| is_free(*index, node)).map(|(_, node)| node);
    let table = free().next()?.table;
    let rows = free().filter(|node| node.table == table).map(|node| node.row).collect();
    Some(Wave { table, are_edits: false, levels: vec![rows] })
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
        assert_eq!(next_deletes(&nodes), wave(0, &[&[2, 3]]));
        assert_eq!(next_deletes(&nodes[..2]), wave(0, &[&[1]]));
        assert_eq!(next_deletes(&nodes[..1]), wave(0, &[&[0]]));
        assert_eq!(next_deletes(&[]), None);
    }
}
