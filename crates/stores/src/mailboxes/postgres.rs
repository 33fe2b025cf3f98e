//! Mailboxes on PostgreSQL.

use super::channel::Channel;
use super::consents::Holder;
use super::expiry::{Ledger, Over};
use super::mail::{Look, Message, PAGE_BYTES, Receipt, Unread};
use super::refusal::Refusal;
use crate::Result;
use crate::control::{Rows, Statement, transaction};
use crate::postgres::Target;
use secrecy::SecretString;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};

/// Connections of one relay to its region.
const CONNECTIONS_MAX: usize = 16;
/// What a session of ours has, whatever the role, the database or the server says. Plans are kept for as long as a session
/// lives: one made while a table was still empty must not read it whole for every row once it has filled.
const SETTINGS: &str = "SET synchronous_commit = on; SET statement_timeout = 10000; SET lock_timeout = 5000; \
     SET idle_in_transaction_session_timeout = 15000; SET client_min_messages = warning; SET search_path = public; \
     SET default_transaction_isolation = 'read committed'; SET bytea_output = 'hex'; SET jit = off; \
     SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off";

/// Messages of many mailboxes, in the order of their keys so that two batches can't wait for each other.
const KEEP: &str = "INSERT INTO mailbox_message(mailbox, id, body, received_ms, expires_ms) \
     SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[], $5::bigint[]) ON CONFLICT DO NOTHING";
/// Those of them that were delivered before. INVARIANT: a statement after the insert, so with a newer snapshot: a
/// receipt that the insert waited for, or missed, is seen here.
const UNKEEP: &str = "DELETE FROM mailbox_message m USING unnest($1::text[], $2::text[]) AS s(mailbox, id), mailbox_delivered d \
     WHERE d.mailbox = s.mailbox AND d.id = s.id AND m.mailbox = s.mailbox AND m.id = s.id";
/// Those of mailboxes that nobody has. INVARIANT: a statement after the insert, too: a withdrawal that the insert waited for is seen here,
/// and one that comes later finds the message ([`SHUT`](super::locks::SHUT)). Not by the index of devices: that one finds all who withdrew.
const NOBODYS: &str = "DELETE FROM mailbox_message m USING unnest($1::text[], $2::text[]) AS s(mailbox, id), mailbox b \
     WHERE b.id = s.mailbox AND length(b.device) = 0 AND m.mailbox = s.mailbox AND m.id = s.id RETURNING m.mailbox";
const ACKNOWLEDGE: &str = "WITH gone AS (DELETE FROM mailbox_message m USING unnest($1::text[], $2::text[], $3::bigint[]) AS s(mailbox, id, known) \
       WHERE m.mailbox = s.mailbox AND m.id = s.id RETURNING m.mailbox, m.id, greatest(m.expires_ms, s.known) AS until), \
     kept AS (INSERT INTO mailbox_delivered(mailbox, id, until_ms) SELECT mailbox, id, until FROM gone ON CONFLICT DO NOTHING) \
     SELECT mailbox, id FROM gone";
/// Of each mailbox a page: the first one that goes beyond its bytes is the last, and nothing behind it is read.
const UNREAD: &str = "SELECT s.n, p.id, m.body, p.received_ms FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS s(mailbox, now_ms, most, n) \
     CROSS JOIN LATERAL (SELECT o.id, o.received_ms, CAST(sum(o.bytes) OVER (ORDER BY o.received_ms, o.id) AS bigint) - o.bytes AS before FROM \
         (SELECT id, received_ms, length(body)::bigint AS bytes FROM mailbox_message WHERE mailbox = s.mailbox AND expires_ms >= s.now_ms \
          ORDER BY received_ms, id LIMIT s.most) o) p \
     JOIN mailbox_message m ON m.mailbox = s.mailbox AND m.id = p.id WHERE p.before < $4 ORDER BY s.n, p.received_ms, p.id";

const OVER_MESSAGES: &str = "DELETE FROM mailbox_message m USING unnest($1::text[], $2::text[], $3::bigint[]) AS s(mailbox, id, now_ms) \
     WHERE m.mailbox = s.mailbox AND m.id = s.id AND m.expires_ms < s.now_ms RETURNING m.mailbox, m.id";
