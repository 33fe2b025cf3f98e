//! Leave: a subject goes back from the middle of a batch to its old home, as if nothing had been.

use crate::batch::{Batch, Traveller, ids, plain};
use crate::error::{At, Result};
use crate::objects;
use crate::progress::Event;
use crate::record::LeftCode;
use domicile_stores::records::{State, SubjectId};

/// Subjects that could not even be marked: nothing was copied.
pub(crate) async fn unmarked(
    batch: &Batch<'_>,
    travellers: &[Traveller],
    code: LeftCode,
    why: &str,
) -> Result<()> {
    said(batch, travellers, code, why).await
}

/// Subjects that are `moving`: the target is emptied of them first, then they are `home` again.
///
/// CRASH: between the two they are still `moving` at the source with no copy at the target; the route
/// marks nothing twice and copies again, abort comes here again.
pub(crate) async fn moving(
    batch: &Batch<'_>,
    travellers: &[Traveller],
    code: LeftCode,
    why: &str,
) -> Result<()> {
    if travellers.is_empty() {
        return Ok(());
    }
    let subjects = ids(travellers);
    let (target, lease) = (&batch.target.records, &batch.target_lease);
    let mut writing = target.begin(lease).await.at(batch.target)?;
    writing.clear(&subjects).await.at(batch.target)?;
    writing.commit().await.at(batch.target)?;
    objects::withdraw(batch, &subjects).await?;
    target.drop_homes(lease, &subjects, State::Arriving).await.at(batch.target)?;
    batch.change(travellers, plain(&[State::Moving], State::Home)).await?;
    forget_changes(batch, &subjects).await?;
    said(batch, travellers, code, why).await
}

/// Removes what was recorded for subjects that are `home` again. A writer still in flight may add an
/// entry afterwards; the next mark removes those.
async fn forget_changes(batch: &Batch<'_>, subjects: &[SubjectId]) -> Result<()> {
    loop {
        let mut snapshot = batch.source.records.snapshot().await.at(batch.source)?;
        let changes = snapshot.changes(subjects, batch.limits().catch_up_changes).await.at(batch.source)?;
        snapshot.close().await.at(batch.source)?;
        if changes.is_empty() {
            return Ok(());
        }
        let entries: Vec<i64> = changes.iter().map(|c| c.id).collect();
        batch.source.records.forget(&batch.source_lease, &entries).await.at(batch.source)?;
    }
}

async fn said(batch: &Batch<'_>, travellers: &[Traveller], code: LeftCode, why: &str) -> Result<()> {
    if travellers.is_empty() {
        return Ok(());
    }
    batch.note_left(travellers, code, why).await;
    batch.service.observer.event(Event::Left { subjects: travellers.len() as u64, why: why.to_owned() });
    batch.save().await
}
