//! A number's way to a mailbox: attempts with their codes, the row of a new mailbox, and who takes one over.

use super::consents::{Kept, copy_consents, next_consent, other_shape, replaced, summary};
use super::keys::others_keys;
use super::locks::{hold, hold_waiting};
use super::{Engine, Mailboxes, Refusal};
use crate::control::{Statement, Value};

/// An attempt as it begins. Number and code are keyed hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAttempt {
    /// Its id.
    pub id: String,
    /// Whose.
    pub device: String,
    /// Of the number.
    pub number_mac: Vec<u8>,
    /// Of the code.
    pub code_mac: Vec<u8>,
    /// Until when the code is good.
    pub expires_ms: i64,
}

/// How many attempts there may be whose codes ended after `since_ms`: those that began in the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptLimits {
    /// See above; older ones are forgotten.
    pub since_ms: i64,
    /// Of one number.
    pub per_number: u32,
    /// Of one device.
    pub per_device: u32,
    /// Of all.
    pub all: u32,
}

/// A mailbox with its owner's device.
#[derive(Clone, PartialEq, Eq)]
pub struct Owner {
    /// The mailbox.
    pub mailbox: String,
    /// ISO 3166-1 code of the number's country.
    pub country: String,
    /// The device.
    pub device: String,
    /// Its public key.
    pub device_key: Vec<u8>,
}

/// What a device agreed to before it has the mailbox that it gets, and where that stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Agreed<'a> {
    /// It has none.
    Waiting {
        /// What waits of it, as it was read ([`Waiting::record`](super::Waiting)).
        row: &'a [u8],
        /// The same as records. Their numbers follow from those that are there.
        records: &'a [Kept],
    },
    /// In a mailbox whose number was never proven: that one is given up.
    HalfMade(&'a str),
}

/// The number, proven: what makes a mailbox one that others may find and write to.
#[derive(Clone, PartialEq, Eq)]
pub struct Proven {
    /// The number, sealed to a key that is not here.
    pub number_sealed: Vec<u8>,
    /// The identity keys.
    pub identity: Vec<u8>,
    /// How it is found, where its owner agreed to that.
    pub tag: Option<Tag>,
}

/// How a mailbox is found under a region's key of a generation.
#[derive(Clone, PartialEq, Eq)]
pub struct Tag {
    /// Whose key.
    pub region: String,
    /// Which one.
    pub generation: u32,
    /// Where it lies.
    pub locator: Vec<u8>,
    /// What lies there.
    pub entry: Vec<u8>,
}

/// So that two that begin at once are counted one after the other. SQLite has one writer.
const ONE_AFTER_THE_OTHER: &str = "SELECT pg_advisory_xact_lock(7305804402517602917) IS NULL";

impl Mailboxes {
    /// Begins an attempt. False: there were too many.
    ///
    /// # Errors
    /// The database's.
    pub async fn begin_attempt(&self, attempt: &NewAttempt, limits: &AttemptLimits) -> Result<bool, Refusal> {
        let mut all = match &*self.engine {
            Engine::Postgres(_) => vec![Statement::new(ONE_AFTER_THE_OTHER, vec![])],
            Engine::Sqlite(_) => vec![],
        };
        let over = "DELETE FROM mailbox_attempt WHERE expires_ms <= $1";
        all.push(Statement::new(over, vec![limits.since_ms.into()]));
        let begin = "INSERT INTO mailbox_attempt(id, device, number_mac, code_mac, tries, expires_ms) \
             SELECT $1, $2, $3, $4, 0, $5 \
             WHERE (SELECT count(*) FROM mailbox_attempt WHERE number_mac = $3) < $6 \
               AND (SELECT count(*) FROM mailbox_attempt WHERE device = $2) < $7 \
               AND (SELECT count(*) FROM mailbox_attempt) < $8";
        let params = vec![
            attempt.id.as_str().into(),
            attempt.device.as_str().into(),
            attempt.number_mac.as_slice().into(),
            attempt.code_mac.as_slice().into(),
            attempt.expires_ms.into(),
            i64::from(limits.per_number).into(),
            i64::from(limits.per_device).into(),
            i64::from(limits.all).into(),
        ];
        all.push(Statement::new(begin, params));
        let done = self.run(all).await?;
        Ok(done.last().is_some_and(|begun| begun.affected == 1))
    }

