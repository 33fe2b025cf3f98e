//! Missing: who lives in a region by the directory, and whom that region does not know. Its database was restored from a
//! backup older than their move, say; nothing in it tells of them.

use crate::error::{At, Result};
use crate::service::{Region, Service};
use domicile_directory::{SubjectHash, WaveFilter, WaveState};
use domicile_stores::records::{HomeRow, State, SubjectId};
use std::collections::{BTreeMap, BTreeSet};

/// Homes of the directory that are held in memory at a time: some 32 MB. More homes are looked for in several walks.
const SLICE: usize = 1_000_000;
/// Homes, and rows of the guard, read together.
const PAGE: u32 = 2_000;
/// Walks before somebody is called missing: who was signed up meanwhile is met by the second.
const WALKS: u32 = 2;

/// Waves as they were when the command began, and so whose batches may still be worked on.
pub struct Waves(BTreeMap<String, WaveState>);

impl Waves {
    /// Those of the service.
    ///
    /// # Errors
    /// `Directory`.
    pub async fn of(service: &Service) -> Result<Self> {
        let filter = WaveFilter { service: Some(service.name.clone()), unfinished: false };
        let all = service.directory.waves(&filter).await?;
        Ok(Self(all.into_iter().map(|wave| (wave.id, wave.state)).collect()))
    }

    /// Whether somebody will go on with that batch. One of a wave that is not known was opened since, or is a rehearsal's.
    pub fn goes_on(&self, batch: &str) -> bool {
        let wave = batch.rsplit_once('/').map_or(batch, |(wave, _)| wave);
        let under_way = |state: &WaveState| matches!(state, WaveState::Open | WaveState::Aborting);
        !batch.starts_with(crate::reconcile::BATCH) && self.0.get(wave).is_none_or(under_way)
    }
}

/// How many subjects live in the region by the directory while the region has neither a row of the guard for them, nor
/// one of theirs. Those whom it has as a copy are not counted where that copy has a row: a walk over the region's
/// subjects meets them.
///
/// # Errors
/// `Region` and `Directory` as everywhere; `Stopped`.
pub async fn count(service: &Service, region: &Region, waves: &Waves) -> Result<u64> {
    let (mut missing, mut after) = (0, None);
    loop {
        // Before the region is walked: who comes meanwhile is not asked for.
        let mut slice = Slice::read(service, region, after).await?;
        let Some(last) = slice.whom.last() else { return Ok(missing) };
        after = Some(last.0);
        for _ in 0..WALKS {
            slice.walk(service, region, waves).await?;
            if slice.unseen().next().is_none() {
                break;
            }
        }
        let unseen: Vec<_> = slice.unseen().copied().collect();
        // Who moved away meanwhile is somewhere else.
        let still = service.directory.still_residents(&service.name, &region.id, &unseen).await?;
        missing += still.len() as u64;
    }
}

/// Some of the homes in ascending order of their hashes, and who of them was met.
///
/// INVARIANT: at most `SLICE` of them, whatever the service's size.
struct Slice {
    whom: Vec<(SubjectHash, u64)>,
    seen: Vec<bool>,
}

impl Slice {
    async fn read(service: &Service, region: &Region, mut after: Option<SubjectHash>) -> Result<Self> {
        let mut whom = Vec::new();
        while whom.len() < SLICE {
            service.check_stop()?;
            let page = service.directory.residents(&service.name, &region.id, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.0);
            whom.extend(page);
        }
        let seen = vec![false; whom.len()];
        Ok(Self { whom, seen })
    }

    fn unseen(&self) -> impl Iterator<Item = &(SubjectHash, u64)> {
        self.whom.iter().zip(&self.seen).filter(|(_, seen)| !**seen).map(|(one, _)| one)
    }

    fn find(&self, service: &Service, subject: &SubjectId) -> Option<usize> {
        let hash = service.directory.hash(&service.name, subject);
        self.whom.binary_search_by_key(&hash, |(hash, _)| *hash).ok()
    }

    /// Over everybody whom the guard knows, and over those with rows whom it does not.
    async fn walk(&mut self, service: &Service, region: &Region, waves: &Waves) -> Result<()> {
        let mut after: Option<SubjectId> = None;
        loop {
            service.check_stop()?;
            let page = region.records.known(after.as_ref(), PAGE).await.at(region)?;
            let Some(last) = page.last() else { break };
            after = Some(last.subject.clone());
            self.meet(service, region, waves, &page).await?;
        }
        after = None;
        loop {
            let page = region.records.unhomed(after.as_ref(), PAGE).await.at(region)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for subject in &page {
                if let Some(at) = self.find(service, subject) {
                    self.seen[at] = true;
                }
            }
        }
    }

    async fn meet(
        &mut self,
        service: &Service,
        region: &Region,
        waves: &Waves,
        page: &[HomeRow],
    ) -> Result<()> {
        let mut copies = Vec::new();
        for row in page {
            let Some(at) = self.find(service, &row.subject) else { continue };
            let on_the_way = || row.batch.as_ref().is_some_and(|batch| waves.goes_on(batch));
            match row.state {
                State::Away => copies.push((row.subject.clone(), at)),
                State::Arriving if !on_the_way() => copies.push((row.subject.clone(), at)),
                _ => self.seen[at] = true,
            }
        }
        if copies.is_empty() {
            return Ok(());
        }
        let subjects: Vec<SubjectId> = copies.iter().map(|(subject, _)| subject.clone()).collect();
        let facts = region.records.facts(&subjects).await.at(region)?;
        let with_rows: BTreeSet<SubjectId> = facts.into_iter().map(|fact| fact.subject).collect();
        for (_, at) in copies.iter().filter(|(subject, _)| with_rows.contains(subject)) {
            self.seen[*at] = true;
        }
        Ok(())
    }
}

/// Those of the region's old copies (`away`) whose home, by the directory, is a region that does not know them, with that
/// region: the copy may be the last one.
///
/// # Errors
/// As [`count`].
pub async fn last_copies(service: &Service, copies: &[SubjectId]) -> Result<Vec<(SubjectId, String)>> {
    let known = crate::last_copy::known(service, copies).await?;
    let homes = service.directory.homes(&service.name, copies).await?;
    let all = copies.iter().zip(homes).filter_map(|(subject, home)| Some((subject, home?.region)));
    let last =
        all.filter(|(subject, region)| service.regions.contains_key(region) && !known.contains(*subject));
    Ok(last.map(|(subject, region)| (subject.clone(), region)).collect())
}
