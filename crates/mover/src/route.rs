//! The route of one batch: the only place that branches on a stage.
//!
//! A batch that begins and one that goes on after a crash run the same loop: [`begin`] reads where
//! every subject stands from the two databases and the directory, and the loop does the rest. Each
//! stage takes the record of the one before, so a wrong order does not compile.

use crate::activate::activate;
use crate::batch::{Batch, Side, Traveller, ids, only, plain};
use crate::brought;
use crate::catch_up::{CaughtUp, catch_up};
use crate::copy::{Copied, Planned, copy};
use crate::cutover::{self, CutOver, cutover};
use crate::error::{At, Result};
use crate::fence::{Attempt, Fenced, fence, rehearse};
use crate::gateways::Parked;
use crate::progress::Event;
use crate::record::{LeftCode, Outcome, Reached};
use crate::verify::{Verified, verify};
use domicile_stores::records::{HomeRow, State, SubjectId};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::Semaphore;

/// Where a batch stands.
enum Stage {
    Planned(Planned),
    Copied(Copied),
    CaughtUp(CaughtUp),
    Verified(Verified),
    Fenced(Fenced),
    CutOver(CutOver),
    Activated,
}

/// Where a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// Every subject at its new home.
    Activated,
    /// Copied and compared; nothing is fenced (`move --rehearse`).
    Verified,
}

/// Runs a batch from wherever it stands. Each stage is boxed: a task would else be as large as the largest of them, and
/// all its callers with it. Who copies or compares takes one of the `places` meanwhile.
pub(crate) async fn run(batch: &Batch<'_>, until: Until, places: &Semaphore) -> Result<()> {
    let mut stage = Box::pin(begin(batch)).await?;
    loop {
        batch.service.observer.event(Event::Stage { batch: batch.id.clone(), stage: stage.name() });
        stage = match stage {
            Stage::Planned(planned) => {
                let _place = places.acquire().await;
                batch.check_stop()?;
                Stage::Copied(Box::pin(copy(batch, planned)).await?)
            }
            Stage::Copied(copied) => {
                batch.check_stop()?;
                Stage::CaughtUp(Box::pin(catch_up(batch, copied)).await?)
            }
            Stage::CaughtUp(caught_up) => {
                let _place = places.acquire().await;
                let verified = Box::pin(verify(batch, caught_up)).await?;
                if until == Until::Activated {
                    Box::pin(rehearse(batch, &verified)).await?;
                }
                Stage::Verified(verified)
            }
            Stage::Verified(_) if until == Until::Verified => return Ok(()),
            Stage::Verified(verified) if verified.travellers.is_empty() => Stage::Activated,
            Stage::Verified(verified) => {
                batch.check_stop()?;
                // A standby that is gone is noticed here, while everybody can be written, and not between
                // the seal and the swap.
                let wait = batch.limits().standby_wait;
                batch.source.records.wait_for_standbys(wait).await.at(batch.source)?;
                match Box::pin(fence(batch, verified)).await? {
                    Attempt::Fenced(fenced) => Stage::Fenced(fenced),
                    Attempt::Later(verified) => Stage::Verified(verified),
                    Attempt::CompareAgain(v) => Stage::CaughtUp(CaughtUp { travellers: v.travellers }),
                }
            }
            Stage::Fenced(fenced) => Stage::CutOver(Box::pin(cutover(batch, fenced)).await?),
            Stage::CutOver(cut) => Stage::Verified(Box::pin(activate(batch, cut)).await?),
            Stage::Activated => return batch.reached(Reached::Activated).await,
        };
    }
}

impl Stage {
    fn name(&self) -> &'static str {
        match self {
            Stage::Planned(_) => "copy",
            Stage::Copied(_) => "catch up",
            Stage::CaughtUp(_) => "verify",
            Stage::Verified(_) => "fence",
            Stage::Fenced(_) => "cutover",
            Stage::CutOver(_) => "activate",
            Stage::Activated => "activated",
        }
    }
}

/// Brings every subject to a state from which the loop can go on, whatever happened before, and
/// says which stage that is. For a new batch all subjects are `home` and this changes nothing.
async fn begin(batch: &Batch<'_>) -> Result<Stage> {
    batch.prints.compare(batch.source, batch.target).await?;
    let travellers = rest(batch).await?;
    let states = batch.source.records.homes(&ids(&travellers)).await.at(batch.source)?;
    let moving: Vec<_> = states.into_iter().filter(|h| h.state == State::Moving).map(|h| h.subject).collect();
    let reached = batch.record.lock().await.reached;
    let all_copied = reached >= Reached::Copied
        && only(&travellers, &moving).len() == travellers.len()
        && arriving(batch, &travellers).await?;
    if all_copied && !travellers.is_empty() {
        return Ok(Stage::Copied(Copied { travellers }));
    }
    if travellers.is_empty() && reached >= Reached::Copied {
        return Ok(Stage::Activated);
    }
    Ok(Stage::Planned(Planned { travellers }))
}