const OVER_DELIVERED: &str = "DELETE FROM mailbox_delivered d USING unnest($1::text[], $2::text[], $3::bigint[]) AS s(mailbox, id, now_ms) \
     WHERE d.mailbox = s.mailbox AND d.id = s.id AND d.until_ms < s.now_ms RETURNING d.mailbox, d.id";

/// Each with what was agreed to, as `purpose state`.
const HOLDERS: &str = "SELECT m.id, m.device, m.device_key, domicile.is_home(m.id), m.number_sealed IS NOT NULL, \
     array(SELECT c.purpose || ' ' || c.state FROM mailbox_consent c WHERE c.mailbox = m.id AND c.seq = \
       (SELECT max(l.seq) FROM mailbox_consent l WHERE l.mailbox = c.mailbox AND l.purpose = c.purpose)) \
     FROM unnest($1::text[]) AS s(id) JOIN mailbox m ON m.id = s.id";

type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A region's PostgreSQL.
pub(super) struct Postgres {
    target: Target,
    places: Semaphore,
    idle: Mutex<Vec<Session>>,
}

/// A connection and what it has prepared.
struct Session {
    client: Client,
    prepared: HashMap<&'static str, tokio_postgres::Statement>,
}

/// A connection in use, and its place.
struct Taken<'a> {
    session: Session,
    _place: SemaphorePermit<'a>,
}

impl Postgres {
    pub async fn open(url: &str, secret: Option<SecretString>) -> Result<Self> {
        let target = Target::parse(url, secret.as_ref())?.without_settings().named("domicile relay");
        let (places, idle) = (Semaphore::new(CONNECTIONS_MAX), Mutex::default());
        let db = Self { target, places, idle };
        let session = db.connect().await?;
        db.idle().push(session);
        Ok(db)
    }

    pub fn name(&self) -> &str {
        self.target.name()
    }

    /// Begins to listen to the region's other processes.
    pub async fn channel(&self) -> Result<Channel> {
        Channel::open(&self.target).await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<Session> {
        let (client, _) = self.target.connect().await?;
        let failed = |e: Error| crate::Error::Failed {
            store: self.name().to_owned(),
            what: "beginning a session".to_owned(),
            why: code(&e).to_owned(),
        };
        client.batch_execute(SETTINGS).await.map_err(failed)?;
        Ok(Session { client, prepared: HashMap::new() })
    }

    /// A session that is open. One that is dropped instead of given back is closed, with whatever it was doing.
    async fn take(&self) -> Result<Taken<'_>, Refusal> {
        let place = self.places.acquire().await.map_err(|e| Refusal::Again(e.to_string()))?;
        loop {
            let idle = self.idle().pop();
            match idle {
                Some(session) if session.client.is_closed() => {}
                Some(session) => return Ok(Taken { session, _place: place }),
                None => break,
            }
        }
        // Boxed: a handshake is large, and rare.
        let session = Box::pin(self.connect()).await.map_err(|e| Refusal::Again(e.to_string()))?;
        Ok(Taken { session, _place: place })
    }

    /// Gives a sound session back with what it answered.
    fn done<T>(&self, taken: Taken<'_>, done: Result<T, Error>) -> Result<T, Refusal> {
        let done = done.map_err(|e| refusal(&e));
        if !matches!(done, Err(Refusal::Unknown(_))) {
            // The place is free only afterwards, so no more are open than there are places.
            self.idle().push(taken.session);
        }
        done
    }

    /// Runs a script.
    pub async fn batch(&self, sql: &str) -> Result<(), Refusal> {
        let taken = self.take().await?;
        let done = taken.session.client.batch_execute(sql).await;
        self.done(taken, done)
    }

    pub async fn run(&self, statements: Vec<Statement>) -> Result<Vec<Rows>, Refusal> {
        let taken = self.take().await?;
        let done = transaction(&taken.session.client, &statements).await;
        self.done(taken, done)
    }

