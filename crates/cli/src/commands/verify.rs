//! `verify`: every subject has exactly one home, its rows are there and nowhere else, and policy
//! permits it. Compares the directory, the guard's states and the rows themselves; changes nothing.

use crate::app::App;
use crate::args::WaveArg;
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open;
use crate::paper;
use crate::screen::Answer;
use crate::wave_state;
use domicile_directory::Home;
use domicile_mover::progress::Silent;
use domicile_mover::{Region, Service};
use domicile_policy::{Circumstances, Placer};
use domicile_stores::records::{State, SubjectFacts, SubjectId};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Subjects looked at together.
const PAGE: u32 = 2_000;

/// What can be wrong, each with what it means.
const KINDS: [(&str, &str); 6] = [
    ("no-home", "rows of a subject that the directory knows no home for"),
    ("second-home", "a subject is at home here for the guard, and elsewhere for the directory"),
    ("not-home", "a subject whose home this is for the directory, and not for the guard"),
    ("unguarded", "rows of a subject that the guard has no row for"),
    ("outside-home", "rows outside the subject's home, and no wave that explains them"),
    ("policy", "a subject whose home policy no longer permits: domicile plan"),
];

/// Counts by (region, kind), and what was looked at.
#[derive(Default)]
struct Tally {
    wrong: BTreeMap<(String, &'static str), u64>,
    subjects: u64,
    between: u64,
    old_copies: u64,
    rows_outside: u64,
}

/// Verifies the whole service; with a wave, its two regions.
pub async fn run(app: &App, args: WaveArg) -> Result<Answer> {
    let service = open::service(app, open::today(), Arc::new(Silent)).await?;
    let mut regions: Vec<&Arc<Region>> = service.regions.values().collect();
    if let Some(wave) = &args.wave {
        let facts = wave_state::one(&service, wave).await?;
        regions.retain(|r| r.id == facts.from || r.id == facts.to);
    }
    let mut tally = Tally::default();
    for region in &regions {
        app.screen.say(&format!("looking at every subject of {}", region.id));
        walk(&service, region, &mut tally).await?;
    }
    Ok(answer(&service, &tally, &regions.iter().map(|r| r.id.as_str()).collect::<Vec<_>>()))
}

fn at(region: &Region) -> impl Fn(domicile_stores::Error) -> Box<Failure> + '_ {
    move |e| failure::of_store(&format!("region {}", region.id), &e)
}

async fn walk(service: &Service, region: &Region, tally: &mut Tally) -> Result<()> {
    let places: Vec<domicile_policy::Region> = service.regions.values().map(|r| r.place.clone()).collect();
    let here = service.regions.keys().position(|id| *id == region.id);
    let categories = service.layout.categories();
    let mut placer = Placer::new(
        &service.rules.policies,
        Circumstances {
            categories: &categories,
            regions: &places,
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
        let mut at_home = Vec::new();
        for (facts, home) in page.iter().zip(&homes) {
            let kind = judge(facts, home.as_ref(), &region.id, tally);
            if kind.is_some() {
                tally.note(&region.id, kind, 1);
                continue;
            }
            if home.as_ref().is_some_and(|h| h.region == region.id) {
                tally.subjects += 1;
                at_home.push(facts.subject.clone());
                let id = placer.intern(&domicile_mover::plan::class_of(facts));
                let leaves = placer.place(id, here).is_some_and(|p| p.must_leave);
                tally.note(&region.id, leaves.then_some("policy"), 1);
            }
        }
        outside(service, region, &at_home, tally).await?;
    }
}

impl Tally {
    fn note(&mut self, region: &str, kind: Option<&'static str>, n: u64) {
        if let Some(kind) = kind.filter(|_| n > 0) {
            *self.wrong.entry((region.to_owned(), kind)).or_default() += n;
        }
    }
}

/// What is wrong with a subject's row here, if anything.
fn judge(facts: &SubjectFacts, home: Option<&Home>, here: &str, tally: &mut Tally) -> Option<&'static str> {
    let Some(home) = home else { return Some("no-home") };
    let is_here = home.region == here;
    match (facts.state, is_here) {
        (None, _) => Some("unguarded"),
        (Some(State::Home), true) => None,
        (Some(State::Marking | State::Moving | State::Fencing | State::Fenced | State::Sealed), true) => {
            tally.between += 1;
            None
        }
        // Past the cutover and not activated yet: the wave ends it.
        (Some(State::Sealed), false) | (Some(State::Arriving), _) => {
            tally.between += 1;
            None
        }
        (Some(State::Away), false) => {
            tally.old_copies += 1;
            None
        }
        (Some(State::Away), true) => Some("not-home"),
        (Some(_), false) => Some("second-home"),
    }
}

/// Rows of subjects at home here that stand at another region, where no state explains them.
async fn outside(service: &Service, here: &Region, subjects: &[SubjectId], tally: &mut Tally) -> Result<()> {
    if subjects.is_empty() {
        return Ok(());
    }
    for other in service.regions.values().filter(|r| r.id != here.id) {
        let known = other.records.homes(subjects).await.map_err(at(other))?;
        let explained: std::collections::BTreeSet<&SubjectId> = known.iter().map(|h| &h.subject).collect();
        let rest: Vec<SubjectId> = subjects.iter().filter(|s| !explained.contains(s)).cloned().collect();
        if rest.is_empty() {
            continue;
        }
        let found = other.records.measure(&rest).await.map_err(at(other))?;
        let rows: u64 = found.values().map(|size| size.rows).sum();
        tally.rows_outside += rows;
        tally.note(&other.id, Some("outside-home"), rows);
    }
    Ok(())
}

fn answer(service: &Service, tally: &Tally, regions: &[&str]) -> Answer {
    let wrong: u64 = tally.wrong.values().sum();
    let mut text =
        format!("{} with one home each, in {}\n", counted(tally.subjects, "subject"), regions.join(", "));
    if tally.between > 0 {
        text.push_str(&format!(
            "{} on their way in a wave that is open: domicile status\n",
            count(tally.between)
        ));
    }
    if tally.old_copies > 0 {
        text.push_str(&format!(
            "{} left a copy that waits to be erased: domicile erase\n",
            count(tally.old_copies)
        ));
    }
    if wrong > 0 {
        let rows = tally.wrong.iter().map(|((region, kind), n)| {
            let means = KINDS.iter().find(|(k, _)| k == kind).map_or("", |(_, means)| means);
            vec![region.clone(), count(*n), (*kind).to_owned(), means.to_owned()]
        });
        text.push_str(&format!(
            "\n{}\n",
            paper::table(&["region", "found", "kind", "meaning"], &[1], rows.collect())
        ));
    } else {
        text.push_str("no row outside its subject's home; every home is permitted by policy\n");
    }
    let findings: Vec<_> =
        tally.wrong.iter().map(|((r, k), n)| json!({ "region": r, "kind": k, "count": n })).collect();
    let json = json!({
        "service": service.name, "regions": regions, "subjects": tally.subjects, "on_the_way": tally.between,
        "waiting_for_erase": tally.old_copies, "findings": findings,
    });
    Answer::new(text, json).no_if(wrong > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: Option<State>, home: Option<&str>) -> Option<&'static str> {
        let facts = SubjectFacts {
            subject: SubjectId("1".into()),
            country: None,
            citizenship: None,
            flags: vec![],
            state,
        };
        let home = home.map(|region| Home { region: region.to_owned(), epoch: 1, attempt: 0 });
        judge(&facts, home.as_ref(), "here", &mut Tally::default())
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
}
