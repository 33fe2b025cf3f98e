//! The walk over a region: everybody with rows in it, and everybody who should be there.

use super::Tally;
use super::list;
use crate::commands::guard::disown;
use crate::failure::{self, Failure, Result};
use crate::open;
use domicile_directory::Home;
use domicile_mover::missing::{self, Waves};
use domicile_mover::{Error, Region, Service};
use domicile_policy::{Circumstances, Placer};
use domicile_stores::records::{HomeRow, State, SubjectFacts, SubjectId};
use std::collections::{BTreeMap, BTreeSet};

/// Subjects looked at together.
const PAGE: u32 = 2_000;

/// Why a walk ended: a region's store, or what is everybody's.
pub(super) struct Broken {
    pub(super) region: Option<String>,
    pub(super) failure: Box<Failure>,
}

impl From<Box<Failure>> for Broken {
    fn from(failure: Box<Failure>) -> Self {
        Self { region: None, failure }
    }
}

fn at(region: &Region) -> impl Fn(domicile_stores::Error) -> Broken + '_ {
    move |e| Broken {
        region: Some(region.id.clone()),
        failure: failure::of_store(&format!("region {}", region.id), &e),
    }
}

fn by_mover(error: Error) -> Broken {
    match error {
        Error::Region { region, source } => {
            let failure = failure::of_store(&format!("region {region}"), &source);
            Broken { region: Some(region), failure }
        }
        other => Broken { region: None, failure: failure::of_mover(&other) },
    }
}

/// Regions that were restored from a backup older than their guard; in a new one that nobody lives in yet none is missed.
pub(super) async fn without_guard(
    service: &Service,
    meant: &impl Fn(&str) -> bool,
    tally: &mut Tally,
) -> Result<()> {
    let homes = service.directory.counts(&service.name).await.map_err(|e| failure::of_directory(&e))?;
    for region in service.regions.values() {
        // One that does not answer is met again, by whoever looks at it.
        let Ok(status) = region.records.status(false).await else { continue };
        if status.mode.is_some() {
            continue;
        }
        tally.bare.insert(region.id.clone());
        let lives = homes.get(&region.id).copied().filter(|_| meant(&region.id)).unwrap_or(0);
        tally.note(&region.id, Some("no-guard"), lives);
    }
    Ok(())
}

/// Everybody with rows in the region, and then those who should be there and are not.
pub(super) async fn whole(
    service: &Service,
    region: &Region,
    waves: &Waves,
    tally: &mut Tally,
) -> Result<(), Broken> {
    walk(service, region, waves, tally).await?;
    let missing = missing::count(service, region, waves).await.map_err(by_mover)?;
    tally.note(&region.id, Some("missing"), missing);
    Ok(())
}

async fn walk(service: &Service, region: &Region, waves: &Waves, tally: &mut Tally) -> Result<(), Broken> {
    let here = service.places.iter().position(|place| place.id == region.id);
    let categories = service.layout.categories();
    let mut placer = Placer::new(
        &service.rules.policies,
        Circumstances {
            categories: &categories,
            regions: &service.places,
            latency: &service.rules.latency,
            today: open::today(),
            mechanisms: &service.rules.mechanisms,
            for_latency: false,
        },
    );
    let mut after: Option<SubjectId> = None;
    loop {
        let page = region.records.subjects(after.as_ref(), PAGE).await.map_err(at(region))?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.subject.clone());
        let ids: Vec<SubjectId> = page.iter().map(|f| f.subject.clone()).collect();
        let homes =
            service.directory.homes(&service.name, &ids).await.map_err(|e| failure::of_directory(&e))?;
        let rows = between(region, &page).await?;
        let mut at_home = Vec::new();
        for (facts, home) in page.iter().zip(&homes) {
            let batch = rows.get(&facts.subject).and_then(|row| row.batch.as_deref());
            let ended = batch.is_some_and(|batch| !waves.goes_on(batch));
            let kind = judge(facts, home.as_ref(), &region.id, ended, tally);
            if kind.is_some() {
                tally.name(&region.id, kind, &facts.subject)?;
                continue;
            }
            if home.as_ref().is_some_and(|h| h.region == region.id) {
                tally.subjects += 1;
                at_home.push(facts.subject.clone());
                let id = placer.intern(&domicile_mover::plan::class_of(facts));
                let leaves = placer.place(id, here).is_some_and(|p| p.must_leave);
                tally.name(&region.id, leaves.then_some("policy"), &facts.subject)?;
            }
        }
        old_copies(service, region, &rows, tally).await?;
        outside(service, region, &at_home, tally).await?;
    }
}

/// What is wrong with a subject's row here, if anything. `ended`: it is in the hands of a wave that is over.
fn judge(
    facts: &SubjectFacts,
    home: Option<&Home>,
    here: &str,
    ended: bool,
    tally: &mut Tally,
) -> Option<&'static str> {
    let Some(home) = home else { return Some("no-home") };
    let is_here = home.region == here;
    match (facts.state, is_here) {
        (None, _) => Some("unguarded"),
        (Some(State::Home), true) => None,
        (Some(State::Away), false) => {
            tally.old_copies += 1;
            None
        }
        (Some(State::Away), true) => Some("not-home"),
        (Some(_), true) if ended => Some("not-home"),
        (Some(State::Sealed | State::Arriving), false) if ended => Some("left-over"),
        // Past the cutover and not activated yet: the wave ends it.
        (Some(_), true) | (Some(State::Sealed | State::Arriving), false) => {
            tally.between += 1;
            None
        }
        (Some(_), false) => Some("second-home"),
    }
}

