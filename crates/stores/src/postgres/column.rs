//! What stands in one column.

use super::Postgres;
use super::paths::Way;
use super::quote;
use super::snapshot::{params, texts};
use crate::error::Result;
use crate::records::SubjectId;
use domicile_datamap::layout::TableIx;

impl Postgres {
    /// See [`crate::Records::column`].
    pub(super) async fn read_column(
        &self,
        table: TableIx,
        column: &str,
        subjects: &[SubjectId],
    ) -> Result<Vec<(SubjectId, String)>> {
        let ids = texts(subjects);
        let conn = self.conn().await?;
        let found = self.found(&conn).await?;
        let way = Way::to_owner(&self.layout, table);
        let column = quote::column("t0", column);
        let rows = way.select_of(&self.layout, "$1", found, &[format!("{column} IS NOT NULL")]);
        let sql = format!("SELECT {}::text, {column}::text {rows}", way.owner);
        let answer = conn.query("reading a column", &sql, &params(&[&ids])).await?;
        Ok(answer.iter().map(|row| (SubjectId(row.get(0)), row.get(1))).collect())
    }
}
