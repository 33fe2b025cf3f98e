//! What is over: messages that nobody fetched, and what is known of delivered ones. Found in the order in which it is over, and
//! removed in groups: of a thousand delivered messages a second, a thousand are over a second, a day later.

use super::group::Item;
use super::{Engine, Mailboxes, Refusal};
use crate::control::{Rows, Value};

/// Expired rows of one look.
const EXPIRED_MAX: i64 = 500;

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

/// Expired rows of one mailbox that are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Over {
    pub ledger: Ledger,
    pub mailbox: String,
    pub ids: Vec<String>,
    /// Rows whose time is later stay, ms since 1970.
    pub now_ms: i64,
}

impl Item for Over {
    type Done = u64;

    async fn commit(engine: &Engine, items: &[Self]) -> Result<Vec<u64>, Refusal> {
        match engine {
            Engine::Postgres(db) => db.sweep(items).await,
            Engine::Sqlite(db) => db.sweep(items).await,
        }
    }
}

impl Mailboxes {
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

    /// Removes expired rows of one mailbox, together with whoever calls at the same time; how many.
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
        self.over.put(Over { ledger, mailbox: mailbox.to_owned(), ids: ids.to_vec(), now_ms }).await
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
