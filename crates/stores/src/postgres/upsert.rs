//! Rows written by primary key, as text arrays in one statement: no temporary table, no COPY, one
//! round trip.

use super::paths::Way;
use super::pool::Conn;
use super::{park, quote};
use crate::error::{Error, Result};
use crate::records::RowStream;
use bytes::{Bytes, BytesMut};
use domicile_datamap::layout::{Layout, MappedTable, MovedColumn, ReferenceTable, TableIx};
use futures::StreamExt;
use tokio_postgres::types::ToSql;

/// Text of one statement's rows at most, where rows don't refer to each other.
const STATEMENT_BYTES: usize = 1024 * 1024;
/// The same where they do (a self-reference is checked at the statement's end, so parents must not
/// come in a later one).
const STATEMENT_BYTES_LINKED: usize = 64 * 1024 * 1024;

/// The table written into.
pub(super) struct Destination<'a> {
    relation: String,
    name: String,
    columns: &'a [MovedColumn],
    key: &'a [String],
    statement_bytes: usize,
    rule: Rule<'a>,
}

/// Which existing rows may be replaced.
enum Rule<'a> {
    /// Those whose owner here is in the batch (finding 7). Another's row under the same key, live,
    /// dead or brought by another batch, is never overwritten: it is [`Error::Taken`].
    OfBatch {
        /// The batch, against `domicile.home`.
        batch: &'a str,
        /// Is the row `t` of the batch `{parameter}`?
        owned: String,
        table: &'a MappedTable,
    },
    /// All that differ; the same ones are not written and not counted.
    Changed,
}

impl<'a> Destination<'a> {
    /// A mapped table, written for a batch.
    pub(super) fn mapped(layout: &'a Layout, ix: TableIx, batch: &'a str) -> Self {
        let table = &layout.tables[ix];
        let linked = table.foreign_keys.iter().any(|fk| {
            fk.references == table.name
                && !fk.deferrable
                && !fk.columns.iter().any(|c| table.null_first.contains(c))
        });
        Self {
            relation: quote::table(&table.name),
            name: table.name.to_string(),
            columns: &table.columns,
            key: &table.key,
            statement_bytes: if linked { STATEMENT_BYTES_LINKED } else { STATEMENT_BYTES },
            rule: Rule::OfBatch { batch, owned: owned(layout, ix), table },
        }
    }

    pub(super) fn reference(table: &'a ReferenceTable) -> Self {
        Self {
            relation: quote::table(&table.name),
            name: table.name.to_string(),
            columns: &table.columns,
            key: &table.key,
            statement_bytes: STATEMENT_BYTES_LINKED,
            rule: Rule::Changed,
        }
    }

    /// Explicit casts from text to each type without its modifier; the assignment then checks
    /// lengths. An identity column (`GENERATED ALWAYS`) that is not part of the key can't be updated: a row in
    /// which it differs counts as one in the way, which is deleted and written anew.
    fn sql(&self) -> String {
        let names = |list: Vec<String>| list.join(", ");
        let all = names(self.columns.iter().map(|c| quote::ident(&c.name)).collect());
        let arrays = names((1..=self.columns.len()).map(|n| format!("${n}::text[]")).collect());
        let casts = self.columns.iter();
        let casts = casts.map(|c| quote::parsed(&quote::column("r", &c.name), &c.type_name));
        let rest: Vec<&MovedColumn> =
            self.columns.iter().filter(|c| !self.key.contains(&c.name) && !c.identity).collect();
        let set = rest.iter().map(|c| format!("{0} = excluded.{0}", quote::ident(&c.name)));
        let mut action = format!("UPDATE SET {}", names(set.collect()));
        if rest.is_empty() {
            action = "NOTHING".to_owned();
        } else {
            action.push_str(" WHERE ");
            action.push_str(&match &self.rule {
                Rule::OfBatch { owned, .. } => {
                    let kept = self.columns.iter().filter(|c| !self.key.contains(&c.name) && c.identity);
                    let kept = kept.map(|c| {
                        let [old, new] = ["t0", "excluded"].map(|row| quote::column(row, &c.name));
                        format!(" AND {old} IS NOT DISTINCT FROM {new}")
                    });
                    format!("{owned} = ${}{}", self.columns.len() + 1, kept.collect::<String>())
                }
                Rule::Changed => {
                    let old = names(rest.iter().map(|c| quote::column("t0", &c.name)).collect());
                    let new = names(rest.iter().map(|c| quote::column("excluded", &c.name)).collect());
                    format!("ROW({old})::text IS DISTINCT FROM ROW({new})::text")
                }
            });
        }
        format!(
            "INSERT INTO {} AS t0 ({all}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({arrays}) AS r({all}) \
             ON CONFLICT ({}) DO {action}",
            self.relation,
            names(casts.collect()),
            names(self.key.iter().map(|k| quote::ident(k)).collect())
        )
    }
}

