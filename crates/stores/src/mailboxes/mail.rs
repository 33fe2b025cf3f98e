//! Messages: kept once, handed out until they are acknowledged, known for some time after.
//!
//! INVARIANT: a message is kept at most once for a (mailbox, id), however often it is sent and even after it was delivered,
//! for as long as `mailbox_delivered` knows it.

use super::group::Item;
use super::{Engine, Mailboxes, Refusal};
use crate::control::{Rows, Statement, Value};
use bytes::Bytes;

/// How long a delivered message is known at least, ms: a sender that had no answer sends again for less than that.
const DELIVERED_MIN_MS: i64 = 24 * 60 * 60 * 1000;
/// Expired rows of one look.
const EXPIRED_MAX: i64 = 500;

/// A message on its way into a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The receiver's mailbox.
    pub mailbox: String,
    /// Drawn by the sender.
    pub id: String,
    /// Sealed by the sender; nothing here can read it.
    pub body: Bytes,
    /// When this relay took it, ms since 1970.
    pub received_ms: i64,
    /// After this it is not handed out any more, ms since 1970.
    pub expires_ms: i64,
}

/// A message as it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// Drawn by the sender.
    pub id: String,
    /// Sealed by the sender.
    pub body: Vec<u8>,
    /// When a relay took it, ms since 1970.
    pub received_ms: i64,
}

/// What a device has safely, of one mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Receipt {
    pub mailbox: String,
    pub ids: Vec<String>,
    /// Until when they are known at least, ms since 1970.
    pub known_ms: i64,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Messages that were here until now. Where they are fewer than were named, the guard has not seen the others:
    /// they were acknowledged before, or the mailbox is elsewhere.
    pub here: usize,
}

/// How full a mailbox is, and whether its owner wants any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fill {
    /// Has its owner agreed to messages, and not withdrawn?
    pub agreed: bool,
    /// Messages in it.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The owner's key to which messages are encrypted, where it is known: the first half of the identity.
    pub key: Option<[u8; 32]>,
}

/// Where expired rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Messages that nobody fetched in time.
    Messages,
    /// What is known of delivered ones.
    Delivered,
}

/// A row whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expired {
    /// Whose.
    pub mailbox: String,
    /// The message.
    pub id: String,
    /// Since when, ms since 1970.
    pub since_ms: i64,
}

/// How far a sweep has come: rows that may not be removed here are not looked at twice in one pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cursor(Option<Expired>);

impl Item for Message {
    type Done = ();

    async fn commit(engine: &Engine, items: &[Self]) -> Result<Vec<()>, Refusal> {
        match engine {
            Engine::Postgres(db) => db.keep(items).await?,
            Engine::Sqlite(db) => db.keep(items).await?,
        }
        Ok(vec![(); items.len()])
    }
}

impl Item for Receipt {
    type Done = usize;

    async fn commit(engine: &Engine, items: &[Self]) -> Result<Vec<usize>, Refusal> {
        match engine {
            Engine::Postgres(db) => db.acknowledge(items).await,
            Engine::Sqlite(db) => db.acknowledge(items).await,
        }
    }
}

impl Mailboxes {
    /// Keeps a message, durably when this returns. One that was kept or delivered before is kept no second time, and
    /// that is no refusal.
    ///
    /// # Errors
    /// A refusal. After `Unknown` the same call may be repeated.
    pub async fn keep(&self, message: Message) -> Result<(), Refusal> {
        self.messages.put(message).await
    }

    /// Was this message kept, or delivered, before?
    ///
    /// # Errors
    /// The database's.
    pub async fn is_known(&self, mailbox: &str, id: &str) -> Result<bool, Refusal> {
        let sql = "SELECT 1 FROM mailbox_message WHERE mailbox = $1 AND id = $2 \
             UNION ALL SELECT 1 FROM mailbox_delivered WHERE mailbox = $1 AND id = $2";
        Ok(!self.ask(sql, vec![mailbox.into(), id.into()]).await?.rows.is_empty())
    }

    /// What waits in a mailbox, oldest first. The guard refuses no read: whether the mailbox is at home here has to be
    /// asked of the directory, afterwards.
    ///
    /// # Errors
    /// The database's.
    pub async fn unread(&self, mailbox: &str, now_ms: i64, limit: u32) -> Result<Vec<Unread>, Refusal> {
        match &*self.engine {
            Engine::Postgres(db) => db.unread(mailbox, now_ms, limit).await,
            Engine::Sqlite(db) => db.unread(mailbox, now_ms, limit).await,
        }
    }

