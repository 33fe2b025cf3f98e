//! Erase: after the grace period, remove a moved subject's objects and rows from the old region and
//! read back that nothing is left.
//!
//! Objects go before rows: as long as a row stands, the next try finds the objects it names. Rows go at the pace of
//! `[limits]`: a deleted row costs the old home's server as much as a written one, and its application still runs there.

use crate::batch::{Batch, Traveller};
use crate::error::{At, Error, Result};
use crate::limits::Limits;
use crate::paced::Paced;
use crate::progress::Event;
use crate::record::{Outcome, Reached};
use crate::{last_copy, objects, outside, reconcile};
use domicile_stores::records::{HomeRow, State, SubjectId};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Tries of one transaction against writers whose rows refer to those that go, some 20 s in all: it gives
/// way to them and never waits.
pub(crate) const GIVING_WAY_MAX: u32 = 40;

/// What one batch's erase removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Subjects.
    pub subjects: u64,
    /// Rows.
    pub rows: u64,
    /// Objects, all their listed versions counted.
    pub objects: u64,
}

/// Erases a batch's moved subjects at the source. Safe to repeat: what is gone is not counted twice.
pub(crate) async fn erase(batch: &Batch<'_>, now: Timestamp) -> Result<(Erased, Kept)> {
    let moved = moved(batch).await;
    if moved.is_empty() {
        batch.reached(Reached::Erased).await?;
        return Ok((Erased::default(), Kept::default()));
    }
    check_grace(batch, now).await?;
    // CRASH: homes already dropped were read back empty before; they only have to be written down.
    let Old { away, gone, back, coming } = old_copies(batch, moved).await?;
    note(batch, &gone, 0, 0).await?;
    note(batch, &back, 0, 0).await?;
    note_back(batch, &back).await;
    // A subject that was deleted is known at its home all the same: the guard's row stays.
    let known = last_copy::known_at_home(batch.service, &away).await?;
    let (moved, last): (Vec<_>, Vec<_>) = away.into_iter().partition(|t| known.contains(&t.subject));
    let kept = Kept { coming, last: last.len() as u64 };
    if moved.is_empty() {
        return all_gone(batch, kept, Erased::default()).await;
    }
    // Before a fail-over could forget the move, the old copy must not be gone.
    batch.source.records.wait_for_standbys(batch.limits().standby_wait).await.at(batch.source)?;
    // Nor may one of the new home.
    batch.target.records.wait_for_standbys(batch.limits().standby_wait).await.at(batch.target)?;
    let objects = erase_objects(batch, &moved).await?;
    let rows = erase_rows(batch, &moved).await?;
    let subjects: Vec<_> = moved.iter().map(|t| t.subject.clone()).collect();
    outside::read_back(batch.source, &subjects).await?;
    // CRASH: rows are gone and the guard's rows stand: the next try finds nothing to erase and comes here.
    batch.source.records.drop_homes(&batch.source_lease, &subjects, State::Away).await.at(batch.source)?;
    note(batch, &moved, rows, objects).await?;
    batch.service.observer.event(Event::Erased { rows, objects });
    all_gone(batch, kept, Erased { subjects: moved.len() as u64, rows, objects }).await
}

/// Old copies that an erase leaves alone, in subjects.
#[derive(Clone, Copy, Default)]
pub(crate) struct Kept {
    /// On their way back to the old home.
    coming: u64,
    /// Their home does not know them.
    last: u64,
}

impl Kept {
    /// Adds those of another batch.
    pub fn add(&mut self, other: Kept) {
        self.coming += other.coming;
        self.last += other.last;
    }

    fn is_none(self) -> bool {
        self.coming == 0 && self.last == 0
    }

    /// An error where a wave from `old` to `new` has to keep any.
    pub fn check(self, wave: &str, old: &str, new: &str) -> Result<()> {
        let (coming, last) = (self.coming, self.last);
        let back = format!(
            "another wave brings {coming} of its subjects back at this moment; when that one has ended, erase this again"
        );
        let lost = format!(
            "the home of {last} of its subjects does not know them, so their old copies at {old} may be the only ones and \
             are kept; was a backup from before their move restored? `domicile region reconcile {new}` says what is \
             missing there. What may go is erased; once everybody is back at home, erase this again"
        );
        let why = match (coming, last) {
            (0, 0) => return Ok(()),
            (_, 0) => back,
            (0, _) => lost,
            _ => format!("{lost}. And {back}"),
        };
        Err(Error::Kept { wave: wave.to_owned(), why, last: last > 0 })
    }
}

/// Writes down that the old home holds nothing of the batch any more, unless some old copies are kept.
async fn all_gone(batch: &Batch<'_>, kept: Kept, erased: Erased) -> Result<(Erased, Kept)> {
    if kept.is_none() {
        batch.reached(Reached::Erased).await?;
    } else {
        batch.save().await?;
    }
    Ok((erased, kept))
}

async fn note_back(batch: &Batch<'_>, back: &[Traveller]) {
    let mut record = batch.record.lock().await;
    for t in back {
        record.subjects.entry(t.subject.clone()).or_default().came_back = true;
    }
}

