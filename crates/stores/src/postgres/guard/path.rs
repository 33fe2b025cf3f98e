//! From a row to its subject: the text of a derived table's way over its parents.

use super::{function_name, plpgsql, qualified, subject_column, table_literal};
use crate::postgres::quote::{column, ident};
use domicile_datamap::catalogue::FkAction;
use domicile_datamap::layout::{Layout, MappedTable, Owner, TableIx};

/// A table's way to its subject.
pub(in crate::postgres) struct Path<'a> {
    layout: &'a Layout,
    /// This table's columns that lead on: the subject's own key, or the link to the first parent.
    pub(in crate::postgres) own: Vec<&'a str>,
    /// The parents in order, each with (column before, its column); empty where `own` is the subject's key.
    hops: Vec<(TableIx, &'a [(String, String)])>,
    /// The column of the last parent that holds the subject's key.
    end: &'a str,
    /// A key on the way is DEFERRABLE: a row may be written before its parent.
    pub(in crate::postgres) deferrable: bool,
}

impl<'a> Path<'a> {
    /// The way of a mapped table.
    pub(in crate::postgres) fn of(layout: &'a Layout, table: &'a MappedTable) -> Self {
        let (mut hops, mut deferrable, mut at) = (Vec::new(), false, table);
        let end = loop {
            match &at.owner {
                Owner::Root { column } | Owner::Direct { column } => break column.as_str(),
                Owner::Derived { parent, link, deferrable: d } => {
                    hops.push((*parent, link.as_slice()));
                    deferrable |= *d;
                    at = &layout.tables[*parent];
                }
            }
        };
        let own = match hops.first() {
            None => vec![end],
            Some((_, link)) => link.iter().map(|(here, _)| here.as_str()).collect(),
        };
        Self { layout, own, hops, end, deferrable }
    }

    /// True where the subject is reached over parents.
    pub(in crate::postgres) fn derived(&self) -> bool {
        !self.hops.is_empty()
    }

    /// The subject's key at the end of [`Path::from`].
    pub(super) fn subject(&self) -> String {
        column(&format!("p{}", self.hops.len()), self.end)
    }

    /// `a.t p1 join a.u p2 on ...` and the condition that binds `p1` to the values of `own`.
    pub(super) fn from(&self, own: &[String]) -> (String, String) {
        let (mut from, mut bound) = (String::new(), String::new());
        for (i, (parent, link)) in self.hops.iter().enumerate() {
            let alias = format!("p{}", i + 1);
            let left = |here: &str, n: usize| {
                if i == 0 { own[n].clone() } else { column(&format!("p{i}"), here) }
            };
            let on: Vec<_> = link
                .iter()
                .enumerate()
                .map(|(n, (here, there))| format!("{} = {}", column(&alias, there), left(here, n)))
                .collect();
            let table = qualified(&self.layout.tables[*parent].name);
            if i == 0 {
                from = format!("{table} {alias}");
                bound = on.join(" and ");
            } else {
                from = format!("{from} join {table} {alias} on {}", on.join(" and "));
            }
        }
        (from, bound)
    }

    /// Locks the rows on the way FOR SHARE, as far as it leads. Their owner changes by an UPDATE of one
    /// of them, which waits for that.
    fn hold_still(&self, own: &[String]) -> String {
        let mut all = String::new();
        for n in 1..=self.hops.len() {
            let part = Path {
                layout: self.layout,
                own: self.own.clone(),
                hops: self.hops[..n].to_vec(),
                end: self.end,
                deferrable: self.deferrable,
            };
            let (from, bound) = part.from(own);
            all.push_str(&format!("perform from {from} where {bound} for share of p{n};\n"));
        }
        all
    }

    /// Does the first parent's row exist?
    pub(super) fn parent_exists(&self, own: &[String]) -> String {
        let (parent, link) = &self.hops[0];
        let on: Vec<_> =
            link.iter().zip(own).map(|((_, there), o)| format!("{} = {o}", column("p1", there))).collect();
        format!(
            "exists (select from {} p1 where {})",
            qualified(&self.layout.tables[*parent].name),
            on.join(" and ")
        )
    }

    /// The values of `own` in `row` (`new`, `old` or an alias).
    pub(super) fn values(&self, row: &str) -> Vec<String> {
        self.own.iter().map(|c| column(row, c)).collect()
    }
}

