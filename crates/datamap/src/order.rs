//! Loading order: a table after those its foreign keys refer to, cycles opened where the database lets us.

use std::collections::BTreeSet;

/// `from` refers to `to` by a foreign key.
#[derive(Debug, Clone)]
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The owner's path: never opened, since a row without its owner's column has no owner.
    pub(crate) owner: bool,
    /// The columns can be loaded as NULL and filled afterwards.
    pub(crate) nullable: bool,
    /// The database checks the key at commit.
    pub(crate) deferrable: bool,
}

/// The order, and the edges that point forward in it.
#[derive(Debug, Default)]
pub(crate) struct Ordered {
    /// All tables, first loaded first.
    pub(crate) order: Vec<usize>,
    /// Edges whose target is loaded later, or in the same table.
    pub(crate) opened: Vec<usize>,
}

/// Orders `count` tables; where several could be next, the lowest number is. `first` is loaded
/// before all others.
pub(crate) fn order(count: usize, first: Option<usize>, edges: &[Edge]) -> Ordered {
    let mut run = Run { edges, placed: vec![false; count], out: Ordered::default() };
    run.out.opened.extend((0..edges.len()).filter(|e| edges[*e].from == edges[*e].to));
    if let Some(first) = first {
        run.place(first);
    }
    while run.out.order.len() < count {
        let free = (0..count).find(|i| !run.placed[*i] && run.waiting(*i).next().is_none());
        let Some(next) = free.or_else(|| run.cheapest()) else { break };
        run.place(next);
    }
    run.out
}

struct Run<'a> {
    edges: &'a [Edge],
    placed: Vec<bool>,
    out: Ordered,
}

impl Run<'_> {
    /// Edges of the table whose target is not placed yet.
    fn waiting(&self, table: usize) -> impl Iterator<Item = usize> {
        (0..self.edges.len()).filter(move |e| {
            let edge = &self.edges[*e];
            edge.from == table && edge.to != table && !self.placed[edge.to]
        })
    }

    fn place(&mut self, table: usize) {
        let opened: Vec<usize> = self.waiting(table).collect();
        self.out.opened.extend(opened);
        self.placed[table] = true;
        self.out.order.push(table);
    }

    /// In a cycle that waits for nothing outside it, the table that is opened with the least harm.
    fn cheapest(&self) -> Option<usize> {
        let reach: Vec<BTreeSet<usize>> = (0..self.placed.len()).map(|i| self.reach(i)).collect();
        (0..self.placed.len())
            .filter(|i| !self.placed[*i] && reach[*i].iter().all(|other| reach[*other].contains(i)))
            .min_by_key(|i| {
                // Owners' paths have no cycle (`check` sees to it), so a table without one waiting
                // exists: a parent always stands before its children.
                let mut cost = (0, 0, 0, 0);
                for e in self.waiting(*i) {
                    let edge = &self.edges[e];
                    cost.0 += usize::from(edge.owner);
                    cost.1 += usize::from(!(edge.nullable || edge.deferrable));
                    cost.2 += usize::from(!edge.nullable);
                    cost.3 += 1;
                }
                (cost, *i)
            })
    }

    fn reach(&self, from: usize) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut front = vec![from];
        while let Some(at) = front.pop() {
            front.extend(self.waiting(at).map(|e| self.edges[e].to).filter(|to| found.insert(*to)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(from: usize, to: usize, nullable: bool) -> Edge {
        Edge { from, to, owner: false, nullable, deferrable: false }
    }

    #[test]
    fn targets_come_first_and_ties_go_by_number() {
        let ordered = order(4, None, &[edge(0, 3, false), edge(1, 3, false), edge(2, 0, false)]);
        assert_eq!(ordered.order, [3, 0, 1, 2]);
        assert!(ordered.opened.is_empty());
    }

    #[test]
    fn a_cycle_is_opened_where_null_is_allowed() {
        let ordered = order(3, None, &[edge(0, 1, false), edge(1, 0, true), edge(2, 0, true)]);
        assert_eq!(ordered.order, [1, 0, 2]);
        assert_eq!(ordered.opened, [1]);
    }

    #[test]
    fn a_table_that_only_waits_for_a_cycle_is_not_opened() {
        // 0 waits for the cycle 1-2 and could be NULL; opening it would help nobody.
        let ordered = order(3, None, &[edge(0, 1, true), edge(1, 2, false), edge(2, 1, true)]);
        assert_eq!(ordered.order, [2, 1, 0]);
        assert_eq!(ordered.opened, [2]);
    }

    #[test]
    fn the_owners_path_is_never_opened() {
        let owner = Edge { owner: true, deferrable: true, ..edge(0, 1, false) };
        let ordered = order(2, None, &[owner, edge(1, 0, false)]);
        assert_eq!(ordered.order, [1, 0]);
        assert_eq!(ordered.opened, [1]);
    }

    #[test]
    fn the_first_is_first_and_a_self_reference_is_open() {
        let ordered = order(2, Some(1), &[edge(1, 0, true), edge(0, 0, true)]);
        assert_eq!(ordered.order, [1, 0]);
        assert_eq!(ordered.opened, [1, 0]);
    }
}
