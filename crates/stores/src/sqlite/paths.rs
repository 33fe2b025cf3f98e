//! SQL that follows a row to its subject, and a subject to its rows.
//!
//! Every query here has the same two parameters: `?1` is a JSON array of subjects (texts), `?2` a JSON
//! array of keys (each the text of a [`crate::records::Key`]). `a0` is the table asked about, `a1` its
//! parent, and so on up to the table that holds the subject's key. Joins are CROSS JOINs, which SQLite
//! keeps in the order written: from the few (subjects, keys) to the many, by index.

use super::quote::{column, ident, key_part};
use crate::records::{Key, SubjectId};
use domicile_datamap::layout::{Layout, MappedTable, Owner, TableIx};

/// A list of subjects as the parameter `?1`, each once.
pub(crate) fn subjects_json(subjects: &[SubjectId]) -> String {
    let unique: std::collections::BTreeSet<&SubjectId> = subjects.iter().collect();
    json(unique.into_iter().map(|s| s.0.as_str()))
}

/// Keys as the parameter `?2`.
pub(crate) fn keys_json<'k>(keys: impl IntoIterator<Item = &'k Key>) -> String {
    json(keys.into_iter().map(|k| k.0.as_str()))
}

fn json<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    serde_json::Value::Array(texts.map(Into::into).collect()).to_string()
}

/// `s` (the subjects; `s.value` is the [`SubjectId`]) joined down to `a0`: the rows of these subjects.
pub(crate) fn from_subjects(layout: &Layout, ix: TableIx) -> String {
    let chain = chain(layout, ix);
    let top = chain.len() - 1;
    let anchor = &layout.tables[chain[top]];
    let own = owner_column(anchor);
    let mut sql = format!(
        "json_each(?1) AS s CROSS JOIN {} AS a{top} ON {}",
        ident(&anchor.name.name),
        equals_subject(&column(&format!("a{top}"), own), type_of(anchor, own)),
    );
    for level in (0..top).rev() {
        let table = &layout.tables[chain[level]];
        sql += &format!(" CROSS JOIN {} AS a{level} ON {}", ident(&table.name.name), link(table, level));
    }
    sql
}

/// `k` (the keys; `k.value` is the key's text) joined to `a0`, and `a0` up to its owner.
pub(crate) fn from_keys(layout: &Layout, ix: TableIx) -> String {
    let table = &layout.tables[ix];
    format!(
        "json_each(?2) AS k CROSS JOIN {} AS a0 ON {}{}",
        ident(&table.name.name),
        by_key("a0", &table.key),
        up_to_owner(layout, ix)
    )
}

/// ` CROSS JOIN a1 ... CROSS JOIN an` from `a0` up to the table with the subject's key; empty where `a0` has it.
pub(crate) fn up_to_owner(layout: &Layout, ix: TableIx) -> String {
    let chain = chain(layout, ix);
    let mut sql = String::new();
    for level in 1..chain.len() {
        let name = ident(&layout.tables[chain[level]].name.name);
        sql += &format!(
            " CROSS JOIN {name} AS a{level} ON {}",
            link(&layout.tables[chain[level - 1]], level - 1)
        );
    }
    sql
}

/// The batch that has the owner of the row `a0` in its hands here, as a scalar; NULL where none has.
pub(crate) fn batch_of_owner(layout: &Layout, ix: TableIx) -> String {
    let chain = chain(layout, ix);
    let mut from = format!("domicile_home AS h WHERE h.subject = {}", owner(layout, ix));
    if chain.len() > 1 {
        let parents: Vec<_> = (1..chain.len())
            .map(|level| format!("{} AS a{level}", ident(&layout.tables[chain[level]].name.name)))
            .collect();
        let links: Vec<_> =
            (1..chain.len()).map(|level| link(&layout.tables[chain[level - 1]], level - 1)).collect();
        from = format!("{} CROSS JOIN {from} AND {}", parents.join(" CROSS JOIN "), links.join(" AND "));
    }
    format!("(SELECT h.batch FROM {from})")
}

