//! Sequences behind the keys of mapped tables, and how far they have counted.

use super::snapshot::{Call, params};
use super::{Postgres, quote};
use crate::error::Result;
use domicile_datamap::catalogue::TableName;
use domicile_datamap::layout::MappedTable;
use domicile_datamap::{Giver, Numbers};

const WHAT: &str = "reading sequences";

/// Columns `$1..$3` (schemas, tables, names) with a sequence of their own (serial, identity) or one that
/// their default calls.
const BEHIND: &str = "SELECT m.n, sn.nspname::text, s.relname::text, a.attidentity <> '', q.seqincrement, \
       has_sequence_privilege(s.oid, 'SELECT'), a.atttypid IN (20, 21, 23) \
    FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS m(schema, tbl, col, n) \
    JOIN pg_namespace n ON n.nspname = m.schema \
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = m.tbl \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = m.col \
    JOIN (SELECT d.refobjid AS rel, d.refobjsubid AS col, d.objid AS seq FROM pg_depend d \
          WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass \
            AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0 \
          UNION SELECT ad.adrelid, ad.adnum, d.refobjid FROM pg_depend d \
          JOIN pg_attrdef ad ON ad.oid = d.objid \
          WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u \
      ON u.rel = c.oid AND u.col = a.attnum \
    JOIN pg_class s ON s.oid = u.seq AND s.relkind = 'S' JOIN pg_sequence q ON q.seqrelid = s.oid \
    JOIN pg_namespace sn ON sn.oid = s.relnamespace ORDER BY m.n, s.relname";

/// A column with its sequence.
struct Behind<'a> {
    table: &'a MappedTable,
    column: &'a str,
    sequence: TableName,
    identity: bool,
    step: i64,
    readable: bool,
    whole: bool,
}

impl Postgres {
    pub(super) async fn read_numbers(&self) -> Result<Vec<Numbers>> {
        let columns: Vec<(&MappedTable, &str)> =
            self.layout.tables.iter().flat_map(|t| alone(t).into_iter().map(move |c| (t, c))).collect();
        let schemas: Vec<&str> = columns.iter().map(|(t, _)| t.name.schema.as_str()).collect();
        let tables: Vec<&str> = columns.iter().map(|(t, _)| t.name.name.as_str()).collect();
        let names: Vec<&str> = columns.iter().map(|(_, c)| *c).collect();
        let conn = self.conn().await?;
        let rows = conn.query(WHAT, BEHIND, &[&schemas, &tables, &names]).await?;
        let found: Vec<Behind<'_>> = rows
            .iter()
            .filter_map(|row| {
                let (table, column) = columns.get(usize::try_from(row.get::<_, i64>(0) - 1).ok()?)?;
                Some(Behind {
                    table,
                    column,
                    sequence: TableName::new(row.get::<_, String>(1), row.get::<_, String>(2)),
                    identity: row.get(3),
                    step: row.get(4),
                    readable: row.get(5),
                    whole: row.get(6),
                })
            })
            .collect();
        let calls: Vec<Call<'_>> = found.iter().map(|b| (b.state(), params(&[]))).collect();
        let states = conn.query_all(WHAT, &calls).await?;
        Ok(found.iter().zip(states).map(|(b, rows)| b.numbers(rows[0].get(0), rows[0].get(1))).collect())
    }
}

/// Columns that must differ from row to row by themselves.
fn alone(table: &MappedTable) -> Vec<&str> {
    let uniques = table.uniques.iter().filter(|u| !u.partial).map(|u| &u.columns);
    let mut columns: Vec<&str> = std::iter::once(&table.key)
        .chain(uniques)
        .filter_map(|columns| match columns.as_slice() {
            [one] => Some(one.as_str()),
            _ => None,
        })
        .collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

impl Behind<'_> {
    /// One row: the number it gives next, and the greatest in the column, each NULL where not known.
    fn state(&self) -> String {
        let next = match self.readable {
            true => format!(
                "(SELECT last_value + CASE WHEN is_called THEN {} ELSE 0 END FROM {})",
                self.step,
                quote::table(&self.sequence)
            ),
            false => "NULL::int8".to_owned(),
        };
        let greatest = match self.whole {
            true => {
                let column = quote::ident(self.column);
                format!("(SELECT max({column})::int8 FROM {})", super::paths::relation(self.table))
            }
            false => "NULL::int8".to_owned(),
        };
        format!("SELECT {next}, {greatest}")
    }

    fn numbers(&self, next: Option<i64>, greatest: Option<i64>) -> Numbers {
        let giver = if self.identity { Giver::Identity } else { Giver::Sequence(self.sequence.clone()) };
        Numbers {
            table: self.table.name.clone(),
            column: self.column.to_owned(),
            giver,
            next,
            step: self.step,
            greatest,
        }
    }
}
