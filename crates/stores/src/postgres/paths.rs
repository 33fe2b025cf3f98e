//! SQL for the data map's paths: from a row to its subject, and from a row to what hangs on it.
//!
//! The row asked about has the alias `t0`, its parents up to the owner's column `t1`, `t2`, ...
//! Keys come in as the text of a JSON array and are cast part by part, so that an index serves them
//! and the spelling of a timestamp or a number does not matter.

use super::quote;
use domicile_datamap::layout::{Layout, MappedTable, Owner, TableIx};

/// A mapped table joined to the column that holds its subject.
pub(super) struct Way {
    /// `ONLY "s"."t" AS t0`.
    head: String,
    /// `ONLY "s"."p" AS t1`, ...
    parents: Vec<String>,
    /// Join conditions, of each hop its own.
    on: Vec<Vec<String>>,
    /// The subject's column, e.g. `t1."customer_id"`.
    pub(super) owner: String,
}

/// Which rows keys stand for that are spelt in several ways.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelt {
    /// Each row once.
    Once,
    /// A row for each spelling asked for, with it.
    AsAsked,
}

/// How a subject's rows are found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Down the path, an index at each step.
    DownThePath,
    /// As the planner likes: an index is absent.
    ByPlanner,
}

impl Way {
    /// From a row of `table` to its subject.
    pub(super) fn to_owner(layout: &Layout, table: TableIx) -> Self {
        Self::walk(layout, table, None, 't')
    }

    /// The same with aliases `c0`, `c1`, ..., for a statement that needs two ways.
    pub(super) fn to_owner_as_c(layout: &Layout, table: TableIx) -> Self {
        Self::walk(layout, table, None, 'c')
    }

    /// A row of `table` as `c0`, whosever it is; `owner` is meaningless.
    pub(super) fn alone_as_c(layout: &Layout, table: TableIx) -> Self {
        Self::walk(layout, table, Some(table), 'c')
    }

    /// From a row of `table` to the row of `ancestor` it hangs on; `None` where its path does not
    /// lead there. `owner` is then meaningless, the ancestor's alias is the second value.
    pub(super) fn to_ancestor(layout: &Layout, table: TableIx, ancestor: TableIx) -> Option<(Self, String)> {
        let mut at = table;
        let mut hops = 0;
        while at != ancestor {
            let Owner::Derived { parent, .. } = &layout.tables[at].owner else { return None };
            at = *parent;
            hops += 1;
        }
        (hops > 0).then(|| (Self::walk(layout, table, Some(ancestor), 't'), format!("t{hops}")))
    }

    fn walk(layout: &Layout, table: TableIx, stop: Option<TableIx>, letter: char) -> Self {
        let mut way = Self {
            head: format!("{} AS {letter}0", relation(&layout.tables[table])),
            parents: Vec::new(),
            on: Vec::new(),
            owner: String::new(),
        };
        let (mut at, mut hop) = (table, 0);
        while stop != Some(at) {
            let here = format!("{letter}{hop}");
            match &layout.tables[at].owner {
                Owner::Root { column } | Owner::Direct { column } => {
                    way.owner = quote::column(&here, column);
                    break;
                }
                Owner::Derived { parent, link, .. } => {
                    hop += 1;
                    let above = format!("{letter}{hop}");
                    way.parents.push(format!("{} AS {above}", relation(&layout.tables[*parent])));
                    let pair = |(own, theirs): &(String, String)| {
                        format!("{} = {}", quote::column(&here, own), quote::column(&above, theirs))
                    };
                    way.on.push(link.iter().map(pair).collect());
                    at = *parent;
                }
            }
        }
        way
    }

    /// `FROM t0, t1, ... WHERE joins AND conditions`.
    pub(super) fn select(&self, conditions: &[String]) -> String {
        let tables: Vec<&str> =
            std::iter::once(&self.head).chain(&self.parents).map(String::as_str).collect();
        format!("FROM {} WHERE {}", tables.join(", "), self.all(conditions))
    }

    /// The same for the rows of `subjects` (an expression of type `text[]`).
    ///
    /// With an index at every step they are found from the subject down, whatever the planner thinks of it
    /// (LATERAL with OFFSET 0): its statistics lag behind while a new home fills, and a plan that reads a whole
    /// table would cost each batch more than the one before.
    pub(super) fn select_of(
        &self,
        layout: &Layout,
        subjects: &str,
        found: Found,
        conditions: &[String],
    ) -> String {
        let ty = subject_type(layout);
        if found == Found::ByPlanner {
            let mine = format!("{} = ANY({subjects}::text[]::{ty}[])", self.owner);
            return self.select(&[&[mine], conditions].concat());
        }
        let mut tables =
            vec![format!("(SELECT DISTINCT x AS id FROM unnest({subjects}::text[]::{ty}[]) AS x) AS s")];
        let top = format!("{} = s.id", self.owner);
        let steps: Vec<&String> = std::iter::once(&self.head).chain(&self.parents).collect();
        for (hop, table) in steps.into_iter().enumerate().rev() {
            let on = self.on.get(hop).map_or(top.clone(), |on| on.join(" AND "));
            tables.push(format!("LATERAL (SELECT t{hop}.* FROM {table} WHERE {on} OFFSET 0) AS t{hop}"));
        }
        let all = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
        format!("FROM {} WHERE {all}", tables.join(", "))
    }

