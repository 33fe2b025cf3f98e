//! The feed: what changed since, in the order in which it was committed.

use crate::read::Columns;
use crate::{Directory, Result, SubjectHash};
use domicile_stores::control::{Statement, Value};

/// How far a reader of the feed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cursor {
    /// Everything up to this number was read ...
    pub sequence: u64,
    /// ... and of this number's subjects those up to this one; `None`: all.
    pub subject: Option<SubjectHash>,
}

impl Cursor {
    /// After everything that [`Directory::version`] counts.
    pub fn after(sequence: u64) -> Self {
        Self { sequence, subject: None }
    }
}

/// A subject's state after its newest change; older changes of the same subject are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Who.
    pub subject: SubjectHash,
    /// Its home, `None` where it was removed.
    pub region: Option<String>,
    /// Its epoch.
    pub epoch: u64,
    /// The change's number.
    pub sequence: u64,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What changed, in order.
    pub changes: Vec<Changed>,
    /// Where to go on.
    pub next: Cursor,
}

impl Directory {
    /// The number of the service's newest change, 0 before the first. It grows with every
    /// transaction that changes a home, so a plan made at another number is stale.
    ///
    /// # Errors
    /// The store's.
    pub async fn version(&self, service: &str) -> Result<u64> {
        self.ready().await?;
        let sql = "SELECT head FROM directory_feed WHERE service = $1";
        let answer = self.ask(Statement::new(sql, vec![service.into()])).await?;
        answer.rows.first().map_or(Ok(0), |row| Columns::of(self, row).count())
    }

    /// At most `limit` changes after the cursor; none: the reader is up to date. What is committed later
    /// always has a higher number than what was read.
    ///
    /// # Errors
    /// The store's.
    pub async fn changes_since(&self, service: &str, after: Cursor, limit: u32) -> Result<Page> {
        self.ready().await?;
        let sql = "SELECT subject, region, epoch, changed_seq FROM directory_home \
                   WHERE service = $1 AND (changed_seq > $2 OR (changed_seq = $2 AND subject > $3)) \
                   ORDER BY changed_seq, subject LIMIT $4";
        let sequence = i64::try_from(after.sequence).unwrap_or(i64::MAX);
        // Longer than any hash, so greater than all: the number is read whole.
        let subject = after.subject.map_or(vec![0xff; 17], |hash| hash.0.to_vec());
        let params =
            vec![service.into(), Value::Int(sequence), Value::Bytes(subject), Value::Int(limit.into())];
        let answer = self.ask(Statement::new(sql, params)).await?;
        let changes = answer
            .rows
            .iter()
            .map(|row| {
                let mut columns = Columns::of(self, row);
                let (subject, region) = (columns.hash()?, columns.text_or_null()?);
                Ok(Changed { subject, region, epoch: columns.count()?, sequence: columns.count()? })
            })
            .collect::<Result<Vec<_>>>()?;
        let next =
            changes.last().map_or(after, |c| Cursor { sequence: c.sequence, subject: Some(c.subject) });
        Ok(Page { changes, next })
    }
}
