//! Claims of subjects who were there before Domicile: committed at once, where they are free.

use super::{Claim, ClaimHash, free};
use crate::homes::{check_name, hash_value, lock_feed};
use crate::read::{Columns, numbers, tuples};
use crate::schema::now_ms;
use crate::{CHUNK, Directory, Repeat, Result, SubjectHash};
use domicile_stores::control::{Rows, Statement, Value};
use domicile_stores::records::SubjectId;
use std::collections::{BTreeMap, BTreeSet};

/// What [`Directory::import_claims`] did.
#[derive(Debug, Default)]
pub struct Imported {
    /// Claims that are their subjects' own since this call.
    pub new: u64,
    /// Claims that were their subjects' own already.
    pub already: u64,
    /// Claims of subjects without a home: not imported.
    pub homeless: u64,
    /// Claims that are somebody else's, by their place among those given.
    pub taken: Vec<Taken>,
}

/// A claim that two subjects have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its place among the claims given.
    pub index: usize,
    /// Whose it is. Perhaps nobody's for good: one that signs up just now with a reservation.
    pub holder: SubjectHash,
}

impl Directory {
    /// Makes claims their subjects' own where they are free, and says which are not: who comes first, here or in
    /// another region, has it. The subjects must have their homes. A pair that is named twice counts once.
    ///
    /// # Errors
    /// The store's. Chunks before the failed one are done; the whole call may be repeated.
    pub async fn import_claims(&self, service: &str, claims: &[(SubjectId, Claim)]) -> Result<Imported> {
        self.ready().await?;
        check_name("service", service)?;
        // Not again in any other call, so that a late release takes nothing that was imported after it.
        let attempt = self.key.attempt(service, &format!("import {:032x}", random()?));
        let mut all = Imported::default();
        let pairs: Vec<_> =
            claims.iter().map(|(s, c)| (self.hash_of_claim(service, c), self.hash(service, s))).collect();
        let mut seen = BTreeSet::new();
        for (n, chunk) in pairs.chunks(CHUNK).enumerate() {
            let anew: Vec<bool> = chunk.iter().map(|pair| seen.insert(*pair)).collect();
            let mut done = self.import_chunk(service, attempt, chunk, &anew).await?;
            done.taken.iter_mut().for_each(|taken| taken.index += n * CHUNK);
            all.new += done.new;
            all.already += done.already;
            all.homeless += done.homeless;
            all.taken.append(&mut done.taken);
        }
        Ok(all)
    }

    async fn import_chunk(
        &self,
        service: &str,
        attempt: [u8; 16],
        pairs: &[(ClaimHash, SubjectHash)],
        anew: &[bool],
    ) -> Result<Imported> {
        // One statement changes a row once: of two subjects with one claim the first is asked for.
        let mut first: BTreeMap<ClaimHash, SubjectHash> = BTreeMap::new();
        for (claim, subject) in pairs {
            first.entry(*claim).or_insert(*subject);
        }
        // CRASH: done or not; done twice, the second finds its own attempt's.
        let answers = self.run(Repeat::Safe, self.importing(service, attempt, &first).await?).await?;
        let (rows, homeless) = (self.holders(&answers[2])?, self.homeless(&first, &answers[3])?);
        let mut all = Imported::default();
        for (index, (claim, subject)) in pairs.iter().enumerate().filter(|(i, _)| anew[*i]) {
            match rows.get(claim) {
                Some((holder, _)) if holder != subject => all.taken.push(Taken { index, holder: *holder }),
                _ if homeless.contains(subject) => all.homeless += 1,
                Some((_, by)) if *by == attempt => all.new += 1,
                Some(_) => all.already += 1,
                None => all.homeless += 1,
            }
        }
        Ok(all)
    }

    async fn importing(
        &self,
        service: &str,
        attempt: [u8; 16],
        first: &BTreeMap<ClaimHash, SubjectHash>,
    ) -> Result<Vec<Statement>> {
        let free = free(now_ms(self.ready().await?));
        // Under the service's turn to write no home is taken away between the question and the answer.
        let insert = format!(
            "INSERT INTO directory_claim (service, claim, subject, attempt, committed, expires_ms) \
             SELECT $1, v.column1, v.column2, $2, 1, 0 FROM (VALUES {}) AS v \
             WHERE EXISTS (SELECT 1 FROM directory_home h \
                           WHERE h.service = $1 AND h.subject = v.column2 AND h.region IS NOT NULL) \
             ON CONFLICT (service, claim) DO UPDATE SET subject = excluded.subject, attempt = excluded.attempt, \
               committed = 1, expires_ms = 0 \
             WHERE {free} OR (directory_claim.committed = 0 AND directory_claim.subject = excluded.subject)",
            tuples(3, first.len(), 2),
        );
        let mut params = vec![service.into(), Value::Bytes(attempt.to_vec())];
        params.extend(first.iter().flat_map(|(claim, subject)| [claim.value(), hash_value(subject)]));
        let held = format!(
            "SELECT claim, subject, attempt FROM directory_claim WHERE service = $1 AND claim IN ({})",
            numbers(2, first.len())
        );
        let mut held_params = vec![service.into()];
        held_params.extend(first.keys().map(ClaimHash::value));
        let subjects: BTreeSet<&SubjectHash> = first.values().collect();
        let homed = format!(
            "SELECT subject FROM directory_home WHERE service = $1 AND region IS NOT NULL AND subject IN ({})",
            numbers(2, subjects.len())
        );
        let mut homed_params = vec![service.into()];
        homed_params.extend(subjects.into_iter().map(hash_value));
        Ok(vec![
            lock_feed(service),
            Statement::new(insert, params),
            Statement::new(held, held_params),
            Statement::new(homed, homed_params),
        ])
    }

    fn holders(&self, answer: &Rows) -> Result<BTreeMap<ClaimHash, (SubjectHash, [u8; 16])>> {
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            Ok((ClaimHash(columns.bytes()?), (columns.hash()?, columns.bytes()?)))
        };
        answer.rows.iter().map(read).collect()
    }

    fn homeless(
        &self,
        first: &BTreeMap<ClaimHash, SubjectHash>,
        homed: &Rows,
    ) -> Result<BTreeSet<SubjectHash>> {
        let homed: BTreeSet<SubjectHash> =
            homed.rows.iter().map(|row| Columns::of(self, row).hash()).collect::<Result<_>>()?;
        Ok(first.values().filter(|subject| !homed.contains(*subject)).copied().collect())
    }
}

fn random() -> Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| crate::Error::Key(format!("no random numbers: {e}")))?;
    Ok(u128::from_le_bytes(bytes))
}
