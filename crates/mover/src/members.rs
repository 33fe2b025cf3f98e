//! Who belongs to a wave: the plan's list, looked at again, cut into batches.

use crate::batch::json;
use crate::batches::{self, Run};
use crate::error::{At, Error, Result};
use crate::journal;
use crate::plan::{PlannedMove, SetHash, class_of};
use crate::record::{LeftCode, Outcome, Reached, Record, SubjectNote};
use crate::service::{Region, Service};
use crate::wave::WaveNote;
use domicile_policy::{Circumstances, Placer};
use domicile_stores::records::{BatchRow, SubjectId};
use std::collections::{BTreeMap, HashSet};

/// Subjects of a list read and looked up at once, in batches: ids of one page are all that a wave's beginning
/// holds of its list.
const PAGE_BATCHES: usize = 10;

/// Subjects of the list that do not move after all, by reason.
pub type Skipped = BTreeMap<String, u64>;

/// [`Error::Stale`] where the list at the source is not the one the plan was made with.
pub(crate) async fn check_list(service: &Service, from: &Region, planned: &PlannedMove) -> Result<()> {
    let (mut hash, mut after) = (SetHash::default(), None);
    loop {
        let page = page_of_list(service, from, &planned.list, after.as_ref()).await?;
        page.iter().for_each(|subject| hash.add(service, subject));
        let Some(last) = page.into_iter().next_back() else { break };
        after = Some(last);
    }
    if hash.hex() != planned.list_hash {
        let why = format!("the list of subjects at {} is not the one it was made with", from.id);
        return Err(Error::Stale(why));
    }
    Ok(())
}

async fn page_of_list(
    service: &Service,
    from: &Region,
    list: &str,
    after: Option<&SubjectId>,
) -> Result<Vec<SubjectId>> {
    let limit = service.limits.batch_subjects.max(1).saturating_mul(PAGE_BATCHES);
    from.records.list(list, after, u32::try_from(limit).unwrap_or(u32::MAX)).await.at(from)
}

/// Cuts the list into batches, leaving out who is in one already or does not move after all. Safe to repeat.
pub(crate) async fn open_batches(
    service: &Service,
    from: &Region,
    wave: &str,
    note: &WaveNote,
) -> Result<Skipped> {
    let existing = from.records.batch_ids(wave).await.at(from)?;
    let mut number = existing.last().map_or(0, |id| journal::number(id));
    let taken = from.records.count_members(wave).await.at(from)?;
    let mut room = note.first.map_or(u64::MAX, |first| first.saturating_sub(taken));
    let size = service.limits.batch_subjects.max(1);
    let (mut rest, mut skipped) = (Rest::of(service, from, wave, note), Skipped::new());
    let mut going = Vec::new();
    while let Some(page) = rest.next().await? {
        for (reason, subjects) in page.skipped {
            *skipped.entry(reason).or_default() += subjects;
        }
        let fits = (page.going.len() as u64).min(room);
        room -= fits;
        going.extend(page.going.into_iter().take(fits as usize));
        // Only whole batches, until the last page: a page's end is no reason for a small one.
        let whole = going.len() - going.len() % size;
        let tail = going.split_off(whole);
        number = write_batches(from, wave, number, &going, size).await?;
        going = tail;
    }
    write_batches(from, wave, number, &going, size).await?;
    Ok(skipped)
}

