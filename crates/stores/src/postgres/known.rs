//! Everybody whom the guard knows, page by page.

use super::Postgres;
use super::adoption::root;
use super::homes::{HOME_ROWS, home_row};
use crate::error::Result;
use crate::records::{HomeRow, SubjectId};

impl Postgres {
    /// See [`crate::Records::known`].
    pub(super) async fn read_known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "{HOME_ROWS} where ($1::text is null or subject > $1::text::{ty}) order by domicile.home.subject limit $2::bigint"
        );
        let after = after.map(|s| s.0.as_str());
        let rows = self.conn().await?.query("reading homes", &sql, &[&after, &i64::from(limit)]).await?;
        Ok(rows.iter().map(home_row).collect())
    }
}
