//! `verify`: every subject has exactly one home, its rows are there and nowhere else, and policy
//! permits it. Compares the directory, the guard's states and the rows themselves, from both sides: who is in a region and
//! should not be, and who should be and is not. Changes nothing.

use super::guard::disown;
use crate::app::App;
use crate::args::VerifyArgs;
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use crate::wave_state;
use domicile_directory::Home;
use domicile_mover::missing::{self, Waves};
use domicile_mover::progress::Silent;
use domicile_mover::{Error, Region, Service};
use domicile_policy::{Circumstances, Placer};
use domicile_stores::records::{HomeRow, State, SubjectFacts, SubjectId};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

mod list;
mod mend;

use list::List;

/// Subjects looked at together.
const PAGE: u32 = 2_000;

/// What can be wrong, each with what it means.
const KINDS: [(&str, &str); 9] = [
    ("no-guard", "subjects live here, and the guard is not installed: nothing can be looked at"),
    ("no-home", "rows of a subject that the directory knows no home for"),
    ("second-home", "a subject is at home here for the guard, and elsewhere for the directory"),
    ("not-home", "a subject whose home this is for the directory, and not for the guard"),
    ("missing", "a subject whose home this is for the directory, and nothing here knows it"),
    ("left-over", "the half copy of a subject, of a wave that is over"),
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
    /// Copies that `guard disown` has shut, by region.
    disowned: BTreeMap<String, u64>,
    /// Regions that could not be looked at, or not to the end, with the reason.
    unseen: BTreeMap<String, String>,
    /// Regions without a guard.
    bare: BTreeSet<String>,
    /// Where subjects are named, on request.
    list: Option<List>,
}

/// Verifies the whole service; with a wave, its two regions.
pub async fn run(app: &App, args: VerifyArgs) -> Result<Answer> {
    let config = app.config()?;
    let wave = match &args.wave {
        Some(wave) => Some(wave_state::find(app, &config, wave).await?),
        None => None,
    };
    let of = app.service(&config)?;
    let want = Want::reachable();
    let service = open::service_of(app, &config, of, open::today(), Arc::new(Silent), &want).await?;
    let meant =
        |id: &str| wave.as_ref().is_none_or(|wave| [&wave.source, &wave.target].iter().any(|w| *w == id));
    let list = args.list.as_deref().map(List::create).transpose()?;
    let mut tally = Tally { unseen: service.closed.clone(), list, ..Tally::default() };
    let waves = Waves::of(&service).await.map_err(|e| failure::of_mover(&e))?;
    let regions: Vec<&Arc<Region>> = service.regions.values().filter(|r| meant(&r.id)).collect();
    without_guard(&service, &meant, &mut tally).await?;
    for region in &regions {
        if tally.bare.contains(&region.id) {
            continue;
        }
        app.screen.say(&format!("looking at every subject of {}", region.id));
        match whole(&service, region, &waves, &mut tally).await {
            Err(Broken { region: Some(id), failure }) if failure.code == "store-unreachable" => {
                tally.unseen.insert(id, open::in_a_line(&failure));
            }
            Err(broken) => return Err(broken.failure),
            Ok(()) => {}
        }
    }
    if let (Some(list), Some(wave)) = (&mut tally.list, &wave) {
        list::stayed(list, &service, wave).await?;
    }
    let written = tally.list.take().map(List::end).transpose()?;
    let seen = |r: &&Arc<Region>| !tally.unseen.contains_key(&r.id) && !tally.bare.contains(&r.id);
    let seen: Vec<&str> = regions.iter().copied().filter(|r| seen(r)).map(|r| r.id.as_str()).collect();
    Ok(with_list(answer(&service, &tally, &seen, &app.service_flag()), written))
}

/// The answer with the file that was written.
fn with_list(mut answer: Answer, written: Option<(std::path::PathBuf, u64)>) -> Answer {
    let Some((path, lines)) = written else { return answer };
    let said = counted(lines, "subject");
    answer.text.push_str(&format!("\n{said} named in {}, for you alone (mode 0600)\n", path.display()));
    answer.json["list"] = json!({ "file": path, "subjects": lines });
    answer
}

