//! Homes: who lives where, sign-up and adoption.

use crate::read::{Columns, numbers, tuples};
use crate::{CHUNK, Directory, Error, Repeat, Result, SubjectHash};
use domicile_stores::control::{Rows, Statement, Value};
use domicile_stores::records::SubjectId;
use std::collections::{BTreeMap, BTreeSet};

/// A subject's home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The region's id.
    pub region: String,
    /// Grows by one at each move. A new subject's is 1.
    pub epoch: u64,
    /// Swaps cancelled in this epoch: a swap must name it to land.
    pub attempt: u64,
}

/// What [`Directory::register`] did, each subject in exactly one list, with its home now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registered {
    /// Had no home and has it here now.
    pub new: Vec<(SubjectId, Home)>,
    /// Had its home here already, or it was given in an earlier try of the same call.
    pub already: Vec<(SubjectId, Home)>,
    /// Has its home in another region, and keeps it.
    pub elsewhere: Vec<(SubjectId, Home)>,
}

impl Directory {
    /// Gives those subjects a home in `region` that have none: adoption, and sign-up, which must come
    /// here before its row is inserted. The epoch is 1, or one more than a removed subject's last.
    /// A subject named twice counts once.
    ///
    /// # Errors
    /// The store's. Chunks before the failed one are done; the whole call may be repeated.
    pub async fn register(&self, service: &str, region: &str, subjects: &[SubjectId]) -> Result<Registered> {
        self.ready().await?;
        check_name("service", service)?;
        check_name("region", region)?;
        let mut all = Registered::default();
        for chunk in subjects.chunks(CHUNK) {
            self.register_chunk(service, region, chunk, &mut all).await?;
        }
        Ok(all)
    }

    async fn register_chunk(
        &self,
        service: &str,
        region: &str,
        subjects: &[SubjectId],
        all: &mut Registered,
    ) -> Result<()> {
        let by_hash = self.by_hash(service, subjects);
        let hashes: Vec<SubjectHash> = by_hash.keys().copied().collect();
        // INVARIANT: at most one home: a row that has a region is left alone, and the key is unique.
        let insert = format!(
            "INSERT INTO directory_home (service, subject, region, epoch, attempt, changed_seq) \
             SELECT f.service, v.column1, $2, 1, 0, f.head + 1 FROM (VALUES {}) AS v, directory_feed f \
             WHERE f.service = $1 \
             ON CONFLICT (service, subject) DO UPDATE SET region = excluded.region, \
               epoch = directory_home.epoch + 1, attempt = 0, changed_seq = excluded.changed_seq \
             WHERE directory_home.region IS NULL \
             RETURNING subject",
            tuples(3, hashes.len(), 1)
        );
        let mut params = vec![service.into(), region.into()];
        params.extend(hashes.iter().map(hash_value));
        let statements = vec![
            lock_feed(service),
            Statement::new(insert, params),
            advance_feed(service),
            select_homes(service, &hashes),
        ];
        // CRASH: done or not; done twice, the second finds the homes given already.
        let answers = self.run(Repeat::Safe, statements).await?;
        let new: BTreeSet<SubjectHash> =
            answers[1].rows.iter().map(|row| Columns::of(self, row).hash()).collect::<Result<_>>()?;
        for (hash, home) in self.read_homes(&answers[3])? {
            let (Some(subject), Some(home)) = (by_hash.get(&hash), home) else { continue };
            let list = match home.region == region {
                true if new.contains(&hash) => &mut all.new,
                true => &mut all.already,
                false => &mut all.elsewhere,
            };
            list.push(((*subject).clone(), home));
        }
        Ok(())
    }

    /// The homes of these subjects, in their order; `None` for one that has none.
    ///
    /// # Errors
    /// The store's.
    pub async fn homes(&self, service: &str, subjects: &[SubjectId]) -> Result<Vec<Option<Home>>> {
        let hashes: Vec<SubjectHash> = subjects.iter().map(|s| self.hash(service, s)).collect();
        self.homes_of_hashes(service, &hashes).await
    }

