//! Catch up: bring the rows that changed since the copy, as whole current rows, until few are left.

use crate::batch::{Batch, Traveller, ids, merge, minus};
use crate::copy::Copied;
use crate::error::{At, Error, Result};
use crate::objects::{self, Bound};
use crate::pace;
use crate::paced::Paced;
use crate::progress::Event;
use domicile_stores::planted::Bug;
use domicile_stores::records::{Change, KeySet, Pick, SubjectId};
use domicile_stores::{Snapshot, Writing};
use std::collections::BTreeSet;

/// Differences between the sides are only the newest.
pub(crate) struct CaughtUp {
    pub travellers: Vec<Traveller>,
}

/// What one round found.
pub(crate) struct Round {
    /// Entries read.
    pub changes: usize,
    /// Keys brought to the target or removed there.
    pub keys: KeySet,
    /// Entries that have been brought over and can be removed.
    pub entries: Vec<i64>,
    /// False: the target could not take the rows yet (a key another subject still holds); the
    /// entries stay for the next round.
    pub applied: bool,
    /// Why it could not, and whose entries wait.
    pub why: Option<String>,
    /// Subjects with entries in this round, where it was not applied.
    pub subjects: Vec<SubjectId>,
}

impl Round {
    pub(crate) fn applied(changes: usize, keys: KeySet) -> Self {
        Self { changes, keys, entries: Vec::new(), applied: true, why: None, subjects: Vec::new() }
    }
}

pub(crate) async fn catch_up(batch: &Batch<'_>, copied: Copied) -> Result<CaughtUp> {
    until_few(batch, &copied.travellers).await?;
    Ok(CaughtUp { travellers: copied.travellers })
}

/// Rounds until one saw few changes. Returns all keys touched: they must be compared again.
pub(crate) async fn until_few(batch: &Batch<'_>, travellers: &[Traveller]) -> Result<KeySet> {
    let subjects = ids(travellers);
    let mut touched = KeySet::new();
    for number in 0..batch.limits().verify_rounds {
        batch.check_stop()?;
        let mut snapshot = batch.source.records.snapshot().await.at(batch.source)?;
        let round = round(batch, snapshot.as_mut(), &subjects, Bound::None).await?;
        snapshot.close().await.at(batch.source)?;
        merge(&mut touched, round.keys);
        if round.changes <= batch.limits().catch_up_enough && round.applied {
            break;
        }
        if !round.applied {
            pace::back_off(number + 3).await;
        }
    }
    Ok(touched)
}

/// One round in one snapshot: [`bring`], and after the target's commit the entries are removed.
pub(crate) async fn round(
    batch: &Batch<'_>,
    snapshot: &mut dyn Snapshot,
    subjects: &[SubjectId],
    bound: Bound,
) -> Result<Round> {
    let round = bring(batch, snapshot, subjects, bound).await?;
    forget(batch, &round).await?;
    Ok(round)
}

/// Removes the entries of a round.
///
/// CRASH: they stay and are applied once more; applying is idempotent.
pub(crate) async fn forget(batch: &Batch<'_>, round: &Round) -> Result<()> {
    if round.entries.is_empty() {
        return Ok(());
    }
    batch.source.records.forget(&batch.source_lease, &round.entries).await.at(batch.source)
}

/// New entries, the current rows of their keys, and those rows at the target.
///
/// INVARIANT: the entries are removed only after this has returned, which is after the target's commit.
///
/// Under the fence (`bound` is set) rows of other subjects that are `arriving` or `away` at the
/// target may be pushed aside, and a conflict is an error; before it, a conflict leaves the entries.
pub(crate) async fn bring(
    batch: &Batch<'_>,
    snapshot: &mut dyn Snapshot,
    subjects: &[SubjectId],
    bound: Bound,
) -> Result<Round> {
    let changes = snapshot.changes(subjects, batch.limits().catch_up_changes).await.at(batch.source)?;
    if changes.is_empty() {
        return Ok(Round::applied(0, KeySet::new()));
    }
    batch.written.lock().await.extend(changes.iter().map(|c| c.subject.clone()));
    if Bug::ForgetFirst.is_planted() {
        let entries: Vec<i64> = changes.iter().map(|c| c.id).collect();
        batch.source.records.forget(&batch.source_lease, &entries).await.at(batch.source)?;
    }
    let outcome = match apply(batch, snapshot, subjects, &changes, bound, Way::Upsert).await {
        // A unique value changed hands inside the batch: upserts meet the old holder. Remove all
        // rows concerned first, with what hangs on them, then write them.
        Err(error) if error.in_the_way().is_some() => {
            let whole: Vec<Change> = changes.iter().map(|c| Change { subtree: true, ..c.clone() }).collect();
            apply(batch, snapshot, subjects, &whole, bound, Way::Replace).await
        }
        other => other,
    };
    match outcome {
        Ok(keys) => {
            let entries = changes.iter().map(|c| c.id).collect();
            Ok(Round { entries, ..Round::applied(changes.len(), keys) })
        }
        // Two batches that hand rows to each other may deadlock at the target; the next round tries again.
        Err(error) if error.is_again() && bound == Bound::None => {
            let why = format!("its writers and another batch kept getting in the way ({error})");
            let subjects = changes.iter().map(|c| c.subject.clone()).collect();
            let keys = snapshot.expand(&changes).await.at(batch.source)?;
            Ok(Round { applied: false, why: Some(why), subjects, ..Round::applied(changes.len(), keys) })
        }
        Err(error) if error.in_the_way().is_some() && bound == Bound::None => {
            // Finding 7: somebody else's row still holds a key. What left the batch goes, so that
            // the other side can go on; the entries stay for the next snapshot.
            let keys = apply(batch, snapshot, subjects, &changes, bound, Way::OnlyGone).await?;
            let why = conflict(&error).unwrap_or_default();
            batch.service.observer.event(Event::Again {
                batch: batch.id.clone(),
                code: "in-the-way",
                why: why.clone(),
            });
            let subjects = changes.iter().map(|c| c.subject.clone()).collect();
            Ok(Round { applied: false, why: Some(why), subjects, ..Round::applied(changes.len(), keys) })
        }
        Err(error) => Err(error),
    }
}