async fn moved(batch: &Batch<'_>) -> Vec<Traveller> {
    let record = batch.record.lock().await;
    let moved = record.subjects.iter().filter(|(_, n)| n.outcome == Outcome::Moved && n.erased_at.is_none());
    moved.map(|(s, n)| Traveller { subject: s.clone(), epoch: n.epoch, attempt: 0 }).collect()
}

/// What became of the moved subjects' old copies.
#[derive(Default)]
struct Old {
    /// As this batch left them.
    away: Vec<Traveller>,
    /// Erased already: their rows of the guard are gone.
    gone: Vec<Traveller>,
    /// The subject came back before: its old copy was cleared for the one that came with it, and what stands here
    /// now is its home, or what a later wave left.
    back: Vec<Traveller>,
    /// On their way back at this moment, the old copy cleared or not yet.
    coming: u64,
}

async fn old_copies(batch: &Batch<'_>, moved: Vec<Traveller>) -> Result<Old> {
    let subjects: Vec<_> = moved.iter().map(|t| t.subject.clone()).collect();
    let homes = batch.source.records.homes(&subjects).await.at(batch.source)?;
    let known: BTreeMap<SubjectId, HomeRow> = homes.into_iter().map(|r| (r.subject.clone(), r)).collect();
    let mut old = Old::default();
    for t in moved {
        match known.get(&t.subject) {
            None => old.gone.push(t),
            Some(row) if row.state == State::Arriving => old.coming += 1,
            Some(row) if row.epoch == t.epoch + 1 => old.away.push(t),
            Some(row) if row.epoch > t.epoch + 1 && !reconcile::shut_it(row) => old.back.push(t),
            // A restored backup brought it: the transaction that erases refuses it, and says so.
            Some(_) => old.away.push(t),
        }
    }
    Ok(old)
}

/// Finding 9: an UPDATE through a stale route finds no row and commits happily, and no trigger can
/// see it. So the old rows stand until every route's lease has ended.
async fn check_grace(batch: &Batch<'_>, now: Timestamp) -> Result<()> {
    let record = batch.record.lock().await;
    let last = record.subjects.values().filter_map(|n| n.activated_at).max().unwrap_or(now);
    let grace = SignedDuration::try_from(batch.limits().grace).unwrap_or(SignedDuration::MAX);
    let ends = last.checked_add(grace).unwrap_or(Timestamp::MAX);
    if now < ends {
        return Err(Error::Wave {
            wave: batch.wave.clone(),
            why: format!(
                "its grace period ends at {ends:.0}: until then a stale route may still write to the old home"
            ),
        });
    }
    Ok(())
}

async fn erase_objects(batch: &Batch<'_>, moved: &[Traveller]) -> Result<u64> {
    let Some(store) = &batch.source.objects else { return Ok(0) };
    let subjects: Vec<SubjectId> = moved.iter().map(|t| t.subject.clone()).collect();
    let mut snapshot = batch.source.records.snapshot().await.at(batch.source)?;
    let named = snapshot.objects(&subjects, None).await.at(batch.source)?;
    snapshot.close().await.at(batch.source)?;
    let keys = objects::sweep(batch, &subjects, &named).await?;
    let all: Vec<String> = keys.into_values().flatten().collect();
    let erased = store.erase(&all).await.at(batch.source)?;
    for key in &all {
        if store.head(key).await.at(batch.source)?.is_some() {
            return Err(Error::Differs(format!("{} still shows an object after its erase", store.name())));
        }
    }
    Ok(erased.objects)
}

async fn erase_rows(batch: &Batch<'_>, moved: &[Traveller]) -> Result<u64> {
    let subjects: Vec<(SubjectId, u64)> = moved.iter().map(|t| (t.subject.clone(), t.epoch + 1)).collect();
    let (paced, limit) = (Paced::erase_of(batch), rows_at_once(batch.limits()));
    let mut all = 0;
    loop {
        // Nothing is open and nobody is fenced: it may take as long as the pace wants.
        paced.turn().await?;
        let erased = outside::erase_next(batch.source, &batch.source_lease, &subjects, limit).await?;
        let rows = erased.values().sum::<u64>();
        if rows == 0 {
            return Ok(all);
        }
        all += rows;
        batch.service.pace.book_for_later(rows);
        batch.service.observer.event(Event::RowsErased { rows });
    }
}

/// A transaction is no more than a second's worth, where there is a ceiling.
fn rows_at_once(limits: &Limits) -> u32 {
    let per_s = limits.rows_per_s.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
    limits.erase_rows.min(per_s.max(1))
}

async fn note(batch: &Batch<'_>, moved: &[Traveller], rows: u64, objects: u64) -> Result<()> {
    let mut record = batch.record.lock().await;
    let now = Timestamp::now();
    for (at, t) in moved.iter().enumerate() {
        let note = record.subjects.entry(t.subject.clone()).or_default();
        note.erased_at = Some(now);
        // Rows are erased for the batch in common transactions; the sum stands on its first subject.
        if at == 0 {
            note.erased_rows += rows;
            note.erased_objects += objects;
        }
    }
    Ok(())
}
