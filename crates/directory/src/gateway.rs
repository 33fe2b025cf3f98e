//! Gateways: which are there, and the barrier between them and a fence.
//!
//! Before a group of subjects is fenced the mover *parks* them: from then on gateways hold their writes. A gateway
//! that has seen the park, and in which no write of these subjects is under way any more, says so; when all have, the fence
//! begins and meets no writer that a gateway let through. Afterwards the park is lifted and the writes go on, to
//! whatever home the directory names by then.
//!
//! A gateway that says nothing is waited for until its lease runs out: it routes nothing from then on. Parks end by
//! themselves, so a mover that dies costs waiting, never a write. Nothing here keeps data safe: the guard does.
//!
//! Polled, not notified: LISTEN would need PostgreSQL itself, and a connection that outlives a pool's.

use crate::homes::{check_name, hash_value};
use crate::lease::milliseconds;
use crate::read::{Columns, tuples};
use crate::schema::now_ms;
use crate::{CHUNK, Directory, Error, Repeat, Result, SubjectHash};
use domicile_stores::control::{Rows, Statement, Value};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// A gateway that was silent for so long is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// That there is no gateway is believed for so long: a group of subjects is fenced many times a second, and a question each would
/// be part of its time. A gateway routes nothing for as long after it has taken its first lease.
pub const NO_GATEWAY_FOR: Duration = Duration::from_millis(500);

/// A gateway as it was seen last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySeen {
    /// In its own words.
    pub gateway: String,
    /// How long ago it renewed its lease, by the control store's clock.
    pub ago: Duration,
    /// Its lease still runs: it routes requests.
    pub is_live: bool,
}

/// What a gateway must look at to know whether anything is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heads {
    /// Of the feed of homes, as [`Directory::version`].
    pub homes: u64,
    /// Of the parks: grows when a park begins or ends.
    pub parks: u64,
    /// A wave of the service is under way, so both may move at any moment.
    pub is_moving: bool,
}

/// Subjects whose writes gateways hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Park {
    /// Its number: what a gateway says it has seen.
    pub number: u64,
    /// How long it still lasts unless it is lifted, by the control store's clock.
    pub left: Duration,
    /// Who.
    pub subjects: Vec<SubjectHash>,
}

impl Directory {
    /// Takes or renews a gateway's lease for `ttl`. From the moment this was asked until `ttl` later the mover waits for it.
    ///
    /// # Errors
    /// The store's: the lease may have been renewed or not.
    pub async fn renew_gateway(&self, service: &str, gateway: &str, ttl: Duration) -> Result<()> {
        let now = now_ms(self.ready().await?);
        check_name("gateway", gateway)?;
        let sql = format!(
            "INSERT INTO directory_gateway (service, gateway, seen_ms, expires_ms) VALUES ($1, $2, {now}, {now} + $3) \
             ON CONFLICT (service, gateway) DO UPDATE SET seen_ms = {now}, expires_ms = {now} + $3"
        );
        let params = vec![service.into(), gateway.into(), milliseconds(ttl)];
        let forget = format!("DELETE FROM directory_gateway WHERE expires_ms < {now} - $1");
        // Not repeated here: whoever holds a lease counts from the moment it asked.
        let statements =
            vec![Statement::new(sql, params), Statement::new(forget, vec![milliseconds(FORGET_AFTER)])];
        self.run(Repeat::Never, statements).await.map(drop)
    }

    /// Says that a gateway routes nothing any more.
    ///
    /// # Errors
    /// The store's; then it is waited for until its lease runs out.
    pub async fn end_gateway(&self, service: &str, gateway: &str) -> Result<()> {
        self.ready().await?;
        let sql = "DELETE FROM directory_gateway WHERE service = $1 AND gateway = $2";
        self.ask(Statement::new(sql, vec![service.into(), gateway.into()])).await.map(drop)
    }

