//! What stands in one column.

use super::Sqlite;
use super::paths::{self, subjects_json};
use super::quote;
use crate::Result;
use crate::records::SubjectId;
use domicile_datamap::layout::TableIx;

impl Sqlite {
    /// See [`crate::Records::column`].
    pub(super) async fn read_column(
        &self,
        table: TableIx,
        column: &str,
        subjects: &[SubjectId],
    ) -> Result<Vec<(SubjectId, String)>> {
        let (layout, subjects) = (self.layout.clone(), subjects_json(subjects));
        let column = format!("CAST({} AS TEXT)", quote::column("a0", column));
        self.read("read a column", move |conn| {
            let from = paths::from_subjects(&layout, table);
            let sql = format!("SELECT s.value, {column} FROM {from} WHERE {column} IS NOT NULL");
            let mut statement = conn.prepare_cached(&sql)?;
            let rows = statement.query_map([&subjects], |row| Ok((SubjectId(row.get(0)?), row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
        .await
    }
}
