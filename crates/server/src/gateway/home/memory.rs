//! Homes in memory: 24 bytes each and the table's slack, so that a million take some 50 MB.

use domicile_directory::SubjectHash;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Parts, each with its own lock.
const SHARDS: usize = 64;

/// A home that this gateway can forward to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// Which of the gateway's regions, in their order.
    pub region: u16,
    /// The home's epoch. 4 billion moves of one subject are not foreseen.
    pub epoch: u32,
}

/// A bounded table of homes.
pub(crate) struct Memory {
    shards: Vec<Mutex<Shard>>,
    each: usize,
    regions: Vec<String>,
}

type Shard = HashMap<[u8; 16], Known, BuildHasherDefault<AlreadyRandom>>;

impl Memory {
    /// For `homes` at most, in these regions.
    pub fn new(homes: usize, regions: Vec<String>) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, each: homes.div_ceil(SHARDS).max(1), regions }
    }

    fn shard(&self, subject: &SubjectHash) -> MutexGuard<'_, Shard> {
        // The table itself uses the first bytes.
        let shard = usize::from(subject.0[15]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A home as the directory writes it; `None`: in a region that this gateway does not know.
    pub fn known(&self, region: &str, epoch: u64) -> Option<Known> {
        let region = self.regions.iter().position(|id| id == region)?;
        Some(Known { region: region.try_into().ok()?, epoch: epoch.try_into().ok()? })
    }

    pub fn get(&self, subject: &SubjectHash) -> Option<Known> {
        self.shard(subject).get(&subject.0).copied()
    }

    /// Keeps it; where the table is full, any other goes: to ask once more is all it costs.
    pub fn put(&self, subject: SubjectHash, home: Known) {
        let mut shard = self.shard(&subject);
        // INVARIANT: an epoch in memory only grows.
        if shard.get(&subject.0).is_some_and(|known| known.epoch > home.epoch) {
            return;
        }
        if shard.len() >= self.each && !shard.contains_key(&subject.0) {
            let some = shard.keys().next().copied();
            some.map(|some| shard.remove(&some));
        }
        shard.insert(subject.0, home);
    }

    /// What is known of the subject is this from now on. Returns whether anything was.
    pub fn change(&self, subject: SubjectHash, home: Option<Known>) -> bool {
        let mut shard = self.shard(&subject);
        let Some(known) = shard.get_mut(&subject.0) else { return false };
        match home {
            Some(home) => *known = home,
            None => drop(shard.remove(&subject.0)),
        }
        true
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|s| s.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}

/// A subject's hash is a keyed one: nobody outside can choose it, so its own bytes spread well enough.
#[derive(Default)]
struct AlreadyRandom(u64);

impl Hasher for AlreadyRandom {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The array's length: always the same.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(n: u64) -> SubjectHash {
        use sha2::Digest;
        let digest = sha2::Sha256::digest(n.to_le_bytes());
        SubjectHash(*digest.first_chunk().unwrap())
    }

    fn memory(homes: usize) -> Memory {
        Memory::new(homes, vec!["a".into(), "b".into()])
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let memory = memory(640);
        let home = memory.known("b", 3).unwrap();
        for n in 0..10_000 {
            memory.put(subject(n), home);
            assert_eq!(memory.get(&subject(n)), Some(home));
        }
        assert!(memory.len() <= 640 && memory.len() > 500, "{}", memory.len());
        assert_eq!(home.region, 1);
        assert_eq!(memory.known("c", 1), None);
    }

    #[test]
    fn an_epoch_never_falls() {
        let memory = memory(10);
        memory.put(subject(1), Known { region: 1, epoch: 2 });
        memory.put(subject(1), Known { region: 0, epoch: 1 });
        assert_eq!(memory.get(&subject(1)).unwrap().epoch, 2);
        assert!(memory.change(subject(1), Some(Known { region: 0, epoch: 3 })));
        assert!(
            !memory.change(subject(2), Some(Known { region: 0, epoch: 3 })),
            "who is not here is not added"
        );
        assert!(memory.change(subject(1), None));
        assert_eq!(memory.get(&subject(1)), None);
    }
}