    /// The same for the rows of `keys` (an expression of type `text[]`, JSON arrays): each row once, or
    /// once for each spelling of its key, which is then `k.j`.
    ///
    /// Rows are found by their keys, then their parents, and then asked for their owner, whatever the planner
    /// thinks of it (LATERAL with OFFSET 0): it may take a subject's rows for few, and reading all of them would
    /// make the pause grow with the subject.
    pub(super) fn select_keys(
        &self,
        table: &MappedTable,
        keys: &str,
        spelt: Spelt,
        conditions: &[String],
    ) -> String {
        let parts: Vec<_> = (0..table.key.len()).map(|n| format!("{} AS p{n}", key_part(table, n))).collect();
        let found: Vec<_> = table
            .key
            .iter()
            .enumerate()
            .map(|(n, k)| format!("{} = k.p{n}", quote::column("t0", k)))
            .collect();
        let columns = match spelt {
            Spelt::Once => "DISTINCT",
            Spelt::AsAsked => "k.j,",
        };
        let keys =
            format!("(SELECT {columns} {} FROM unnest({keys}::text[]) AS k(j)) AS k", parts.join(", "));
        let rows =
            format!("LATERAL (SELECT t0.* FROM {} WHERE {} OFFSET 0) AS t0", self.head, found.join(" AND "));
        let mut tables = vec![keys, rows];
        for (hop, (table, on)) in self.parents.iter().zip(&self.on).enumerate() {
            let (hop, on) = (hop + 1, on.join(" AND "));
            tables.push(format!("LATERAL (SELECT t{hop}.* FROM {table} WHERE {on} OFFSET 0) AS t{hop}"));
        }
        let all = if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
        format!("FROM {} WHERE {all}", tables.join(", "))
    }

    /// `DELETE` of the rows of `keys`, each found as [`Way::select_keys`] finds it.
    ///
    /// INVARIANT: owners are asked at the statement's snapshot and not again for a row that it had to wait for. So
    /// nobody else may give the row of a batch to another subject in place: another batch deletes it first
    /// (`push_aside`), and the application can't write it.
    pub(super) fn delete_keys(&self, table: &MappedTable, keys: &str, conditions: &[String]) -> String {
        let own: Vec<_> = table.key.iter().map(|k| quote::column("t0", k)).collect();
        let found: Vec<_> = own.iter().enumerate().map(|(n, k)| format!("{k} AS p{n}")).collect();
        let same: Vec<_> = own.iter().enumerate().map(|(n, k)| format!("{k} = d.p{n}")).collect();
        format!(
            "DELETE FROM {} USING (SELECT {} {} OFFSET 0) AS d WHERE {}",
            self.head,
            found.join(", "),
            self.select_keys(table, keys, Spelt::Once, conditions),
            same.join(" AND ")
        )
    }

    /// The same with another way's tables and joins.
    pub(super) fn select_both(&self, other: &Way, conditions: &[String]) -> String {
        let heads = [&self.head, &other.head].into_iter();
        let tables: Vec<&str> =
            heads.chain(&self.parents).chain(&other.parents).map(String::as_str).collect();
        let conditions: Vec<String> = other.on.iter().flatten().chain(conditions).cloned().collect();
        format!("FROM {} WHERE {}", tables.join(", "), self.all(&conditions))
    }

    /// The parents and another table, without `t0` itself, for a subquery about a row `t0` outside.
    pub(super) fn select_above(&self, also: &str, conditions: &[String]) -> String {
        let tables: Vec<&str> =
            std::iter::once(also).chain(self.parents.iter().map(String::as_str)).collect();
        format!("FROM {} WHERE {}", tables.join(", "), self.all(conditions))
    }

    /// `DELETE FROM t0 USING t1, ... WHERE joins AND conditions`.
    pub(super) fn delete(&self, also: Option<&str>, conditions: &[String]) -> String {
        let using: Vec<&str> = also.into_iter().chain(self.parents.iter().map(String::as_str)).collect();
        let using = if using.is_empty() { String::new() } else { format!(" USING {}", using.join(", ")) };
        format!("DELETE FROM {}{using} WHERE {}", self.head, self.all(conditions))
    }

    /// `UPDATE t0 SET ... FROM t1, ..., the other way's tables WHERE joins AND conditions`.
    pub(super) fn update(&self, set: &str, other: Option<&Way>, conditions: &[String]) -> String {
        let others = other.into_iter().flat_map(|way| std::iter::once(&way.head).chain(&way.parents));
        let tables: Vec<&str> = self.parents.iter().chain(others).map(String::as_str).collect();
        let from = if tables.is_empty() { String::new() } else { format!(" FROM {}", tables.join(", ")) };
        let joins = other.into_iter().flat_map(|way| way.on.iter().flatten().cloned());
        let conditions: Vec<String> = conditions.iter().cloned().chain(joins).collect();
        format!("UPDATE {} SET {set}{from} WHERE {}", self.head, self.all(&conditions))
    }