    /// The service's gateways, in order of their names.
    ///
    /// # Errors
    /// The store's.
    pub async fn gateways(&self, service: &str) -> Result<Vec<GatewaySeen>> {
        let now = now_ms(self.ready().await?);
        let answer = self.ask(select_gateways(service, now)).await?;
        self.read_gateways(&answer)
    }

    /// Is there a live gateway? That there is none is not asked again for [`NO_GATEWAY_FOR`].
    ///
    /// # Errors
    /// The store's.
    pub async fn has_gateways(&self, service: &str) -> Result<bool> {
        let none = || self.no_gateway.lock().unwrap_or_else(PoisonError::into_inner);
        if none().get(service).is_some_and(|asked| asked.elapsed() < NO_GATEWAY_FOR) {
            return Ok(false);
        }
        // From before it was asked: one that came since counts its half second from later.
        let asked = Instant::now();
        let any = self.gateways(service).await?.iter().any(|gateway| gateway.is_live);
        match any {
            true => drop(none().remove(service)),
            false => drop(none().insert(service.to_owned(), asked)),
        }
        Ok(any)
    }

    fn read_gateways(&self, answer: &Rows) -> Result<Vec<GatewaySeen>> {
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            let gateway = columns.text()?;
            let ago = Duration::from_millis(u64::try_from(columns.int()?).unwrap_or(0));
            Ok(GatewaySeen { gateway, ago, is_live: columns.int()? > 0 })
        };
        answer.rows.iter().map(read).collect()
    }

    /// Asks the gateways to hold these subjects' writes, for `ttl` at most unless it is lifted. Returns the park's number and
    /// the gateways that must have seen it before the subjects are fenced.
    ///
    /// # Errors
    /// The store's: the park may be there, and ends by itself.
    pub async fn park(
        &self,
        service: &str,
        subjects: &[SubjectHash],
        ttl: Duration,
    ) -> Result<(u64, Vec<GatewaySeen>)> {
        let now = now_ms(self.ready().await?);
        if subjects.len() > CHUNK {
            return Err(Error::Argument(format!("a park holds at most {CHUNK} subjects")));
        }
        // CRASH: done twice, two parks are there; each ends by itself, and the one that nobody lifts is late by `ttl`.
        let mut statements = vec![advance_parks(service)];
        let insert = format!(
            "INSERT INTO directory_park (service, number, subject, expires_ms) \
             SELECT h.service, h.head, v.column1, {now} + $2 FROM (VALUES {}) AS v, directory_park_head h \
             WHERE h.service = $1",
            tuples(3, subjects.len(), 1)
        );
        let mut params = vec![service.into(), milliseconds(ttl)];
        params.extend(subjects.iter().map(hash_value));
        statements.push(Statement::new(insert, params));
        statements.push(select_park_head(service));
        // After the insert: a gateway that is not among these reads the parks after it registered, and finds this one.
        statements.push(select_gateways(service, now));
        let answers = self.run(Repeat::Safe, statements).await?;
        let row = answers[2].rows.first().map_or(&[][..], Vec::as_slice);
        Ok((Columns::of(self, row).count()?, self.read_gateways(&answers[3])?))
    }

    /// A gateway has seen the park, and no write of its subjects that it let through is under way any more.
    ///
    /// # Errors
    /// The store's.
    pub async fn seen_park(&self, service: &str, number: u64, gateway: &str) -> Result<()> {
        self.ready().await?;
        let sql = "INSERT INTO directory_park_seen (service, number, gateway) SELECT $1, $2, $3 \
                   WHERE EXISTS (SELECT 1 FROM directory_park WHERE service = $1 AND number = $2) \
                   ON CONFLICT (service, number, gateway) DO NOTHING";
        let params = vec![service.into(), number_value(number), gateway.into()];
        self.ask(Statement::new(sql, params)).await.map(drop)
    }

    /// Live gateways that have not yet seen the park.
    ///
    /// # Errors
    /// The store's.
    pub async fn park_unseen(&self, service: &str, number: u64) -> Result<Vec<GatewaySeen>> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "SELECT gateway, {now} - seen_ms, expires_ms - {now} FROM directory_gateway g \
             WHERE service = $1 AND expires_ms > {now} AND NOT EXISTS (SELECT 1 FROM directory_park_seen s \
               WHERE s.service = g.service AND s.number = $2 AND s.gateway = g.gateway) ORDER BY gateway"
        );
        let answer = self.ask(Statement::new(sql, vec![service.into(), number_value(number)])).await?;
        self.read_gateways(&answer)
    }

    /// Lifts a park: gateways send what they hold to the home that the directory names now.
    ///
    /// # Errors
    /// The store's; then the park ends by itself.
    pub async fn unpark(&self, service: &str, number: u64) -> Result<()> {
        let now = now_ms(self.ready().await?);
        let both = || vec![service.into(), number_value(number)];
        let over =
            format!("DELETE FROM directory_park WHERE service = $1 AND (number = $2 OR expires_ms <= {now})");
        let seen = "DELETE FROM directory_park_seen WHERE service = $1 AND NOT EXISTS (SELECT 1 FROM directory_park p \
                    WHERE p.service = directory_park_seen.service AND p.number = directory_park_seen.number)";
        let statements = vec![
            advance_parks(service),
            Statement::new(over, both()),
            Statement::new(seen, vec![service.into()]),
        ];
        self.run(Repeat::Safe, statements).await.map(drop)
    }

    /// The numbers that tell a gateway whether anything is new: one small question.
    ///
    /// # Errors
    /// The store's.
    pub async fn heads(&self, service: &str) -> Result<Heads> {
        self.ready().await?;
        let sql = "SELECT coalesce((SELECT head FROM directory_feed WHERE service = $1), 0), \
                   coalesce((SELECT head FROM directory_park_head WHERE service = $1), 0), \
                   (SELECT count(*) FROM directory_wave WHERE service = $1 AND ended = 0)";
        let answer = self.ask(Statement::new(sql, vec![service.into()])).await?;
        let row = answer.rows.first().map_or(&[][..], Vec::as_slice);
        let mut columns = Columns::of(self, row);
        Ok(Heads { homes: columns.count()?, parks: columns.count()?, is_moving: columns.int()? > 0 })
    }

    /// The parks that have not ended, in order of their numbers.
    ///
    /// # Errors
    /// The store's.
    pub async fn parks(&self, service: &str) -> Result<Vec<Park>> {
        let now = now_ms(self.ready().await?);
        let sql = format!(
            "SELECT number, subject, expires_ms - {now} FROM directory_park \
             WHERE service = $1 AND expires_ms > {now} ORDER BY number"
        );
        let answer = self.ask(Statement::new(sql, vec![service.into()])).await?;
        let mut parks: Vec<Park> = Vec::new();
        for row in &answer.rows {
            let mut columns = Columns::of(self, row);
            let (number, subject) = (columns.count()?, columns.hash()?);
            let left = Duration::from_millis(columns.count()?);
            match parks.last_mut() {
                Some(park) if park.number == number => park.subjects.push(subject),
                _ => parks.push(Park { number, left, subjects: vec![subject] }),
            }
        }
        Ok(parks)
    }
}

fn select_gateways(service: &str, now: &str) -> Statement {
    let sql = format!(
        "SELECT gateway, {now} - seen_ms, expires_ms - {now} FROM directory_gateway \
         WHERE service = $1 ORDER BY gateway"
    );
    Statement::new(sql, vec![service.into()])
}

/// Takes a number for a park, or says that one ended. Held until the transaction ends, so numbers become visible in order.
fn advance_parks(service: &str) -> Statement {
    let sql = "INSERT INTO directory_park_head (service, head) VALUES ($1, 1) \
               ON CONFLICT (service) DO UPDATE SET head = directory_park_head.head + 1";
    Statement::new(sql, vec![service.into()])
}

fn select_park_head(service: &str) -> Statement {
    Statement::new("SELECT head FROM directory_park_head WHERE service = $1", vec![service.into()])
}

fn number_value(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}