    /// What waits in each of these mailboxes: a page each, in their order.
    pub async fn unread(&self, looks: &[Look]) -> Result<Vec<Vec<Unread>>, Refusal> {
        let mailboxes: Vec<&str> = looks.iter().map(|look| look.mailbox.as_str()).collect();
        let now: Vec<i64> = looks.iter().map(|look| look.now_ms).collect();
        let most: Vec<i64> = looks.iter().map(|look| look.messages.into()).collect();
        let mut taken = self.take().await?;
        let done = taken.session.rows(UNREAD, &[&mailboxes, &now, &most, &PAGE_BYTES]).await;
        let rows = self.done(taken, done)?;
        let mut pages: Vec<Vec<Unread>> = looks.iter().map(|_| Vec::new()).collect();
        for row in &rows {
            let at = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or(usize::MAX);
            if let Some(page) = pages.get_mut(at) {
                page.push(Unread { id: row.get(1), body: row.get(2), received_ms: row.get(3) });
            }
        }
        Ok(pages)
    }

    /// Who has these mailboxes; of those that have no row here, nothing.
    pub async fn holders(&self, mailboxes: &[&str]) -> Result<Vec<Holder>, Refusal> {
        let mut taken = self.take().await?;
        let done = taken.session.rows(HOLDERS, &[&mailboxes]).await;
        let rows = self.done(taken, done)?;
        let holder = |r: &Row| Holder {
            mailbox: r.get(0),
            device: r.get(1),
            device_key: r.get(2),
            is_home: r.get::<_, Option<bool>>(3).unwrap_or(false),
            has_number: r.get(4),
            consents: r.get::<_, Vec<String>>(5).iter().filter_map(|both| consent(both)).collect(),
        };
        Ok(rows.iter().map(holder).collect())
    }

    /// Keeps all or none, in one flight, but those of mailboxes that nobody has; whether each has somebody. To be called by a task that
    /// nobody cancels.
    pub async fn keep(&self, messages: &[Message]) -> Result<Vec<bool>, Refusal> {
        let mut sorted: Vec<&Message> = messages.iter().collect();
        sorted.sort_by(|a, b| (&a.mailbox, &a.id).cmp(&(&b.mailbox, &b.id)));
        let mailboxes: Vec<&str> = sorted.iter().map(|m| m.mailbox.as_str()).collect();
        let ids: Vec<&str> = sorted.iter().map(|m| m.id.as_str()).collect();
        let bodies: Vec<&[u8]> = sorted.iter().map(|m| m.body.as_ref()).collect();
        let received: Vec<i64> = sorted.iter().map(|m| m.received_ms).collect();
        let expires: Vec<i64> = sorted.iter().map(|m| m.expires_ms).collect();
        let mut taken = self.take().await?;
        let done = taken.session.keep(&[&mailboxes, &ids, &bodies, &received, &expires]).await;
        let rows = self.done(taken, done)?;
        let nobodys: HashSet<&str> = rows.iter().map(|r| r.get(0)).collect();
        Ok(messages.iter().map(|m| !nobodys.contains(m.mailbox.as_str())).collect())
    }

    /// Takes out what each receipt names, all or none; how many of each were here.
    pub async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<usize>, Refusal> {
        let mut named: Vec<(&str, &str, i64)> = receipts
            .iter()
            .flat_map(|r| r.ids.iter().map(|id| (r.mailbox.as_str(), id.as_str(), r.known_ms)))
            .collect();
        named.sort_unstable();
        let (mailboxes, ids): (Vec<&str>, Vec<&str>) = named.iter().map(|(m, id, _)| (*m, *id)).unzip();
        let known: Vec<i64> = named.iter().map(|(_, _, known)| *known).collect();
        let mut taken = self.take().await?;
        // CRASH: one statement, so one transaction: a message is delivered and known, or still here.
        let done = taken.session.rows(ACKNOWLEDGE, &[&mailboxes, &ids, &known]).await;
        let rows = self.done(taken, done)?;
        let gone: HashSet<(&str, &str)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        let here =
            |r: &Receipt| r.ids.iter().filter(|id| gone.contains(&(r.mailbox.as_str(), id.as_str()))).count();
        Ok(receipts.iter().map(here).collect())
    }

