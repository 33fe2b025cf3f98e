//! Who a device is here, and what its owner agreed to: asked in each request, so that a withdrawal holds at once.

use super::holders::Holding;
use super::locks::{SHUT, hold};
use super::{Engine, Mailboxes, Refusal};
use crate::control::{Rows, Statement, Value};

/// A device as this region knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its mailbox.
    pub mailbox: String,
    /// The device that has it now; empty where its owner withdrew.
    pub device: String,
    /// That device's public key.
    pub device_key: Vec<u8>,
    /// Does the mailbox live here?
    pub is_home: bool,
    /// Has its number been proven?
    pub has_number: bool,
    /// The latest state of each purpose: (purpose, state).
    pub consents: Vec<(String, String)>,
}

impl Holder {
    /// Is this purpose agreed to?
    pub fn gave(&self, purpose: &str) -> bool {
        self.consents.iter().any(|(p, state)| p == purpose && state == GIVEN)
    }
}

/// A device that agreed and has no mailbox yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its public key.
    pub device_key: Vec<u8>,
    /// Its records, in the relay's form.
    pub record: Vec<u8>,
}

/// A record as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Kept {
    /// Of which purpose.
    pub purpose: String,
    /// Its number among those of the purpose.
    pub seq: i64,
    /// `given`, `withdrawn`, or `replaced`: another device has the mailbox.
    pub state: String,
    /// The record with both signatures.
    pub record: Vec<u8>,
}

/// The state of a purpose that is agreed to.
pub const GIVEN: &str = "given";
/// The state of one that is not any more.
pub const WITHDRAWN: &str = "withdrawn";
/// The state of one that a former device had agreed to.
pub const REPLACED: &str = "replaced";

const MAILBOX_OF: &str = "SELECT id FROM mailbox WHERE device = $1 ORDER BY (CASE WHEN number_sealed IS NULL THEN 1 ELSE 0 END), id LIMIT 1";

impl Mailboxes {
    /// Who has this mailbox, and what was agreed to. `None`: it has no row here.
    ///
    /// # Errors
    /// The database's.
    pub async fn holder(&self, mailbox: &str) -> Result<Option<Holder>, Refusal> {
        self.holders.put(Holding(mailbox.to_owned())).await
    }

    /// The mailbox that a device has here: the one with its number, where it has left another one half-made.
    ///
    /// # Errors
    /// The database's.
    pub async fn mailbox_of(&self, device: &str) -> Result<Option<String>, Refusal> {
        let rows = self.ask(MAILBOX_OF, vec![device.into()]).await?;
        one_text(rows)
    }

    /// A device that agreed and has no mailbox yet.
    ///
    /// # Errors
    /// The database's.
    pub async fn waiting(&self, device: &str, now_ms: i64) -> Result<Option<Waiting>, Refusal> {
        let sql = "SELECT device_key, record FROM mailbox_waiting WHERE device = $1 AND expires_ms > $2";
        let rows = self.ask(sql, vec![device.into(), now_ms.into()]).await?;
        let Some(row) = rows.rows.into_iter().next() else { return Ok(None) };
        match <[Value; 2]>::try_from(row) {
            Ok([Value::Bytes(device_key), Value::Bytes(record)]) => Ok(Some(Waiting { device_key, record })),
            _ => Err(other_shape()),
        }
    }

    /// Keeps what a device without a mailbox agreed to, in the place of `before`. False: what was there is not `before` any more,
    /// or it has a mailbox by now.
    /// Of more than `most` those go that have waited longest: it takes nothing to be a device, and whoever makes many of them must
    /// not keep others out. Who means it registers within minutes.
    ///
    /// # Errors
    /// The database's.
    pub async fn keep_waiting(
        &self,
        device: &str,
        waiting: &Waiting,
        before: Option<&[u8]>,
        until_ms: i64,
        (now_ms, most): (i64, u64),
    ) -> Result<bool, Refusal> {
        let over = Statement::new("DELETE FROM mailbox_waiting WHERE expires_ms <= $1", vec![now_ms.into()]);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut params = vec![
            device.into(),
            waiting.device_key.as_slice().into(),
            waiting.record.as_slice().into(),
            until_ms.into(),
        ];
        let keep = match before {
            None => {
                "INSERT INTO mailbox_waiting(device, device_key, record, expires_ms) SELECT $1, $2, $3, $4 \
                 WHERE NOT EXISTS (SELECT 1 FROM mailbox WHERE device = $1) ON CONFLICT DO NOTHING"
            }
            Some(before) => {
                params.push(before.into());
                "UPDATE mailbox_waiting SET record = $3, expires_ms = $4 \
                 WHERE device = $1 AND device_key = $2 AND record = $5"
            }
        };
        let beyond = "DELETE FROM mailbox_waiting WHERE device IN (SELECT device FROM mailbox_waiting ORDER BY expires_ms \
             LIMIT (SELECT CASE WHEN count(*) < $1 THEN 0 ELSE count(*) - $1 + 1 END FROM mailbox_waiting))";
        let mut all = vec![over];
        all.extend(before.is_none().then(|| Statement::new(beyond, vec![most.into()])));
        all.push(Statement::new(keep, params));
        let done = self.run(all).await?;
        Ok(done.last().is_some_and(|kept| kept.affected == 1))
    }

