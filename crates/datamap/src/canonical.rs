//! The hash of a data map: the same for the same meaning, whatever the file's order, comments and
//! formatting, and whether a foreign key answered `keep-id` is still there.

use crate::catalogue::{Engine, TableName};
use crate::layout::*;
use sha2::{Digest, Sha256};

/// SHA-256 (hex) over every field that decides what is moved, each preceded by its length, so that
/// no two maps run together into the same bytes. It covers the loading order and the columns, since
/// a [`TableIx`] and an encoded row mean something only together with them; not the foreign keys,
/// partitions and uniques, which change nothing of what a row is or whose.
pub(crate) fn hash(layout: &Layout, kept: &[(TableName, String)]) -> String {
    let mut out = Writer(Sha256::new());
    out.text("domicile datamap 1");
    out.text(match layout.engine {
        Engine::Postgres => "postgres",
        Engine::Sqlite => "sqlite",
    });
    out.list(&layout.tables, Writer::mapped);
    out.path(&layout.country);
    out.list(layout.citizenship.as_slice(), Writer::path);
    out.list(layout.flags.as_slice(), Writer::path);
    out.list(&layout.references, Writer::reference);
    out.list(&layout.excluded, Writer::pair);
    out.list(kept, Writer::pair);
    out.list(&layout.objects, Writer::object);
    out.list(&layout.declared, |out, store| {
        out.text(&store.name);
        out.text(&store.note);
    });
    out.list(&layout.safe_triggers, Writer::pair);
    // Only where there is one: maps without it keep the hash that is on their receipts.
    if let Some(path) = &layout.consents {
        out.text("consents");
        out.path(path);
    }
    hex::encode(out.0.finalize())
}

struct Writer(Sha256);

impl Writer {
    fn number(&mut self, n: usize) {
        self.0.update((n as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(items.len());
        for item in items {
            each(self, item);
        }
    }

    fn texts(&mut self, items: &[String]) {
        self.list(items, |out, text| out.text(text));
    }

    fn name(&mut self, name: &TableName) {
        self.text(&name.schema);
        self.text(&name.name);
    }

    fn pair(&mut self, (name, item): &(TableName, String)) {
        self.name(name);
        self.text(item);
    }

    fn link(&mut self, (a, b): &(String, String)) {
        self.text(a);
        self.text(b);
    }

    fn columns(&mut self, columns: &[MovedColumn]) {
        self.list(columns, |out, column| {
            out.text(&column.name);
            out.text(&column.type_name);
        });
    }

    fn mapped(&mut self, table: &MappedTable) {
        self.name(&table.name);
        match &table.owner {
            Owner::Root { column } => {
                self.text("root");
                self.text(column);
            }
            Owner::Direct { column } => {
                self.text("direct");
                self.text(column);
            }
            Owner::Derived { parent, link, .. } => {
                self.text("derived");
                self.number(*parent);
                self.list(link, Self::link);
            }
        }
        self.text(&table.category);
        self.columns(&table.columns);
        self.texts(&table.key);
        self.texts(&table.null_first);
        self.texts(&table.blanked);
        self.texts(&table.refusing);
    }

    fn path(&mut self, path: &AttributePath) {
        self.list(&path.hops, |out, hop| {
            out.name(&hop.table);
            out.list(&hop.on, Self::link);
        });
        self.text(&path.column);
    }

    fn reference(&mut self, table: &ReferenceTable) {
        self.name(&table.name);
        self.columns(&table.columns);
        self.texts(&table.key);
        self.text(match table.personal {
            Personal::Copy => "copy",
            Personal::Stub => "stub",
        });
        self.text(&table.category);
    }

    fn object(&mut self, rule: &ObjectRule) {
        match &rule.source {
            ObjectSource::Column { table, column } => {
                self.text("column");
                self.number(*table);
                self.text(column);
            }
            ObjectSource::Prefix { template } => {
                self.text("prefix");
                self.text(template);
            }
        }
        self.text(rule.without_row.word());
        self.text(&rule.category);
    }
}
