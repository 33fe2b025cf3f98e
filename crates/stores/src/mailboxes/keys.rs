//! One-time keys: each is given once, to one who begins to write to a device; then the fallback key.

use super::{Mailboxes, Refusal};
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
const TAKE_POSTGRES: &str = "DELETE FROM mailbox_key WHERE mailbox = $1 AND id = \
     (SELECT id FROM mailbox_key WHERE mailbox = $1 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, key";
const TAKE_SQLITE: &str = "DELETE FROM mailbox_key WHERE mailbox = $1 AND id = \
     (SELECT id FROM mailbox_key WHERE mailbox = $1 ORDER BY id LIMIT 1) RETURNING id, key";

impl Mailboxes {
    /// Replaces identity and fallback key and adds one-time keys, as long as there are fewer than `most`; a device that sends
    /// the same again changes nothing.
    ///
    /// # Errors
    /// A refusal; `NotHere` where the mailbox has no row here.
    pub async fn put_keys(
        &self,
        mailbox: &str,
        identity: &[u8],
        fallback: &[u8],
        keys: &[OneTime],
        most: u64,
    ) -> Result<(), Refusal> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let own = "UPDATE mailbox SET identity = $2, fallback = $3 WHERE id = $1";
        let mut all = vec![Statement::new(own, vec![mailbox.into(), identity.into(), fallback.into()])];
        all.extend(keys.iter().map(|key| {
            let sql = "INSERT INTO mailbox_key(mailbox, id, key) SELECT $1, $2, $3 \
                 WHERE (SELECT count(*) FROM mailbox_key WHERE mailbox = $1) < $4 ON CONFLICT DO NOTHING";
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
        let sql = "SELECT count(*) FROM mailbox_key WHERE mailbox = $1";
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
            super::Engine::Postgres(_) => TAKE_POSTGRES,
            super::Engine::Sqlite(_) => TAKE_SQLITE,
        };
        let own = Statement::new(
            "SELECT identity, fallback FROM mailbox WHERE id = $1",
            vec![Value::Text(mailbox.to_owned())],
        );
        let mut done = self.run(vec![Statement::new(take, vec![mailbox.into()]), own]).await?;
        let (own, taken) = (done.pop().unwrap_or_default(), done.pop().unwrap_or_default());
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

    /// Who may see whether this mailbox's device is here: replaced as a whole.
    ///
    /// # Errors
    /// A refusal.
    pub async fn put_viewers(&self, mailbox: &str, viewers: &[String]) -> Result<(), Refusal> {
        let mut all =
            vec![Statement::new("DELETE FROM mailbox_viewer WHERE mailbox = $1", vec![mailbox.into()])];
        all.extend(viewers.iter().map(|viewer| {
            let sql = "INSERT INTO mailbox_viewer(mailbox, viewer) VALUES ($1, $2) ON CONFLICT DO NOTHING";
            Statement::new(sql, vec![mailbox.into(), viewer.as_str().into()])
        }));
        self.run(all).await.map(drop)
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
