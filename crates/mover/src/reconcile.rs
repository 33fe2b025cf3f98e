//! Reconcile: a region's database was restored from a backup, and rows of subjects came back that live elsewhere by
//! now, or do no longer live at all. They are shut first, all of them, then counted, and erased where that is asked
//! for.
//!
//! The directory decides: it was not restored. `judge` says what each row is, `shut` and `erased` do something about it.

mod erased;
mod half;
mod judge;
mod shut;

use crate::armed;
use crate::erase::Erased;
use crate::error::{At, Error, Result};
use crate::service::{Region, Service};
use domicile_datamap::layout::TableIx;
use domicile_stores::records::{HomeRow, Lease, Mode, State, SubjectFacts, SubjectId};
pub use half::May;
use judge::{Judge, Verdict};
use std::collections::BTreeMap;

/// Subjects looked at, shut and erased together.
const PAGE: u32 = 500;

/// What the names of its batches begin with: such a batch is of no wave.
pub(crate) const BATCH: &str = "reconcile-";

/// What was found at a region; counts of subjects where nothing else is said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reconciled {
    /// With rows here.
    pub looked_at: u64,
    /// Live elsewhere by the directory, and no wave explains their rows here. Shut, but for `still_written`.
    pub came_back: u64,
    /// Rows of those by table, those that were erased included.
    pub rows: BTreeMap<TableIx, u64>,
    /// Of `came_back`: their writers did not end, they are not shut.
    pub still_written: u64,
    /// Of `came_back`, where erasing was asked for: their home does not know them, or could not be asked. What is here
    /// may be the only copy.
    pub kept: u64,
    /// What was erased.
    pub erased: Erased,
    /// In a wave that is under way.
    pub in_wave: u64,
    /// Old copies that `domicile erase` or `guard disown` will remove.
    pub waiting: u64,
    /// Live here, and the backup had them in the middle of a wave that has ended since: they are at home again.
    pub put_back: u64,
    /// Live here by the directory, and are not here, or only as a copy that was not theirs to use. They were deleted, or
    /// came after the backup and are lost with it.
    pub lost: u64,
    /// Live here, and the backup has them as a half copy of a wave that is over, while a whole copy stands at another region.
    pub half: u64,
    /// Of `half`: removed, where erasing was asked for. They are `lost` then, and nothing is in the way of the whole copy.
    pub half_removed: u64,
    /// Live here as such a half copy, and no whole one was found: it may be all that is left.
    pub half_last: u64,
    /// Of `half_last`: writable from now on, where opening was asked for.
    pub half_opened: u64,
    /// Live here, and their rows are of an earlier stay: they moved away and came back after the backup.
    pub stale: u64,
    /// Live here by the directory, and the guard does not know them.
    pub unguarded: u64,
    /// The directory knows no home of theirs.
    pub unknown: u64,
    /// The guard only observes, since the backup is older than its `enforce`: what is shut is not refused yet.
    pub observing: bool,
    /// Batches of waves that are over, removed from the journal and the leases.
    pub batches: u64,
}

impl Reconciled {
    /// Nothing is left to do or to know.
    pub fn is_clean(&self) -> bool {
        let open = self.came_back - self.erased.subjects.min(self.came_back);
        let half = (self.half - self.half_removed) + (self.half_last - self.half_opened);
        let unsettled = open + half + self.lost + self.stale + self.unguarded + self.unknown;
        unsettled == 0 && !self.observing
    }
}

/// Was this row of the guard shut by [`run`]?
pub(crate) fn shut_it(row: &HomeRow) -> bool {
    row.state == State::Away && row.batch.as_deref().is_some_and(|batch| batch.starts_with(BATCH))
}