/// The guard's rows of those of the page that are not simply at home.
async fn between(region: &Region, page: &[SubjectFacts]) -> Result<BTreeMap<SubjectId, HomeRow>, Broken> {
    let moves = |f: &&SubjectFacts| f.state.is_some_and(|state| state != State::Home);
    let whom: Vec<SubjectId> = page.iter().filter(moves).map(|f| f.subject.clone()).collect();
    if whom.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = region.records.homes(&whom).await.map_err(at(region))?;
    Ok(rows.into_iter().map(|row| (row.subject.clone(), row)).collect())
}

/// Of the old copies those that no wave erases: `guard disown` shut them. With a list also those whose home does not know
/// them: of all that are missing, only these can be named.
async fn old_copies(
    service: &Service,
    region: &Region,
    rows: &BTreeMap<SubjectId, HomeRow>,
    tally: &mut Tally,
) -> Result<(), Broken> {
    let away: Vec<&HomeRow> = rows.values().filter(|row| row.state == State::Away).collect();
    for row in away.iter().filter(|row| row.batch.as_deref().is_some_and(disown::is_ours)) {
        *tally.disowned.entry(region.id.clone()).or_default() += 1;
        if let Some(list) = &mut tally.list {
            list.add("disowned", &region.id, &row.subject)?;
        }
    }
    let Some(list) = tally.list.as_mut().filter(|_| !away.is_empty()) else { return Ok(()) };
    let copies: Vec<SubjectId> = away.iter().map(|row| row.subject.clone()).collect();
    for (subject, home) in missing::last_copies(service, &copies).await.map_err(by_mover)? {
        if home != region.id {
            list.add("missing", &home, &subject)?;
        }
    }
    Ok(())
}

/// Rows of subjects at home here that stand at another region, where no state explains them.
async fn outside(
    service: &Service,
    here: &Region,
    subjects: &[SubjectId],
    tally: &mut Tally,
) -> Result<(), Broken> {
    if subjects.is_empty() {
        return Ok(());
    }
    let silent: BTreeSet<String> = tally.unseen.keys().chain(&tally.bare).cloned().collect();
    for other in service.regions.values().filter(|r| r.id != here.id && !silent.contains(&r.id)) {
        let known = other.records.homes(subjects).await.map_err(at(other))?;
        let explained: BTreeSet<&SubjectId> = known.iter().map(|h| &h.subject).collect();
        let rest: Vec<SubjectId> = subjects.iter().filter(|s| !explained.contains(s)).cloned().collect();
        if rest.is_empty() {
            continue;
        }
        let found = other.records.measure(&rest).await.map_err(at(other))?;
        let rows: u64 = found.values().map(|size| size.rows).sum();
        tally.rows_outside += rows;
        tally.note(&other.id, Some("outside-home"), rows);
        if let (Some(list), true) = (&mut tally.list, rows > 0) {
            for subject in list::with_rows(other, &rest).await.map_err(at(other))? {
                list.add("outside-home", &other.id, &subject)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: Option<State>, home: Option<&str>) -> Option<&'static str> {
        judged_in(state, home, false)
    }

    fn judged_in(state: Option<State>, home: Option<&str>, ended: bool) -> Option<&'static str> {
        let facts = SubjectFacts {
            subject: SubjectId("1".into()),
            country: None,
            citizenship: None,
            flags: vec![],
            consents: vec![],
            state,
        };
        let home = home.map(|region| Home { region: region.to_owned(), epoch: 1, attempt: 0 });
        judge(&facts, home.as_ref(), "here", ended, &mut Tally::default())
    }

    #[test]
    fn a_subject_has_one_home() {
        assert_eq!(judged(Some(State::Home), Some("here")), None);
        assert_eq!(judged(Some(State::Away), Some("there")), None);
        assert_eq!(judged(Some(State::Arriving), Some("there")), None);
        assert_eq!(judged(Some(State::Sealed), Some("there")), None);
        assert_eq!(judged(Some(State::Home), Some("there")), Some("second-home"));
        assert_eq!(judged(Some(State::Moving), Some("there")), Some("second-home"));
        assert_eq!(judged(Some(State::Away), Some("here")), Some("not-home"));
        assert_eq!(judged(None, Some("here")), Some("unguarded"));
        assert_eq!(judged(Some(State::Home), None), Some("no-home"));
    }

    #[test]
    fn nobody_is_on_the_way_in_a_wave_that_is_over() {
        for state in [State::Moving, State::Fenced, State::Sealed, State::Arriving] {
            assert_eq!(judged_in(Some(state), Some("here"), true), Some("not-home"), "{state:?}");
            assert_eq!(judged_in(Some(state), Some("here"), false), None, "{state:?}");
        }
        assert_eq!(judged_in(Some(State::Arriving), Some("there"), true), Some("left-over"));
        assert_eq!(judged_in(Some(State::Sealed), Some("there"), true), Some("left-over"));
        assert_eq!(judged_in(Some(State::Moving), Some("there"), true), Some("second-home"));
        assert_eq!(judged_in(Some(State::Away), Some("there"), true), None);
    }
}
