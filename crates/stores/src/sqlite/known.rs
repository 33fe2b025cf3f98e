//! Everybody whom the guard knows, page by page.

use super::Sqlite;
use super::homes::{HOME_ROWS, home_row};
use crate::Result;
use crate::records::{HomeRow, SubjectId};

impl Sqlite {
    /// See [`crate::Records::known`].
    pub(super) async fn read_known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>> {
        let after = after.cloned();
        self.read("read homes", move |conn| {
            let beyond = if after.is_some() { "WHERE subject > ?1" } else { "" };
            // The table's column is named, not the text that is read: texts of numbers have another order.
            let mut statement = conn.prepare_cached(&format!(
                "{HOME_ROWS} {beyond} ORDER BY domicile_home.subject LIMIT {limit}"
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
