//! Counting what came back, and erasing it where its home knows the subject.

use super::judge::Verdict;
use super::{BATCH, Reconciled, Seen, lease};
use crate::error::{At, Result};
use crate::outside;
use crate::service::{Region, Service};
use domicile_stores::records::{State, SubjectId};
use std::collections::{BTreeMap, HashSet};

/// Counts rows by table of those of the page that came back; with `erase` erases those that are shut.
pub(super) async fn page(
    service: &Service,
    here: &Region,
    page: &[Seen],
    erase: bool,
    found: &mut Reconciled,
) -> Result<()> {
    let mut all = Vec::new();
    let mut by_home: BTreeMap<&str, Vec<Shut<'_>>> = BTreeMap::new();
    for seen in page {
        let Verdict::CameBack { home, .. } = &seen.verdict else { continue };
        all.push(seen.subject.clone());
        match seen.row.as_ref().filter(|row| row.state == State::Away) {
            Some(row) => {
                by_home.entry(home).or_default().push(Shut { seen, epoch: row.epoch, batch: &row.batch })
            }
            None => found.still_written += 1,
        }
    }
    if all.is_empty() {
        return Ok(());
    }
    for (table, size) in here.records.measure(&all).await.at(here)? {
        *found.rows.entry(table).or_default() += size.rows;
    }
    if erase {
        for (home, shut) in by_home {
            erase_of(service, here, home, shut, found).await?;
        }
    }
    Ok(())
}

/// One that is shut, in the hands of the batch that shut it or sent it away.
struct Shut<'a> {
    seen: &'a Seen,
    epoch: u64,
    batch: &'a Option<String>,
}

/// Erases those that their home knows; the others may have their only copy here.
async fn erase_of(
    service: &Service,
    here: &Region,
    home: &str,
    shut: Vec<Shut<'_>>,
    found: &mut Reconciled,
) -> Result<()> {
    let known = known_at(service, home, &shut).await?;
    let mut by_batch: BTreeMap<&str, Vec<(SubjectId, u64)>> = BTreeMap::new();
    for one in shut {
        match one.batch {
            Some(batch) if known.contains(&one.seen.subject) => {
                by_batch.entry(batch).or_default().push((one.seen.subject.clone(), one.epoch));
            }
            _ => found.kept += 1,
        }
    }
    for (batch, whom) in by_batch {
        let lease = lease(here, batch).await?;
        let erased = outside::erase(here, &service.layout, &lease, &whom, service.limits.erase_rows).await?;
        if batch.starts_with(BATCH) {
            here.records.close_batch(&lease).await.at(here)?;
        }
        found.erased.subjects += erased.subjects;
        found.erased.rows += erased.rows;
        found.erased.objects += erased.objects;
    }
    Ok(())
}

/// Those that the guard at their home has there, with rows or, where they were deleted since, without. A region that is
/// not open, or that was restored from an older backup itself, knows nobody.
async fn known_at(service: &Service, home: &str, shut: &[Shut<'_>]) -> Result<HashSet<SubjectId>> {
    let Some(region) = service.regions.get(home) else { return Ok(HashSet::new()) };
    let subjects: Vec<SubjectId> = shut.iter().map(|one| one.seen.subject.clone()).collect();
    let rows = region.records.homes(&subjects).await.at(region)?;
    let there = rows.into_iter().filter(|row| !matches!(row.state, State::Away | State::Arriving));
    Ok(there.map(|row| row.subject).collect())
}
