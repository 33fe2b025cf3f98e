//! One-time keys: each is given once, to one who begins to write to a device; then the fallback key.
//!
//! A key that was given leaves its id behind, without the key: a device that had no answer puts the same keys again, and that one must
//! not come back. Ids that a later list of keys does not name go, since the device sends them no more.

use super::locks::hold;
use super::{Engine, Mailboxes, Refusal};
use crate::control::{Statement, Value};

/// One key of a device, under the id by which the device finds its other half again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTime {
    /// The device's.
    pub id: String,
    /// The public half.
    pub key: Vec<u8>,
}

/// What one who begins to write is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The device's identity keys.
    pub identity: Vec<u8>,
    /// A key that nobody else was given; `None`: the fallback.
    pub one_time: Option<OneTime>,
    /// To be used where there is no one-time key left.
    pub fallback: Option<Vec<u8>>,
}

/// Of several that claim at once each takes another key, and none waits for the others.
const TAKE_POSTGRES: [&str; 1] = [
    "WITH next AS (SELECT id, key FROM mailbox_key WHERE mailbox = $1 AND length(key) > 0 \
       ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) \
     UPDATE mailbox_key k SET key = $2 FROM next WHERE k.mailbox = $1 AND k.id = next.id RETURNING next.id, next.key",
];
/// SQLite answers only what a row is after its change.
const TAKE_SQLITE: [&str; 2] = [
    "SELECT id, key FROM mailbox_key WHERE mailbox = $1 AND length(key) > 0 ORDER BY id LIMIT 1",
    "UPDATE mailbox_key SET key = $2 WHERE mailbox = $1 AND id = \
     (SELECT id FROM mailbox_key WHERE mailbox = $1 AND length(key) > 0 ORDER BY id LIMIT 1)",
];

/// Keys that another identity than this one has signed: who begins to write would take them for forged. After the row was locked,
/// before its identity changes.
pub(super) fn others_keys(mailbox: &str, identity: &[u8]) -> Statement {
    let sql = "DELETE FROM mailbox_key WHERE mailbox = $1 \
         AND EXISTS (SELECT 1 FROM mailbox WHERE id = $1 AND identity <> $2)";
    Statement::new(sql, vec![mailbox.into(), identity.into()])
}

/// What is left of keys that were given and that the device sends no more.
fn spent(mailbox: &str, sent: &[OneTime]) -> Option<Statement> {
    let places: Vec<String> = (0..sent.len()).map(|n| format!("${}", n + 2)).collect();
    let sql = format!(
        "DELETE FROM mailbox_key WHERE mailbox = $1 AND length(key) = 0 AND id NOT IN ({})",
        places.join(", ")
    );
    let ids = sent.iter().map(|key| key.id.as_str().into());
    (!sent.is_empty()).then(|| Statement::new(sql, std::iter::once(mailbox.into()).chain(ids).collect()))
}