/// Why a walk ended: a region's store, or what is everybody's.
struct Broken {
    region: Option<String>,
    failure: Box<Failure>,
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
async fn without_guard(service: &Service, meant: &impl Fn(&str) -> bool, tally: &mut Tally) -> Result<()> {
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
async fn whole(service: &Service, region: &Region, waves: &Waves, tally: &mut Tally) -> Result<(), Broken> {
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

impl Tally {
    fn note(&mut self, region: &str, kind: Option<&'static str>, n: u64) {
        if let Some(kind) = kind.filter(|_| n > 0) {
            *self.wrong.entry((region.to_owned(), kind)).or_default() += n;
        }
    }

    /// One subject, named where that was asked for.
    fn name(&mut self, region: &str, kind: Option<&'static str>, subject: &SubjectId) -> Result<()> {
        self.note(region, kind, 1);
        match (&mut self.list, kind) {
            (Some(list), Some(kind)) => list.add(kind, region, subject),
            _ => Ok(()),
        }
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

fn answer(service: &Service, tally: &Tally, regions: &[&str], flag: &str) -> Answer {
    let wrong: u64 = tally.wrong.values().sum();
    let mut text = match regions {
        [] => "no region could be looked at\n".to_owned(),
        _ => {
            let who = counted(tally.subjects, "subject");
            let looked = format!("{who} with one home each, in {}", regions.join(", "));
            format!("{}\n", paper::wrapped("", &looked))
        }
    };
    for (region, why) in &tally.unseen {
        let said = format!("can't be reached: {why}");
        text.push_str(&format!("{}\n", paper::wrapped(&format!("not looked at: {region} "), &said)));
    }
    if tally.between > 0 {
        text.push_str(&format!(
            "{} on their way in a wave that is open: domicile status\n",
            count(tally.between)
        ));
    }
    let disowned: u64 = tally.disowned.values().sum();
    if tally.old_copies > disowned {
        text.push_str(&format!(
            "{} left a copy that waits to be erased: domicile erase\n",
            count(tally.old_copies - disowned)
        ));
    }
    for (region, n) in &tally.disowned {
        text.push_str(&format!(
            "{} disowned at {region}: domicile guard disown SUBJECT --region {region} --erase\n",
            count(*n)
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
        text.push_str(&refused_homes(tally, flag));
        for (region, kind) in tally.wrong.keys() {
            text.push_str(&mend::mend(kind, region, flag));
        }
    } else if tally.unseen.is_empty() {
        text.push_str("no row outside its subject's home; every home is permitted by policy\n");
    } else {
        let silent: Vec<&str> = tally.unseen.keys().map(String::as_str).collect();
        let said = format!(
            "Nothing is wrong where it could be looked at. That says nothing of {}: verify again when it answers.",
            silent.join(", ")
        );
        text.push_str(&format!("\n{}\n", paper::wrapped("", &said)));
    }
    let findings: Vec<_> =
        tally.wrong.iter().map(|((r, k), n)| json!({ "region": r, "kind": k, "count": n })).collect();
    let json = json!({
        "service": service.name, "regions": regions, "subjects": tally.subjects, "on_the_way": tally.between,
        "waiting_for_erase": tally.old_copies, "findings": findings, "not_looked_at": tally.unseen,
    });
    let mut answer = Answer::new(text, json);
    answer.exit = match (wrong > 0, tally.unseen.is_empty()) {
        // What was found is certain, whatever the others hold.
        (true, _) => Exit::No,
        (false, false) => Exit::Failed,
        (false, true) => Exit::Done,
    };
    answer
}

/// Rows all where they belong, and a policy that forbids some homes: that is a decision to make, not a fault.
fn refused_homes(tally: &Tally, flag: &str) -> String {
    if !tally.unseen.is_empty() || tally.wrong.keys().any(|(_, kind)| *kind != "policy") {
        return String::new();
    }
    let said = format!(
        "Every row is at its subject's one home. What is found is policy's word: these live where it forbids, \
         and stay until a plan may move them: `domicile plan{flag}` says whether one can, and by which rule \
         not. Hence exit code 3."
    );
    format!("\n{}\n", paper::wrapped("", &said))
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
