//! The order of the tables in a flush.

/// Tables that are written together, because each of them refers to the others, or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) tables: Vec<usize>,
    /// Rows in it may refer to each other, so that their order matters.
    pub(super) cyclic: bool,
}

/// Puts tables behind those that they refer to, and otherwise leaves them in the order given. `parents[t]` are the
/// tables that `t` refers to.
pub(super) fn components(parents: &[Vec<usize>]) -> Vec<Component> {
    let reach = reachable(parents);
    let mut done = vec![false; parents.len()];
    let mut order = Vec::new();
    while let Some(next) = (0..parents.len()).find(|&table| {
        // What it refers to is written, unless it is referred to by that in turn.
        !done[table] && (0..parents.len()).all(|other| done[other] || !reach[table][other] || reach[other][table])
    }) {
        let tables: Vec<usize> =
            (0..parents.len()).filter(|&other| other == next || reach[next][other] && reach[other][next]).collect();
        for &table in &tables {
            done[table] = true;
        }
        order.push(Component { cyclic: reach[next][next], tables });
    }
    order
}

/// `reach[a][b]`: there is a way of one or more references from `a` to `b`.
fn reachable(parents: &[Vec<usize>]) -> Vec<Vec<bool>> {
    let count = parents.len();
    let mut reach = vec![vec![false; count]; count];
    for (table, parents) in parents.iter().enumerate() {
        for &parent in parents {
            reach[table][parent] = true;
        }
    }
    for via in 0..count {
        for from in 0..count {
            if reach[from][via] {
                let further = reach[via].clone();
                for (reached, further) in reach[from].iter_mut().zip(further) {
                    *reached |= further;
                }
            }
        }
    }
    reach
}

#[cfg(test)]
mod tests {
    use super::{Component, components};

    fn alone(table: usize) -> Component {
        Component { tables: vec![table], cyclic: false }
    }

    #[test]
    fn tables_without_references_keep_their_order() {
        assert_eq!(components(&[vec![], vec![], vec![]]), [alone(0), alone(1), alone(2)]);
    }

    #[test]
    fn what_is_referred_to_comes_first() {
        // 0 → 2 → 1, and 3 → 1
        assert_eq!(components(&[vec![2], vec![], vec![1], vec![1]]), [alone(1), alone(2), alone(0), alone(3)]);
    }

    #[test]
    fn tables_in_a_circle_are_one() {
        // 0 → 1 → 2 → 1, and 2 → 3
        let circle = Component { tables: vec![1, 2], cyclic: true };
        assert_eq!(components(&[vec![1], vec![2], vec![1, 3], vec![]]), [alone(3), circle, alone(0)]);
    }

    #[test]
    fn a_table_that_refers_to_itself_is_a_circle() {
        assert_eq!(components(&[vec![0]]), [Component { tables: vec![0], cyclic: true }]);
    }

    #[test]
    fn nothing_needs_no_order() {
        assert_eq!(components(&[]), []);
    }
}
