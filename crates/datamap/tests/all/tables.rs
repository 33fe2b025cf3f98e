//! Catalogues in a few words.

use domicile_datamap::catalogue::*;
use domicile_datamap::{Catalogue, DataMap, Engine, TableName};

/// `public.x`, or as written.
pub fn name(text: &str) -> TableName {
    if text.contains('.') { TableName::parse(text).unwrap() } else { TableName::new("public", text) }
}

/// A catalogue of tables written with [`table`].
pub fn postgres(tables: impl IntoIterator<Item = Table>) -> Catalogue {
    Catalogue { engine: Engine::Postgres, version: "15.18".into(), tables: tables.into_iter().collect() }
}

/// `columns`: words `name type`, `!` after the type for NOT NULL, `*` for a part of the primary key,
/// separated by commas: `id integer*, name text!, note text`.
pub fn table(text: &str, columns: &str) -> Table {
    let mut table = Table {
        name: name(text),
        columns: Vec::new(),
        primary_key: Vec::new(),
        uniques: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        triggers: Vec::new(),
        kind: TableKind::Ordinary,
        partition_of: None,
        rows_estimate: 0,
        sequences: Vec::new(),
    };
    for word in columns.split(", ") {
        let (column, rest) = word.split_once(' ').unwrap();
        let type_name = rest.trim_end_matches(['!', '*']);
        if rest.ends_with('*') {
            table.primary_key.push(column.into());
        }
        table.columns.push(Column {
            name: column.into(),
            type_name: type_name.into(),
            not_null: rest.len() > type_name.len(),
            has_default: false,
            generated: false,
            identity: false,
        });
    }
    table
}

/// Foreign keys and the rest, added to a table.
pub trait With: Sized {
    /// `a, b -> table(x, y)`; the constraint is called `<table>_<a>_fkey`.
    fn fk(self, text: &str) -> Self;
    fn unique(self, columns: &str) -> Self;
    fn kind(self, kind: TableKind) -> Self;
    fn trigger(self, name: &str) -> Self;
    fn partition_of(self, of: &str) -> Self;
    fn deferrable(self) -> Self;
    fn on_delete(self, action: FkAction) -> Self;
}

impl With for Table {
    fn fk(mut self, text: &str) -> Self {
        let (columns, rest) = text.split_once(" -> ").unwrap();
        let (to, referenced) = rest.trim_end_matches(')').split_once('(').unwrap();
        let list = |text: &str| text.split(", ").map(str::to_owned).collect::<Vec<_>>();
        self.foreign_keys.push(ForeignKey {
            name: format!("{}_{}_fkey", self.name.name, list(columns)[0]),
            columns: list(columns),
            references: name(to),
            referenced: list(referenced),
            on_delete: FkAction::NoAction,
            on_update: FkAction::NoAction,
            deferrable: false,
            initially_deferred: false,
        });
        self
    }

    fn unique(mut self, columns: &str) -> Self {
        let columns: Vec<String> = columns.split(", ").map(str::to_owned).collect();
        self.uniques.push(Unique { name: format!("{}_key", columns[0]), columns, partial: false });
        self
    }

    fn kind(mut self, kind: TableKind) -> Self {
        self.kind = kind;
        self
    }

    fn trigger(mut self, name: &str) -> Self {
        self.triggers.push(name.into());
        self
    }

    fn partition_of(mut self, of: &str) -> Self {
        self.partition_of = Some(name(of));
        self
    }

    fn deferrable(mut self) -> Self {
        self.foreign_keys.last_mut().unwrap().deferrable = true;
        self
    }

    fn on_delete(mut self, action: FkAction) -> Self {
        self.foreign_keys.last_mut().unwrap().on_delete = action;
        self
    }
}

/// A customer with a country.
pub fn customer() -> Table {
    table("customer", "id integer*, country text")
}

/// `init`, with the question about other stores answered `none`.
pub fn proposed(catalogue: &Catalogue) -> DataMap {
    let mut map = domicile_datamap::propose(catalogue, None);
    assert!(map.answer("stores", "none"));
    map
}

/// Ids of the questions without an answer.
pub fn asked(map: &DataMap) -> Vec<String> {
    map.unanswered().map(|q| q.ask.to_string()).collect()
}

/// Codes of the problems, sorted, each once.
pub fn codes(map: &DataMap, catalogue: &Catalogue) -> Vec<&'static str> {
    let mut codes: Vec<_> = match domicile_datamap::check(map, catalogue) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|p| p.code).collect(),
    };
    codes.sort_unstable();
    codes.dedup();
    codes
}

/// The layout, or a panic that shows the problems.
pub fn resolved(map: &DataMap, catalogue: &Catalogue) -> domicile_datamap::Layout {
    domicile_datamap::check(map, catalogue).unwrap_or_else(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", all.join("\n\n"))
    })
}