/// Looks at every subject with rows at the region. Those that live elsewhere and that no wave explains are shut, and, where
/// that may be, erased where their home knows them. Half copies of those who live here are settled. Safe to stop and to repeat.
///
/// # Errors
/// `NoGuard` where the guard is absent; `Region` and `Directory` as everywhere.
pub async fn run(service: &Service, region: &str, may: May) -> Result<Reconciled> {
    let here = service.region(region)?;
    let mode = here.records.status(false).await.at(here)?.mode;
    let Some(mode) = mode else { return Err(Error::NoGuard { region: region.to_owned() }) };
    // With `guard = "wave"` nothing is refused before the triggers are armed.
    let (name, wave_only) = (format!("{BATCH}{region}"), mode == Mode::Wave);
    armed::arm(here, &name, wave_only).await?;
    // Before the subjects are looked at: who comes meanwhile is not taken for lost.
    let homes_here = service.directory.counts(&service.name).await?.get(region).copied().unwrap_or(0);
    let judge = Judge::of(service, here).await?;
    let mut found = Reconciled { observing: mode == Mode::Observe, ..Reconciled::default() };
    let mut pages = Pages::of(service, &judge, here);
    while let Some(page) = pages.next().await? {
        found.put_back += shut::page(service, here, page).await?;
    }
    // Before anything is said or erased: a standby that takes this one's place must know that they are shut.
    here.records.wait_for_standbys(service.limits.standby_wait).await.at(here)?;
    half::settle(service, &judge, here, may, &mut found).await?;
    let mut met = Met::default();
    let mut pages = Pages::of(service, &judge, here);
    while let Some(page) = pages.next().await? {
        met.count(&page, &mut found);
        erased::page(service, here, &page, may.erase, &mut found).await?;
    }
    let absent = homes_here.saturating_sub(met.live_here + met.deleted(here).await?);
    found.lost = found.lost.max(absent.saturating_sub(met.half));
    found.batches = shut::close_ended(&judge, here).await?;
    armed::disarm(here, &name, wave_only).await?;
    Ok(found)
}

/// One subject with rows here, what the guard says of it, and the verdict.
struct Seen {
    subject: SubjectId,
    row: Option<HomeRow>,
    verdict: Verdict,
}

/// Whom the walk met.
#[derive(Default)]
struct Met {
    /// Live here by the directory, and are here.
    live_here: u64,
    /// Have a row of the guard that is neither `away` nor `arriving`.
    guarded: u64,
    /// Live here, and are here as a half copy.
    half: u64,
}

impl Met {
    fn count(&mut self, page: &[Seen], found: &mut Reconciled) {
        for seen in page {
            found.looked_at += 1;
            self.guarded += u64::from(seen.row.as_ref().is_some_and(|row| !is_shut(row.state)));
            let counter = match &seen.verdict {
                Verdict::AtHome | Verdict::PutBack { .. } => None,
                Verdict::InWave { .. } => Some(&mut found.in_wave),
                Verdict::Waiting => Some(&mut found.waiting),
                Verdict::Lost => Some(&mut found.lost),
                Verdict::Half => Some(&mut self.half),
                Verdict::Stale => Some(&mut found.stale),
                Verdict::Unguarded => Some(&mut found.unguarded),
                Verdict::Unknown => Some(&mut found.unknown),
                Verdict::CameBack { .. } => Some(&mut found.came_back),
            };
            self.live_here += u64::from(seen.verdict.lives_here());
            if let Some(counter) = counter {
                *counter += 1;
            }
        }
    }

    /// Subjects that the guard has at home here and that have no row any more: the application deleted them, and they
    /// are not lost.
    async fn deleted(&self, here: &Region) -> Result<u64> {
        let states = here.records.status(false).await.at(here)?.subjects;
        let guarded: u64 = states.iter().filter(|(state, _)| !is_shut(**state)).map(|(_, n)| n).sum();
        Ok(guarded.saturating_sub(self.guarded))
    }
}

fn is_shut(state: State) -> bool {
    matches!(state, State::Away | State::Arriving)
}

/// A walk over all subjects with rows here. It holds one page of them.
struct Pages<'a> {
    service: &'a Service,
    judge: &'a Judge,
    here: &'a Region,
    after: Option<SubjectId>,
}

impl<'a> Pages<'a> {
    fn of(service: &'a Service, judge: &'a Judge, here: &'a Region) -> Self {
        Self { service, judge, here, after: None }
    }

    async fn next(&mut self) -> Result<Option<Vec<Seen>>> {
        self.service.check_stop()?;
        let facts = self.here.records.subjects(self.after.as_ref(), PAGE).await.at(self.here)?;
        let Some(last) = facts.last() else { return Ok(None) };
        self.after = Some(last.subject.clone());
        let subjects: Vec<SubjectId> = facts.into_iter().map(|f: SubjectFacts| f.subject).collect();
        self.judge.page(self.service, self.here, subjects).await.map(Some)
    }
}

/// Takes the lease of a batch here: an old wave's that has the subjects in its hands, or one of our own.
async fn lease(here: &Region, batch: &str) -> Result<Lease> {
    here.records.take_lease(batch).await.at(here)
}