    /// The same by hash, for who never sees more of a subject.
    ///
    /// # Errors
    /// The store's.
    pub async fn homes_of_hashes(&self, service: &str, hashes: &[SubjectHash]) -> Result<Vec<Option<Home>>> {
        self.ready().await?;
        let mut all = Vec::with_capacity(hashes.len());
        for chunk in hashes.chunks(CHUNK) {
            let found = self.read_homes(&self.ask(select_homes(service, chunk)).await?)?;
            all.extend(chunk.iter().map(|hash| found.get(hash).cloned().flatten()));
        }
        Ok(all)
    }

    /// One subject's home.
    ///
    /// # Errors
    /// The store's.
    pub async fn home(&self, service: &str, subject: &SubjectId) -> Result<Option<Home>> {
        Ok(self.homes(service, std::slice::from_ref(subject)).await?.pop().flatten())
    }

    /// Takes the home from subjects that were deleted in `region`; those with a home elsewhere keep it.
    /// Their epoch grows by one and is remembered; their claims are free again. Returns how many had their home taken by this try.
    ///
    /// # Errors
    /// The store's. Chunks before the failed one are done; the whole call may be repeated.
    pub async fn remove(&self, service: &str, region: &str, subjects: &[SubjectId]) -> Result<u64> {
        self.ready().await?;
        let mut removed = 0;
        for chunk in subjects.chunks(CHUNK) {
            let hashes: Vec<_> = chunk.iter().map(|s| self.hash(service, s)).collect();
            let sql = format!(
                "UPDATE directory_home SET region = NULL, epoch = epoch + 1, attempt = 0, \
                 changed_seq = (SELECT head + 1 FROM directory_feed WHERE service = $1) \
                 WHERE service = $1 AND region = $2 AND subject IN ({})",
                numbers(3, hashes.len())
            );
            let mut params = vec![service.into(), region.into()];
            params.extend(hashes.iter().map(hash_value));
            let statements = vec![
                lock_feed(service),
                Statement::new(sql, params),
                advance_feed(service),
                free_claims(service, &hashes),
            ];
            // CRASH: done or not; done twice, the second finds no home to take.
            removed += self.run(Repeat::Safe, statements).await?[1].affected;
        }
        Ok(removed)
    }