/// Brings a batch whose worker is gone to a safe point and begins nothing: who is past the swap is at home there, everybody
/// else can be written at the old home. Returns those who have not moved.
pub(crate) async fn rest(batch: &Batch<'_>) -> Result<Vec<Traveller>> {
    let standing = stand(batch).await?;
    finish_moved(batch, &standing.moved).await?;
    // Sealed subjects: only the directory knows. What moved is activated, what did not is `moving`.
    let (moved, back) = cutover::settle(batch, &standing.sealed).await?;
    finish_moved(batch, &moved).await?;
    let back_to_moving = plain(&[State::Fencing, State::Fenced], State::Moving);
    batch.settle_states(Side::Source, &standing.open, back_to_moving).await?;
    batch.settle_states(Side::Source, &standing.open, plain(&[State::Marking], State::Home)).await?;
    Ok(standing.open.into_iter().chain(back).collect())
}

/// Whether the target holds a copy of each of them for this batch.
async fn arriving(batch: &Batch<'_>, travellers: &[Traveller]) -> Result<bool> {
    let homes = batch.target.records.homes(&ids(travellers)).await.at(batch.target)?;
    let ours = |h: &&HomeRow| h.state == State::Arriving && h.batch.as_ref() == Some(&batch.id);
    Ok(homes.iter().filter(ours).count() == travellers.len())
}

/// Where the subjects of a batch stand by the directory and the source's guard.
struct Standing {
    /// The directory names the target: nothing to decide, only to finish.
    moved: Vec<Traveller>,
    sealed: Vec<Traveller>,
    /// At the source and not sealed.
    open: Vec<Traveller>,
}

async fn stand(batch: &Batch<'_>) -> Result<Standing> {
    let record = batch.record.lock().await.clone();
    let open: Vec<SubjectId> =
        record.subjects.iter().filter(|(_, n)| n.outcome == Outcome::Open).map(|(s, _)| s.clone()).collect();
    let homes = batch.service.directory.homes(&batch.service.name, &open).await?;
    let rows = batch.source.records.homes(&open).await.at(batch.source)?;
    let mut ours = in_hand(batch, &rows);
    let states: BTreeMap<_, _> = rows.into_iter().map(|row| (row.subject, row.state)).collect();
    ours.extend(in_hand(batch, &batch.target.records.homes(&open).await.at(batch.target)?));
    let mut standing = Standing { moved: Vec::new(), sealed: Vec::new(), open: Vec::new() };
    let mut lost = Vec::new();
    for (subject, home) in open.into_iter().zip(homes) {
        let Some(home) = home else {
            lost.push(Traveller { subject, epoch: 0, attempt: 0 });
            continue;
        };
        let mut t = Traveller { subject, epoch: home.epoch, attempt: home.attempt };
        let state = states.get(&t.subject);
        if home.region == batch.target.id && ours.contains(&t.subject) {
            t.epoch -= 1;
            standing.moved.push(t);
        } else if home.region != batch.source.id {
            lost.push(t);
        } else if state == Some(&State::Sealed) {
            standing.sealed.push(t);
        } else if state.is_some() {
            standing.open.push(t);
        } else {
            lost.push(t);
        }
    }
    batch.note_left(&lost, LeftCode::Gone, "it is not at home at the source any more").await;
    Ok(standing)
}

/// Those of the subjects that this batch has in its hands. A move to the same target that another wave made is that
/// wave's to finish, to erase and to put on its receipt.
fn in_hand(batch: &Batch<'_>, rows: &[HomeRow]) -> BTreeSet<SubjectId> {
    let ours = rows.iter().filter(|row| row.batch.as_ref() == Some(&batch.id));
    ours.map(|row| row.subject.clone()).collect()
}

/// Finishes what the directory has decided: `home` there, `away` here.
async fn finish_moved(batch: &Batch<'_>, moved: &[Traveller]) -> Result<()> {
    if moved.is_empty() {
        return Ok(());
    }
    brought::note(batch, moved).await?;
    let rest = Verified::nothing_left();
    let parked = Parked::nobody();
    activate(batch, CutOver { moved: moved.to_vec(), started: None, rechecked: 0, parked, rest }).await?;
    batch.save().await
}

/// Gives up a batch before its cutovers: every subject that has not moved goes back, noted with that
/// code and those words.
pub(crate) async fn give_up(batch: &Batch<'_>, code: LeftCode, why: &str) -> Result<()> {
    let standing = stand(batch).await?;
    finish_moved(batch, &standing.moved).await?;
    let (moved, back) = cutover::settle(batch, &standing.sealed).await?;
    finish_moved(batch, &moved).await?;
    let travellers: Vec<_> = standing.open.into_iter().chain(back).collect();
    crate::leave::go_back(batch, &travellers, code, why).await?;
    batch.reached(Reached::Activated).await
}

/// [`give_up`] because somebody asked for it.
pub(crate) async fn abort(batch: &Batch<'_>) -> Result<()> {
    give_up(batch, LeftCode::Aborted, "the wave was aborted").await
}