    /// Forgets attempts that are not counted any more, and devices without a mailbox whose time is over.
    ///
    /// # Errors
    /// The database's.
    pub async fn forget_over(&self, attempts_since_ms: i64, now_ms: i64) -> Result<(), Refusal> {
        let attempts = "DELETE FROM mailbox_attempt WHERE expires_ms <= $1";
        let waiting = "DELETE FROM mailbox_waiting WHERE expires_ms <= $1";
        let all = vec![
            Statement::new(attempts, vec![attempts_since_ms.into()]),
            Statement::new(waiting, vec![now_ms.into()]),
        ];
        self.run(all).await.map(drop)
    }

    /// Counts a try, and answers the code's hash to be compared with. `None`: no such attempt of this device and number, or over.
    ///
    /// INVARIANT: a try is counted, durably, before anybody learns whether it was right.
    ///
    /// # Errors
    /// The database's.
    pub async fn try_code(
        &self,
        (id, device): (&str, &str),
        number_mac: &[u8],
        now_ms: i64,
        tries_max: u32,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let sql = "UPDATE mailbox_attempt SET tries = tries + 1 WHERE id = $1 AND device = $2 AND number_mac = $3 \
             AND expires_ms > $4 AND tries < $5 RETURNING code_mac";
        let tries = i64::from(tries_max);
        let params = vec![id.into(), device.into(), number_mac.into(), now_ms.into(), tries.into()];
        let rows = self.ask(sql, params).await?;
        match rows.rows.into_iter().next().map(<[Value; 1]>::try_from) {
            None => Ok(None),
            Some(Ok([Value::Bytes(mac)])) => Ok(Some(mac)),
            Some(_) => Err(other_shape()),
        }
    }

    /// Makes the row of a new mailbox, which nobody finds yet and whose number is not its own yet. `row` and `records` are what its device
    /// agreed to, as in [`Agreed::Waiting`].
    ///
    /// # Errors
    /// A refusal: the guard's, where the directory names another home or policy forbids the country; `Changed` where the device agrees
    /// to something else by now, or has its mailbox already; `Taken` where that had its row before.
    pub async fn make(
        &self,
        owner: &Owner,
        epoch: u64,
        (row, records): (&[u8], &[Kept]),
        now_ms: i64,
    ) -> Result<(), Refusal> {
        let insert = "INSERT INTO mailbox(id, country, device, device_key, discoverable, created_ms) \
             VALUES ($1, $2, CASE WHEN 1 / \
               (SELECT count(*) FROM mailbox_waiting w WHERE w.device = $3 AND w.record = $6) = 1 THEN $3 END, $4, false, $5)";
        let params = vec![
            owner.mailbox.as_str().into(),
            owner.country.as_str().into(),
            owner.device.as_str().into(),
            owner.device_key.as_slice().into(),
            now_ms.into(),
            row.into(),
        ];
        let mut all = vec![
            hold_waiting(&owner.device, row),
            self.sign_up(&owner.mailbox, epoch),
            Statement::new(insert, params),
        ];
        all.extend(records.iter().map(|record| next_consent(&owner.mailbox, record)));
        all.push(summary(&owner.mailbox));
        all.push(forget(&owner.device));
        // CRASH: all of it or nothing.
        self.run(all).await.map(drop)
    }

    /// Gives a mailbox to another device of the number's owner: what the former one agreed to and its keys end here.
    ///
    /// # Errors
    /// A refusal; `NotHere` where the mailbox has no row here, `Changed` where the device agrees to something else by now.
    pub async fn take_over(&self, owner: &Owner, agreed: Agreed<'_>) -> Result<(), Refusal> {
        let mailbox = owner.mailbox.as_str();
        let of = |sql: &'static str| Statement::new(sql, vec![mailbox.into()]);
        let mut all = vec![
            match agreed {
                Agreed::Waiting { row, .. } => hold_waiting(&owner.device, row),
                Agreed::HalfMade(half) => hold(half, &owner.device),
            },
            owner.takes(agreed),
            of("DELETE FROM mailbox_key WHERE mailbox = $1"),
            of("DELETE FROM mailbox_tag WHERE mailbox = $1"),
            of("DELETE FROM mailbox_viewer WHERE mailbox = $1"),
            forget(&owner.device),
            replaced(mailbox),
        ];
        match agreed {
            Agreed::Waiting { records, .. } => {
                all.extend(records.iter().map(|record| next_consent(mailbox, record)));
            }
            Agreed::HalfMade(half) => {
                let gives_up = "UPDATE mailbox SET device = '', device_key = $2, consents = '' WHERE id = $1";
                let params = vec![half.into(), b"".as_slice().into()];
                all.extend([copy_consents(half, mailbox), replaced(half), Statement::new(gives_up, params)]);
            }
        }
        all.push(summary(mailbox));
        // CRASH: all of it or nothing; the old device has it, or the new one.
        let done = self.run(all).await?;
        if done.get(1).is_some_and(|row| row.affected == 1) { Ok(()) } else { Err(Refusal::NotHere) }
    }

