//! The lane of a subject: writes under way, and those that wait.

use domicile_directory::SubjectHash;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Parts, each with its own lock.
const SHARDS: usize = 64;

/// All lanes of a gateway.
pub(crate) struct Lanes {
    shards: Vec<Mutex<HashMap<SubjectHash, Lane>>>,
    waiting: AtomicUsize,
    released: Arc<Semaphore>,
    bounds: Bounds,
}

/// How many may wait, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub wait: Duration,
    pub per_subject: usize,
    pub in_all: usize,
    pub released: usize,
}

/// Why a write does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// Too many wait already.
    Full,
    /// It has waited as long as a write may.
    TooLong,
}

#[derive(Default)]
struct Lane {
    /// Writes under way.
    writes: usize,
    /// Parks that hold it.
    parks: usize,
    waiting: VecDeque<oneshot::Sender<Way>>,
    /// Who hears when no write is under way any more.
    drains: Vec<Arc<Drain>>,
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.writes == 0 && self.parks == 0 && self.waiting.is_empty()
    }
}

/// Counts subjects down whose writes are still under way.
pub(crate) struct Drain {
    left: AtomicUsize,
    done: tokio::sync::Notify,
}

impl Drain {
    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    /// Resolves when none is under way.
    pub async fn done(&self) {
        // One waiter, and `notify_one` is remembered for it.
        while self.left.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
    }
}

/// The place of a write in its lane; leaves it when dropped, also when it was handed to a client that has gone.
struct Way {
    lanes: Arc<Lanes>,
    subject: SubjectHash,
}

impl Drop for Way {
    fn drop(&mut self) {
        let mut shard = self.lanes.shard(&self.subject);
        let Some(lane) = shard.get_mut(&self.subject) else { return };
        lane.writes -= 1;
        if lane.writes == 0 {
            lane.drains.drain(..).for_each(|drain| drain.one_less());
        }
        let next = self.lanes.next_of(lane);
        let is_idle = lane.is_idle() && next.is_none();
        if next.is_some() {
            lane.writes += 1;
        }
        if is_idle {
            shard.remove(&self.subject);
        }
        drop(shard);
        self.lanes.hand_over(self.subject, next);
    }
}

/// The right to send a write to its subject's home, until it is answered.
pub(crate) struct Pass {
    _way: Way,
    _released: Option<OwnedSemaphorePermit>,
    /// It had to wait.
    pub has_waited: bool,
}

impl Lanes {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let released = Arc::new(Semaphore::new(bounds.released.max(1)));
        Arc::new(Self { shards, waiting: AtomicUsize::new(0), released, bounds })
    }

    fn shard(&self, subject: &SubjectHash) -> MutexGuard<'_, HashMap<SubjectHash, Lane>> {
        let shard = usize::from(subject.0[0]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters the subject's lane: at once where nobody holds it and nobody waits, else after those before.
    ///
    /// A write that was refused and comes `again` waits before all others: it was the first.
    ///
    /// # Errors
    /// Too many wait, or it has waited for too long.
    pub async fn enter(self: &Arc<Self>, subject: SubjectHash, again: bool) -> Result<Pass, Turned> {
        let turn = {
            let mut shard = self.shard(&subject);
            let lane = shard.entry(subject).or_default();
            if lane.parks == 0 && (again || lane.waiting.is_empty()) {
                lane.writes += 1;
                let way = Way { lanes: self.clone(), subject };
                return Ok(Pass { _way: way, _released: None, has_waited: false });
            }
            // Those whose clients have gone make room.
            lane.waiting.retain(|waiting| !waiting.is_closed());
            if lane.waiting.len() >= self.bounds.per_subject || !self.count_in() {
                return Err(Turned::Full);
            }
            let (hand, turn) = oneshot::channel();
            match again {
                true => lane.waiting.push_front(hand),
                false => lane.waiting.push_back(hand),
            }
            turn
        };
        let _counted = Counted(self);
        let way = tokio::time::timeout(self.bounds.wait, turn).await.map_err(|_| Turned::TooLong)?;
        let way = way.map_err(|_| Turned::TooLong)?;
        // Held back here, with the place in the lane: the next of the same subject waits for this one anyway.
        let released = self.released.clone().acquire_owned().await.ok();
        Ok(Pass { _way: way, _released: released, has_waited: true })
    }

    fn count_in(&self) -> bool {
        let bound = self.bounds.in_all;
        let more = |n: usize| (n < bound).then_some(n + 1);
        self.waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// Writes that wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Holds new writes of these subjects. The drain is done when none of theirs is under way any more.
    pub fn park(&self, subjects: &[SubjectHash]) -> Arc<Drain> {
        let drain = Arc::new(Drain { left: AtomicUsize::new(1), done: tokio::sync::Notify::new() });
        for subject in subjects {
            let mut shard = self.shard(subject);
            let lane = shard.entry(*subject).or_default();
            lane.parks += 1;
            if lane.writes > 0 {
                drain.left.fetch_add(1, Ordering::AcqRel);
                lane.drains.push(drain.clone());
            }
        }
        // The one that it began with: only now it can be done.
        drain.one_less();
        drain
    }

    /// Ends one park of these subjects: the first that waits of each goes on, and each is followed by its next.
    pub fn unpark(self: &Arc<Self>, subjects: &[SubjectHash]) {
        for subject in subjects {
            let mut shard = self.shard(subject);
            let Some(lane) = shard.get_mut(subject) else { continue };
            lane.parks = lane.parks.saturating_sub(1);
            let next = self.next_of(lane);
            if next.is_some() {
                lane.writes += 1;
            } else if lane.is_idle() {
                shard.remove(subject);
            }
            drop(shard);
            self.hand_over(*subject, next);
        }
    }

    /// Who goes next: one at a time, so that they arrive in their order.
    fn next_of(&self, lane: &mut Lane) -> Option<oneshot::Sender<Way>> {
        if lane.parks > 0 || lane.writes > 0 {
            return None;
        }
        std::iter::from_fn(|| lane.waiting.pop_front()).find(|waiting| !waiting.is_closed())
    }

    /// With no lock held: a client that goes in this moment drops the way, which takes the lock.
    fn hand_over(self: &Arc<Self>, subject: SubjectHash, next: Option<oneshot::Sender<Way>>) {
        if let Some(next) = next {
            drop(next.send(Way { lanes: self.clone(), subject }));
        }
    }

    /// Lanes that somebody is in.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

/// One that waits, in the count of all.
struct Counted<'l>(&'l Lanes);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