    /// Removes rows whose time is over; how many of each. Each ledger's in a transaction of its own: none needs the other.
    pub async fn sweep(&self, over: &[Over]) -> Result<Vec<u64>, Refusal> {
        let mut removed = vec![0; over.len()];
        for (ledger, sql) in [(Ledger::Messages, OVER_MESSAGES), (Ledger::Delivered, OVER_DELIVERED)] {
            let of = |over: &&Over| over.ledger == ledger;
            let mut named: Vec<(&str, &str, i64)> = over
                .iter()
                .filter(of)
                .flat_map(|o| o.ids.iter().map(|id| (o.mailbox.as_str(), id.as_str(), o.now_ms)))
                .collect();
            if named.is_empty() {
                continue;
            }
            named.sort_unstable();
            let (mailboxes, ids): (Vec<&str>, Vec<&str>) = named.iter().map(|(m, id, _)| (*m, *id)).unzip();
            let now: Vec<i64> = named.iter().map(|(_, _, now)| *now).collect();
            let mut taken = self.take().await?;
            let done = taken.session.rows(sql, &[&mailboxes, &ids, &now]).await;
            let rows = self.done(taken, done)?;
            let gone: HashSet<(&str, &str)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
            for (removed, over) in removed.iter_mut().zip(over).filter(|(_, o)| o.ledger == ledger) {
                let is_gone = |id: &&String| gone.contains(&(over.mailbox.as_str(), id.as_str()));
                *removed = over.ids.iter().filter(is_gone).count() as u64;
            }
        }
        Ok(removed)
    }
}

impl Session {
    async fn prepared(&mut self, sql: &'static str) -> Result<tokio_postgres::Statement, Error> {
        if let Some(statement) = self.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }

    async fn rows(&mut self, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, params).await
    }

    async fn keep(&mut self, params: Params<'_>) -> Result<Vec<Row>, Error> {
        let (keep, unkeep) = (self.prepared(KEEP).await?, self.prepared(UNKEEP).await?);
        let nobodys = self.prepared(NOBODYS).await?;
        let client = &self.client;
        // Sent in this order without waiting in between. After a failed statement the server refuses the rest and turns
        // COMMIT into ROLLBACK, so the first error is the whole truth.
        // CRASH: before the server has done COMMIT nothing was done; a lost answer to it is an unknown outcome, and the
        // same again keeps nothing twice.
        let (begun, kept, nobodys, unkept, committed) = futures::join!(
            client.batch_execute("BEGIN"),
            client.execute(&keep, params),
            client.query(&nobodys, &params[..2]),
            client.execute(&unkeep, &params[..2]),
            client.batch_execute("COMMIT"),
        );
        begun.and(kept)?;
        let nobodys = nobodys?;
        unkept.and(committed).map(|()| nobodys)
    }
}

fn consent(both: &str) -> Option<(String, String)> {
    let (purpose, state) = both.split_once(' ')?;
    Some((purpose.to_owned(), state.to_owned()))
}

fn code(e: &Error) -> &str {
    e.code().map_or("no answer", |c| c.code())
}

/// What the guard says, by its documented codes; everything else is the database's.
pub(super) fn refusal(e: &Error) -> Refusal {
    let Some(db) = e.as_db_error() else { return Refusal::Unknown("no answer".to_owned()) };
    let code = db.code().code();
    match code {
        "RS001" => Refusal::NotWritableHere { epoch: db.detail().and_then(epoch) },
        "RS002" => Refusal::Forbidden,
        "22012" => Refusal::Changed,
        "23503" => Refusal::NotHere,
        "23505" => Refusal::Taken,
        "40001" | "40P01" | "55P03" | "57014" => Refusal::Again(code.to_owned()),
        // The server ends this session, maybe after a commit; or it is a standby now, and the primary is elsewhere.
        _ if code.starts_with("08") || code.starts_with("57P") || ["40003", "25006"].contains(&code) => {
            Refusal::Unknown(code.to_owned())
        }
        _ => Refusal::Broken(code.to_owned()),
    }
}

/// `state away, epoch 4: ...`, as the guard writes it.
fn epoch(detail: &str) -> Option<u64> {
    let (_, rest) = detail.split_once(", epoch ")?;
    rest.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_epoch_of_a_refusal() {
        assert_eq!(super::epoch("state away, epoch 4: the subject moved"), Some(4));
        assert_eq!(super::epoch("state unknown, epoch none: this region"), None);
    }
}
