//! What of two regions' schemas differs so that rows could not move from one to the other.

use crate::catalogue::{Catalogue, Column, ForeignKey, Table, TableKind, TableName};
use crate::layout::Layout;
use crate::relations::{leaves, whole};
use std::collections::BTreeSet;

/// The differences that block a move, one line each, in the layout's order; empty: rows can move.
/// Foreign keys answered `keep-id` are left out (see [`crate::check::dropped_but_present`]); a check
/// or a column that only the source has a default for blocks nothing.
pub fn diff(source: &Catalogue, target: &Catalogue, layout: &Layout) -> Vec<String> {
    if source.engine != target.engine {
        return vec!["the two databases are of different engines".to_owned()];
    }
    let mut lines = Vec::new();
    let mapped = layout.tables.iter().map(|t| &t.name);
    lines.extend(unmapped_columns(source, layout));
    for name in mapped.chain(layout.references.iter().map(|t| &t.name)) {
        match (source.table(name), target.table(name)) {
            (None, None) => lines.push(format!("{name}: missing on both sides")),
            (Some(_), None) => lines.push(format!("{name}: missing at the target")),
            (None, Some(_)) => lines.push(format!("{name}: missing at the source")),
            (Some(a), Some(b)) => {
                let mut pair = Pair { name, lines: &mut lines };
                pair.kind(a, b);
                pair.columns(a, b);
                pair.keys(a, b);
                pair.foreign_keys(foreign_keys(source, a, layout), foreign_keys(target, b, layout));
                pair.leaves(source, target);
            }
        }
    }
    lines
}

/// Columns of the source that the layout does not know: it was resolved at another region, and their
/// values would stay behind unseen.
fn unmapped_columns(source: &Catalogue, layout: &Layout) -> Vec<String> {
    let mut lines = Vec::new();
    for mapped in &layout.tables {
        let columns = source.table(&mapped.name).into_iter().flat_map(|table| &table.columns);
        let unknown = columns.filter(|c| !c.generated && !mapped.columns.iter().any(|m| m.name == c.name));
        lines.extend(unknown.map(|column| {
            format!(
                "{}: column {} is not at the region that the data map was read at",
                mapped.name, column.name
            )
        }));
    }
    lines
}

struct Pair<'a> {
    name: &'a TableName,
    lines: &'a mut Vec<String>,
}

impl Pair<'_> {
    fn line(&mut self, text: String) {
        self.lines.push(format!("{}: {text}", self.name));
    }

    fn kind(&mut self, a: &Table, b: &Table) {
        if a.kind != b.kind {
            let (a, b) = (kind_word(a.kind), kind_word(b.kind));
            self.line(format!("{a} at the source, {b} at the target"));
        }
    }

    fn columns(&mut self, a: &Table, b: &Table) {
        for column in &a.columns {
            match b.column(&column.name) {
                None if column.generated => {}
                None => self.line(format!("column {} is missing at the target", column.name)),
                Some(other) => self.column(column, other),
            }
        }
        for column in b.columns.iter().filter(|c| a.column(&c.name).is_none()) {
            if column.not_null && !column.has_default && !column.generated && !column.identity {
                self.line(format!(
                    "column {} is only at the target, NOT NULL without a default",
                    column.name
                ));
            } else if !column.generated {
                self.line(format!("column {} is only at the target", column.name));
            }
        }
    }

    fn column(&mut self, a: &Column, b: &Column) {
        if a.type_name != b.type_name {
            let text = format!(
                "column {} is `{}` at the source, `{}` at the target",
                a.name, a.type_name, b.type_name
            );
            self.line(text);
        }
        if a.not_null != b.not_null {
            let text = format!("column {} is NOT NULL only at the {}", a.name, side(a.not_null));
            self.line(text);
        }
        if a.generated != b.generated {
            let text = format!("column {} is generated only at the {}", a.name, side(a.generated));
            self.line(text);
        }
        if a.identity != b.identity {
            let text = format!("column {} is an identity only at the {}", a.name, side(a.identity));
            self.line(text);
        }
    }

    fn keys(&mut self, a: &Table, b: &Table) {
        if a.primary_key != b.primary_key {
            let text = format!(
                "the primary key is ({}) at the source, ({}) at the target",
                a.primary_key.join(", "),
                b.primary_key.join(", ")
            );
            self.line(text);
        }
        self.only("unique key", uniques(a), uniques(b));
    }

    fn foreign_keys(&mut self, a: BTreeSet<String>, b: BTreeSet<String>) {
        self.only("foreign key", a, b);
    }

    fn leaves(&mut self, source: &Catalogue, target: &Catalogue) {
        let names = |c: &Catalogue| -> BTreeSet<String> {
            let kind = |leaf: &Table| match leaf.kind {
                TableKind::Ordinary => String::new(),
                other => format!(" ({})", kind_word(other)),
            };
            leaves(c, self.name).iter().map(|leaf| format!("{}{}", leaf.name, kind(leaf))).collect()
        };
        let (a, b) = (names(source), names(target));
        self.only("partition", a, b);
    }

    fn only(&mut self, what: &str, a: BTreeSet<String>, b: BTreeSet<String>) {
        for item in a.difference(&b) {
            self.line(format!("{what} {item} is only at the source"));
        }
        for item in b.difference(&a) {
            self.line(format!("{what} {item} is only at the target"));
        }
    }
}

fn side(at_source: bool) -> &'static str {
    if at_source { "source" } else { "target" }
}

fn kind_word(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Ordinary => "an ordinary table",
        TableKind::Partitioned => "a partitioned table",
        TableKind::Unlogged => "an unlogged table",
        TableKind::Foreign => "a foreign table",
        TableKind::Virtual => "a virtual table",
    }
}

/// Names of constraints may differ between regions; what they say may not.
fn uniques(table: &Table) -> BTreeSet<String> {
    table
        .uniques
        .iter()
        .map(|u| match (u.columns.is_empty(), u.partial) {
            (true, _) => format!("{} (on expressions)", u.name),
            (false, true) => format!("({}) where ... ({})", u.columns.join(", "), u.name),
            (false, false) => format!("({})", u.columns.join(", ")),
        })
        .collect()
}

fn foreign_keys(catalogue: &Catalogue, table: &Table, layout: &Layout) -> BTreeSet<String> {
    let dropped = |key: &ForeignKey| {
        layout.dropped_foreign_keys.iter().any(|(t, name)| *t == table.name && *name == key.name)
    };
    table
        .foreign_keys
        .iter()
        .filter(|key| !dropped(key))
        .map(|key| {
            let to = whole(catalogue, &key.references);
            let deferrable = if key.deferrable { " deferrable" } else { "" };
            format!(
                "({}) to {to} ({}) on delete {}, on update {}{deferrable}",
                key.columns.join(", "),
                key.referenced.join(", "),
                action(key.on_delete),
                action(key.on_update)
            )
        })
        .collect()
}

fn action(action: crate::catalogue::FkAction) -> &'static str {
    use crate::catalogue::FkAction::*;
    match action {
        NoAction => "no action",
        Restrict => "restrict",
        Cascade => "cascade",
        SetNull => "set null",
        SetDefault => "set default",
    }
}
