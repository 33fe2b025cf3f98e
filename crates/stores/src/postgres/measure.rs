//! How much would move.

use super::Postgres;
use super::paths::{self, Way};
use super::snapshot::{Call, count, params, texts};
use crate::error::Result;
use crate::records::{Size, SubjectId};
use domicile_datamap::layout::TableIx;
use std::collections::BTreeMap;

impl Postgres {
    /// Rows and bytes of text by table; tables without a row are left out.
    pub(super) async fn measure_rows(&self, subjects: &[SubjectId]) -> Result<BTreeMap<TableIx, Size>> {
        let ids = texts(subjects);
        let conn = self.conn().await?;
        let found = self.found(&conn).await?;
        let calls: Vec<Call<'_>> = (0..self.layout.tables.len())
            .map(|ix| {
                let way = Way::to_owner(&self.layout, ix);
                let row = paths::row_bytes(&self.layout.tables[ix]);
                let rows = way.select_of(&self.layout, "$1", found, &[]);
                let sql = format!("SELECT count(*), coalesce(sum(octet_length({row})), 0)::int8 {rows}");
                (sql, params(&[&ids]))
            })
            .collect();
        let answers = conn.query_all("measuring rows", &calls).await?;
        let sizes = answers
            .iter()
            .enumerate()
            .map(|(ix, rows)| (ix, Size { rows: count(&rows[0], 0), bytes: count(&rows[0], 1) }));
        Ok(sizes.filter(|(_, size)| size.rows > 0).collect())
    }
}
