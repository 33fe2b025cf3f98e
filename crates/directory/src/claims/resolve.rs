//! Whose claim it is, and where that subject lives: what a login asks.

use super::{Claim, ClaimHash};
use crate::read::{Columns, numbers};
use crate::{CHUNK, Directory, Home, Result, SubjectHash};
use domicile_stores::control::{Statement, Value};
use std::collections::BTreeMap;

/// The subject of a claim and its home, of one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Whose it is. The subject's key is known in its home region alone.
    pub subject: SubjectHash,
    /// Where it lives.
    pub home: Home,
}

impl Directory {
    /// Whose each of these claims is, in their order; `None`: nobody's, or reserved and not committed.
    ///
    /// # Errors
    /// The store's.
    pub async fn resolve(&self, service: &str, claims: &[Claim]) -> Result<Vec<Option<Claimed>>> {
        self.ready().await?;
        let mut all = Vec::with_capacity(claims.len());
        for chunk in claims.chunks(CHUNK) {
            let hashes: Vec<_> = chunk.iter().map(|claim| self.hash_of_claim(service, claim)).collect();
            let found = self.claimed(service, &hashes).await?;
            all.extend(hashes.iter().map(|hash| found.get(hash).cloned()));
        }
        Ok(all)
    }

    async fn claimed(&self, service: &str, hashes: &[ClaimHash]) -> Result<BTreeMap<ClaimHash, Claimed>> {
        let sql = format!(
            "SELECT c.claim, c.subject, h.region, h.epoch, h.attempt FROM directory_claim c \
             JOIN directory_home h ON h.service = c.service AND h.subject = c.subject \
             WHERE c.service = $1 AND c.committed = 1 AND h.region IS NOT NULL AND c.claim IN ({})",
            numbers(2, hashes.len())
        );
        let mut params = vec![service.into()];
        params.extend(hashes.iter().map(ClaimHash::value));
        let answer = self.ask(Statement::new(sql, params)).await?;
        let read = |row: &Vec<Value>| {
            let mut columns = Columns::of(self, row);
            let (claim, subject) = (ClaimHash(columns.bytes()?), columns.hash()?);
            let home = Home { region: columns.text()?, epoch: columns.count()?, attempt: columns.count()? };
            Ok((claim, Claimed { subject, home }))
        };
        answer.rows.iter().map(read).collect()
    }
}
