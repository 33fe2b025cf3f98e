//! Subjects that a row ties to another one by a column answered `refuse`.

use super::Postgres;
use super::paths::{self, Way};
use super::quote;
use super::snapshot::{Call, params, texts};
use crate::error::Result;
use crate::records::SubjectId;
use std::collections::BTreeSet;

impl Postgres {
    pub(super) async fn read_tied(&self, subjects: &[SubjectId]) -> Result<Vec<SubjectId>> {
        let ids = texts(subjects);
        let mut calls: Vec<Call<'_>> = Vec::new();
        for (ix, table) in self.layout.tables.iter().enumerate() {
            let way = Way::to_owner(&self.layout, ix);
            for column in &table.refusing {
                let other = quote::column("t0", column);
                calls.push((self.tie(&way, &way.owner, &other), params(&[&ids])));
                calls.push((self.tie(&way, &other, &way.owner), params(&[&ids])));
            }
        }
        let conn = self.conn().await?;
        let found = conn.query_all("looking for rows that tie subjects", &calls).await?;
        let tied: BTreeSet<SubjectId> = found.iter().flatten().map(|row| SubjectId(row.get(0))).collect();
        Ok(tied.into_iter().collect())
    }

    /// Subjects ($1) in the expression `one` of rows whose `other` is another subject that is not away.
    fn tie(&self, way: &Way, one: &str, other: &str) -> String {
        let of_root = paths::subject_type(&self.layout);
        let rows = way.select(&[
            format!("{one} = ANY($1::text[]::{of_root}[])"),
            format!("{one} <> {other}"),
            format!(
                "NOT EXISTS (SELECT 1 FROM domicile.home AS h WHERE h.subject = {other} AND h.state = 'w')"
            ),
        ]);
        format!("SELECT DISTINCT {one}::text {rows}")
    }
}