/// `via_<table>(link columns, alone)`: finds the subject, locks it, and looks whether the path still
/// leads there; where it moved meanwhile, again. An owner change bumps the old owner's `gen`, so a
/// path read before that bump can't be locked by its old end unnoticed (finding 2).
///
/// `domicile_o` is NULL where nothing is found. Then the rows on the way are locked: the write may
/// pass as nobody's, and whoever gives its parent an owner has to wait for it.
pub(super) fn functions(layout: &Layout, table: &MappedTable) -> Vec<String> {
    let path = Path::of(layout, table);
    if !path.derived() {
        return Vec::new();
    }
    let (_, subject) = subject_column(layout);
    let args: Vec<_> = (0..path.own.len()).map(|n| format!("domicile_own_{n}")).collect();
    let typed: Vec<_> = path
        .own
        .iter()
        .zip(&args)
        .map(|(c, a)| format!("{a} {}.{}%type", qualified(&table.name), ident(c)))
        .collect();
    let (from, bound) = path.from(&args);
    let find = format!("from {from} where {bound}");
    let end = path.subject();
    let name = table_literal(&table.name);
    let hold_still = path.hold_still(&args);
    vec![plpgsql(
        &format!(
            "{}({}, domicile_alone bool, out domicile_o {subject}, out domicile_s \"char\")",
            function_name("via", &table.name),
            typed.join(", ")
        ),
        "record",
        false,
        "",
        &format!(
            r#"
declare domicile_again {subject};
begin
  loop
    select {end} into domicile_o {find};
    if domicile_o is null then
      {hold_still}
      select {end} into domicile_o {find};
      if domicile_o is null then domicile_s := null; return; end if;
    end if;
    if domicile_alone then domicile_s := domicile.enter_alone(domicile_o, {name});
    else domicile_s := domicile.enter(domicile_o, {name}); end if;
    select {end} into domicile_again {find};
    if domicile_again is not distinct from domicile_o then return; end if;
  end loop;
end"#
        ),
    )]
}

/// What the children's foreign keys let a row of this table do without touching the children.
pub(super) struct Hold {
    /// The table has children at all.
    pub(super) children: bool,
    /// A child's key is ON DELETE NO ACTION: this row may be deleted and inserted anew for somebody
    /// else in one statement, with its children in place (finding D4).
    pub(super) free_delete: bool,
    /// The same for ON UPDATE: keys may be swapped.
    pub(super) free_update: bool,
    /// Columns besides the primary key that children refer to.
    pub(super) referenced: Vec<String>,
}

/// Looks at the foreign keys of a table's children.
pub(super) fn hold(layout: &Layout, ix: TableIx) -> Hold {
    let table = &layout.tables[ix];
    let mut hold = Hold {
        children: !table.children.is_empty(),
        free_delete: false,
        free_update: false,
        referenced: Vec::new(),
    };
    for child in table.children.iter().map(|c| &layout.tables[*c]) {
        let Some(link) = link_to(layout, child, ix) else { continue };
        let key = child.foreign_keys.iter().find(|fk| {
            fk.references == table.name
                && fk.columns.len() == link.len()
                && fk
                    .columns
                    .iter()
                    .zip(&fk.referenced)
                    .all(|(a, b)| link.iter().any(|(x, y)| (x, y) == (a, b)))
        });
        // Without a key that is known, the careful answer.
        hold.free_delete |= key.is_none_or(|k| k.on_delete == FkAction::NoAction);
        hold.free_update |= key.is_none_or(|k| k.on_update == FkAction::NoAction);
        for (_, there) in link {
            if !table.key.contains(&there) && !hold.referenced.contains(&there) {
                hold.referenced.push(there);
            }
        }
    }
    hold
}

/// (child's column, this table's column) of the link by which `child` belongs to the table `ix`.
fn link_to(layout: &Layout, child: &MappedTable, ix: TableIx) -> Option<Vec<(String, String)>> {
    match &child.owner {
        Owner::Derived { parent, link, .. } => (*parent == ix).then(|| link.clone()),
        Owner::Direct { column: here } => match &layout.tables[ix].owner {
            Owner::Root { column: there } => Some(vec![(here.clone(), there.clone())]),
            _ => None,
        },
        Owner::Root { .. } => None,
    }
}

/// May the application's own foreign key set the link to NULL when the parent goes?
pub(super) fn may_be_orphaned(table: &MappedTable, own: &[&str]) -> bool {
    table.foreign_keys.iter().any(|fk| {
        fk.columns.iter().any(|c| own.contains(&c.as_str()))
            && [fk.on_delete, fk.on_update]
                .iter()
                .any(|a| matches!(a, FkAction::SetNull | FkAction::SetDefault))
    })
}
