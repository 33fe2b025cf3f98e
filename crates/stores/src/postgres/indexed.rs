//! Do indexes lead from a subject down to all its rows here? Then that is how they are found, whatever the
//! planner believes: its statistics lag far behind while a wave fills a new home, and a plan that reads a
//! table whole makes each pause grow with everything that has arrived before.

use super::Postgres;
use super::paths::Found;
use super::pool::Conn;
use super::quote;
use crate::error::Result;
use domicile_datamap::layout::Owner;

impl Found {
    /// Further settings of a transaction that finds rows by subject or key, for the text of its `BEGIN`: every step
    /// is a look-up, and the other joins read whole tables for it, or a subject's every row.
    pub(super) fn settings(self) -> &'static str {
        match self {
            Self::DownThePath => "; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
            Self::ByPlanner => "",
        }
    }
}

impl Postgres {
    /// How rows are found here; where an index is absent (`check` names it) going down the paths would read
    /// a table again for every parent.
    pub(super) async fn found(&self, conn: &Conn) -> Result<Found> {
        let indexed = self.indexed.get_or_try_init(|| self.are_paths_indexed(conn)).await?;
        Ok(if *indexed { Found::DownThePath } else { Found::ByPlanner })
    }

    /// Does a whole, valid index begin with the columns that name the owner or the parent, in every table?
    async fn are_paths_indexed(&self, conn: &Conn) -> Result<bool> {
        let (mut tables, mut columns) = (Vec::new(), Vec::new());
        for table in &self.layout.tables {
            let by: Vec<&str> = match &table.owner {
                Owner::Root { column } | Owner::Direct { column } => vec![column],
                Owner::Derived { link, .. } => link.iter().map(|(own, _)| own.as_str()).collect(),
            };
            tables.push(quote::table(&table.name));
            columns.push(serde_json::to_string(&by).expect("a list of texts"));
        }
        let sql = "SELECT coalesce(bool_and(EXISTS ( \
               SELECT 1 FROM pg_index i WHERE i.indrelid = asked.t::regclass AND i.indisvalid AND i.indpred IS NULL \
                 AND (SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = i.indrelid \
                   AND a.attnum = ANY ((i.indkey::int2[])[0:jsonb_array_length(asked.c::jsonb) - 1])) \
                 @> ARRAY(SELECT jsonb_array_elements_text(asked.c::jsonb)))), true) \
             FROM unnest($1::text[], $2::text[]) AS asked(t, c)";
        let row = conn.query_one("looking for indexes", sql, &[&tables, &columns]).await?;
        Ok(row.get(0))
    }
}
