//! Everybody whom the guard knows, page by page.

use super::homes::state_of;
use super::{Fault, Sqlite};
use crate::Result;
use crate::records::{HomeRow, SubjectId};
use rusqlite::Row;

impl Sqlite {
    /// See [`crate::Records::known`].
    pub(super) async fn read_known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>> {
        let after = after.cloned();
        self.read("read homes", move |conn| {
            let beyond = if after.is_some() { "WHERE subject > ?1" } else { "" };
            // The table's column is named, not the text that is read: texts of numbers have another order.
            let mut statement = conn.prepare_cached(&format!(
                "SELECT CAST(subject AS TEXT), state, epoch, gen, batch FROM domicile_home {beyond} \
                 ORDER BY domicile_home.subject LIMIT {limit}"
            ))?;
            let mut rows = statement.query(rusqlite::params_from_iter(after.iter().map(|s| &s.0)))?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(home_row(row)?);
            }
            Ok(all)
        })
        .await
    }
}

fn home_row(row: &Row<'_>) -> Result<HomeRow, Fault> {
    Ok(HomeRow {
        subject: SubjectId(row.get(0)?),
        state: state_of(&row.get::<_, String>(1)?)?,
        epoch: row.get::<_, i64>(2)? as u64,
        generation: row.get(3)?,
        batch: row.get(4)?,
    })
}