/// Whether nobody of the list waits for a later `move` (`--first`).
pub(crate) async fn all_listed(
    service: &Service,
    from: &Region,
    wave: &str,
    note: &WaveNote,
) -> Result<bool> {
    let mut rest = Rest::of(service, from, wave, note);
    while let Some(page) = rest.next().await? {
        if !page.going.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The subjects of the list that are in no batch of the wave, page by page.
struct Rest<'a> {
    service: &'a Service,
    from: &'a Region,
    wave: &'a str,
    note: &'a WaveNote,
    after: Option<SubjectId>,
}

/// What one page of the list holds.
struct Page {
    going: Vec<SubjectId>,
    skipped: Skipped,
}

impl<'a> Rest<'a> {
    fn of(service: &'a Service, from: &'a Region, wave: &'a str, note: &'a WaveNote) -> Self {
        Self { service, from, wave, note, after: None }
    }

    async fn next(&mut self) -> Result<Option<Page>> {
        let list = &self.note.planned.list;
        let page = page_of_list(self.service, self.from, list, self.after.as_ref()).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = Some(last.clone());
        let taken = self.from.records.members(self.wave, &page).await.at(self.from)?;
        let taken: HashSet<SubjectId> = taken.into_iter().collect();
        let rest: Vec<_> = page.into_iter().filter(|s| !taken.contains(s)).collect();
        if rest.is_empty() {
            return Ok(Some(Page { going: Vec::new(), skipped: Skipped::new() }));
        }
        self.still_going(&rest).await.map(Some)
    }

    /// Looks at each subject again: still at home here, and policy still sends it there. The plan may be
    /// hours old; nobody is moved on yesterday's country.
    async fn still_going(&self, subjects: &[SubjectId]) -> Result<Page> {
        let service = self.service;
        let here = service.places.iter().position(|place| place.id == self.from.id);
        let categories = service.layout.categories();
        let circumstances = Circumstances {
            categories: &categories,
            regions: &service.places,
            latency: &service.rules.latency,
            today: self.note.today,
            mechanisms: &service.rules.mechanisms,
            for_latency: self.note.for_latency,
        };
        let homes = service.directory.homes(&service.name, subjects).await?;
        let facts = self.from.records.facts(subjects).await.at(self.from)?;
        let facts: BTreeMap<_, _> = facts.into_iter().map(|f| (f.subject.clone(), f)).collect();
        let mut placer = Placer::new(&service.rules.policies, circumstances);
        let mut page = Page { going: Vec::new(), skipped: Skipped::new() };
        for (subject, home) in subjects.iter().zip(homes) {
            let reason = match (home, facts.get(subject)) {
                (None, _) => Some("the directory has no home for it (domicile guard backfill gives it one)"),
                (Some(home), _) if home.region != self.from.id => Some("it has moved already"),
                (_, None) => Some("it was deleted since the plan"),
                (_, Some(facts)) => {
                    let id = placer.intern(&class_of(facts));
                    let home = placer.place(id, here).and_then(|p| p.home.clone());
                    (home.as_deref() != Some(self.note.planned.to.as_str()))
                        .then_some("policy sends it elsewhere since its country or flags changed")
                }
            };
            match reason {
                None => page.going.push(subject.clone()),
                Some(reason) => *page.skipped.entry(reason.to_owned()).or_default() += 1,
            }
        }
        Ok(page)
    }
}

/// Writes batches of `size` subjects numbered on from `number`; the last number given.
async fn write_batches(
    from: &Region,
    wave: &str,
    number: u64,
    subjects: &[SubjectId],
    size: usize,
) -> Result<u64> {
    let rows: Result<Vec<BatchRow>> = (number + 1..)
        .zip(subjects.chunks(size))
        .map(|(number, part)| {
            let notes = part.iter().map(|s| (s.clone(), SubjectNote::default())).collect();
            let record = Record { reached: Reached::Planned, subjects: notes };
            Ok(BatchRow {
                batch: format!("{wave}/{number:05}"),
                wave: wave.to_owned(),
                subjects: part.to_vec(),
                record: serde_json::to_value(&record).map_err(json)?,
            })
        })
        .collect();
    let rows = rows?;
    if !rows.is_empty() {
        // CRASH: all batches of this page of the list are there or none; opening again leaves out who is in one.
        from.records.open_batches(&rows).await.at(from)?;
    }
    Ok(number + rows.len() as u64)
}

/// Opens the batches of subjects that left theirs because of busy writers once more, and says how many
/// they are. A value taken at the target is tried again, too: where it stood in another batch's copy of a
/// row that was re-owned, that batch has removed it by now.
pub(crate) async fn regroup_stragglers(run: &Run) -> Result<u64> {
    let mut again = 0;
    for batch in journal::batches(&run.from, &run.wave).await? {
        if stragglers(&mut journal::record(&run.from, &run.wave, &batch).await?) == 0 {
            continue;
        }
        let hold = batches::in_hand(run, &batch).await?;
        let regrouped = regroup(run, &batch).await;
        hold.give_back().await;
        again += regrouped?;
    }
    Ok(again)
}

async fn regroup(run: &Run, batch: &str) -> Result<u64> {
    // Read again under the lease: what another worker wrote meanwhile is not written over.
    let lease = run.from.records.take_lease(batch).await.at(&run.from)?;
    let mut record = journal::record(&run.from, &run.wave, batch).await?;
    let here = stragglers(&mut record);
    if here > 0 {
        record.reached = Reached::Planned;
        let record = serde_json::to_value(&record).map_err(json)?;
        run.from.records.put_batch(&lease, &record).await.at(&run.from)?;
    }
    Ok(here)
}

/// Makes subjects that may be tried again new ones, and says how many they are.
fn stragglers(record: &mut Record) -> u64 {
    let mut here = 0;
    for note in record.subjects.values_mut() {
        if matches!(&note.outcome, Outcome::Left { code: LeftCode::Busy | LeftCode::Taken, .. }) {
            *note = SubjectNote::default();
            here += 1;
        }
    }
    here
}