/// The column with the subject's key after [`from_keys`] or [`up_to_owner`], as `a2."user_id"`.
pub(crate) fn owner(layout: &Layout, ix: TableIx) -> String {
    let chain = chain(layout, ix);
    column(&format!("a{}", chain.len() - 1), owner_column(&layout.tables[chain[chain.len() - 1]]))
}

/// The condition that the row's owner is one of `?1`.
pub(crate) fn owner_in_subjects(layout: &Layout, ix: TableIx) -> String {
    let chain = chain(layout, ix);
    let anchor = &layout.tables[chain[chain.len() - 1]];
    in_subjects(&owner(layout, ix), type_of(anchor, owner_column(anchor)))
}

/// The condition that `expression`, a column of that declared type, is one of the subjects in `?1`.
pub(crate) fn in_subjects(expression: &str, type_name: &str) -> String {
    if converts(type_name) {
        format!("{expression} IN (SELECT value FROM json_each(?1))")
    } else {
        format!(
            "{expression} IN (SELECT value FROM json_each(?1) UNION ALL SELECT CAST(value AS INTEGER) + 0 \
             FROM json_each(?1) WHERE CAST(CAST(value AS INTEGER) AS TEXT) = value)"
        )
    }
}

/// The declared type of the root's key; the guard's column `subject` has the same.
pub(crate) fn subject_type(layout: &Layout) -> &str {
    let root = &layout.tables[0];
    type_of(root, owner_column(root))
}

/// `alias."k1" = <part 0 of k.value> AND ...`: by primary key, so that its index is used.
pub(crate) fn by_key(alias: &str, key: &[String]) -> String {
    let parts: Vec<_> = key
        .iter()
        .enumerate()
        .map(|(n, name)| format!("{} = {}", column(alias, name), key_part("k.value", n)))
        .collect();
    parts.join(" AND ")
}

/// `a0`'s table, its parent, ... up to the one that holds the subject's key.
fn chain(layout: &Layout, ix: TableIx) -> Vec<TableIx> {
    let mut chain = vec![ix];
    let mut at = ix;
    while let Owner::Derived { parent, .. } = &layout.tables[at].owner {
        at = *parent;
        chain.push(at);
    }
    chain
}

/// The parent's column stands left: its collation decides, as it does for the foreign key.
fn link(child: &MappedTable, level: usize) -> String {
    let Owner::Derived { link, .. } = &child.owner else { return "1".into() };
    let (below, above) = (format!("a{level}"), format!("a{}", level + 1));
    let parts: Vec<_> =
        link.iter().map(|(c, p)| format!("{} = {}", column(&above, p), column(&below, c))).collect();
    parts.join(" AND ")
}

fn owner_column(anchor: &MappedTable) -> &str {
    match &anchor.owner {
        Owner::Root { column } | Owner::Direct { column } => column,
        // INVARIANT: `chain` ends at the first table that is not derived.
        Owner::Derived { .. } => "",
    }
}

pub(crate) fn type_of<'l>(table: &'l MappedTable, column: &str) -> &'l str {
    table.columns.iter().find(|c| c.name == column).map_or("", |c| c.type_name.as_str())
}

/// A subject arrives as text. A column with an affinity converts it; one without (no type, BLOB, ANY)
/// compares storage classes, so an integer there must be asked for as an integer as well.
pub(crate) fn equals_subject(expression: &str, type_name: &str) -> String {
    if converts(type_name) {
        format!("{expression} = s.value")
    } else {
        format!(
            "{expression} IN (s.value, CASE WHEN CAST(CAST(s.value AS INTEGER) AS TEXT) = s.value \
             THEN CAST(s.value AS INTEGER) + 0 ELSE s.value END)"
        )
    }
}

/// Whether comparing a column of that type with text converts one to the other (SQLite, "Datatypes",
/// sections 3.1 and 4.2).
fn converts(type_name: &str) -> bool {
    let upper = type_name.to_ascii_uppercase();
    let has = |word: &str| upper.contains(word);
    if has("INT") || has("CHAR") || has("CLOB") || has("TEXT") {
        return true;
    }
    // ANY is numeric in an ordinary table and converts nothing in a STRICT one: asking twice is right in both.
    !(upper.is_empty() || has("BLOB") || upper == "ANY")
}
