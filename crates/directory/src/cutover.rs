//! The compare-and-swap that gives subjects their new home, and what settles a lost answer to it.
//!
//! A swap names the epoch and the attempt it was made for. Whoever does not know whether a swap landed
//! asks with a write: `attempt + 1` where epoch and attempt still are the swap's. If that write finds the
//! row, the swap can never land, however late it comes; if it does not, the swap was decided before, and
//! what is read in the same transaction is final. A read alone decides nothing: a server does not stop a
//! statement whose client went away (ATTACKS A1, reproduction D1).

use crate::homes::{advance_feed, check_name, hash_value, lock_feed, select_homes};
use crate::read::{Columns, firsts, tuples};
use crate::{CHUNK, Directory, Error, Repeat, Result, SubjectHash};
use domicile_stores::control::{Rows, Statement, Value};
use domicile_stores::planted::Bug;
use domicile_stores::records::SubjectId;
use std::collections::BTreeMap;

/// One subject's compare-and-swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    /// Who.
    pub subject: SubjectId,
    /// The home it must still have.
    pub from: String,
    /// The epoch it must still have; one more after the swap.
    pub epoch: u64,
    /// The attempt it must still have, as [`Home::attempt`](crate::Home) or [`Settled::Cancelled`] said;
    /// 0 after the swap.
    pub attempt: u64,
}

/// What became of a swap whose answer was lost. Final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It landed: the new home is the only home.
    Moved,
    /// It did not and never will. The next swap of the subject must name this attempt.
    Cancelled {
        /// The attempt to name.
        attempt: u64,
    },
}

impl Directory {
    /// Gives each subject the home `to` where its home, epoch and attempt are still the swap's: the point
    /// of no return of a move. One transaction; returns the subjects swapped, in the order given.
    ///
    /// # Errors
    /// `is_unreachable()`: unknown, [`Directory::settle`] finds out. Any other error: no subject was swapped.
    pub async fn cutover(&self, service: &str, swaps: &[Swap], to: &str) -> Result<Vec<SubjectId>> {
        self.ready().await?;
        check_name("region", to)?;
        if swaps.iter().any(|swap| swap.from == to) {
            return Err(Error::Argument(format!("a subject can't move from `{to}` to `{to}`")));
        }
        if swaps.is_empty() {
            return Ok(Vec::new());
        }
        let chunks: Vec<Statement> = swaps
            .chunks(CHUNK)
            .map(|chunk| self.swap_statement(service, chunk, to))
            .collect::<Result<_>>()?;
        let count = chunks.len();
        let mut statements = vec![lock_feed(service)];
        statements.extend(chunks);
        statements.push(advance_feed(service));
        // CRASH: done or not, and after a lost answer perhaps done much later: only `settle` knows.
        let answers = self.run(Repeat::Never, statements).await?;
        let rows = answers[1..=count].iter().flat_map(|answer| &answer.rows);
        let swapped: std::collections::BTreeSet<SubjectHash> =
            rows.map(|row| Columns::of(self, row).hash()).collect::<Result<_>>()?;
        let landed = |swap: &&Swap| swapped.contains(&self.hash(service, &swap.subject));
        Ok(swaps.iter().filter(landed).map(|swap| swap.subject.clone()).collect())
    }

    fn swap_statement(&self, service: &str, swaps: &[Swap], to: &str) -> Result<Statement> {
        // INVARIANT: the epoch grows by one, and only from the one the swap was made for.
        let sql = format!(
            "UPDATE directory_home SET region = $2, epoch = directory_home.epoch + 1, attempt = 0, \
             changed_seq = (SELECT head + 1 FROM directory_feed WHERE service = $1) \
             FROM (VALUES {}) AS v \
             WHERE directory_home.service = $1 AND directory_home.subject IN ({}) \
             AND directory_home.subject = v.column1 AND directory_home.region = v.column2 AND directory_home.epoch = v.column3 \
             AND directory_home.attempt = v.column4 \
             RETURNING subject",
            tuples(3, swaps.len(), 4),
            firsts(3, swaps.len(), 4)
        );
        let mut params = vec![service.into(), to.into()];
        for swap in swaps {
            params.push(hash_value(&self.hash(service, &swap.subject)));
            params.push(swap.from.as_str().into());
            params.extend([number(swap.epoch)?, number(swap.attempt)?]);
        }
        Ok(Statement::new(sql, params))
    }

    /// From now on a swap that has not landed never will.
    fn cancel_statement(&self, service: &str, swaps: &[Swap]) -> Result<Statement> {
        let sql = format!(
            "UPDATE directory_home SET attempt = directory_home.attempt + 1 FROM (VALUES {}) AS v \
             WHERE directory_home.service = $1 AND directory_home.subject IN ({}) \
             AND directory_home.subject = v.column1 AND directory_home.epoch = v.column2 AND directory_home.attempt = v.column3",
            tuples(2, swaps.len(), 3),
            firsts(2, swaps.len(), 3)
        );
        let mut params = vec![service.into()];
        for swap in swaps {
            params.push(hash_value(&self.hash(service, &swap.subject)));
            params.extend([number(swap.epoch)?, number(swap.attempt)?]);
        }
        Ok(Statement::new(sql, params))
    }

