//! Cutover: the compare-and-swap in the directory that gives the group its new home.
//!
//! Sealing comes first: from there no clock un-fences, only the directory's answer does. An answer
//! that is lost is settled by a write, never by a read alone, since a statement whose client is gone may
//! still be waiting in the server (ATTACKS A1).

use crate::batch::{Batch, Side, Traveller, only, plain, without};
use crate::error::{Error, Result};
use crate::fence::{self, Fenced};
use crate::gateways::Parked;
use crate::pace;
use crate::verify::Verified;
use domicile_directory::{Settled, Swap};
use domicile_stores::planted::Bug;
use domicile_stores::records::{State, Transition};
use jiff::Timestamp;
use std::time::Instant;

/// The new home is the only home of these subjects; from here only forward.
pub(crate) struct CutOver {
    pub moved: Vec<Traveller>,
    /// When the pause began; `None` where an earlier worker fenced them.
    pub started: Option<(Instant, Timestamp)>,
    pub rechecked: u64,
    /// Their writes wait in the gateways.
    pub parked: Parked,
    pub rest: Verified,
}

pub(crate) async fn cutover(batch: &Batch<'_>, fenced: Fenced) -> Result<CutOver> {
    let Fenced { group, started, fenced_at, rechecked, parked, mut rest } = fenced;
    let seal = Transition { before_deadline: true, ..plain(&[State::Fenced], State::Sealed) };
    let seal = if Bug::SealEnds.is_planted() {
        Transition { deadline: Some(batch.limits().fence_deadline), ..seal }
    } else {
        seal
    };
    // CRASH: sealed subjects are settled with the directory when the route begins again.
    let sealed = batch.change(&group, seal).await?;
    let late = without(&group, &sealed);
    fence::unfence(batch, &late).await?;
    // The same was asked of the target since the last rows were written there (`fence::equal_now`).
    if let Err(error) = batch.outlives_a_fail_over(Side::Source).await {
        // No swap was sent: nothing can land. Where this fails, too, the route settles them when it begins again.
        let _ = batch.change(&sealed, plain(&[State::Sealed], State::Moving)).await;
        return Err(error);
    }
    let (moved, mut back) = swap(batch, &sealed).await?;
    back.extend(late);
    rest.travellers.extend(back);
    Ok(CutOver { moved, started: Some((started, fenced_at)), rechecked, parked, rest })
}

/// Swaps, settles what is unknown, and lets those that did not move be written again. Returns
/// (moved, not moved).
async fn swap(batch: &Batch<'_>, sealed: &[Traveller]) -> Result<(Vec<Traveller>, Vec<Traveller>)> {
    if sealed.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let swaps: Vec<Swap> = sealed.iter().map(|t| as_swap(batch, t)).collect();
    if Bug::ActivateFirst.is_planted() {
        batch.settle_states(Side::Target, sealed, plain(&[State::Arriving], State::Home)).await?;
    }
    let service = &batch.service.name;
    // CRASH: the swap may have landed or not; `settle` finds out.
    let answered = batch.service.directory.cutover(service, &swaps, &batch.target.id).await;
    let moved = only(sealed, &answered.unwrap_or_default());
    let unsure = without(sealed, &moved);
    let (more, back) = settle(batch, &unsure).await?;
    Ok((moved.into_iter().chain(more).collect(), back))
}

/// Settles sealed subjects one by one: (moved, cancelled). The cancelled are writable again at the
/// old home and carry the directory's new attempt.
pub(crate) async fn settle(
    batch: &Batch<'_>,
    sealed: &[Traveller],
) -> Result<(Vec<Traveller>, Vec<Traveller>)> {
    let (mut moved, mut back) = (Vec::new(), Vec::new());
    for t in sealed {
        match settle_one(batch, t).await? {
            Settled::Moved => moved.push(t.clone()),
            Settled::Cancelled { attempt } => back.push(Traveller { attempt, ..t.clone() }),
        }
    }
    batch.settle_states(Side::Source, &back, plain(&[State::Sealed], State::Moving)).await?;
    Ok((moved, back))
}

async fn settle_one(batch: &Batch<'_>, t: &Traveller) -> Result<Settled> {
    let until = Instant::now() + batch.limits().settle_wait;
    let mut round = 0;
    loop {
        let swap = as_swap(batch, t);
        match batch.service.directory.settle(&batch.service.name, &swap, &batch.target.id).await {
            Ok(settled) => return Ok(settled),
            Err(error) if Instant::now() > until => return Err(Error::Directory(error)),
            Err(_) => pace::back_off(round).await,
        }
        round += 1;
    }
}

fn as_swap(batch: &Batch<'_>, t: &Traveller) -> Swap {
    Swap { subject: t.subject.clone(), from: batch.source.id.clone(), epoch: t.epoch, attempt: t.attempt }
}
