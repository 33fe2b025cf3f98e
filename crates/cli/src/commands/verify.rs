//! `verify`: every subject has exactly one home, its rows are there and nowhere else, and policy
//! permits it. Compares the directory, the guard's states and the rows themselves, from both sides: who is in a region and
//! should not be, and who should be and is not. Changes nothing.

use crate::app::App;
use crate::args::VerifyArgs;
use crate::failure::{self, Result};
use crate::figures::{count, counted};
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use crate::wave_state;
use domicile_mover::missing::Waves;
use domicile_mover::progress::Silent;
use domicile_mover::{Region, Service};
use domicile_stores::records::SubjectId;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub mod list;
mod mend;
mod walk;

use list::List;
use walk::{Broken, whole, without_guard};

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