    /// Finds out what became of a swap to `to`, and if it has not landed by now, makes sure that it
    /// never will. May be repeated; the answer stays the same.
    ///
    /// # Errors
    /// The store's: still unknown. `Elsewhere`: see [`Directory::settle_all`].
    pub async fn settle(&self, service: &str, swap: &Swap, to: &str) -> Result<Settled> {
        let mut all = self.settle_all(service, std::slice::from_ref(swap), to).await?;
        all.pop().ok_or_else(|| Error::Elsewhere { service: service.to_owned(), count: 1 })
    }

    /// The same for many, in the order given.
    ///
    /// # Errors
    /// The store's: still unknown. `Elsewhere`: a subject is in neither place; somebody without the
    /// batch's lease moved or removed it, or the control store was set back to an older state.
    pub async fn settle_all(&self, service: &str, swaps: &[Swap], to: &str) -> Result<Vec<Settled>> {
        self.ready().await?;
        let mut all = Vec::with_capacity(swaps.len());
        for chunk in swaps.chunks(CHUNK) {
            all.extend(self.settle_chunk(service, chunk, to).await?);
        }
        Ok(all)
    }

    async fn settle_chunk(&self, service: &str, swaps: &[Swap], to: &str) -> Result<Vec<Settled>> {
        let hashes: Vec<SubjectHash> = swaps.iter().map(|s| self.hash(service, &s.subject)).collect();
        let statements =
            vec![lock_feed(service), self.cancel_statement(service, swaps)?, select_homes(service, &hashes)];
        // CRASH: done or not; done twice, the second finds the attempt grown and says the same.
        let planted = Bug::SettleByRead.is_planted();
        let answers = if planted {
            vec![Rows::default(), Rows::default(), self.ask(select_homes(service, &hashes)).await?]
        } else {
            self.run(Repeat::Safe, statements).await?
        };
        let homes = self.read_homes(&answers[2])?;
        // No other batch may hold the subject, so a home at `to` one epoch on is this move's.
        let settled: BTreeMap<SubjectHash, Settled> = swaps
            .iter()
            .zip(&hashes)
            .filter_map(|(swap, hash)| {
                let home = homes.get(hash)?.as_ref()?;
                let moved = home.epoch == swap.epoch + 1 && home.region == to;
                let cancelled = home.epoch == swap.epoch
                    && (home.attempt > swap.attempt || planted)
                    && home.region == swap.from;
                let cancel = Settled::Cancelled { attempt: home.attempt };
                moved.then_some(Settled::Moved).or(cancelled.then_some(cancel)).map(|s| (*hash, s))
            })
            .collect();
        let count = swaps.len() - hashes.iter().filter(|hash| settled.contains_key(hash)).count();
        if count > 0 {
            return Err(Error::Elsewhere { service: service.to_owned(), count });
        }
        Ok(hashes.iter().map(|hash| settled[hash]).collect())
    }
}

fn number(n: u64) -> Result<Value> {
    i64::try_from(n).map(Value::Int).map_err(|_| Error::Argument(format!("{n} is no epoch or attempt")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DirectoryKey;
    use domicile_stores::control::{Control, ControlStore};

    /// A swap that reads all homes of the service makes every pause grow with everybody who lives somewhere.
    #[tokio::test]
    async fn a_swap_looks_its_subjects_up() {
        let folder = tempfile::tempdir().unwrap();
        let store = ControlStore::open("sqlite:control.db", folder.path(), None).await.unwrap();
        let directory = Directory::open(store.clone(), DirectoryKey::generate().unwrap());
        directory.migrate().await.unwrap();
        let subjects: Vec<SubjectId> = (0..500).map(|n| SubjectId(n.to_string())).collect();
        directory.register("shop", "old", &subjects).await.unwrap();
        let swap = |s: &SubjectId| Swap { subject: s.clone(), from: "old".into(), epoch: 1, attempt: 0 };
        let swaps: Vec<Swap> = subjects[..10].iter().map(swap).collect();
        for statement in [
            directory.swap_statement("shop", &swaps, "new").unwrap(),
            directory.cancel_statement("shop", &swaps).unwrap(),
        ] {
            let plan = Statement::new(format!("EXPLAIN QUERY PLAN {}", statement.sql), statement.params);
            let steps = store.run(vec![plan]).await.unwrap().remove(0).rows;
            let steps: Vec<String> = steps.iter().map(|row| format!("{:?}", row.last())).collect();
            let looked_up = |s: &String| s.contains("SEARCH directory_home") && s.contains("subject=?");
            assert!(steps.iter().any(looked_up), "{steps:#?}");
            assert!(!steps.iter().any(|s| s.contains("SCAN directory_home")), "{steps:#?}");
        }
    }
}