    /// The number is the mailbox's: from here on it may be found. Other attempts with the number are over, and so are keys that another
    /// identity has signed.
    ///
    /// # Errors
    /// A refusal; `Changed` where the mailbox is not this device's any more, `NotHere` where it has no row here.
    pub async fn prove(
        &self,
        (mailbox, device): (&str, &str),
        proven: &Proven,
        (number_mac, attempt): (&[u8], &str),
    ) -> Result<(), Refusal> {
        let row = "UPDATE mailbox SET number_sealed = $2, identity = $3, discoverable = CAST($4 AS bigint) <> 0, \
             fallback = CASE WHEN identity = $3 THEN fallback END WHERE id = $1";
        let params = vec![
            mailbox.into(),
            proven.number_sealed.as_slice().into(),
            proven.identity.as_slice().into(),
            i64::from(proven.tag.is_some()).into(),
        ];
        let others = "DELETE FROM mailbox_attempt WHERE number_mac = $1 AND id <> $2";
        let mut all = vec![
            hold(mailbox, device),
            others_keys(mailbox, &proven.identity),
            Statement::new(row, params),
            Statement::new(others, vec![number_mac.into(), attempt.into()]),
        ];
        all.extend(proven.tag.as_ref().map(|tag| tag.statement(mailbox, device)));
        let done = self.run(all).await?;
        if done.first().is_some_and(|row| row.affected == 1) { Ok(()) } else { Err(Refusal::NotHere) }
    }

    /// Some ids of mailboxes after this one, in their order: to look for one by its hash.
    ///
    /// # Errors
    /// The database's.
    pub async fn ids_after(&self, id: &str, most: u32) -> Result<Vec<String>, Refusal> {
        let sql = "SELECT id FROM mailbox WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.ask(sql, vec![id.into(), i64::from(most).into()]).await?;
        let text = |row: Vec<Value>| match <[Value; 1]>::try_from(row) {
            Ok([Value::Text(id)]) => Ok(id),
            _ => Err(other_shape()),
        };
        rows.rows.into_iter().map(text).collect()
    }
}

impl Owner {
    /// The mailbox is this device's; after what it agreed to was locked, and only where that is as it was.
    fn takes(&self, agreed: Agreed<'_>) -> Statement {
        let mut params = vec![
            self.mailbox.as_str().into(),
            self.device.as_str().into(),
            self.device_key.as_slice().into(),
        ];
        let sql = match agreed {
            Agreed::Waiting { row, .. } => {
                params.push(row.into());
                "UPDATE mailbox SET device = CASE WHEN 1 / \
                   (SELECT count(*) FROM mailbox_waiting w WHERE w.device = $2 AND w.record = $4) = 1 THEN $2 END, \
                 device_key = $3, fallback = NULL WHERE id = $1"
            }
            Agreed::HalfMade(_) => {
                "UPDATE mailbox SET device = $2, device_key = $3, fallback = NULL WHERE id = $1"
            }
        };
        Statement::new(sql, params)
    }
}

fn forget(device: &str) -> Statement {
    Statement::new("DELETE FROM mailbox_waiting WHERE device = $1", vec![device.into()])
}

impl Tag {
    /// Only where the mailbox is still this device's, and its owner agrees still.
    pub(super) fn statement(&self, mailbox: &str, device: &str) -> Statement {
        let sql = "INSERT INTO mailbox_tag(mailbox, region, generation, locator, entry) \
             SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT 1 FROM mailbox WHERE id = $1 AND device = $6) \
               AND (SELECT c.state FROM mailbox_consent c WHERE c.mailbox = $1 AND c.purpose = 'contact_discovery' \
                    ORDER BY c.seq DESC LIMIT 1) = 'given' \
             ON CONFLICT (mailbox, region, generation) DO UPDATE SET locator = excluded.locator, entry = excluded.entry";
        let params = vec![
            mailbox.into(),
            self.region.as_str().into(),
            i64::from(self.generation).into(),
            self.locator.as_slice().into(),
            self.entry.as_slice().into(),
            device.into(),
        ];
        Statement::new(sql, params)
    }
}
