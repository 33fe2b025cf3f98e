//! `plan`: who would move where, why, how much that is, who is refused, and what can't be undone.

use crate::app::App;
use crate::args::PlanArgs;
use crate::config::Config;
use crate::failure::{self, Failure, Result};
use crate::figures::{bytes, count, counted, duration};
use crate::open::{self, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_mover::plan::{Group, PLAN_FORMAT, Refusal, Waiting};
use domicile_mover::progress::Silent;
use domicile_mover::{Ask, Limits, Plan, PlannedMove};
use serde_json::json;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Rows a second that the estimate reckons with: what two cores copy, compare and fence at least.
const ROWS_PER_S: u64 = 8_000;
/// Bytes a second, a good line between continents.
const BYTES_PER_S: u64 = 10_000_000;
/// Objects a second: each is a request or two.
const OBJECTS_PER_S: u64 = 100;

/// Makes, shows and perhaps writes a plan.
pub async fn run(app: &App, args: PlanArgs) -> Result<Answer> {
    let config = app.config()?;
    let chosen = app.service(&config)?;
    for region in &args.from {
        config.chosen(chosen, Some(region))?;
    }
    if let Some(path) = &args.output {
        check_absent(path)?;
    }
    let today = args.on.unwrap_or_else(open::today);
    // Who is asked for by name must answer; any other region that doesn't is named, and nobody goes there.
    let want = Want::at_least(args.from.clone()).prepared();
    let service = open::service_of(app, &config, chosen, today, Arc::new(Silent), &want).await?;
    if let (true, Some((region, why))) = (service.regions.is_empty(), service.closed.iter().next()) {
        return Err(nobody_answers(region, why, service.closed.len()));
    }
    app.screen.say("reading every subject once");
    let ask = Ask { today, for_latency: args.for_latency, from: args.from.clone() };
    let plan = match &args.output {
        Some(path) => {
            let plan =
                domicile_mover::plan::stored(&service, &ask).await.map_err(|e| failure::of_mover(&e))?;
            write(path, &plan)?;
            plan
        }
        None => domicile_mover::plan::plan(&service, &ask).await.map_err(|e| failure::of_mover(&e))?,
    };
    let text = text(&plan, &config, args.output.as_deref(), &app.service_flag());
    let json = json!({ "plan": plan, "file": args.output });
    let mut answer = Answer::new(text, json);
    if !plan.unread.is_empty() {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

fn nobody_answers(region: &str, why: &str, regions: usize) -> Box<Failure> {
    let what = match regions {
        1 => format!("region {region} can't be reached"),
        n => format!("none of {n} regions can be reached; {region}, for one:"),
    };
    Failure::new("store-unreachable", what, why, "domicile check   # once the servers answer again")
}

fn check_absent(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    Err(Failure::usage(
        "plan-exists",
        format!("{} is there already", path.display()),
        "a plan that was looked at must not become another one unseen",
        format!("rm {}   # or name another file", path.display()),
    ))
}

/// The plan names no subject, but says how many live where: mode 0600.
fn write(path: &Path, plan: &Plan) -> Result<()> {
    let text = serde_json::to_vec_pretty(plan).map_err(|e| {
        Failure::new(
            "plan-unwritable",
            format!("the plan can't be written: {e}"),
            "it has no JSON form",
            "domicile plan",
        )
    })?;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file
        .and_then(|mut f| f.write_all(&text).and_then(|()| f.write_all(b"\n")).and_then(|()| f.sync_all()));
    written.map_err(|e| failure::of_file("write the plan", path, &e))
}

/// Reads a plan file.
pub fn read(path: &Path) -> Result<Plan> {
    let text = std::fs::read_to_string(path).map_err(|e| failure::of_file("read the plan", path, &e))?;
    // The format first: another one's keys would only look like mistakes.
    let format = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|v| v["format"].as_u64());
    if let Some(found) = format.filter(|f| *f != u64::from(PLAN_FORMAT)) {
        let what = format!("{} has format {found}, this version reads {PLAN_FORMAT}", path.display());
        return Err(unreadable(what, "another version of Domicile wrote it"));
    }
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| {
        let said = e.to_string();
        // The keys that were expected are a page of them, and the place stands in front.
        let said = said.split(", expected one of").next().unwrap_or_default();
        let said = said.split(" at line ").next().unwrap_or_default();
        let said = said.replace("EOF while parsing", "the file ends in the middle of");
        let said = domicile_datamap::in_the_files_words(&said);
        let what = format!("{}:{}:{}: {said}", path.display(), e.line(), e.column());
        unreadable(what, "it is not a plan that `domicile plan -o FILE` wrote, or it was edited")
    })
}

fn unreadable(what: String, why: &str) -> Box<Failure> {
    Failure::usage("plan-unreadable", what, why, "domicile plan -o plan.json")
}

fn text(plan: &Plan, config: &Config, file: Option<&Path>, flag: &str) -> String {
    let mut text = format!("plan {} for service {}, as of {}\n", plan.id, plan.service, plan.today);
    for planned in &plan.moves {
        text.push_str(&one_move(planned, &config.limits));
    }
    text.push_str(&unread(&plan.unread));
    if plan.moves.is_empty() && plan.waits.is_empty() && plan.unread.is_empty() {
        text.push_str("\nnobody moves: everybody who may be moved is where policy and latency want them\n");
    }
    text.push_str(&refusals(&plan.refusals, flag));
    text.push_str(&waits(&plan.waits));
    text.push_str(&by_region("stays", "who is at home where they belong", &plan.stays));
    text.push_str(&by_region(
        "busy",
        "in another wave that is not erased yet: not part of this plan",
        &plan.busy,
    ));
    if !plan.moves.is_empty() {
        text.push_str(&last_words(config, file, flag));
    }
    text
}

fn one_move(planned: &PlannedMove, limits: &Limits) -> String {
    let size = planned.size();
    let mut head = vec![counted(planned.subjects, "subject"), counted(size.rows, "row"), bytes(size.bytes)];
    if planned.objects > 0 {
        head.push(counted(planned.objects, "object"));
    }
    head.push(about(estimate(planned, limits)));
    let mut text = format!("\n{} -> {}\n  {}\n", planned.from, planned.to, head.join(", "));
    text.push_str(&groups(&planned.groups));
    let rows = planned.tables.iter().map(|(t, s)| vec![t.clone(), count(s.rows), bytes(s.bytes)]).collect();
    text.push_str(&paper::indented("    ", &paper::table(&["table", "rows", "bytes"], &[1, 2], rows)));
    text.push('\n');
    text
}

/// Who and why; classes whose reasons differ only by their country stand together.
fn groups(groups: &[Group]) -> String {
    let mut text = String::new();
    let mut done: Vec<String> = Vec::new();
    for group in groups {
        let shared = shared_why(group);
        if done.contains(&shared) {
            continue;
        }
        let alike: Vec<&Group> = groups.iter().filter(|g| shared_why(g) == shared).collect();
        let who: Vec<String> = alike.iter().map(|g| format!("{} ({})", g.class, count(g.subjects))).collect();
        let why = if alike.len() == 1 { &group.why } else { &shared };
        text.push_str(&format!("{}\n", paper::wrapped("    who: ", &who.join("; "))));
        text.push_str(&format!("{}\n", paper::wrapped("    why: ", why)));
        text.push_str(&format!("{}\n\n", paper::wrapped("    law: ", &group.law)));
        done.push(shared);
    }
    text
}

/// The sentence with the class's own country left out of it.
fn shared_why(group: &Group) -> String {
    without_country(&group.why, &group.class)
}

fn without_country(said: &str, class: &str) -> String {
    let country = class.split(',').next().unwrap_or_default();
    let mut said = said.to_owned();
    for before in ["residents of ", "known for ", "region for "] {
        for after in [" ", ":", ")", ";"] {
            said = said.replace(&format!("{before}{country}{after}"), &format!("{before}these{after}"));
        }
    }
    said
}

/// Refusals of one region whose reasons differ only by the country stand together, too.
fn refusals(refusals: &[Refusal], flag: &str) -> String {
    if refusals.is_empty() {
        return String::new();
    }
    let mut text = String::from("\nrefused: these must leave and have nowhere to go, so they stay for now\n");
    let mut done: Vec<(&str, String)> = Vec::new();
    for refusal in refusals {
        let key = (refusal.region.as_str(), shared_why(&refusal.group));
        if done.contains(&key) {
            continue;
        }
        let alike: Vec<&Refusal> =
            refusals.iter().filter(|r| r.region == key.0 && shared_why(&r.group) == key.1).collect();
        text.push_str(&refused(&alike));
        done.push(key);
    }
    text.push_str(&format!("\n  who they are: domicile verify{flag} --list found.txt\n"));
    text
}

fn refused(alike: &[&Refusal]) -> String {
    let Some(first) = alike.first() else { return String::new() };
    let words = |said: &str| match alike {
        [_] => said.to_owned(),
        _ => without_country(said, &first.group.class),
    };
    let who: Vec<String> =
        alike.iter().map(|r| format!("{} ({})", r.group.class, count(r.group.subjects))).collect();
    let mut text = format!("\n{}\n", paper::wrapped(&format!("  at {}: ", first.region), &who.join("; ")));
    text.push_str(&format!("{}\n", paper::wrapped("    why: ", &words(&first.group.why))));
    for (region, reason) in &first.against {
        text.push_str(&format!("{}\n", paper::wrapped(&format!("    {region}: "), &words(reason))));
    }
    text
}

/// Who would go to a region that does not answer: sent nowhere else, since law and latency chose it.
fn waits(waits: &[Waiting]) -> String {
    let mut text = String::new();
    for first in waits {
        let alike = |w: &&Waiting| w.from == first.from && w.to == first.to;
        let all: Vec<&Waiting> = waits.iter().filter(alike).collect();
        if all.first().is_some_and(|w| w.class != first.class) {
            continue;
        }
        let subjects: u64 = all.iter().map(|w| w.subjects).sum();
        let who: Vec<String> = all.iter().map(|w| format!("{} ({})", w.class, count(w.subjects))).collect();
        text.push_str(&format!("\n{} -> {}: refused for now\n", first.from, first.to));
        text.push_str(&format!("  {}: {} can't be reached\n", counted(subjects, "subject"), first.to));
        text.push_str(&format!("{}\n", paper::wrapped("    who: ", &who.join("; "))));
        text.push_str(&format!("{}\n", paper::wrapped("    why: ", &first.down)));
        let stay = "they stay, and go nowhere else; plan again when it answers";
        text.push_str(&format!("{}\n", paper::wrapped("    now: ", stay)));
    }
    text
}

/// Regions that were to be read and could not be.
fn unread(unread: &std::collections::BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (region, why) in unread {
        let said = format!("can't be reached: {why}. Whoever lives there is not part of this plan.");
        text.push_str(&format!("\n{}\n", paper::wrapped(&format!("not read: {region} "), &said)));
    }
    text
}

fn by_region(label: &str, means: &str, counts: &std::collections::BTreeMap<String, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let all: Vec<String> = counts.iter().map(|(region, n)| format!("{region} {}", count(*n))).collect();
    format!("\n{label}: {}\n{}\n", all.join(", "), paper::wrapped("  ", means))
}

/// An estimate has no digits behind the point.
fn about(time: Duration) -> String {
    if time.as_secs() < 10 { "a few seconds".to_owned() } else { format!("about {}", duration(time)) }
}

fn estimate(planned: &PlannedMove, limits: &Limits) -> Duration {
    let size = planned.size();
    let rate = limits.rows_per_s.map_or(ROWS_PER_S, |c| c.clamp(1, ROWS_PER_S));
    let seconds = (size.rows / rate).max(size.bytes / BYTES_PER_S) + planned.objects / OBJECTS_PER_S;
    Duration::from_secs(seconds.max(1))
}

fn last_words(config: &Config, file: Option<&Path>, flag: &str) -> String {
    let grace = duration(config.limits.grace);
    let after = if config.limits.grace.is_zero() {
        "at any time".to_owned()
    } else {
        format!("{grace} later at the earliest")
    };
    let next = match file {
        Some(file) => {
            format!("next: domicile move{flag} --rehearse {0}\n      domicile move{flag} {0}", file.display())
        }
        None => format!("next: domicile plan{flag} -o plan.json   # this plan was only shown"),
    };
    format!(
        "\nwhat can't be undone\n{}\n{}\n\n{next}\n",
        paper::wrapped(
            "  ",
            "Moving can: until its cutover a subject goes back by `domicile abort`, afterwards by a plan that moves it back."
        ),
        paper::wrapped(
            "  ",
            &format!(
                "Erasing can't: `domicile erase`, {after}, removes rows and objects at the old home for good."
            )
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_keeps_to_the_users_ceiling() {
        let planned = PlannedMove {
            list: "p-1.1".into(),
            from: "a".into(),
            to: "b".into(),
            subjects: 1,
            list_hash: String::new(),
            groups: vec![],
            tables: [("main.t".to_owned(), domicile_stores::records::Size { rows: 80_000, bytes: 1 })].into(),
            objects: 0,
        };
        assert_eq!(estimate(&planned, &Limits::default()).as_secs(), 10);
        let slow = Limits { rows_per_s: Some(1_000), ..Limits::default() };
        assert_eq!(estimate(&planned, &slow).as_secs(), 80);
    }
}