/// The batch of the owner of the existing row `t0`.
fn owned(layout: &Layout, ix: TableIx) -> String {
    let way = Way::to_owner(layout, ix);
    let holds = format!("h.subject = {}", way.owner);
    format!("(SELECT h.batch {})", way.select_above("domicile.home AS h", &[holds]))
}

/// Writes the rows of a COPY stream. Returns rows written.
pub(super) async fn upsert(conn: &Conn, into: &Destination<'_>, mut rows: RowStream<'_>) -> Result<u64> {
    let what = format!("writing rows of {}", into.name);
    let sql = into.sql();
    let (mut buffer, mut written) = (BytesMut::new(), 0);
    loop {
        let piece: Option<Bytes> = rows.next().await.transpose()?;
        let ended = piece.is_none();
        if let Some(piece) = piece {
            buffer.extend_from_slice(&piece);
        }
        if !buffer.is_empty() && (ended || buffer.len() >= into.statement_bytes) {
            // In COPY's text form a line feed always ends a row; a piece may end inside one.
            let end = if ended {
                buffer.len()
            } else {
                buffer.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1)
            };
            let whole = buffer.split_to(end);
            written += run(conn, &what, &sql, into, &whole).await?;
        }
        if ended {
            return Ok(written);
        }
    }
}

async fn run(conn: &Conn, what: &str, sql: &str, into: &Destination<'_>, rows: &[u8]) -> Result<u64> {
    let columns = parse(rows, into.columns.len()).map_err(|why| Error::Failed {
        store: conn.store(),
        what: what.to_owned(),
        why: why.to_owned(),
    })?;
    let sent = columns.first().map_or(0, Vec::len);
    if sent == 0 {
        return Ok(0);
    }
    let mut params: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
    let Rule::OfBatch { batch, table, .. } = &into.rule else {
        return conn.execute(what, sql, &params).await;
    };
    let only_keys = !sql.contains(" DO UPDATE ");
    if !only_keys {
        params.push(batch);
    }
    let written = park::run(conn, what, sql, &params, table, &columns).await?;
    let sent = sent as u64;
    // Where all columns are key, a row that is there already is the row as it should be.
    if written < sent && !only_keys {
        return Err(Error::Taken {
            store: conn.store(),
            table: table.name.to_string(),
            constraint: "primary key".to_owned(),
        });
    }
    Ok(sent)
}

/// COPY's text form, turned into columns.
fn parse(rows: &[u8], width: usize) -> std::result::Result<Vec<Vec<Option<String>>>, &'static str> {
    let mut columns = vec![Vec::new(); width];
    for line in rows.split(|b| *b == b'\n').filter(|line| !line.is_empty() || width == 1) {
        let mut fields = line.split(|b| *b == b'\t');
        for column in &mut columns {
            column.push(field(fields.next().ok_or("a row has too few columns")?)?);
        }
        if fields.next().is_some() {
            return Err("a row has too many columns");
        }
    }
    // A table of one column: the piece's last line feed is no empty row.
    if width == 1 && rows.last() == Some(&b'\n') {
        columns[0].pop();
    }
    Ok(columns)
}

/// `\N` is NULL; COPY TO writes only the escapes below.
fn field(raw: &[u8]) -> std::result::Result<Option<String>, &'static str> {
    if raw == b"\\N" {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&b) = bytes.next() {
        out.push(if b != b'\\' {
            b
        } else {
            match bytes.next().ok_or("a row ends within an escape")? {
                b'b' => 0x08,
                b'f' => 0x0c,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'v' => 0x0b,
                other => *other,
            }
        });
    }
    String::from_utf8(out).map(Some).map_err(|_| "a row is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_text_is_read_back() {
        let rows = b"1\ta\\tb\\n\\\\\t\\N\n2\t\t\\\\N\n";
        let columns = parse(rows, 3).unwrap();
        assert_eq!(columns[0], [Some("1".into()), Some("2".into())]);
        assert_eq!(columns[1], [Some("a\tb\n\\".into()), Some(String::new())]);
        assert_eq!(columns[2], [None, Some("\\N".into())]);
        assert_eq!(parse(b"\nx\n", 1).unwrap()[0], [Some(String::new()), Some("x".into())]);
        assert!(parse(b"1\t2\n", 3).is_err());
        assert!(parse(b"1\t2\n", 1).is_err());
        assert!(parse(b"1\\\n", 1).is_err());
    }
}
