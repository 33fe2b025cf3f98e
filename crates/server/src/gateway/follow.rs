//! Follows the directory: keeps this gateway's lease, takes every move from the feed, and parks whom the mover names.
//!
//! What is new is asked for with one small question, often while a wave is under way and seldom otherwise. The lease is counted
//! from before it was asked for, so this gateway stops routing before the mover stops waiting for it.

use super::count::{Counts, one};
use super::home::Homes;
use super::park::{Lanes, Parks};
use domicile_directory::{Cursor, Directory, Heads, NO_GATEWAY_FOR};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often is asked while a wave is under way: a parked write waits for about so long beyond its fence.
const OFTEN: Duration = Duration::from_millis(3);
/// How often otherwise: the first park of a wave waits for as long.
const SELDOM: Duration = Duration::from_millis(100);
/// The lease is renewed as often; of a short one, after a third of it. The mover takes one that is half a second late for gone.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Entries of the feed in one page.
const PAGE: u32 = 1000;
/// How often a request without a lease looks whether there is one again.
const LOOK_FOR_LEASE: Duration = Duration::from_millis(20);

/// What the requests' side knows of the follower.
pub(super) struct Lease {
    times: Mutex<Times>,
    /// Grows with everything that was taken: who waits for a change hears of it.
    pub news: watch::Sender<u64>,
}

struct Times {
    /// Until when requests are routed.
    until: Instant,
    /// Until when the directory has given the lease, counted from before it was asked.
    granted: Instant,
    is_ended: bool,
}

impl Lease {
    pub fn new() -> Self {
        let now = Instant::now();
        let times = Mutex::new(Times { until: now, granted: now, is_ended: false });
        Self { times, news: watch::Sender::new(0) }
    }

    fn times(&self) -> std::sync::MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// May requests be routed?
    pub fn holds(&self) -> bool {
        Instant::now() < self.times().until
    }

    /// The same, waited for: a store that was slow for a moment need not cost a request.
    pub async fn holds_within(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while !self.holds() {
            if Instant::now() > until || self.times().is_ended {
                return false;
            }
            tokio::time::sleep(LOOK_FOR_LEASE).await;
        }
        true
    }

    fn grant(&self, until: Instant) {
        let mut times = self.times();
        times.granted = until.max(times.granted);
    }

    fn granted(&self) -> Instant {
        self.times().granted
    }

    /// INVARIANT: routes until the end of a lease only if it has looked since it was given: who had none was not waited for by the
    /// mover, and must take what it missed before it routes anything.
    fn looked(&self, granted: Instant) {
        let mut times = self.times();
        if !times.is_ended {
            times.until = granted.max(times.until);
        }
    }

    /// From now on nothing is routed.
    pub fn end(&self) {
        let mut times = self.times();
        (times.is_ended, times.until) = (true, Instant::now());
    }

    fn is_ended(&self) -> bool {
        self.times().is_ended
    }
}

/// The follower's tools.
pub(super) struct Follower {
    pub directory: Arc<Directory>,
    pub service: String,
    pub gateway: String,
    pub ttl: Duration,
    pub homes: Arc<Homes>,
    pub lanes: Arc<Lanes>,
    pub lease: Arc<Lease>,
    pub counts: Arc<Counts>,
}

impl Follower {
    /// Follows, and renews the lease beside it, until the lease is ended.
    pub fn start(self, cursor: Cursor) {
        let me = Arc::new(self);
        tokio::spawn(me.clone().renew());
        tokio::spawn(me.follow(cursor));
    }

    async fn follow(self: Arc<Self>, mut cursor: Cursor) {
        let (mut heads, mut parks) = (Heads { homes: cursor.sequence, ..Heads::default() }, Parks::default());
        while !self.lease.is_ended() {
            let granted = self.lease.granted();
            match self.look(&mut heads, &mut cursor, &mut parks).await {
                Ok(is_new) => {
                    self.lease.looked(granted);
                    if is_new {
                        self.lease.news.send_modify(|n| *n += 1);
                    }
                }
                // The directory is away: what is in memory holds for as long as the lease does, and no longer.
                Err(_) => tokio::time::sleep(SELDOM).await,
            }
            let pause = if heads.is_moving || parks.any() { OFTEN } else { SELDOM };
            tokio::time::sleep(pause).await;
        }
        // Whoever still waits is let go, and finds that nothing is routed.
        parks.end(&self.lanes, &BTreeSet::new());
    }

    /// Takes the first lease and reads where the feed is.
    ///
    /// # Errors
    /// The directory's.
    pub async fn begin(&self) -> Result<Cursor, domicile_directory::Error> {
        self.take_lease().await?;
        // A mover that found no gateway believes it for as long.
        tokio::time::sleep(NO_GATEWAY_FOR).await;
        // After the lease: what is parked from here on waits for this gateway, and what changed before is in no memory.
        let cursor = Cursor::after(self.directory.version(&self.service).await?);
        self.lease.looked(self.lease.granted());
        Ok(cursor)
    }

    async fn renew(self: Arc<Self>) {
        while !self.lease.is_ended() {
            tokio::time::sleep(RENEW_EVERY.min(self.ttl / 3)).await;
            if !self.lease.is_ended() && self.take_lease().await.is_err() {
                one(&self.counts.lease_lost);
            }
        }
    }

    async fn take_lease(&self) -> Result<(), Error> {
        let asked = Instant::now();
        self.directory.renew_gateway(&self.service, &self.gateway, self.ttl).await?;
        self.lease.grant(asked + self.ttl);
        Ok(())
    }

    /// One look; whether anything was new.
    async fn look(&self, heads: &mut Heads, cursor: &mut Cursor, parks: &mut Parks) -> Result<bool, Error> {
        let now = self.directory.heads(&self.service).await?;
        let is_new = now.homes != heads.homes || now.parks != heads.parks || parks.any();
        if !is_new {
            heads.is_moving = now.is_moving;
            return Ok(false);
        }
        // INVARIANT: the parks are read before the feed: a park that is over was lifted after its swap, so the swap is in
        // what is read of the feed afterwards, and whoever is let go goes to the new home.
        let listed = self.directory.parks(&self.service).await?;
        let numbers: BTreeSet<u64> = listed.iter().map(|park| park.number).collect();
        for (number, drain) in parks.begin(&self.lanes, listed) {
            let (directory, service, gateway) =
                (self.directory.clone(), self.service.clone(), self.gateway.clone());
            tokio::spawn(async move {
                drain.done().await;
                // Lost: the mover waits for it in vain, lifts the park, and tries again.
                let _ = directory.seen_park(&service, number, &gateway).await;
            });
        }
        self.take_feed(cursor).await?;
        parks.end(&self.lanes, &numbers);
        *heads = now;
        Ok(true)
    }

    async fn take_feed(&self, cursor: &mut Cursor) -> Result<(), Error> {
        loop {
            let page = self.directory.changes_since(&self.service, *cursor, PAGE).await?;
            *cursor = page.next;
            if page.changes.is_empty() {
                return Ok(());
            }
            self.homes.take(&page.changes);
        }
    }
}

type Error = domicile_directory::Error;