    /// Takes messages out of a mailbox for good and keeps their ids, so that they are kept no second time.
    ///
    /// # Errors
    /// A refusal. The same call may be repeated.
    pub async fn acknowledge(
        &self,
        mailbox: &str,
        ids: Vec<String>,
        now_ms: i64,
    ) -> Result<Acknowledged, Refusal> {
        let known_ms = now_ms.saturating_add(DELIVERED_MIN_MS);
        let receipt = Receipt { mailbox: mailbox.to_owned(), ids, known_ms };
        Ok(Acknowledged { here: self.receipts.put(receipt).await? })
    }

    /// How full a mailbox is, and whether its owner wants any.
    ///
    /// # Errors
    /// The database's.
    pub async fn fill(&self, mailbox: &str) -> Result<Fill, Refusal> {
        let sql = "SELECT count(*), CAST(coalesce(sum(length(body)), 0) AS bigint), \
             (SELECT count(*) FROM mailbox_consent c WHERE c.mailbox = $1 AND c.purpose = 'cloud_messaging' AND c.state = $2 \
               AND c.seq = (SELECT max(l.seq) FROM mailbox_consent l WHERE l.mailbox = $1 AND l.purpose = c.purpose)), \
             (SELECT m.identity FROM mailbox m WHERE m.id = $1) \
             FROM mailbox_message WHERE mailbox = $1";
        let rows = self.ask(sql, vec![mailbox.into(), super::GIVEN.into()]).await?;
        let Some([Value::Int(messages), Value::Int(bytes), Value::Int(agreed), identity]) =
            rows.rows.first().map(Vec::as_slice)
        else {
            return Err(Refusal::Broken("a count that is none".to_owned()));
        };
        let key = match identity {
            Value::Bytes(identity) => identity.first_chunk().copied(),
            _ => None,
        };
        Ok(Fill { agreed: *agreed > 0, messages: messages.unsigned_abs(), bytes: bytes.unsigned_abs(), key })
    }

    /// Some rows whose time was over at `now_ms`, after those of the cursor, which goes on behind them.
    ///
    /// # Errors
    /// The database's.
    pub async fn expired(
        &self,
        ledger: Ledger,
        now_ms: i64,
        cursor: &mut Cursor,
    ) -> Result<Vec<Expired>, Refusal> {
        let sql = match ledger {
            Ledger::Messages => {
                "SELECT mailbox, id, expires_ms FROM mailbox_message WHERE expires_ms < $1 \
                 AND (expires_ms, mailbox, id) > ($2, $3, $4) ORDER BY expires_ms, mailbox, id LIMIT $5"
            }
            Ledger::Delivered => {
                "SELECT mailbox, id, until_ms FROM mailbox_delivered WHERE until_ms < $1 \
                 AND (until_ms, mailbox, id) > ($2, $3, $4) ORDER BY until_ms, mailbox, id LIMIT $5"
            }
        };
        let after = cursor.0.clone();
        let (since, mailbox, id) =
            after.map_or((i64::MIN, String::new(), String::new()), |e| (e.since_ms, e.mailbox, e.id));
        let params =
            vec![now_ms.into(), Value::Int(since), mailbox.into(), id.into(), Value::Int(EXPIRED_MAX)];
        let found = expired(self.ask(sql, params).await?)?;
        if let Some(last) = found.last() {
            cursor.0 = Some(last.clone());
        }
        Ok(found)
    }

    /// Removes expired rows of one mailbox; how many.
    ///
    /// # Errors
    /// A refusal: the mailbox moves or is elsewhere, whose rows are not ours to remove.
    pub async fn sweep(
        &self,
        ledger: Ledger,
        mailbox: &str,
        ids: &[String],
        now_ms: i64,
    ) -> Result<u64, Refusal> {
        if ids.is_empty() {
            return Ok(0);
        }
        let (table, time) = match ledger {
            Ledger::Messages => ("mailbox_message", "expires_ms"),
            Ledger::Delivered => ("mailbox_delivered", "until_ms"),
        };
        let places: Vec<String> = (0..ids.len()).map(|n| format!("${}", n + 3)).collect();
        let sql = format!(
            "DELETE FROM {table} WHERE mailbox = $1 AND {time} < $2 AND id IN ({})",
            places.join(", ")
        );
        let mut params = vec![mailbox.into(), now_ms.into()];
        params.extend(ids.iter().map(|id| Value::Text(id.clone())));
        Ok(self.run(vec![Statement::new(sql, params)]).await?.first().map_or(0, |rows| rows.affected))
    }
}

fn expired(rows: Rows) -> Result<Vec<Expired>, Refusal> {
    let read = |row: Vec<Value>| match <[Value; 3]>::try_from(row) {
        Ok([Value::Text(mailbox), Value::Text(id), Value::Int(since_ms)]) => {
            Ok(Expired { mailbox, id, since_ms })
        }
        _ => Err(Refusal::Broken("a row of another shape".to_owned())),
    };
    rows.rows.into_iter().map(read).collect()
}