    /// Up to `limit` subjects whose home is `region`, by their hashes, after `after`, each with its epoch.
    ///
    /// # Errors
    /// The store's.
    pub async fn residents(
        &self,
        service: &str,
        region: &str,
        after: Option<SubjectHash>,
        limit: u32,
    ) -> Result<Vec<(SubjectHash, u64)>> {
        self.ready().await?;
        let sql = "SELECT subject, epoch FROM directory_home WHERE service = $1 AND region = $2 AND subject > $3 \
                   ORDER BY subject LIMIT $4";
        // No hash is as short as nothing: everything is after it.
        let after = Value::Bytes(after.map_or(Vec::new(), |hash| hash.0.to_vec()));
        let params = vec![service.into(), region.into(), after, Value::Int(limit.into())];
        let answer = self.ask(Statement::new(sql, params)).await?;
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            Ok((columns.hash()?, columns.count()?))
        };
        answer.rows.iter().map(read).collect()
    }

    /// Those of these subjects whose home is still `region`, at the same epoch.
    ///
    /// # Errors
    /// The store's.
    pub async fn still_residents(
        &self,
        service: &str,
        region: &str,
        subjects: &[(SubjectHash, u64)],
    ) -> Result<Vec<(SubjectHash, u64)>> {
        self.ready().await?;
        let mut still = Vec::new();
        for chunk in subjects.chunks(CHUNK) {
            let hashes: Vec<SubjectHash> = chunk.iter().map(|(hash, _)| *hash).collect();
            let found = self.read_homes(&self.ask(select_homes(service, &hashes)).await?)?;
            let lives = |(hash, epoch): &&(SubjectHash, u64)| {
                let home = found.get(hash).and_then(Option::as_ref);
                home.is_some_and(|home| home.region == region && home.epoch == *epoch)
            };
            still.extend(chunk.iter().filter(lives));
        }
        Ok(still)
    }

    /// Subjects by region, for `status`. Reads the whole service.
    ///
    /// # Errors
    /// The store's.
    pub async fn counts(&self, service: &str) -> Result<BTreeMap<String, u64>> {
        self.ready().await?;
        let sql = "SELECT region, count(*) FROM directory_home WHERE service = $1 AND region IS NOT NULL \
                   GROUP BY region";
        let answer = self.ask(Statement::new(sql, vec![service.into()])).await?;
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            Ok((columns.text()?, columns.count()?))
        };
        answer.rows.iter().map(read).collect()
    }

    pub(crate) fn by_hash<'a>(
        &self,
        service: &str,
        subjects: &'a [SubjectId],
    ) -> BTreeMap<SubjectHash, &'a SubjectId> {
        subjects.iter().map(|subject| (self.hash(service, subject), subject)).collect()
    }

    /// Reads the answer to [`select_homes`]; a removed subject has a row and no home.
    pub(crate) fn read_homes(&self, answer: &Rows) -> Result<BTreeMap<SubjectHash, Option<Home>>> {
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            let (hash, region) = (columns.hash()?, columns.text_or_null()?);
            let (epoch, attempt) = (columns.count()?, columns.count()?);
            Ok((hash, region.map(|region| Home { region, epoch, attempt })))
        };
        answer.rows.iter().map(read).collect()
    }
}

pub(crate) fn hash_value(hash: &SubjectHash) -> Value {
    Value::Bytes(hash.0.to_vec())
}

/// Names go into the hash with a zero byte between, so they hold none.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.contains('\0') {
        return Err(Error::Argument(format!("a {what}'s name is neither empty nor holds a zero byte")));
    }
    Ok(())
}

/// Takes the service's turn to write: held until the transaction ends.
pub(crate) fn lock_feed(service: &str) -> Statement {
    let sql = "INSERT INTO directory_feed (service, head) VALUES ($1, 0) \
               ON CONFLICT (service) DO UPDATE SET head = directory_feed.head";
    Statement::new(sql, vec![service.into()])
}

/// The feed's head grows by one where this transaction changed a home.
pub(crate) fn advance_feed(service: &str) -> Statement {
    let sql = "UPDATE directory_feed SET head = head + 1 WHERE service = $1 AND EXISTS (\
               SELECT 1 FROM directory_home h WHERE h.service = $1 AND h.changed_seq = directory_feed.head + 1)";
    Statement::new(sql, vec![service.into()])
}

/// Deletes the claims of those of the subjects that have no home. A reservation stays: it may be a new sign-up's.
fn free_claims(service: &str, hashes: &[SubjectHash]) -> Statement {
    let sql = format!(
        "DELETE FROM directory_claim WHERE service = $1 AND committed = 1 AND subject IN ({}) AND EXISTS (\
         SELECT 1 FROM directory_home h WHERE h.service = $1 AND h.subject = directory_claim.subject AND h.region IS NULL)",
        numbers(2, hashes.len())
    );
    let mut params = vec![service.into()];
    params.extend(hashes.iter().map(hash_value));
    Statement::new(sql, params)
}

pub(crate) fn select_homes(service: &str, hashes: &[SubjectHash]) -> Statement {
    let sql = format!(
        "SELECT subject, region, epoch, attempt FROM directory_home WHERE service = $1 AND subject IN ({})",
        numbers(2, hashes.len())
    );
    let mut params = vec![service.into()];
    params.extend(hashes.iter().map(hash_value));
    Statement::new(sql, params)
}
