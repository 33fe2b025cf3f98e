//! Who belongs to a wave: the plan's list, looked at again, cut into batches.

use crate::batch::json;
use crate::error::{At, Error, Result};
use crate::plan::{PlannedMove, class_of, list_hash};
use crate::record::{LeftCode, Outcome, Reached, Record, SubjectNote};
use crate::service::{Region, Service};
use crate::wave::WaveNote;
use domicile_policy::{Circumstances, Placer};
use domicile_stores::records::{BatchRow, SubjectId};
use std::collections::{BTreeMap, BTreeSet};

/// Subjects read or looked up at once.
const PAGE: u32 = 5_000;

/// Subjects of the list that do not move after all, by reason.
pub type Skipped = BTreeMap<String, u64>;

/// [`Error::Stale`] where the list at the source is not the one the plan was made with.
pub(crate) async fn check_list(service: &Service, from: &Region, planned: &PlannedMove) -> Result<()> {
    let list = whole_list(from, &planned.list).await?;
    if list_hash(service, &list) != planned.list_hash {
        let why = format!("the list of subjects at {} is not the one it was made with", from.id);
        return Err(Error::Stale(why));
    }
    Ok(())
}

async fn whole_list(from: &Region, list: &str) -> Result<Vec<SubjectId>> {
    let mut all = Vec::new();
    loop {
        let page = from.records.list(list, all.last(), PAGE).await.at(from)?;
        if page.is_empty() {
            all.sort();
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Cuts the list into batches, leaving out who is in one already or does not move after all. Safe to repeat.
pub(crate) async fn open_batches(
    service: &Service,
    from: &Region,
    wave: &str,
    note: &WaveNote,
) -> Result<Skipped> {
    let existing = from.records.batches(wave).await.at(from)?;
    let taken: BTreeSet<SubjectId> = existing.iter().flat_map(|b| b.subjects.iter().cloned()).collect();
    let (mut going, skipped) = rest_of_list(service, from, note, &taken).await?;
    if let Some(first) = note.first {
        going.truncate((first as usize).saturating_sub(taken.len()));
    }
    write_batches(service, from, wave, existing.len(), going).await?;
    Ok(skipped)
}

/// Whether nobody of the list waits for a later `move` (`--first`).
pub(crate) async fn all_listed(
    service: &Service,
    from: &Region,
    wave: &str,
    note: &WaveNote,
) -> Result<bool> {
    let existing = from.records.batches(wave).await.at(from)?;
    let taken: BTreeSet<SubjectId> = existing.into_iter().flat_map(|b| b.subjects).collect();
    Ok(rest_of_list(service, from, note, &taken).await?.0.is_empty())
}

async fn rest_of_list(
    service: &Service,
    from: &Region,
    note: &WaveNote,
    taken: &BTreeSet<SubjectId>,
) -> Result<(Vec<SubjectId>, Skipped)> {
    let list = whole_list(from, &note.planned.list).await?;
    still_going(service, from, note, list.into_iter().filter(|s| !taken.contains(s)).collect()).await
}

/// Looks at each subject again: still at home here, and policy still sends it there. The plan may be
/// hours old; nobody is moved on yesterday's country.
async fn still_going(
    service: &Service,
    from: &Region,
    note: &WaveNote,
    list: Vec<SubjectId>,
) -> Result<(Vec<SubjectId>, Skipped)> {
    let places: Vec<domicile_policy::Region> = service.regions.values().map(|r| r.place.clone()).collect();
    let here = service.regions.keys().position(|id| *id == from.id);
    let categories = service.layout.categories();
    let circumstances = Circumstances {
        categories: &categories,
        regions: &places,
        latency: &service.rules.latency,
        today: note.today,
        mechanisms: &service.rules.mechanisms,
        for_latency: note.for_latency,
    };
    let mut placer = Placer::new(&service.rules.policies, circumstances);
    let (mut going, mut skipped) = (Vec::new(), Skipped::new());
    for part in list.chunks(PAGE as usize) {
        let homes = service.directory.homes(&service.name, part).await?;
        let facts = from.records.facts(part).await.at(from)?;
        let facts: BTreeMap<_, _> = facts.into_iter().map(|f| (f.subject.clone(), f)).collect();
        for (subject, home) in part.iter().zip(homes) {
            let reason = match (home, facts.get(subject)) {
                (None, _) => Some("the directory has no home for it"),
                (Some(home), _) if home.region != from.id => Some("it has moved already"),
                (_, None) => Some("it was deleted since the plan"),
                (_, Some(facts)) => {
                    let id = placer.intern(&class_of(facts));
                    let home = placer.place(id, here).and_then(|p| p.home.clone());
                    (home.as_deref() != Some(note.planned.to.as_str()))
                        .then_some("policy sends it elsewhere since its country or flags changed")
                }
            };
            match reason {
                None => going.push(subject.clone()),
                Some(reason) => *skipped.entry(reason.to_owned()).or_default() += 1,
            }
        }
    }
    Ok((going, skipped))
}

async fn write_batches(
    service: &Service,
    from: &Region,
    wave: &str,
    existing: usize,
    subjects: Vec<SubjectId>,
) -> Result<()> {
    let parts = subjects.chunks(service.limits.batch_subjects.max(1)).enumerate();
    let rows: Result<Vec<BatchRow>> = parts
        .map(|(at, part)| {
            let notes = part.iter().map(|s| (s.clone(), SubjectNote::default())).collect();
            let record = Record { reached: Reached::Planned, subjects: notes };
            Ok(BatchRow {
                batch: format!("{wave}/{:05}", existing + at + 1),
                wave: wave.to_owned(),
                subjects: part.to_vec(),
                record: serde_json::to_value(&record).map_err(json)?,
            })
        })
        .collect();
    // CRASH: all new batches are there or none; opening again leaves out who is in one.
    from.records.open_batches(&rows?).await.at(from)
}

/// The record of a batch as the journal has it now.
pub(crate) async fn record(from: &Region, wave: &str, batch: &str) -> Result<Record> {
    let rows = from.records.batches(wave).await.at(from)?;
    let row = rows.into_iter().find(|row| row.batch == batch).ok_or_else(|| Error::Wave {
        wave: wave.to_owned(),
        why: format!("its batch {batch} is gone from the journal at {}", from.id),
    })?;
    serde_json::from_value(row.record).map_err(json)
}

/// Opens the batches of subjects that left theirs because of busy writers once more, and says how many
/// they are. A value taken at the target is tried again, too: where it stood in another batch's copy of a
/// row that was re-owned, that batch has removed it by now.
pub(crate) async fn regroup_stragglers(from: &Region, wave: &str) -> Result<u64> {
    let mut again = 0;
    for row in from.records.batches(wave).await.at(from)? {
        let mut record: Record = serde_json::from_value(row.record).map_err(json)?;
        let mut here = 0;
        for note in record.subjects.values_mut() {
            if matches!(&note.outcome, Outcome::Left { code: LeftCode::Busy | LeftCode::Taken, .. }) {
                *note = SubjectNote::default();
                here += 1;
            }
        }
        if here > 0 {
            record.reached = Reached::Planned;
            let lease = from.records.take_lease(&row.batch).await.at(from)?;
            let record = serde_json::to_value(&record).map_err(json)?;
            from.records.put_batch(&lease, &record).await.at(from)?;
            again += here;
        }
    }
    Ok(again)
}
