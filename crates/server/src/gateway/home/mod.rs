//! Where a subject is at home: from memory where it is known, else from the directory, never by guess.
//!
//! INVARIANT: what is in memory is what the directory said, changed by every entry of its feed since: the follower takes the
//! feed's entries in their order, and a look-up during which it took any is not kept ([`Homes::of`]).

mod ask;
mod memory;

pub(crate) use ask::Asker;
pub(crate) use memory::{Known, Memory};

use super::count::{Counts, one};
use super::forward::Tethers;
use domicile_directory::{Changed, SubjectHash};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Look-ups during which the feed went on are tried again so often; then what was found is used once and not kept.
const TRIES: u32 = 2;

/// Homes of one service.
pub(crate) struct Homes {
    memory: Memory,
    asker: Asker,
    tethers: Arc<Tethers>,
    /// Grows with every page of the feed that was taken.
    taken: AtomicU64,
    counts: Arc<Counts>,
}

impl Homes {
    pub fn new(memory: Memory, asker: Asker, tethers: Arc<Tethers>, counts: Arc<Counts>) -> Self {
        Self { memory, asker, tethers, taken: AtomicU64::new(0), counts }
    }

    /// The subject's home; `None`: it has none.
    ///
    /// # Errors
    /// The directory could not be asked.
    pub async fn of(&self, subject: SubjectHash) -> Result<Option<Known>, domicile_directory::Error> {
        if let Some(home) = self.memory.get(&subject) {
            one(&self.counts.home_hits);
            return Ok(Some(home));
        }
        self.ask(subject).await
    }

    /// The same, whatever is in memory.
    pub async fn ask(&self, subject: SubjectHash) -> Result<Option<Known>, domicile_directory::Error> {
        for _ in 0..TRIES {
            let before = self.taken();
            one(&self.counts.home_lookups);
            let found = self.asker.ask(subject).await?;
            let home = found.and_then(|home| self.memory.known(&home.region, home.epoch));
            if home.is_none_or(|home| self.keep(before, subject, home)) && self.taken() == before {
                return Ok(home);
            }
        }
        let found = self.asker.ask(subject).await?;
        Ok(found.and_then(|home| self.memory.known(&home.region, home.epoch)))
    }

    /// Takes what the feed says. Who is not in memory need not be.
    pub fn take(&self, changes: &[Changed]) {
        // Before and after: a look-up that began in between is not kept, either.
        self.taken.fetch_add(1, Ordering::AcqRel);
        for change in changes {
            let home = change.region.as_deref().and_then(|region| self.memory.known(region, change.epoch));
            if self.memory.change(change.subject, home) {
                one(&self.counts.home_moves);
            }
            self.tethers.cut(&change.subject);
        }
        self.taken.fetch_add(1, Ordering::AcqRel);
    }

    /// How much of the feed was taken: to be read before what is given to [`Homes::preload`].
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// Keeps what a page of the feed says of everybody. False where the feed went on since `before`: then it must be read again.
    pub fn preload(&self, before: u64, changes: &[Changed]) -> bool {
        changes.iter().all(|change| {
            let home = change.region.as_deref().and_then(|region| self.memory.known(region, change.epoch));
            home.is_none_or(|home| self.keep(before, change.subject, home))
        })
    }

    /// INVARIANT: kept first, looked at afterwards: an entry of the feed that was taken in between did not find it.
    fn keep(&self, before: u64, subject: SubjectHash, home: Known) -> bool {
        self.memory.put(subject, home);
        let is_so = self.taken() == before;
        if !is_so {
            self.memory.change(subject, None);
        }
        is_so
    }

    /// How many are in memory.
    pub fn len(&self) -> usize {
        self.memory.len()
    }
}
