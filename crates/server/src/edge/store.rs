//! The store: bounded in bytes, the least recently used goes first. Each shard has its part of the bound.

use super::ask::Public;
use super::entry::Entry;
use super::key::Key;
use hashlink::LruCache;
use http::HeaderName;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most answers of one key, for different values of what they vary by; the oldest goes.
const VARIANTS_MAX: usize = 16;
/// Most shards; fewer where a shard would not hold four of the largest objects.
const SHARDS_MAX: usize = 16;
/// How long a key is remembered whose answers are not stored, so that those who ask do not wait for each other.
const PASS: Duration = Duration::from_secs(10);
/// What a slot costs besides its key and entries. Bytes.
const SLOT_BYTES: usize = 256;

/// Stored answers by key.
#[derive(Debug)]
pub(super) struct Store {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shard_bytes_max: usize,
}

#[derive(Debug)]
struct Shard {
    slots: LruCache<Key, Slot>,
    bytes: usize,
    objects: usize,
}

/// What is known of a key.
#[derive(Debug)]
enum Slot {
    /// Answers, the newest first.
    Variants(Vec<Arc<Entry>>),
    /// Its answers are not stored.
    Passes { until: Instant },
}

/// What the store says to one who asks.
#[derive(Debug)]
pub(super) enum Found {
    /// An answer for such a request, fresh or not.
    Entry(Arc<Entry>),
    /// Answers for other requests of the same key, which vary by these headers.
    Others(Vec<HeaderName>),
    /// Its answers are not stored.
    Passes,
    /// Nothing.
    Nothing,
}

impl Store {
    pub(super) fn new(memory_bytes_max: usize, object_bytes_max: usize) -> Self {
        let fit = (memory_bytes_max / object_bytes_max.saturating_mul(4).max(1)).clamp(1, SHARDS_MAX);
        let shard = || Mutex::new(Shard { slots: LruCache::new_unbounded(), bytes: 0, objects: 0 });
        Self {
            shards: std::iter::repeat_with(shard).take(fit).collect(),
            hasher: RandomState::new(),
            shard_bytes_max: memory_bytes_max / fit,
        }
    }

    pub(super) fn get(&self, ask: &Public, now: Instant) -> Found {
        let mut shard = self.shard(&ask.key);
        match shard.slots.get(&ask.key) {
            None => Found::Nothing,
            Some(Slot::Passes { until }) => {
                if *until > now {
                    Found::Passes
                } else {
                    Found::Nothing
                }
            }
            Some(Slot::Variants(entries)) => match entries.iter().find(|e| e.head.is_for(ask)) {
                Some(entry) => Found::Entry(Arc::clone(entry)),
                None => {
                    let names = entries.first().map(|e| e.head.vary_names().cloned().collect());
                    Found::Others(names.unwrap_or_default())
                }
            },
        }
    }

    /// Stores an answer in the place of those for the same request. Returns how many had to go for it.
    pub(super) fn put(&self, ask: &Public, entry: Arc<Entry>) -> u64 {
        if entry.bytes() + SLOT_BYTES + ask.key.as_str().len() > self.shard_bytes_max {
            return 0;
        }
        let mut shard = self.shard(&ask.key);
        let mut variants = match shard.take(&ask.key) {
            Some(Slot::Variants(variants)) => variants,
            _ => Vec::new(),
        };
        variants.retain(|e| !e.head.is_for(ask));
        variants.insert(0, entry);
        variants.truncate(VARIANTS_MAX);
        let room = self.shard_bytes_max;
        while variants.len() > 1 && Slot::bytes_of(&ask.key, &variants) > room {
            variants.pop();
        }
        shard.insert(ask.key.clone(), Slot::Variants(variants));
        shard.shrink(room)
    }

    /// Forgets what was stored for such a request, and remembers that its answers are not. Answers for other
    /// requests of the key stay: a stranger must not empty the store by asking for a variant that nobody keeps.
    pub(super) fn pass(&self, ask: &Public, now: Instant) -> u64 {
        let key = &ask.key;
        let mut shard = self.shard(key);
        let mut others = match shard.take(key) {
            Some(Slot::Variants(variants)) => variants,
            _ => Vec::new(),
        };
        others.retain(|e| !e.head.is_for(ask));
        let slot =
            if others.is_empty() { Slot::Passes { until: now + PASS } } else { Slot::Variants(others) };
        shard.insert(key.clone(), slot);
        shard.shrink(self.shard_bytes_max)
    }

    /// Bytes and objects stored now.
    pub(super) fn size(&self) -> (usize, usize) {
        let sizes = self.shards.iter().map(|s| {
            let shard = s.lock().unwrap_or_else(PoisonError::into_inner);
            (shard.bytes, shard.objects)
        });
        sizes.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    }

    fn shard(&self, key: &Key) -> std::sync::MutexGuard<'_, Shard> {
        // The hasher is drawn at start: a stranger can't choose keys that crowd one shard.
        let at = (self.hasher.hash_one(key) as usize) % self.shards.len();
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn bytes(&self, key: &Key) -> usize {
        match self {
            Slot::Variants(entries) => Self::bytes_of(key, entries),
            Slot::Passes { .. } => SLOT_BYTES + key.as_str().len(),
        }
    }

    fn bytes_of(key: &Key, entries: &[Arc<Entry>]) -> usize {
        SLOT_BYTES + key.as_str().len() + entries.iter().map(|e| e.bytes()).sum::<usize>()
    }

    fn objects(&self) -> usize {
        match self {
            Slot::Variants(entries) => entries.len(),
            Slot::Passes { .. } => 0,
        }
    }
}

impl Shard {
    /// INVARIANT: `bytes` and `objects` are sums over `slots`; only here do slots come and go.
    fn insert(&mut self, key: Key, slot: Slot) {
        self.bytes += slot.bytes(&key);
        self.objects += slot.objects();
        self.slots.insert(key, slot);
    }

    fn take(&mut self, key: &Key) -> Option<Slot> {
        let slot = self.slots.remove(key)?;
        self.bytes -= slot.bytes(key);
        self.objects -= slot.objects();
        Some(slot)
    }

    /// Until it fits; returns how many answers went.
    fn shrink(&mut self, bytes_max: usize) -> u64 {
        let mut gone = 0;
        while self.bytes > bytes_max {
            let Some((key, slot)) = self.slots.remove_lru() else { break };
            self.bytes -= slot.bytes(&key);
            self.objects -= slot.objects();
            gone += slot.objects() as u64;
        }
        gone
    }
}
