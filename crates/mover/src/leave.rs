//! Leave: a subject goes back from the middle of a batch to its old home, as if nothing had been.

use crate::batch::{Batch, Side, Traveller, ids, plain};
use crate::error::{At, Result};
use crate::objects;
use crate::progress::Event;
use crate::record::LeftCode;
use domicile_stores::records::{State, SubjectId};

/// States before the seal: a subject in one of them goes back without asking the directory.
const OPEN: [State; 4] = [State::Marking, State::Moving, State::Fencing, State::Fenced];

/// Empties the target of the subjects' copies, if there are any, and makes them `home` again: also those
/// that could not be marked, since a copy may be left of a mark that a crash forgot.
///
/// CRASH: between the two they are still `moving` at the source, and not `arriving` at the target; the
/// route copies them again, abort comes here again.
pub(crate) async fn go_back(
    batch: &Batch<'_>,
    travellers: &[Traveller],
    code: LeftCode,
    why: &str,
) -> Result<()> {
    if travellers.is_empty() {
        return Ok(());
    }
    let subjects = ids(travellers);
    clear_copies(batch, &subjects).await?;
    // A standby that takes the target's place must not bring a copy back: neither ours, nor one that somebody before us
    // cleared and did not live to wait for.
    batch.outlives_a_fail_over(Side::Target).await?;
    objects::withdraw(batch, &subjects).await?;
    batch.settle_states(Side::Source, travellers, plain(&OPEN, State::Home)).await?;
    said(batch, travellers, code, why).await
}

/// Rows and home go in one transaction: `arriving` without rows would be taken for a copy.
async fn clear_copies(batch: &Batch<'_>, subjects: &[SubjectId]) -> Result<()> {
    let target = &batch.target.records;
    let homes = target.homes(subjects).await.at(batch.target)?;
    // What is `away` there is an earlier move's, and its erase is not ours.
    let arriving = homes.into_iter().filter(|h| h.state == State::Arriving);
    let ours = arriving.filter(|h| h.batch.as_ref() == Some(&batch.id));
    let copied: Vec<SubjectId> = ours.map(|h| h.subject).collect();
    if copied.is_empty() {
        return Ok(());
    }
    let mut writing = target.begin(&batch.target_lease).await.at(batch.target)?;
    writing.clear(&copied).await.at(batch.target)?;
    writing.drop_arriving(&copied).await.at(batch.target)?;
    writing.commit().await.at(batch.target)
}

async fn said(batch: &Batch<'_>, travellers: &[Traveller], code: LeftCode, why: &str) -> Result<()> {
    if travellers.is_empty() {
        return Ok(());
    }
    batch.note_left(travellers, code, why).await;
    batch.service.observer.event(Event::Left {
        subjects: travellers.len() as u64,
        code: code.as_str(),
        why: why.to_owned(),
    });
    batch.save().await
}
