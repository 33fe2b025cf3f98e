//! Follows the directory: keeps this gateway's lease, takes every move from the feed, and parks whom the mover names.
//!
//! What is new is asked for with one small question, often while a wave is under way and seldom otherwise. The lease is counted
//! from before it was asked for, so this gateway stops routing before the mover stops waiting for it.

use super::count::{Counts, one};
use super::home::Homes;
use super::park::{Lanes, Parks};
use domicile_directory::{Cursor, Directory, Heads};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often is asked while a wave is under way: a parked write waits for about so long beyond its fence.
const OFTEN: Duration = Duration::from_millis(3);
/// How often otherwise: the first park of a wave waits for as long.
const SELDOM: Duration = Duration::from_millis(100);
/// The lease is renewed after this part of it.
const RENEW_AFTER: u32 = 3;
/// Entries of the feed in one page.
const PAGE: u32 = 1000;
/// A renewal that takes longer is as good as none.
const RENEW_MAX: Duration = Duration::from_secs(2);

/// What the requests' side knows of the follower.
pub(super) struct Lease {
    until: Mutex<Instant>,
    /// Grows with everything that was taken: who waits for a change hears of it.
    pub news: watch::Sender<u64>,
}

impl Lease {
    pub fn new() -> Self {
        Self { until: Mutex::new(Instant::now()), news: watch::Sender::new(0) }
    }

    /// May requests be routed?
    pub fn holds(&self) -> bool {
        Instant::now() < *self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn extend(&self, until: Instant) {
        let mut known = self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *known = until.max(*known);
    }

    /// From now on nothing is routed.
    pub fn end(&self) {
        *self.until.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
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
    /// Follows until the task is dropped. The first lease is taken and the feed's head read before it returns from [`Follower::begin`].
    pub async fn run(self, mut cursor: Cursor) {
        let (mut heads, mut parks) = (Heads { homes: cursor.sequence, ..Heads::default() }, Parks::default());
        let mut renewed = Instant::now();
        loop {
            if renewed.elapsed() > self.ttl / RENEW_AFTER {
                match self.renew(&mut heads, &mut cursor, &mut parks).await {
                    Ok(()) => renewed = Instant::now(),
                    Err(()) => one(&self.counts.lease_lost),
                }
            }
            match self.look(&mut heads, &mut cursor, &mut parks).await {
                Ok(true) => self.lease.news.send_modify(|n| *n += 1),
                Ok(false) => {}
                // The directory is away: what is in memory holds for as long as the lease does, and no longer.
                Err(_) => tokio::time::sleep(SELDOM).await,
            }
            let pause = if heads.is_moving || parks.any() { OFTEN } else { SELDOM };
            tokio::time::sleep(pause).await;
        }
    }

    /// Takes the first lease and reads where the feed is.
    ///
    /// # Errors
    /// The directory's.
    pub async fn begin(&self) -> Result<Cursor, domicile_directory::Error> {
        // The feed's head first: what changes while the lease is taken is read afterwards.
        let cursor = Cursor::after(self.directory.version(&self.service).await?);
        let asked = Instant::now();
        self.directory.renew_gateway(&self.service, &self.gateway, self.ttl).await?;
        self.lease.extend(asked + self.ttl);
        Ok(cursor)
    }

    async fn renew(&self, heads: &mut Heads, cursor: &mut Cursor, parks: &mut Parks) -> Result<(), ()> {
        let asked = Instant::now();
        let renewal = self.directory.renew_gateway(&self.service, &self.gateway, self.ttl);
        match tokio::time::timeout(RENEW_MAX.min(self.ttl), renewal).await {
            Ok(Ok(())) => {}
            _ => return Err(()),
        }
        if !self.lease.holds() {
            // The mover did not wait for this gateway meanwhile: what it missed is taken before anything is routed.
            self.look(heads, cursor, parks).await.map_err(drop)?;
        }
        self.lease.extend(asked + self.ttl);
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