impl Mailboxes {
    /// Replaces identity and fallback key and adds one-time keys, as long as there are fewer than `most`, where the mailbox is this
    /// device's; a device that sends the same again changes nothing, also where some of them were given meanwhile.
    ///
    /// # Errors
    /// A refusal; `NotHere` where the mailbox has no row here, `Changed` where it is another device's, or nobody's.
    pub async fn put_keys(
        &self,
        (mailbox, device): (&str, &str),
        (identity, fallback): (&[u8], &[u8]),
        keys: &[OneTime],
        most: u64,
    ) -> Result<(), Refusal> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let own = "UPDATE mailbox SET identity = $2, fallback = $3 WHERE id = $1";
        let mut all = vec![hold(mailbox, device), others_keys(mailbox, identity)];
        all.extend(spent(mailbox, keys));
        all.push(Statement::new(own, vec![mailbox.into(), identity.into(), fallback.into()]));
        all.extend(keys.iter().map(|key| {
            let sql = "INSERT INTO mailbox_key(mailbox, id, key) SELECT $1, $2, $3 \
                 WHERE (SELECT count(*) FROM mailbox_key WHERE mailbox = $1 AND length(key) > 0) < $4 ON CONFLICT DO NOTHING";
            let key = [key.id.as_str().into(), key.key.as_slice().into()];
            Statement::new(sql, [vec![mailbox.into()], key.to_vec(), vec![most.into()]].concat())
        }));
        let done = self.run(all).await?;
        if done.first().is_some_and(|own| own.affected == 1) { Ok(()) } else { Err(Refusal::NotHere) }
    }

    /// How many one-time keys are left.
    ///
    /// # Errors
    /// The database's.
    pub async fn keys_left(&self, mailbox: &str) -> Result<u64, Refusal> {
        let sql = "SELECT count(*) FROM mailbox_key WHERE mailbox = $1 AND length(key) > 0";
        let rows = self.ask(sql, vec![mailbox.into()]).await?;
        match rows.rows.first().map(Vec::as_slice) {
            Some([Value::Int(n)]) => Ok(n.unsigned_abs()),
            _ => Err(Refusal::Broken("a count that is none".to_owned())),
        }
    }

    /// Gives a one-time key away, or the fallback. `None`: this device has put no keys here.
    ///
    /// INVARIANT: a key is given once: it is gone, durably, before anybody has it. After `Unknown` it may be lost,
    /// never given again.
    ///
    /// # Errors
    /// A refusal.
    pub async fn claim(&self, mailbox: &str) -> Result<Option<Keys>, Refusal> {
        let take = match &*self.engine {
            Engine::Postgres(_) => &TAKE_POSTGRES[..],
            Engine::Sqlite(_) => &TAKE_SQLITE[..],
        };
        let take = take.iter().map(|sql| Statement::new(*sql, vec![mailbox.into(), b"".as_slice().into()]));
        let own = Statement::new(
            "SELECT identity, fallback FROM mailbox WHERE id = $1",
            vec![Value::Text(mailbox.to_owned())],
        );
        let mut done = self.run(take.chain([own]).collect()).await?;
        let (own, taken) = (done.pop().unwrap_or_default(), done.into_iter().next().unwrap_or_default());
        let one_time = match taken.rows.into_iter().next().as_deref() {
            Some([Value::Text(id), Value::Bytes(key)]) => Some(OneTime { id: id.clone(), key: key.clone() }),
            _ => None,
        };
        match own.rows.into_iter().next().as_deref() {
            Some([Value::Bytes(identity), fallback]) => {
                let fallback = if let Value::Bytes(key) = fallback { Some(key.clone()) } else { None };
                Ok(Some(Keys { identity: identity.clone(), one_time, fallback }))
            }
            Some(_) => Ok(None),
            None => Err(Refusal::NotHere),
        }
    }

    /// Who may see whether this mailbox's device is here: replaced as a whole, where the mailbox is this device's; nobody, where its
    /// owner has withdrawn the consent to that.
    ///
    /// # Errors
    /// A refusal; `NotHere` where the mailbox has no row here, `Changed` where it is another device's, or nobody's.
    pub async fn put_viewers(
        &self,
        (mailbox, device): (&str, &str),
        viewers: &[String],
    ) -> Result<(), Refusal> {
        let none = Statement::new("DELETE FROM mailbox_viewer WHERE mailbox = $1", vec![mailbox.into()]);
        let mut all = vec![hold(mailbox, device), none];
        all.extend(viewers.iter().map(|viewer| {
            let sql = "INSERT INTO mailbox_viewer(mailbox, viewer) SELECT $1, $2 \
                 WHERE (SELECT c.state FROM mailbox_consent c WHERE c.mailbox = $1 AND c.purpose = 'presence' \
                   ORDER BY c.seq DESC LIMIT 1) = $3 ON CONFLICT DO NOTHING";
            Statement::new(sql, vec![mailbox.into(), viewer.as_str().into(), super::GIVEN.into()])
        }));
        let done = self.run(all).await?;
        if done.first().is_some_and(|held| held.affected == 1) { Ok(()) } else { Err(Refusal::NotHere) }
    }

    /// May `viewer` see whether this mailbox's device is here? Not once its owner has withdrawn the consent to that.
    ///
    /// # Errors
    /// The database's.
    pub async fn may_view(&self, mailbox: &str, viewer: &str) -> Result<bool, Refusal> {
        let sql = "SELECT 1 FROM mailbox_viewer v WHERE v.mailbox = $1 AND v.viewer = $2 AND EXISTS \
             (SELECT 1 FROM mailbox_consent c WHERE c.mailbox = $1 AND c.purpose = 'presence' AND c.state = $3 \
               AND c.seq = (SELECT max(l.seq) FROM mailbox_consent l WHERE l.mailbox = $1 AND l.purpose = c.purpose))";
        let params = vec![mailbox.into(), viewer.into(), super::GIVEN.into()];
        Ok(!self.ask(sql, params).await?.rows.is_empty())
    }
}
