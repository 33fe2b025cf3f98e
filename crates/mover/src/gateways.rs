//! The barrier between gateways and what refuses writes: a mark, a fence.
//!
//! Gateways hold the writes of parked subjects, and say when none that they let through is under way any more. So a fence
//! behind gateways refuses nobody. It keeps no data safe, the guard does: a gateway that is not listened to costs a
//! refused write, which its application answers with 421 and the gateway repeats.

use crate::batch::{Batch, Traveller};
use crate::error::{Error, Result};
use crate::pace;
use domicile_directory::{GatewaySeen, SubjectHash};
use std::time::{Duration, Instant};

/// How often the gateways' answers are looked for. A look is one small question to the control store, which stands beside the worker.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// A gateway renews its lease every second: one that is later than this is probably gone. Nobody is parked while
/// its lease runs out, or everybody would wait for as long.
const LATE: Duration = Duration::from_millis(1500);
/// How often a late one is looked for, and for how long: longer than any lease.
const LOOK_LATE_EVERY: Duration = Duration::from_millis(50);
const LATE_MAX: Duration = Duration::from_secs(15);
/// A park outlives the fence's deadline by this: what comes after the seal has no deadline.
const PARK_LONGER: Duration = Duration::from_secs(3);

/// A park that stands, if there is any gateway to hold writes.
#[derive(Debug)]
#[must_use = "the gateways hold writes until it is lifted"]
pub(crate) struct Parked(Option<u64>);

impl Parked {
    /// Nobody is parked.
    pub fn nobody() -> Self {
        Self(None)
    }

    /// Lets the writes go on to the home that the directory names now. A park that cannot be lifted ends by itself.
    pub async fn lift(self, batch: &Batch<'_>) {
        if let Some(number) = self.0 {
            // CRASH: the gateways hold what they hold until the park's own end.
            let _ = batch.service.directory.unpark(&batch.service.name, number).await;
        }
    }
}

/// Has the gateways hold the group's writes. `None`: one of them has a write under way for too long, or is gone and its
/// lease still runs; nobody is parked.
///
/// A control store that is away is asked again, as after the seal: nobody is shut yet, so nobody waits for it.
pub(crate) async fn park(batch: &Batch<'_>, group: &[Traveller]) -> Result<Option<Parked>> {
    let until = Instant::now() + batch.limits().settle_wait;
    let mut round = 0;
    loop {
        match try_to_park(batch, group).await {
            Err(Error::Directory(error)) if error.is_unreachable() && Instant::now() < until => {
                round += 1;
                pace::back_off(round).await;
                batch.check_stop()?;
            }
            tried => return tried,
        }
    }
}

async fn try_to_park(batch: &Batch<'_>, group: &[Traveller]) -> Result<Option<Parked>> {
    let (directory, service) = (&batch.service.directory, &batch.service.name);
    if !directory.has_gateways(service).await.map_err(Error::Directory)? {
        return Ok(Some(Parked::nobody()));
    }
    match none_late(batch).await? {
        None => return Ok(None),
        Some(0) => return Ok(Some(Parked::nobody())),
        Some(_) => {}
    }
    let hashes: Vec<SubjectHash> = group.iter().map(|t| directory.hash(service, &t.subject)).collect();
    let ttl = batch.limits().fence_deadline + PARK_LONGER;
    let (number, gateways) = directory.park(service, &hashes, ttl).await.map_err(Error::Directory)?;
    let parked = Parked(Some(number));
    if !gateways.iter().any(|g| g.is_live) {
        return Ok(Some(parked));
    }
    match all_have_seen(batch, number).await {
        Ok(true) => Ok(Some(parked)),
        Ok(false) => {
            parked.lift(batch).await;
            Ok(None)
        }
        Err(error) => {
            parked.lift(batch).await;
            Err(error)
        }
    }
}

/// Waits until every gateway has either renewed its lease lately or lost it; how many there are then. `None`: one is late
/// again and again.
async fn none_late(batch: &Batch<'_>) -> Result<Option<usize>> {
    let until = Instant::now() + LATE_MAX;
    loop {
        let seen = batch.service.directory.gateways(&batch.service.name).await.map_err(Error::Directory)?;
        let live: Vec<&GatewaySeen> = seen.iter().filter(|g| g.is_live).collect();
        if live.iter().all(|g| g.ago <= LATE) {
            return Ok(Some(live.len()));
        }
        if Instant::now() > until {
            return Ok(None);
        }
        tokio::time::sleep(LOOK_LATE_EVERY).await;
    }
}

async fn all_have_seen(batch: &Batch<'_>, number: u64) -> Result<bool> {
    let until = Instant::now() + batch.limits().gateway_wait;
    loop {
        let unseen = batch.service.directory.park_unseen(&batch.service.name, number).await;
        if unseen.map_err(Error::Directory)?.is_empty() {
            return Ok(true);
        }
        if Instant::now() > until {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
