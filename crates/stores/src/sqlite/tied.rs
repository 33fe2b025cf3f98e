//! Subjects that a row ties to another one by a column answered `refuse`.

use super::Sqlite;
use super::fault::Fault;
use super::paths::{self, subjects_json};
use super::quote::{column, ident};
use crate::Result;
use crate::records::SubjectId;
use domicile_datamap::layout::Layout;
use rusqlite::Connection;
use std::collections::BTreeSet;

impl Sqlite {
    pub(super) async fn read_tied(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let (layout, subjects) = (self.layout.clone(), subjects_json(subjects));
        self.read("look for rows that tie subjects", move |conn| tied(conn, &layout, &subjects)).await
    }
}

fn tied(conn: &Connection, layout: &Layout, subjects: &str) -> Result<Vec<SubjectId>, Fault> {
    let mut tied = BTreeSet::new();
    for (ix, table) in layout.tables.iter().enumerate() {
        let owner = paths::owner(layout, ix);
        for name in &table.refusing {
            let other = column("a0", name);
            let declared = paths::type_of(table, name);
            let owned = paths::from_subjects(layout, ix);
            let named = format!(
                "json_each(?1) AS s CROSS JOIN {} AS a0 ON {}{}",
                ident(&table.name.name),
                paths::equals_subject(&other, declared),
                paths::up_to_owner(layout, ix)
            );
            for (rows, away) in [(owned, &other), (named, &owner)] {
                let sql = format!(
                    "SELECT DISTINCT s.value FROM {rows} WHERE {other} <> {owner} AND NOT EXISTS \
                     (SELECT 1 FROM domicile_home AS h WHERE h.subject = {away} AND h.state = 'w')"
                );
                let mut statement = conn.prepare_cached(&sql)?;
                let found = statement.query_map([subjects], |row| row.get(0).map(SubjectId))?;
                tied.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
            }
        }
    }
    Ok(tied.into_iter().collect())
}