    /// Forgets what a device without a mailbox agreed to.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_waiting(&self, device: &str) -> Result<(), Refusal> {
        self.ask("DELETE FROM mailbox_waiting WHERE device = $1", vec![device.into()]).await.map(drop)
    }

    /// Keeps a record as the next one of its purpose and does what it means, all in one transaction, where the mailbox is this
    /// device's. `Taken`: another one came between.
    ///
    /// # Errors
    /// A refusal; `Changed` where it is another device's, or nobody's.
    pub async fn keep_consent(
        &self,
        (mailbox, device): (&str, &str),
        record: &Kept,
        then: &[Effect],
    ) -> Result<(), Refusal> {
        let shuts = then.contains(&Effect::NoMessages) && matches!(&*self.engine, Engine::Postgres(_));
        let mut all: Vec<Statement> =
            shuts.then(|| Statement::new(SHUT, vec![mailbox.into()])).into_iter().collect();
        all.extend([hold(mailbox, device), consent(mailbox, record), summary(mailbox)]);
        all.extend(then.iter().flat_map(|effect| effect.statements(mailbox)));
        self.run(all).await.map(drop)
    }

    /// All records of a mailbox, in their order.
    ///
    /// # Errors
    /// The database's.
    pub async fn records(&self, mailbox: &str) -> Result<Vec<Kept>, Refusal> {
        let sql = "SELECT purpose, seq, state, record FROM mailbox_consent WHERE mailbox = $1 ORDER BY purpose, seq";
        let rows = self.ask(sql, vec![mailbox.into()]).await?;
        rows.rows.into_iter().map(kept).collect()
    }

    /// The number of a purpose's latest record; 0: there is none.
    ///
    /// # Errors
    /// The database's.
    pub async fn latest(&self, mailbox: &str, purpose: &str) -> Result<i64, Refusal> {
        let sql = "SELECT coalesce(max(seq), 0) FROM mailbox_consent WHERE mailbox = $1 AND purpose = $2";
        let rows = self.ask(sql, vec![mailbox.into(), purpose.into()]).await?;
        match rows.rows.first().map(Vec::as_slice) {
            Some([Value::Int(n)]) => Ok(*n),
            _ => Err(other_shape()),
        }
    }
}

/// What a withdrawal does besides being kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Effect {
    /// Nobody finds the mailbox any more.
    Unfindable,
    /// Nobody can begin to write to it.
    NoKeys,
    /// Nobody sees whether it is there.
    NoViewers,
    /// What waits in it is dropped.
    NoMessages,
    /// No device has it, and number, keys and device are forgotten.
    Closed,
    /// The device is known as one without a mailbox, so that an older record of it is not taken for a new one.
    Remember {
        /// Its id.
        device: String,
        /// The withdrawal.
        waiting: Waiting,
        /// Until when.
        until_ms: i64,
    },
}

impl Effect {
    /// What a purpose's withdrawal does. Without messages there is nothing that the other purposes could be for.
    pub fn of(purpose: &str) -> Vec<Self> {
        match purpose {
            "cloud_messaging" => {
                vec![Self::Unfindable, Self::NoKeys, Self::NoViewers, Self::NoMessages, Self::Closed]
            }
            "contact_discovery" => vec![Self::Unfindable],
            "presence" => vec![Self::NoViewers],
            _ => Vec::new(),
        }
    }

    fn statements(&self, mailbox: &str) -> Vec<Statement> {
        let one = |sql: &'static str| vec![Statement::new(sql, vec![mailbox.into()])];
        match self {
            Self::Unfindable => {
                let mut all = one("DELETE FROM mailbox_tag WHERE mailbox = $1");
                all.extend(one("UPDATE mailbox SET discoverable = false WHERE id = $1"));
                all
            }
            Self::NoKeys => one("DELETE FROM mailbox_key WHERE mailbox = $1"),
            Self::NoViewers => one("DELETE FROM mailbox_viewer WHERE mailbox = $1"),
            Self::NoMessages => one("DELETE FROM mailbox_message WHERE mailbox = $1"),
            Self::Closed => {
                let sql = "UPDATE mailbox SET device = '', device_key = $2, number_sealed = NULL, identity = NULL, \
                     fallback = NULL, consents = '' WHERE id = $1";
                vec![Statement::new(sql, vec![mailbox.into(), b"".as_slice().into()])]
            }
            Self::Remember { device, waiting, until_ms } => {
                let sql = "INSERT INTO mailbox_waiting(device, device_key, record, expires_ms) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (device) DO UPDATE SET record = excluded.record, expires_ms = excluded.expires_ms";
                let params = vec![
                    device.as_str().into(),
                    waiting.device_key.as_slice().into(),
                    waiting.record.as_slice().into(),
                    (*until_ms).into(),
                ];
                vec![Statement::new(sql, params)]
            }
        }
    }
}

