//! How a row finds its subject, as an SQL expression that a trigger can hold.

use super::super::quote::{column, ident};
use domicile_datamap::layout::{Layout, Owner, TableIx};

/// The subject of a row of table `ix` as a scalar expression: NULL where the row has none. `row` is
/// `NEW`, `OLD` or an alias. Names inside a trigger always mean tables of the trigger's own file, so no
/// temporary table can stand before the parent (ATTACKS A5, P8c).
pub(crate) fn subject_of(layout: &Layout, ix: TableIx, row: &str) -> String {
    match &layout.tables[ix].owner {
        Owner::Root { column: c } | Owner::Direct { column: c } => column(row, c),
        Owner::Derived { parent, link, .. } => {
            let mut from = format!("{} AS p1", ident(&layout.tables[*parent].name.name));
            let mut on = joined("p1", row, link);
            let (mut at, mut n) = (*parent, 1);
            loop {
                match &layout.tables[at].owner {
                    Owner::Root { column: c } | Owner::Direct { column: c } => {
                        return format!("(SELECT p{n}.{} FROM {from} WHERE {on})", ident(c));
                    }
                    Owner::Derived { parent, link, .. } => {
                        let (alias, below) = (format!("p{}", n + 1), format!("p{n}"));
                        from = format!(
                            "{from} CROSS JOIN {} AS {alias}",
                            ident(&layout.tables[*parent].name.name)
                        );
                        on = format!("{on} AND {}", joined(&alias, &below, link));
                        (at, n) = (*parent, n + 1);
                    }
                }
            }
        }
    }
}

/// The parent's column stands left, so that its collation decides, as it does for the foreign key.
fn joined(parent: &str, child: &str, link: &[(String, String)]) -> String {
    let parts: Vec<_> =
        link.iter().map(|(c, p)| format!("{} = {}", column(parent, p), column(child, c))).collect();
    parts.join(" AND ")
}

/// Columns of this table that say whose its rows are.
pub(crate) fn path_columns(layout: &Layout, ix: TableIx) -> Vec<String> {
    match &layout.tables[ix].owner {
        Owner::Root { column } | Owner::Direct { column } => vec![column.clone()],
        Owner::Derived { link, .. } => link.iter().map(|(c, _)| c.clone()).collect(),
    }
}

/// Columns whose change is more than a change of the row's content: its owner, its key, and what its
/// children refer to (with foreign keys off, children stay behind or are picked up when it changes).
pub(crate) fn standing_columns(layout: &Layout, ix: TableIx) -> Vec<String> {
    let mut all = path_columns(layout, ix);
    all.extend(layout.tables[ix].key.iter().cloned());
    for child in &layout.tables {
        if let Owner::Derived { parent, link, .. } = &child.owner
            && *parent == ix
        {
            all.extend(link.iter().map(|(_, p)| p.clone()));
        }
    }
    all.sort();
    all.dedup();
    all
}

/// True where rows of other tables are owned through this table's rows. The root counts: deleting it
/// may cascade to everything.
pub(crate) fn has_children(layout: &Layout, ix: TableIx) -> bool {
    ix == 0
        || layout.tables.iter().any(|t| matches!(&t.owner, Owner::Derived { parent, .. } if *parent == ix))
}
