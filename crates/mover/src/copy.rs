//! Copy: mark the subjects, then bring all their rows and objects, from one snapshot, to the target.

use crate::batch::{Batch, Traveller, ids, only, plain, without};
use crate::error::{At, Result};
use crate::gateways;
use crate::paced::Paced;
use crate::progress::Event;
use crate::record::{LeftCode, Reached};
use crate::{leave, objects, pace, tied};
use domicile_stores::planted::Bug;
use domicile_stores::records::{Pick, State, Transition};
use domicile_stores::{Snapshot, Writing};
use std::collections::BTreeMap;

/// The subjects a batch starts with.
pub(crate) struct Planned {
    pub travellers: Vec<Traveller>,
}

/// The target holds a copy as `arriving`; the source records what changes.
pub(crate) struct Copied {
    pub travellers: Vec<Traveller>,
}

pub(crate) async fn copy(batch: &Batch<'_>, planned: Planned) -> Result<Copied> {
    // CRASH: a copy that is made again is none until it is done.
    if batch.record.lock().await.reached > Reached::Planned {
        batch.reached(Reached::Planned).await?;
    }
    let travellers = leave_others(batch, planned.travellers).await?;
    let travellers = mark(batch, travellers).await?;
    let travellers = tied::stay(batch, travellers).await?;
    let subjects = ids(&travellers);
    if !subjects.is_empty() {
        let arriving: Vec<_> = travellers.iter().map(|t| (t.subject.clone(), t.epoch + 1)).collect();
        // CRASH: `arriving` rows without a copy are taken over when the batch is copied again, or
        // dropped by abort.
        batch.target.records.arrive(&batch.target_lease, &arriving).await.at(batch.target)?;
    }
    let travellers = copy_what_fits(batch, travellers).await?;
    // CRASH: before this, the copy is cleared and made again; after it, catch-up goes on from it.
    batch.reached(Reached::Copied).await?;
    Ok(Copied { travellers })
}

/// Those that no other wave has in hand: two plans may name the same subject, and its rows are copied by one.
async fn leave_others(batch: &Batch<'_>, travellers: Vec<Traveller>) -> Result<Vec<Traveller>> {
    let states = batch.source.records.homes(&ids(&travellers)).await.at(batch.source)?;
    let others = states.into_iter().filter(|h| h.batch.as_ref().is_some_and(|b| *b != batch.id));
    let others: Vec<_> = others.map(|h| h.subject).collect();
    let others = only(&travellers, &others);
    leave::go_back(batch, &others, LeftCode::Busy, "another wave has it in hand").await?;
    Ok(without(&travellers, &others))
}

/// Two steps, like the fence, so that no writer with an older snapshot passes unrecorded.
///
/// CRASH: after step 1 the subjects are `marking`; a writer puts them back to `home` once the
/// deadline has passed, and so does the route when it begins again.
async fn mark(batch: &Batch<'_>, travellers: Vec<Traveller>) -> Result<Vec<Traveller>> {
    let limits = batch.limits();
    let states = batch.source.records.homes(&ids(&travellers)).await.at(batch.source)?;
    let moving: Vec<_> = states.into_iter().filter(|h| h.state == State::Moving).map(|h| h.subject).collect();
    let mut marked = only(&travellers, &moving);
    for round in 0..limits.fence_tries {
        let rest = without(&travellers, &marked);
        if rest.is_empty() {
            break;
        }
        pace::back_off(round).await;
        // A few at a time, as under the fence: a group's writers are refused until its slowest is marked.
        for group in rest.chunks(limits.fence_subjects.max(1)) {
            marked.extend(mark_group(batch, group).await?);
        }
    }
    let rest = without(&travellers, &marked);
    leave::go_back(batch, &rest, LeftCode::Busy, "its writers did not pause long enough to mark it").await?;
    Ok(marked)
}

/// One try to mark a group. Returns those marked; the others are as they were.
async fn mark_group(batch: &Batch<'_>, group: &[Traveller]) -> Result<Vec<Traveller>> {
    let Some(parked) = gateways::park(batch, group).await? else { return Ok(Vec::new()) };
    let marked = mark_parked(batch, group).await;
    parked.lift(batch).await;
    marked
}

