//! Layouts for tests, made by hand from a real catalogue: nothing here decides what the data map
//! would decide, the test says it.

use domicile_datamap::catalogue::{Catalogue, FkAction, Table, TableKind, TableName};
use domicile_datamap::layout::{
    AttributePath, Layout, MappedTable, MovedColumn, ObjectRule, Owner, Personal, ReferenceTable,
};

/// How a table of the test finds its subject.
pub enum Way<'a> {
    /// The root, with its key.
    Root(&'a str),
    /// Holds the subject's key.
    Direct(&'a str),
    /// By the foreign key to that mapped table (given as `schema.name`).
    By(&'a str),
}

/// The layout of tables given parents first, with a country column on the root.
pub fn layout(catalogue: &Catalogue, tables: &[(&str, Way<'_>)], country: &str) -> Layout {
    let mut mapped: Vec<MappedTable> = Vec::new();
    for (name, way) in tables {
        let table = find(catalogue, name);
        let owner = owner(table, way, &mapped);
        mapped.push(map(catalogue, table, owner));
    }
    for ix in 0..mapped.len() {
        let below = |t: &MappedTable| matches!(&t.owner, Owner::Derived { parent, .. } if *parent == ix);
        mapped[ix].children = (0..mapped.len()).filter(|c| below(&mapped[*c])).collect();
    }
    close_cycles(&mut mapped);
    Layout {
        engine: catalogue.engine,
        tables: mapped,
        country: AttributePath { hops: vec![], column: country.to_owned() },
        citizenship: None,
        flags: None,
        consents: None,
        references: vec![],
        excluded: vec![],
        dropped_foreign_keys: vec![],
        objects: vec![],
        declared: vec![],
        safe_triggers: vec![],
        hash: "0".repeat(64),
    }
}

/// The same with object rules and reference tables.
#[allow(dead_code)] // not every test binary has them
pub fn with(mut layout: Layout, objects: Vec<ObjectRule>, references: Vec<ReferenceTable>) -> Layout {
    layout.objects = objects;
    layout.references = references;
    layout
}

/// A reference table.
#[allow(dead_code)] // not every test binary has one
pub fn reference(catalogue: &Catalogue, name: &str, personal: Personal) -> ReferenceTable {
    let table = find(catalogue, name);
    ReferenceTable {
        name: table.name.clone(),
        columns: columns(table),
        key: table.primary_key.clone(),
        foreign_keys: table.foreign_keys.clone(),
        personal,
        category: "catalogue".to_owned(),
    }
}

fn find<'a>(catalogue: &'a Catalogue, name: &str) -> &'a Table {
    let found = catalogue.tables.iter().find(|t| t.name.to_string() == name);
    found.unwrap_or_else(|| panic!("no table {name} in {:?}", catalogue.tables))
}

fn columns(table: &Table) -> Vec<MovedColumn> {
    let moved = table.columns.iter().filter(|c| !c.generated);
    moved
        .map(|c| MovedColumn {
            name: c.name.clone(),
            type_name: c.type_name.clone(),
            not_null: c.not_null,
            identity: c.identity,
        })
        .collect()
}

fn owner(table: &Table, way: &Way<'_>, above: &[MappedTable]) -> Owner {
    match way {
        Way::Root(column) => Owner::Root { column: (*column).to_owned() },
        Way::Direct(column) => Owner::Direct { column: (*column).to_owned() },
        Way::By(parent) => {
            let parent = above.iter().position(|t| t.name.to_string() == *parent).expect("parents first");
            let key = table.foreign_keys.iter().find(|fk| fk.references == above[parent].name);
            let key = key.expect("a foreign key to the parent");
            let link = key.columns.iter().cloned().zip(key.referenced.iter().cloned()).collect();
            Owner::Derived { parent, link, deferrable: key.deferrable }
        }
    }
}

fn map(catalogue: &Catalogue, table: &Table, owner: Owner) -> MappedTable {
    MappedTable {
        name: table.name.clone(),
        owner,
        category: "profile".to_owned(),
        columns: columns(table),
        key: table.primary_key.clone(),
        uniques: table.uniques.clone(),
        foreign_keys: table.foreign_keys.clone(),
        children: vec![],
        null_first: vec![],
        blanked: vec![],
        refusing: vec![],
        partitioned: table.kind == TableKind::Partitioned,
        leaves: leaves(catalogue, &table.name),
    }
}

fn leaves(catalogue: &Catalogue, of: &TableName) -> Vec<TableName> {
    let parts = catalogue.tables.iter().filter(|t| t.partition_of.as_ref() == Some(of));
    let below = |t: &Table| match t.kind {
        TableKind::Partitioned => leaves(catalogue, &t.name),
        _ => vec![t.name.clone()],
    };
    parts.flat_map(below).collect()
}

/// A key to a table that stands later, or to itself, is loaded as NULL first.
fn close_cycles(mapped: &mut [MappedTable]) {
    let names: Vec<TableName> = mapped.iter().map(|t| t.name.clone()).collect();
    for (ix, table) in mapped.iter_mut().enumerate() {
        for fk in &table.foreign_keys {
            let later = names.iter().position(|n| n == &fk.references).is_some_and(|to| to >= ix);
            if later && fk.on_delete != FkAction::Cascade {
                let free = fk.columns.iter().filter(|c| {
                    !table.key.contains(c) && table.columns.iter().any(|m| &m.name == *c && !m.not_null)
                });
                table.null_first.extend(free.cloned());
            }
        }
    }
}
