//! Half copies: the backup is of the middle of a wave's journey hither, and that wave is over. Nobody goes on with them, and
//! nobody can write them.
//!
//! What is here is as far as the copy had come. Where the whole copy still stands at another region, the half one only bars
//! the way for it; where nothing else is left, it is all there is, and its owner decides.

use super::judge::Judge;
use super::{PAGE, Reconciled, lease};
use crate::batch::plain;
use crate::error::{At, Result};
use crate::service::{Region, Service};
use domicile_stores::records::{HomeRow, State, SubjectId, Transition};
use std::collections::{BTreeMap, BTreeSet};

/// What may be done with half copies, besides counting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct May {
    /// Remove what is in the way of a whole copy, and what came back of others.
    pub erase: bool,
    /// Let those be written of whom nothing else is left.
    pub open: bool,
}

/// One half copy of somebody who lives here.
struct Half {
    row: HomeRow,
    /// The directory's.
    epoch: u64,
    with_rows: bool,
}

/// Goes over everybody whom the guard knows, also those without a row of the application.
pub(super) async fn settle(
    service: &Service,
    judge: &Judge,
    here: &Region,
    may: May,
    found: &mut Reconciled,
) -> Result<()> {
    let mut after: Option<SubjectId> = None;
    loop {
        service.check_stop()?;
        let page = here.records.known(after.as_ref(), PAGE).await.at(here)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.subject.clone());
        let left = |row: &HomeRow| row.state == State::Arriving && judge.leaves(row);
        let rows: Vec<HomeRow> = page.into_iter().filter(left).collect();
        if !rows.is_empty() {
            settle_page(service, here, rows, may, found).await?;
        }
    }
}

async fn settle_page(
    service: &Service,
    here: &Region,
    rows: Vec<HomeRow>,
    may: May,
    found: &mut Reconciled,
) -> Result<()> {
    let halves = halves(service, here, rows).await?;
    let (full, bare): (Vec<Half>, Vec<Half>) = halves.into_iter().partition(|half| half.with_rows);
    // Nothing of theirs is here: the guard's row would only bar the way back.
    remove(here, &bare).await?;
    let whole = whole_elsewhere(service, here, &full).await?;
    let (behind, last): (Vec<Half>, Vec<Half>) =
        full.into_iter().partition(|half| whole.contains(&half.row.subject));
    found.half += behind.len() as u64;
    found.half_last += last.len() as u64;
    if may.erase {
        remove(here, &behind).await?;
        found.half_removed += behind.len() as u64;
    }
    if may.open {
        found.half_opened += open(here, &last).await?;
    }
    Ok(())
}

/// Those who live here, or of whom nothing is here: half copies of others with rows came back, and are counted as such.
async fn halves(service: &Service, here: &Region, rows: Vec<HomeRow>) -> Result<Vec<Half>> {
    let subjects: Vec<SubjectId> = rows.iter().map(|row| row.subject.clone()).collect();
    let homes = service.directory.homes(&service.name, &subjects).await?;
    let facts = here.records.facts(&subjects).await.at(here)?;
    let with_rows: BTreeSet<SubjectId> = facts.into_iter().map(|fact| fact.subject).collect();
    let mut halves = Vec::new();
    for (row, home) in rows.into_iter().zip(homes) {
        let with_rows = with_rows.contains(&row.subject);
        let lives_here = home.as_ref().is_some_and(|home| home.region == here.id);
        if lives_here || !with_rows {
            halves.push(Half { epoch: home.map_or(row.epoch, |home| home.epoch), row, with_rows });
        }
    }
    Ok(halves)
}

/// Those with a copy that is `away` at another region, as the cutover left it. One with less rows than what is here was in
/// the middle of its erase.
async fn whole_elsewhere(service: &Service, here: &Region, halves: &[Half]) -> Result<BTreeSet<SubjectId>> {
    let subjects: Vec<SubjectId> = halves.iter().map(|half| half.row.subject.clone()).collect();
    let mut whole = BTreeSet::new();
    let here_rows = rows(here, &subjects).await?;
    for other in service.regions.values().filter(|region| region.id != here.id && !subjects.is_empty()) {
        // One without a guard has been nobody's home since.
        if other.records.status(false).await.at(other)?.mode.is_none() {
            continue;
        }
        let away: Vec<HomeRow> = other.records.homes(&subjects).await.at(other)?;
        let away: Vec<SubjectId> =
            away.into_iter().filter(|row| row.state == State::Away).map(|row| row.subject).collect();
        let there = rows(other, &away).await?;
        whole.extend(
            there.into_iter().filter(|(s, n)| *n >= here_rows.get(s).copied().unwrap_or(0)).map(|(s, _)| s),
        );
    }
    Ok(whole)
}

/// Rows of each of them that has any.
async fn rows(region: &Region, subjects: &[SubjectId]) -> Result<BTreeMap<SubjectId, u64>> {
    let mut rows = BTreeMap::new();
    if subjects.is_empty() {
        return Ok(rows);
    }
    let mut snapshot = region.records.snapshot().await.at(region)?;
    for ((subject, _), n) in snapshot.counts(subjects).await.at(region)? {
        *rows.entry(subject).or_default() += n;
    }
    snapshot.close().await.at(region)?;
    rows.retain(|_, n| *n > 0);
    Ok(rows)
}

/// Rows and the guard's row in one transaction, under the lease of the batch that brought them.
async fn remove(here: &Region, halves: &[Half]) -> Result<()> {
    for (batch, halves) in by_batch(halves) {
        let subjects: Vec<SubjectId> = halves.iter().map(|half| half.row.subject.clone()).collect();
        let lease = lease(here, batch).await?;
        let mut writing = here.records.begin(&lease).await.at(here)?;
        writing.clear(&subjects).await.at(here)?;
        writing.drop_arriving(&subjects).await.at(here)?;
        // CRASH: removed or not; the same command removes it.
        writing.commit().await.at(here)?;
    }
    Ok(())
}

/// Lets them be written here: from now on this copy is theirs.
async fn open(here: &Region, halves: &[Half]) -> Result<u64> {
    let mut opened = 0;
    for (batch, halves) in by_batch(halves) {
        let lease = lease(here, batch).await?;
        let mut by_epoch: BTreeMap<u64, Vec<SubjectId>> = BTreeMap::new();
        for half in halves {
            by_epoch.entry(half.epoch).or_default().push(half.row.subject.clone());
        }
        for (epoch, subjects) in by_epoch {
            let home = Transition { epoch: Some(epoch), ..plain(&[State::Arriving], State::Home) };
            // CRASH: at home or as before; the same command goes on from either.
            opened += here.records.change_state(&lease, &subjects, home).await.at(here)?.len() as u64;
        }
    }
    here.records.flush().await.at(here)?;
    Ok(opened)
}

fn by_batch(halves: &[Half]) -> BTreeMap<&str, Vec<&Half>> {
    let mut by_batch: BTreeMap<&str, Vec<&Half>> = BTreeMap::new();
    for half in halves {
        by_batch.entry(half.row.batch.as_deref().unwrap_or_default()).or_default().push(half);
    }
    by_batch
}
