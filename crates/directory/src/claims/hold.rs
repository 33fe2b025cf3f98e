//! Reserve, commit, release.

use super::{CLAIMS_MAX, Claim, ClaimHash, free};
use crate::homes::{check_name, hash_value};
use crate::lease::milliseconds;
use crate::read::{Columns, numbers, tuples};
use crate::schema::now_ms;
use crate::{Directory, Error, Repeat, Result, SubjectHash};
use domicile_stores::control::{Rows, Statement, Value};
use domicile_stores::records::SubjectId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longest time of a reservation: a sign-up that takes longer begins again.
pub const RESERVATION_MAX: Duration = Duration::from_secs(60 * 60);
/// Reservations whose time is long over that each new one removes, so that they don't pile up.
const SWEPT: usize = 2;
/// How long over, in milliseconds: who is slow and whose name nobody wanted can still commit.
const SWEPT_AFTER_MS: i64 = 60 * 60 * 1000;
/// Longest name of an attempt, in bytes.
const ATTEMPT_BYTES_MAX: usize = 255;

/// What [`Directory::reserve`] says of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// This attempt's until the time is over.
    Yes,
    /// The subject's own already, by another attempt: there is nothing to commit, and nothing of this attempt's to release.
    Own,
    /// Another's: another subject's, or another attempt's of the same one.
    Taken,
}

/// What [`Directory::commit`] says of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// The subject's for good.
    Yes,
    /// Not: the reservation's time was over and somebody else has it now, or there was none.
    Lost,
}

/// The row is this attempt's own reservation.
const SAME: &str = "directory_claim.committed = 0 AND directory_claim.subject = excluded.subject \
                    AND directory_claim.attempt = excluded.attempt";

/// A claim's row.
struct Row {
    subject: SubjectHash,
    attempt: [u8; 16],
    committed: bool,
}

impl Directory {
    /// Keeps claims for a subject until `time` is over, by the store's clock: before its sign-up, or before it
    /// changes one. `attempt` is a text that no other try has, e.g. a UUID; the same again is the same reservation, and
    /// its time begins anew, and never ends earlier than it would have. Each claim is decided alone, in the claims' order.
    ///
    /// # Errors
    /// `Argument`: `time` beyond [`RESERVATION_MAX`], an attempt without a name, or more than [`CLAIMS_MAX`] claims of
    /// one subject. The store's.
    pub async fn reserve(
        &self,
        service: &str,
        subject: &SubjectId,
        claims: &[Claim],
        attempt: &str,
        time: Duration,
    ) -> Result<Vec<Reserved>> {
        let now = now_ms(self.ready().await?);
        let (subject, attempt) = (self.hash(service, subject), self.attempt(service, attempt)?);
        check_name("service", service)?;
        if time > RESERVATION_MAX {
            return Err(Error::Argument(format!(
                "a reservation is for {} s at most",
                RESERVATION_MAX.as_secs()
            )));
        }
        let asked = self.hashes_of_claims(service, claims)?;
        let hashes = sorted(&asked);
        // INVARIANT: one row a claim; it is changed only where it is free, or this attempt's. A call of the same attempt that comes
        // late never shortens what a later one was told.
        let insert = format!(
            "INSERT INTO directory_claim (service, claim, subject, attempt, committed, expires_ms) \
             SELECT $1, v.column1, $2, $3, 0, {now} + $4 FROM (VALUES {}) AS v \
             WHERE (SELECT count(*) FROM directory_claim c WHERE c.service = $1 AND c.subject = $2) + {} <= {CLAIMS_MAX} \
             ON CONFLICT (service, claim) DO UPDATE SET subject = excluded.subject, attempt = excluded.attempt, \
               committed = 0, expires_ms = CASE WHEN {SAME} AND directory_claim.expires_ms > excluded.expires_ms \
               THEN directory_claim.expires_ms ELSE excluded.expires_ms END \
             WHERE {} OR ({SAME})",
            tuples(5, hashes.len(), 1),
            hashes.len(),
            free(now)
        );
        let mut params =
            vec![service.into(), hash_value(&subject), attempt_value(attempt), milliseconds(time)];
        params.extend(hashes.iter().map(ClaimHash::value));
        let statements =
            vec![Statement::new(insert, params), select(service, &hashes), sweep(service, now, hashes.len())];
        // CRASH: done or not; done twice, the second finds its own attempt. Nobody commits it: its time ends it.
        let answers = self.run(Repeat::Safe, statements).await?;
        let rows = self.rows(&answers[1])?;
        let is = |hash: &ClaimHash| match rows.get(hash) {
            Some(row) if row.subject == subject && row.attempt == attempt => Ok(Reserved::Yes),
            Some(row) if row.subject == subject && row.committed => Ok(Reserved::Own),
            Some(_) => Ok(Reserved::Taken),
            None => Err(Error::Argument(format!("a subject has {CLAIMS_MAX} claims at most"))),
        };
        asked.iter().map(is).collect()
    }

