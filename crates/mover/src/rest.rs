//! Rest: a paused wave whose worker died in the middle of a fence. Fences end by themselves, in the next writer; what is
//! sealed does not, and what is past its swap can be written nowhere. Whoever pauses the wave, and every worker that sees it
//! paused, brings such batches to a safe point and begins nothing.

use crate::batch::Batch;
use crate::error::{At, Error, Result};
use crate::hold::{Hold, LOOK_AGAIN};
use crate::route;
use crate::service::{Region, Service};
use crate::wave;
use domicile_directory::BatchInHand;
use domicile_stores::records::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

/// States in which nobody can write a subject at its old home.
const SHUT: [State; 4] = [State::Marking, State::Fencing, State::Fenced, State::Sealed];

/// Batches that were seen at rest, each with the token of its lease then: one that was taken since has a larger one.
pub(crate) type AtRest = BTreeMap<String, i64>;

/// What became of the subjects of a paused wave who were under a fence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rested {
    /// Their worker was gone: they can be written again, at the old home or at the new one.
    pub freed: u64,
    /// Their worker has them in hand and is alive: it finishes them.
    pub in_hand: u64,
}

/// Brings what a dead worker left under a fence to rest, and waits for the lease of one of whom it is not known yet.
///
/// # Errors
/// As `resume`.
pub async fn rest(service: &Arc<Service>, wave: &str) -> Result<Rested> {
    let (_, note) = wave::find(service, wave).await?;
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    // A worker that is alive renews within that time, and what is under its fence is through within a part of it.
    let patience = Instant::now() + service.limits.turn + LOOK_AGAIN * 2;
    let mut seen = AtRest::new();
    let mut rested = Rested::default();
    loop {
        let now = look(service, wave, &from, &to, &mut seen, &BTreeSet::new()).await?;
        rested = Rested { freed: rested.freed + now.freed, in_hand: now.in_hand };
        if rested.in_hand == 0 || Instant::now() > patience {
            return Ok(rested);
        }
        service.check_stop()?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// One look at all batches that anybody has taken; those that nobody has in hand are brought to rest, once. `mine`: this
/// process is at them.
pub(crate) async fn look(
    service: &Arc<Service>,
    wave: &str,
    from: &Region,
    to: &Region,
    seen: &mut AtRest,
    mine: &BTreeSet<String>,
) -> Result<Rested> {
    let mut rested = Rested::default();
    for batch in service.directory.batches_in_hand(wave).await? {
        if seen.get(&batch.batch) == Some(&batch.token) || mine.contains(&batch.batch) {
            continue;
        }
        let shut = shut(from, &batch).await?;
        if !batch.is_free_for(service.worker.as_str()) {
            rested.in_hand += shut;
            continue;
        }
        let mut token = batch.token;
        if shut > 0 {
            let Some(hold) = Hold::to_rest(service, wave, &batch.batch).await? else { continue };
            token = hold.token();
            let done = one(service, wave, from, to, &batch.batch, &hold).await;
            hold.give_back().await;
            done?;
            rested.freed += shut;
        }
        seen.insert(batch.batch, token);
    }
    Ok(rested)
}

/// Subjects of the batch whom nobody can write. They are in its hands, or it is none of its business.
async fn shut(from: &Region, batch: &BatchInHand) -> Result<u64> {
    let Some(row) = from.records.batch(&batch.batch).await.at(from)? else { return Ok(0) };
    let homes = from.records.homes(&row.subjects).await.at(from)?;
    let shut = homes.iter().filter(|h| SHUT.contains(&h.state) && h.batch.as_ref() == Some(&row.batch));
    Ok(shut.count() as u64)
}

async fn one(
    service: &Arc<Service>,
    wave: &str,
    from: &Region,
    to: &Region,
    id: &str,
    hold: &Hold,
) -> Result<()> {
    // One that overslept since it took the batch must not put another one out.
    hold.confirm().await?;
    let batch = Batch::take(service, wave, id, from, to, Arc::default()).await?;
    route::rest(&batch).await.map(drop)
}

/// A look of a worker that goes on by itself: what can't be seen now is looked at again.
pub(crate) async fn look_quietly(
    service: &Arc<Service>,
    wave: &str,
    from: &Region,
    to: &Region,
    seen: &mut AtRest,
    mine: &BTreeSet<String>,
) -> Result<()> {
    match look(service, wave, from, to, seen, mine).await {
        Err(error) if error.may_pass() || matches!(error, Error::TakenOver { .. }) => Ok(()),
        other => other.map(drop),
    }
}