    fn all(&self, conditions: &[String]) -> String {
        let all: Vec<&str> = self.on.iter().flatten().chain(conditions).map(String::as_str).collect();
        if all.is_empty() { "true".to_owned() } else { all.join(" AND ") }
    }
}

/// `ONLY "s"."t"`: a table's own rows, never those of one that INHERITS from it; a partitioned table's
/// rows are its leaves'.
pub(super) fn relation(table: &MappedTable) -> String {
    let only = if table.partitioned { "" } else { "ONLY " };
    format!("{only}{}", quote::table(&table.name))
}

/// The type of the subjects' key, for casts from text.
pub(super) fn subject_type(layout: &Layout) -> String {
    let root = &layout.tables[0];
    match &root.owner {
        Owner::Root { column } => quote::cast(type_of(root, column)),
        _ => "text".to_owned(),
    }
}

/// `owner = ANY($n)` with the subjects as text.
pub(super) fn owner_is_any(layout: &Layout, way: &Way, parameter: &str) -> String {
    format!("{} = ANY({parameter}::text[]::{}[])", way.owner, subject_type(layout))
}

/// The type of a column that moves; `text` where the layout doesn't say.
pub(super) fn type_of<'a>(table: &'a MappedTable, column: &str) -> &'a str {
    table.columns.iter().find(|c| c.name == column).map_or("text", |c| &c.type_name)
}

/// A row's key as the text of a JSON array.
pub(super) fn key_text(table: &MappedTable, alias: &str) -> String {
    format!("jsonb_build_array({})::text", key_elements(table, alias).join(", "))
}

/// The columns of a row's key as elements of a JSON array. The guard records keys with the same words.
pub(super) fn key_elements(table: &MappedTable, alias: &str) -> Vec<String> {
    table.key.iter().map(|k| quote::key_element(&quote::column(alias, k), type_of(table, k))).collect()
}

/// Part `n` of the key that `k.j` holds as JSON text.
fn key_part(table: &MappedTable, n: usize) -> String {
    quote::parsed(&format!("(k.j::jsonb->>{n})"), type_of(table, &table.key[n]))
}

/// `(t0.k1, t0.k2) IN (keys)`: a row is found once, however often its key is spelt.
pub(super) fn key_in(table: &MappedTable, alias: &str, keys: &str) -> String {
    let own: Vec<_> = table.key.iter().map(|k| quote::column(alias, k)).collect();
    let cast = (0..table.key.len()).map(|n| key_part(table, n));
    format!(
        "({}) IN (SELECT {} FROM unnest({keys}::text[]) AS k(j))",
        own.join(", "),
        cast.collect::<Vec<_>>().join(", ")
    )
}

/// A row's canonical text, as UTF-8 bytes whatever the database's encoding: the columns that move,
/// without those answered `null`.
pub(super) fn row_bytes(table: &MappedTable) -> String {
    let columns = table.columns.iter().filter(|c| !table.blanked.contains(&c.name));
    let columns: Vec<_> = columns.map(|c| quote::column("t0", &c.name)).collect();
    format!("convert_to(ROW({})::text, 'UTF8')", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::tests::layout;

    #[test]
    fn a_path_of_two_hops() {
        let layout = layout();
        let line = layout.tables.iter().position(|t| t.name.name == "invoice_line").unwrap();
        let way = Way::to_owner(&layout, line);
        assert_eq!(way.owner, "t1.\"customer_id\"");
        assert_eq!(
            way.select(&[owner_is_any(&layout, &way, "$1")]),
            "FROM ONLY \"public\".\"invoice_line\" AS t0, ONLY \"public\".\"invoice\" AS t1 \
             WHERE t0.\"invoice_id\" = t1.\"invoice_id\" AND t1.\"customer_id\" = ANY($1::text[]::integer[])"
        );
        assert_eq!(
            way.select_of(&layout, "$1", Found::DownThePath, &[]),
            "FROM (SELECT DISTINCT x AS id FROM unnest($1::text[]::integer[]) AS x) AS s, \
             LATERAL (SELECT t1.* FROM ONLY \"public\".\"invoice\" AS t1 WHERE t1.\"customer_id\" = s.id OFFSET 0) AS t1, \
             LATERAL (SELECT t0.* FROM ONLY \"public\".\"invoice_line\" AS t0 WHERE t0.\"invoice_id\" = t1.\"invoice_id\" OFFSET 0) AS t0 \
             WHERE true"
        );
        let (up, alias) = Way::to_ancestor(&layout, line, line - 1).unwrap();
        assert_eq!(alias, "t1");
        assert_eq!(up.select(&[]).matches(" AS ").count(), 2);
        assert!(Way::to_ancestor(&layout, line, 0).is_none(), "a direct parent ends the path");
    }
}
