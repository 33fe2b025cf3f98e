//! Everybody whom the guard knows, page by page.

use super::adoption::root;
use super::{Postgres, guard};
use crate::error::Result;
use crate::records::{HomeRow, SubjectId};

impl Postgres {
    /// See [`crate::Records::known`].
    pub(super) async fn read_known(&self, after: Option<&SubjectId>, limit: u32) -> Result<Vec<HomeRow>> {
        let (_, _, ty) = root(&self.layout);
        let sql = format!(
            "select subject::text, state::text, epoch, gen, batch from domicile.home \
             where ($1::text is null or subject > $1::text::{ty}) order by domicile.home.subject limit $2::bigint"
        );
        let after = after.map(|s| s.0.as_str());
        let rows = self.conn().await?.query("reading homes", &sql, &[&after, &i64::from(limit)]).await?;
        Ok(rows
            .iter()
            .map(|r| HomeRow {
                subject: SubjectId(r.get(0)),
                state: guard::state(r.get(1)).expect("checked by the table"),
                epoch: r.get::<_, i64>(2) as u64,
                generation: r.get(3),
                batch: r.get(4),
            })
            .collect())
    }
}