/// A record as a statement.
pub(super) fn consent(mailbox: &str, record: &Kept) -> Statement {
    let sql = "INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) VALUES ($1, $2, $3, $4, $5)";
    let params = vec![
        mailbox.into(),
        record.purpose.as_str().into(),
        record.seq.into(),
        record.state.as_str().into(),
        record.record.as_slice().into(),
    ];
    Statement::new(sql, params)
}

/// A record as the next one of its purpose, whatever its number says.
pub(super) fn next_consent(mailbox: &str, record: &Kept) -> Statement {
    let sql = "INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) \
         SELECT $1, $2, coalesce(max(seq), 0) + 1, $3, $4 FROM mailbox_consent WHERE mailbox = $1 AND purpose = $2";
    let params = vec![
        mailbox.into(),
        record.purpose.as_str().into(),
        record.state.as_str().into(),
        record.record.as_slice().into(),
    ];
    Statement::new(sql, params)
}

/// The latest record of each purpose of a mailbox as the next one of another.
pub(super) fn copy_consents(from: &str, to: &str) -> Statement {
    let sql = "INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) \
         SELECT $2, c.purpose, coalesce((SELECT max(o.seq) FROM mailbox_consent o WHERE o.mailbox = $2 AND o.purpose = c.purpose), 0) + 1, \
           c.state, c.record FROM mailbox_consent c WHERE c.mailbox = $1 AND NOT EXISTS (SELECT 1 FROM mailbox_consent n \
             WHERE n.mailbox = c.mailbox AND n.purpose = c.purpose AND n.seq > c.seq)";
    Statement::new(sql, vec![from.into(), to.into()])
}

/// Whatever is agreed to ends: the device that agreed has the mailbox no more. After its row was locked.
pub(super) fn replaced(mailbox: &str) -> Statement {
    let sql = "INSERT INTO mailbox_consent(mailbox, purpose, seq, state, record) \
         SELECT c.mailbox, c.purpose, c.seq + 1, $2, $3 FROM mailbox_consent c WHERE c.mailbox = $1 AND c.state = $4 \
           AND NOT EXISTS (SELECT 1 FROM mailbox_consent n \
             WHERE n.mailbox = c.mailbox AND n.purpose = c.purpose AND n.seq > c.seq)";
    Statement::new(sql, vec![mailbox.into(), REPLACED.into(), b"".as_slice().into(), GIVEN.into()])
}

/// The purposes that are agreed to now, beside the mailbox's country: where policies read them. After its records.
pub(super) fn summary(mailbox: &str) -> Statement {
    let sql = "UPDATE mailbox SET consents = coalesce((SELECT string_agg(c.purpose, ' ') FROM mailbox_consent c \
             WHERE c.mailbox = $1 AND c.state = 'given' AND NOT EXISTS (SELECT 1 FROM mailbox_consent n \
               WHERE n.mailbox = c.mailbox AND n.purpose = c.purpose AND n.seq > c.seq)), '') WHERE id = $1";
    Statement::new(sql, vec![mailbox.into()])
}

pub(super) fn pair(row: Vec<Value>) -> Result<(String, String), Refusal> {
    match <[Value; 2]>::try_from(row) {
        Ok([Value::Text(a), Value::Text(b)]) => Ok((a, b)),
        _ => Err(other_shape()),
    }
}

fn kept(row: Vec<Value>) -> Result<Kept, Refusal> {
    match <[Value; 4]>::try_from(row) {
        Ok([Value::Text(purpose), Value::Int(seq), Value::Text(state), Value::Bytes(record)]) => {
            Ok(Kept { purpose, seq, state, record })
        }
        _ => Err(other_shape()),
    }
}

pub(super) fn one_text(rows: Rows) -> Result<Option<String>, Refusal> {
    match rows.rows.into_iter().next().map(<[Value; 1]>::try_from) {
        None => Ok(None),
        Some(Ok([Value::Text(text)])) => Ok(Some(text)),
        Some(_) => Err(other_shape()),
    }
}

pub(super) fn other_shape() -> Refusal {
    Refusal::Broken("a row of another shape".to_owned())
}