async fn mark_parked(batch: &Batch<'_>, group: &[Traveller]) -> Result<Vec<Traveller>> {
    let limits = batch.limits();
    let step1 = Transition { deadline: Some(limits.fence_deadline), ..plain(&[State::Home], State::Marking) };
    let begun = batch.change(group, step1).await?;
    let step2 = plain(&[State::Marking], State::Moving);
    let marked = if Bug::MarkNoGen.is_planted() {
        batch.change(&begun, step2).await?
    } else {
        batch.change_waiting(&begun, step2, limits.writer_wait).await?
    };
    batch.change(&without(&begun, &marked), plain(&[State::Marking], State::Home)).await?;
    Ok(marked)
}

/// Copies all in one go; where a unique value is taken at the target, halves show whose it is, and that
/// subject leaves the batch.
async fn copy_what_fits(batch: &Batch<'_>, travellers: Vec<Traveller>) -> Result<Vec<Traveller>> {
    let (mut parts, mut copied) = (vec![travellers], Vec::new());
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match copy_from_snapshot(batch, &ids(&part)).await {
            Ok(()) => copied.extend(part),
            Err(error) => match crate::catch_up::conflict(&error) {
                None => return Err(error),
                Some(why) if part.len() == 1 => leave::go_back(batch, &part, LeftCode::Taken, &why).await?,
                Some(_) => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([left.to_vec(), right.to_vec()]);
                }
            },
        }
    }
    Ok(copied)
}

async fn copy_from_snapshot(
    batch: &Batch<'_>,
    subjects: &[domicile_stores::records::SubjectId],
) -> Result<()> {
    let _turn = batch.service.pace.turn(batch).await?;
    bring_objects_first(batch, subjects).await?;
    let mut snapshot = batch.source.records.snapshot().await.at(batch.source)?;
    // Objects first: when the rows become visible at the target, what they name is there.
    let refs = snapshot.objects(subjects, None).await.at(batch.source)?;
    objects::bring(batch, &refs, objects::Bound::None).await?;
    objects::bring_listed(batch, subjects, &refs).await?;
    let mut writing = batch.target.records.begin(&batch.target_lease).await.at(batch.target)?;
    writing.clear(subjects).await.at(batch.target)?;
    let paced = Paced::copy_of(batch);
    let rows = load_tables(batch, snapshot.as_mut(), writing.as_mut(), subjects, &paced).await?;
    // CRASH: the whole copy is one transaction: it is there or it isn't.
    writing.commit().await.at(batch.target)?;
    snapshot.close().await.at(batch.source)?;
    batch.service.observer.event(Event::Copied { rows, bytes: paced.bytes() });
    // With nothing open: on SQLite it could not wait before.
    batch.service.pace.paid(batch).await
}

/// Where objects may have to wait, they do before the snapshot is opened that the rows are read in; in it
/// only what has come since is brought.
async fn bring_objects_first(
    batch: &Batch<'_>,
    subjects: &[domicile_stores::records::SubjectId],
) -> Result<()> {
    let may_wait = batch.service.pace.is_bounded() || batch.limits().has_ceilings();
    if !may_wait || batch.service.layout.objects.is_empty() {
        return Ok(());
    }
    let mut snapshot = batch.source.records.snapshot().await.at(batch.source)?;
    let refs = snapshot.objects(subjects, None).await.at(batch.source)?;
    snapshot.close().await.at(batch.source)?;
    objects::bring(batch, &refs, objects::Bound::None).await?;
    objects::bring_listed(batch, subjects, &refs).await.map(drop)
}

async fn load_tables(
    batch: &Batch<'_>,
    snapshot: &mut dyn Snapshot,
    writing: &mut dyn Writing,
    subjects: &[domicile_stores::records::SubjectId],
    paced: &Paced<'_>,
) -> Result<u64> {
    let tables = &batch.service.layout.tables;
    let mut loaded = BTreeMap::new();
    for table in 0..tables.len() {
        let rows = snapshot.rows(table, Pick::Subjects(subjects), true).await.at(batch.source)?;
        loaded.insert(table, writing.load(table, paced.rows(rows)).await.at(batch.target)?);
    }
    // Foreign keys that close a cycle were NULL; now that every row is there, write the rows whole.
    for (table, mapped) in tables.iter().enumerate() {
        if !mapped.null_first.is_empty() && loaded[&table] > 0 {
            let rows = snapshot.rows(table, Pick::Subjects(subjects), false).await.at(batch.source)?;
            writing.upsert(table, paced.rows(rows)).await.at(batch.target)?;
        }
    }
    Ok(loaded.values().sum())
}
