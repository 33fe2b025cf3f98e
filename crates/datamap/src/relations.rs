//! Questions to a catalogue that `init` and `check` both ask: foreign keys by name, partitions, types.

use crate::catalogue::{Catalogue, Engine, ForeignKey, Table, TableKind, TableName};

/// A foreign key together with the table that stands in the map for the one referred to (a partition
/// leaf is represented by its partitioned table).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) key: &'a ForeignKey,
    pub(crate) to: &'a TableName,
}

/// The partitioned table at the top, or the table itself.
pub(crate) fn whole<'a>(catalogue: &'a Catalogue, name: &'a TableName) -> &'a TableName {
    let mut at = name;
    // Bounded by the number of tables: a catalogue that contradicts itself must not hang us.
    for _ in 0..catalogue.tables.len() {
        match catalogue.table(at).and_then(|t| t.partition_of.as_ref()) {
            Some(above) => at = above,
            None => break,
        }
    }
    at
}

/// Tables that the map speaks of: all but partitions.
pub(crate) fn wholes(catalogue: &Catalogue) -> impl Iterator<Item = &Table> {
    catalogue.tables.iter().filter(|t| t.partition_of.is_none())
}

/// Partitions of the table, at all levels, intermediate ones included.
pub(crate) fn partitions<'a>(catalogue: &'a Catalogue, table: &'a TableName) -> Vec<&'a Table> {
    catalogue
        .tables
        .iter()
        .filter(|t| t.partition_of.is_some() && whole(catalogue, &t.name) == table)
        .collect()
}

/// The partitions that hold rows.
pub(crate) fn leaves<'a>(catalogue: &'a Catalogue, table: &'a TableName) -> Vec<&'a Table> {
    partitions(catalogue, table).into_iter().filter(|t| t.kind != TableKind::Partitioned).collect()
}

/// The table's foreign keys.
pub(crate) fn references<'a>(
    catalogue: &'a Catalogue,
    table: &'a Table,
) -> impl Iterator<Item = Reference<'a>> {
    table.foreign_keys.iter().map(move |key| Reference { key, to: whole(catalogue, &key.references) })
}

/// How the file names a foreign key: by its column where that says which, else by its constraint.
pub(crate) fn label(table: &Table, key: &ForeignKey) -> String {
    match key.columns.as_slice() {
        [column] if table.foreign_keys.iter().filter(|k| k.columns == key.columns).count() == 1 => {
            column.clone()
        }
        _ => key.name.clone(),
    }
}

/// The foreign key of that label; a constraint's name is understood too.
pub(crate) fn by_label<'a>(table: &'a Table, text: &str) -> Option<&'a ForeignKey> {
    let labelled = table.foreign_keys.iter().find(|key| label(table, key) == text);
    labelled.or_else(|| table.foreign_keys.iter().find(|key| key.name == text))
}

/// Any of the columns may be NULL.
pub(crate) fn nullable(table: &Table, columns: &[String]) -> bool {
    columns.iter().any(|c| table.column(c).is_none_or(|c| !c.not_null))
}

/// The column alone identifies a row: single primary key or whole unique constraint.
pub(crate) fn identifies(table: &Table, column: &str) -> bool {
    let alone = |columns: &[String]| columns.len() == 1 && columns[0] == column;
    alone(&table.primary_key) || table.uniques.iter().any(|u| !u.partial && alone(&u.columns))
}

/// Two columns hold values that can be compared: same type but for the width of integers and texts.
pub(crate) fn comparable(engine: Engine, a: &str, b: &str) -> bool {
    family(engine, a) == family(engine, b)
}

/// A word for all types whose values compare with each other.
fn family(engine: Engine, type_name: &str) -> String {
    let bare = type_name.split('(').next().unwrap_or_default().trim().to_lowercase();
    match engine {
        Engine::Postgres => match bare.as_str() {
            "smallint" | "integer" | "bigint" => "integer".to_owned(),
            "text" | "character varying" => "text".to_owned(),
            _ => bare,
        },
        Engine::Sqlite => affinity(type_name).to_owned(),
    }
}

/// SQLite's column affinity (<https://sqlite.org/datatype3.html>, section 3.1).
pub(crate) fn affinity(declared: &str) -> &'static str {
    let d = declared.to_uppercase();
    if d.contains("INT") {
        "INTEGER"
    } else if ["CHAR", "CLOB", "TEXT"].iter().any(|w| d.contains(w)) {
        "TEXT"
    } else if d.contains("BLOB") || d.is_empty() {
        "BLOB"
    } else if ["REAL", "FLOA", "DOUB"].iter().any(|w| d.contains(w)) {
        "REAL"
    } else {
        "NUMERIC"
    }
}

/// The column can hold text.
pub(crate) fn is_text(engine: Engine, type_name: &str) -> bool {
    match engine {
        Engine::Postgres => {
            let t = type_name.to_lowercase();
            t == "text" || t.starts_with("char") || t.ends_with("citext")
        }
        Engine::Sqlite => affinity(type_name) == "TEXT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_compare_by_family() {
        use Engine::{Postgres, Sqlite};
        assert!(comparable(Postgres, "integer", "bigint"));
        assert!(comparable(Postgres, "character varying(20)", "text"));
        assert!(!comparable(Postgres, "uuid", "text"));
        assert!(!comparable(Postgres, "integer", "character varying(3)"));
        assert!(comparable(Sqlite, "INT", "INTEGER"));
        assert!(comparable(Sqlite, "NVARCHAR(20)", "text"));
        assert_eq!(affinity("UUID"), "NUMERIC");
        assert_eq!(affinity("POINT"), "INTEGER");
    }
}