/// How rows get to the target.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Upsert what is there, then delete what is gone: a child that was given another parent is out
    /// of the old parent's way by then, and nothing cascades.
    Upsert,
    /// Delete all keys with their subtrees, then write what is there.
    Replace,
    /// Delete what is gone and nothing else.
    OnlyGone,
}

async fn apply(
    batch: &Batch<'_>,
    snapshot: &mut dyn Snapshot,
    subjects: &[SubjectId],
    changes: &[Change],
    bound: Bound,
    way: Way,
) -> Result<KeySet> {
    let mut keys = snapshot.expand(changes).await.at(batch.source)?;
    let mut writing = batch.target.records.begin(&batch.target_lease).await.at(batch.target)?;
    merge(&mut keys, writing.expand(changes).await.at(batch.target)?);
    let present = snapshot.owned(&keys, subjects).await.at(batch.source)?;
    drop_objects(batch, snapshot, writing.as_mut(), subjects, &keys).await?;
    if way != Way::OnlyGone {
        let refs = snapshot.objects(subjects, Some(&present)).await.at(batch.source)?;
        objects::bring(batch, &refs, bound).await?;
    }
    if way == Way::Replace {
        writing.delete(&keys, subjects).await.at(batch.target)?;
    }
    if bound != Bound::None {
        writing.push_aside(&present, subjects).await.at(batch.target)?;
    }
    if way != Way::OnlyGone {
        let paced = Paced::catch_up_of(batch);
        write_rows(batch, snapshot, writing.as_mut(), subjects, &present, &paced).await?;
    }
    writing.delete(&minus(&keys, &present), subjects).await.at(batch.target)?;
    // CRASH: all or nothing at the target; the entries at the source are still there.
    writing.commit().await.at(batch.target)?;
    Ok(keys)
}

/// Removes objects from the target that rows there name and no row at the source does any more: with a
/// row that was deleted during the move its object would stay behind, and no later move would find it.
///
/// CRASH: the target's rows, `arriving` still, name absent objects; the entries are there and the next round
/// takes the rows away.
async fn drop_objects(
    batch: &Batch<'_>,
    snapshot: &mut dyn Snapshot,
    writing: &mut dyn Writing,
    subjects: &[SubjectId],
    keys: &KeySet,
) -> Result<()> {
    if batch.service.layout.objects.is_empty() {
        return Ok(());
    }
    let there = writing.objects(subjects, Some(keys)).await.at(batch.target)?;
    if there.is_empty() {
        return Ok(());
    }
    // All of the subjects' rows are asked: an unchanged one may name the same object.
    let named = snapshot.objects(subjects, None).await.at(batch.source)?;
    let named: BTreeSet<&str> = named.iter().map(|r| r.key.as_str()).collect();
    let gone = there.into_iter().map(|r| r.key).filter(|key| !named.contains(key.as_str()));
    objects::forget(batch, &gone.collect::<Vec<_>>()).await
}

async fn write_rows(
    batch: &Batch<'_>,
    snapshot: &mut dyn Snapshot,
    writing: &mut dyn Writing,
    subjects: &[SubjectId],
    present: &KeySet,
    paced: &Paced<'_>,
) -> Result<()> {
    for (&table, keys) in present {
        let rows = snapshot.rows(table, Pick::Keys(keys, subjects), true).await.at(batch.source)?;
        writing.upsert(table, paced.rows(rows)).await.at(batch.target)?;
    }
    for (&table, keys) in present {
        if !batch.service.layout.tables[table].null_first.is_empty() {
            let rows = snapshot.rows(table, Pick::Keys(keys, subjects), false).await.at(batch.source)?;
            writing.upsert(table, paced.rows(rows)).await.at(batch.target)?;
        }
    }
    Ok(())
}

/// The constraint a conflict named, for words to the user.
pub(crate) fn conflict(error: &Error) -> Option<String> {
    let (table, constraint) = error.in_the_way()?;
    Some(if error.is_referred() {
        format!("rows at the target still refer to a row of {table} by `{constraint}`")
    } else {
        format!("a value of unique constraint `{constraint}` of {table} is taken at the target")
    })
}