    /// Makes this attempt's reservations the subject's for good; what is its own already stays so. The subject must
    /// have its home in the directory by then: else the claim would be nobody's.
    ///
    /// # Errors
    /// `Homeless`; then nothing was done. The store's.
    pub async fn commit(
        &self,
        service: &str,
        subject: &SubjectId,
        claims: &[Claim],
        attempt: &str,
    ) -> Result<Vec<Committed>> {
        self.ready().await?;
        let (subject, attempt) = (self.hash(service, subject), self.attempt(service, attempt)?);
        let asked = self.hashes_of_claims(service, claims)?;
        let hashes = sorted(&asked);
        let update = format!(
            "UPDATE directory_claim SET committed = 1, expires_ms = 0 \
             WHERE service = $1 AND subject = $2 AND attempt = $3 AND committed = 0 \
               AND EXISTS (SELECT 1 FROM directory_home h \
                           WHERE h.service = $1 AND h.subject = $2 AND h.region IS NOT NULL) \
               AND claim IN ({})",
            numbers(4, hashes.len())
        );
        let mut params = vec![service.into(), hash_value(&subject), attempt_value(attempt)];
        params.extend(hashes.iter().map(ClaimHash::value));
        let home = "SELECT 1 FROM directory_home WHERE service = $1 AND subject = $2 AND region IS NOT NULL";
        let statements = vec![
            Statement::new(update, params),
            select(service, &hashes),
            Statement::new(home, vec![service.into(), hash_value(&subject)]),
        ];
        // CRASH: done or not; done twice, the second finds the subject's own.
        let answers = self.run(Repeat::Safe, statements).await?;
        if answers[2].rows.is_empty() {
            return Err(Error::Homeless { service: service.to_owned() });
        }
        let rows = self.rows(&answers[1])?;
        let own =
            |hash: &ClaimHash| rows.get(hash).is_some_and(|row| row.subject == subject && row.committed);
        Ok(asked.iter().map(|hash| if own(hash) { Committed::Yes } else { Committed::Lost }).collect())
    }

    /// Gives claims back. With an attempt: what that one reserved or committed, the way back of a sign-up that
    /// failed. Without: the subject's own, whoever committed them. What is another's stays so. Returns how many are
    /// free now by this try.
    ///
    /// # Errors
    /// The store's.
    pub async fn release(
        &self,
        service: &str,
        subject: &SubjectId,
        claims: &[Claim],
        attempt: Option<&str>,
    ) -> Result<u64> {
        self.ready().await?;
        let subject = self.hash(service, subject);
        let attempt = attempt.map(|attempt| self.attempt(service, attempt)).transpose()?;
        let hashes = sorted(&self.hashes_of_claims(service, claims)?);
        // A late one must not take what was committed anew meanwhile: it names the attempt it has seen.
        let rows = self.rows(&self.ask(select(service, &hashes)).await?)?;
        let theirs = rows.iter().filter(|(_, row)| row.subject == subject);
        let chosen: Vec<_> = theirs
            .filter(|(_, row)| attempt.map_or(row.committed, |attempt| attempt == row.attempt))
            .map(|(hash, row)| (*hash, row.attempt))
            .collect();
        if chosen.is_empty() {
            return Ok(0);
        }
        let one = |(hash, attempt): &(ClaimHash, [u8; 16])| {
            let sql = "DELETE FROM directory_claim WHERE service = $1 AND claim = $2 AND subject = $3 AND attempt = $4";
            Statement::new(
                sql,
                vec![service.into(), hash.value(), hash_value(&subject), attempt_value(*attempt)],
            )
        };
        // CRASH: done or not; done twice, the second finds nothing of that attempt.
        let answers = self.run(Repeat::Safe, chosen.iter().map(one).collect()).await?;
        Ok(answers.iter().map(|answer| answer.affected).sum())
    }

    /// How an attempt appears in the store: callers may have put anything into its name.
    pub(super) fn attempt(&self, service: &str, attempt: &str) -> Result<[u8; 16]> {
        if attempt.is_empty() || attempt.len() > ATTEMPT_BYTES_MAX {
            return Err(Error::Argument(format!("an attempt has a name of 1 to {ATTEMPT_BYTES_MAX} bytes")));
        }
        Ok(self.key.attempt(service, attempt))
    }

    fn hashes_of_claims(&self, service: &str, claims: &[Claim]) -> Result<Vec<ClaimHash>> {
        if claims.is_empty() || claims.len() > CLAIMS_MAX {
            return Err(Error::Argument(format!("a call names 1 to {CLAIMS_MAX} claims")));
        }
        Ok(claims.iter().map(|claim| self.hash_of_claim(service, claim)).collect())
    }

    fn rows(&self, answer: &Rows) -> Result<BTreeMap<ClaimHash, Row>> {
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            let (claim, subject) = (ClaimHash(columns.bytes()?), columns.hash()?);
            Ok((claim, Row { subject, attempt: columns.bytes()?, committed: columns.int()? == 1 }))
        };
        answer.rows.iter().map(read).collect()
    }
}

/// Each once, in one order for all callers, so that two who ask for the same do not wait for each other.
fn sorted(hashes: &[ClaimHash]) -> Vec<ClaimHash> {
    let mut all = hashes.to_vec();
    all.sort_unstable();
    all.dedup();
    all
}

fn select(service: &str, hashes: &[ClaimHash]) -> Statement {
    let sql = format!(
        "SELECT claim, subject, attempt, committed FROM directory_claim WHERE service = $1 AND claim IN ({})",
        numbers(2, hashes.len())
    );
    let mut params = vec![service.into()];
    params.extend(hashes.iter().map(ClaimHash::value));
    Statement::new(sql, params)
}

/// Removes a few reservations that nobody committed and nobody wanted, more than were made.
fn sweep(service: &str, now: &str, made: usize) -> Statement {
    let over = format!("committed = 0 AND expires_ms <= {now} - {SWEPT_AFTER_MS}");
    let sql = format!(
        "DELETE FROM directory_claim WHERE service = $1 AND {over} AND claim IN \
         (SELECT claim FROM directory_claim WHERE service = $1 AND {over} ORDER BY expires_ms LIMIT {})",
        made * SWEPT
    );
    Statement::new(sql, vec![service.into()])
}

fn attempt_value(attempt: [u8; 16]) -> Value {
    Value::Bytes(attempt.to_vec())
}
