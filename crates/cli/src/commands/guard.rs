//! `guard`: installs, fills, arms and shows the guard in the regions' databases.

use crate::app::App;
use crate::args::GuardCommand;
use crate::config::{Config, Guard, Region};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::open::{self, Mapped, Want};
use crate::paper;
use crate::screen::{Answer, Exit};
use domicile_policy::in_force;
use domicile_stores::Records;
use domicile_stores::records::{Admission, GuardSpec, GuardStatus, Mode, State};
use serde_json::{Value, json};
use std::sync::Arc;

mod backfill;
pub mod disown;
mod grants;

/// Runs a guard command on the regions chosen, one after the other.
pub async fn run(app: &App, command: GuardCommand) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    let chosen = command.region();
    let regions = config.chosen(service, chosen)?;
    let mapped = open::mapped(&config, service, &want(&command, chosen)).await?;
    // What a region needs before it is prepared is asked for by `grants`.
    if chosen.is_some()
        && !matches!(command, GuardCommand::Grants(_))
        && let Some(region) = mapped.unprepared().find(|r| regions.iter().any(|c| c.id() == r.id()))
    {
        return Err(open::unprepared(region.id()));
    }
    let prepared: Vec<&Region> =
        mapped.prepared().filter(|r| regions.iter().any(|c| c.id() == r.id())).collect();
    let waiting: Vec<&str> =
        mapped.unprepared().filter(|r| regions.iter().any(|c| c.id() == r.id())).map(Region::id).collect();
    let answer = match command {
        GuardCommand::Install(_) => install(app, &config, &mapped, &prepared).await?,
        GuardCommand::Backfill(args) => backfill::run(app, &config, &mapped, &prepared, &args).await?,
        GuardCommand::Enforce(_) => enforce(&mapped, &prepared).await?,
        GuardCommand::Status(_) => status(&mapped, &prepared).await?,
        GuardCommand::Remove(_) => remove(&mapped, &prepared).await?,
        GuardCommand::Disown(args) => return disown::run(app, args).await,
        GuardCommand::Grants(_) => return grants::run(&mapped, &regions).await,
    };
    Ok(with_waiting(answer, &waiting))
}

/// A region that is named is looked at alone. Of all of them each must answer where something is changed.
fn want(command: &GuardCommand, region: Option<&str>) -> Want {
    match (command, region) {
        (_, Some(id)) => Want::only([id]),
        (GuardCommand::Status(_), None) => Want::reachable(),
        (_, None) => Want::all(),
    }
}

/// Regions without tables are named, never passed over in silence.
fn with_waiting(mut answer: Answer, waiting: &[&str]) -> Answer {
    for id in waiting {
        answer.text.push_str(&format!("\n{id}: no tables yet: domicile region prepare {id}"));
    }
    if let Value::Object(fields) = &mut answer.json {
        fields.insert("unprepared".to_owned(), json!(waiting));
    }
    answer
}

/// An error of one region's store.
fn at(region: &Region) -> impl Fn(domicile_stores::Error) -> Box<Failure> + '_ {
    move |e| failure::of_store(&format!("region {}", region.id()), &e)
}

async fn install(app: &App, config: &Config, mapped: &Mapped<'_>, regions: &[&Region]) -> Result<Answer> {
    let service = mapped.service;
    let policies = open::policies(config, service)?;
    let directory = open::directory(config).await?;
    directory.migrate().await.map_err(|e| failure::of_directory(&e))?;
    let ids: Vec<&str> = regions.iter().map(|r| r.id()).collect();
    crate::keys::signing(config, &ids)?;
    let mechanisms = in_force(&service.mechanisms, open::today());
    let (mut rows, mut list) = (Vec::new(), Vec::new());
    for region in regions {
        let admission = policies.admission(&region.place, &mapped.layout.categories(), &mechanisms);
        let admitted = admission.iter().filter(|a| a.allowed).count();
        let spec = GuardSpec {
            region: region.id().to_owned(),
            service: service.name.clone(),
            wave_only: service.guard == Guard::Wave,
            admission: admission
                .into_iter()
                .map(|a| Admission { country: a.spelling, allowed: a.allowed, rule: a.rule })
                .collect(),
        };
        let records = mapped.records(region).await?;
        let missing = records.missing_privileges().await.map_err(at(region))?;
        if !missing.is_empty() {
            return Err(lacks(region, missing));
        }
        app.screen.say(&format!("installing the guard at {}", region.id()));
        records.install(&spec).await.map_err(at(region))?;
        let status = records.status(true).await.map_err(at(region))?;
        rows.push(vec![
            region.id().to_owned(),
            mode(status.mode).to_owned(),
            count(mapped.layout.tables.len() as u64),
            count(status.unhomed),
        ]);
        list.push(json!({ "region": region.id(), "mode": status.mode, "unhomed": status.unhomed, "spellings_admitted": admitted }));
    }
    let table = paper::table(&["region", "mode", "tables", "without a home"], &[2, 3], rows);
    let next = if list.iter().any(|r| r["unhomed"] != json!(0)) {
        "next: domicile guard backfill"
    } else if list.iter().any(|r| r["mode"] == json!("observe")) {
        "next: domicile guard enforce"
    } else {
        "next: domicile check"
    };
    let mut text = format!("{table}\n\n");
    if list.iter().any(|r| r["mode"] == json!("observe")) {
        text.push_str("`observe`: nothing is refused yet, what would be is counted.\n");
    }
    text.push_str(next);
    Ok(Answer::new(text, json!({ "regions": list })))
}

/// All that the role lacks: the server would name only what it stumbles over first, and not always the reason.
fn lacks(region: &Region, mut missing: Vec<(String, String)>) -> Box<Failure> {
    // Membership in the tables' owner gives all that the owner has.
    missing.sort_by_key(|(what, _)| !what.starts_with("membership"));
    let whats: Vec<String> = missing.iter().map(|(what, _)| format!("  - {what}")).collect();
    let what = match missing.as_slice() {
        [(what, _)] => format!("region {}: the role has no {what}", region.id()),
        _ => format!("region {}: the role lacks\n{}", region.id(), whats.join("\n")),
    };
    let mut fix: Vec<String> = missing.iter().map(|(_, grant)| grant.clone()).collect();
    fix.push(format!(
        "domicile guard grants --region {}   # all of them, with who may run which",
        region.id()
    ));
    let why = "Domicile works as a plain role and asks only for the documented GRANTs";
    Failure::new("store-denied", what, why, fix.join("\n")).exit(Exit::No)
}

/// The mode in a word.
fn mode(mode: Option<Mode>) -> &'static str {
    match mode {
        None => "not installed",
        Some(Mode::Observe) => "observe",
        Some(Mode::Enforce) => "enforce",
        Some(Mode::Wave) => "wave",
    }
}

async fn enforce(mapped: &Mapped<'_>, regions: &[&Region]) -> Result<Answer> {
    let wanted = if mapped.service.guard == Guard::Wave { Mode::Wave } else { Mode::Enforce };
    let mut opened: Vec<(&Region, Arc<dyn Records>)> = Vec::new();
    // All are looked at before the first is changed.
    for region in regions {
        let records = mapped.records(region).await?;
        let status = records.status(true).await.map_err(at(region))?;
        ready_to_enforce(region, &status)?;
        opened.push((region, records));
    }
    let mut lines = Vec::new();
    for (region, records) in opened {
        records.set_mode(wanted).await.map_err(at(region))?;
        lines.push(format!("{}: {}", region.id(), mode(Some(wanted))));
    }
    let means = match wanted {
        Mode::Wave => "the guard is armed only while a wave is open",
        _ => "from now on a write that residency forbids is refused (RS001, RS002)",
    };
    let ids: Vec<&str> = regions.iter().map(|r| r.id()).collect();
    let text = format!("{}\n\n{means}\nnext: domicile plan", lines.join("\n"));
    Ok(Answer::new(text, json!({ "regions": ids, "mode": wanted })))
}

fn ready_to_enforce(region: &Region, status: &GuardStatus) -> Result<()> {
    let id = region.id();
    let not_ready = |code, what: String, fix: String| {
        let why = "an application that writes for a subject without a home would be refused";
        Err(Failure::new(code, what, why, fix).exit(Exit::No))
    };
    if !status.installed {
        return not_ready(
            "guard-absent",
            format!("{id}: the guard is not installed"),
            format!("domicile guard install --region {id}"),
        );
    }
    if status.unhomed > 0 {
        let what = format!("{id}: {} without a home", counted(status.unhomed, "subject"));
        return not_ready("guard-unhomed", what, format!("domicile guard backfill --region {id}"));
    }
    if let Some(fault) = status.faults.first() {
        return not_ready(
            "guard-fault",
            format!("{id}: {fault}"),
            format!("domicile guard install --region {id}"),
        );
    }
    Ok(())
}

async fn status(mapped: &Mapped<'_>, regions: &[&Region]) -> Result<Answer> {
    let head = ["region", "mode", "home", "on the way", "away", "no home", "changed keys"];
    let (mut rows, mut list, mut notes) = (Vec::new(), Vec::new(), String::new());
    let (mut faulty, mut observing) = (false, Vec::new());
    for region in regions {
        let records = mapped.records(region).await?;
        let status = records.status(true).await.map_err(at(region))?;
        let on_the_way: u64 = status
            .subjects
            .iter()
            .filter(|(s, _)| ![State::Home, State::Away].contains(s))
            .map(|(_, n)| n)
            .sum();
        let of = |state| count(status.subjects.get(&state).copied().unwrap_or(0));
        rows.push(vec![
            region.id().to_owned(),
            mode(status.mode).to_owned(),
            of(State::Home),
            count(on_the_way),
            of(State::Away),
            count(status.unhomed),
            count(status.changed),
        ]);
        faulty |= !status.faults.is_empty() || !status.installed;
        notes.push_str(&said_of(region.id(), &status));
        if status.mode == Some(Mode::Observe) && status.faults.is_empty() {
            observing.push((region.id(), status.unhomed > 0));
        }
        let mut json = serde_json::to_value(&status).unwrap_or(Value::Null);
        json["region"] = json!(region.id());
        list.push(json);
    }
    for (region, failure) in &mapped.down {
        rows.push(unreachable(region.id(), head.len()));
        list.push(json!({ "region": region.id(), "unreachable": open::in_a_line(failure) }));
        let said = format!("can't be reached: {}", open::in_a_line(failure));
        notes.push_str(&format!("\n{}\n", paper::wrapped(&format!("{} ", region.id()), &said)));
    }
    notes.push_str(&next_step(&observing));
    let text = format!("{}\n{notes}", paper::table(&head, &[2, 3, 4, 5, 6], rows));
    let mut answer = Answer::new(text, json!({ "regions": list })).no_if(faulty);
    if !faulty && !mapped.down.is_empty() {
        answer.exit = Exit::Failed;
    }
    Ok(answer)
}

/// A table's row of a region that does not answer: nothing of it is known.
pub fn unreachable(id: &str, columns: usize) -> Vec<String> {
    let mut row = vec!["?".to_owned(); columns];
    row[0] = id.to_owned();
    row[1] = "unreachable".to_owned();
    row
}

/// What was observed, and what is wrong.
fn said_of(id: &str, status: &GuardStatus) -> String {
    let mut text = String::new();
    if !status.observed.is_empty() {
        text.push_str(&format!("\n{id} would have refused\n"));
        let rows =
            status.observed.iter().map(|(table, reason, n)| vec![count(*n), table.clone(), reason.clone()]);
        text.push_str(&paper::indented(
            "  ",
            &paper::table(&["writes", "table", "reason"], &[0], rows.collect()),
        ));
        text.push('\n');
        text.push_str(&paper::wrapped(
            "  ",
            "Look who writes these before `guard enforce`: an import, a job, an old session?",
        ));
        text.push('\n');
    }
    if !status.faults.is_empty() {
        text.push_str(&format!("\n{id} is not guarded as it must be\n"));
        for fault in &status.faults {
            text.push_str(&format!("{}\n", paper::wrapped("  - ", fault)));
        }
        text.push_str(&format!("  fix: domicile guard install --region {id}\n"));
    }
    text
}

/// The next step of adoption, once for all regions: those that are further lose nothing by it.
fn next_step(observing: &[(&str, bool)]) -> String {
    let step = if observing.iter().any(|(_, unhomed)| *unhomed) { "backfill" } else { "enforce" };
    match observing {
        [] => String::new(),
        [(id, _)] => format!("\nnext: domicile guard {step} --region {id}\n"),
        _ => format!("\nnext: domicile guard {step}\n"),
    }
}

async fn remove(mapped: &Mapped<'_>, regions: &[&Region]) -> Result<Answer> {
    for region in regions {
        mapped.records(region).await?.remove().await.map_err(at(region))?;
    }
    let ids: Vec<&str> = regions.iter().map(|r| r.id()).collect();
    let text = format!(
        "removed from {}: residency is no longer enforced there\n\
         the directory keeps everybody's home; `domicile guard install` begins anew",
        ids.join(", ")
    );
    Ok(Answer::new(text, json!({ "removed": ids })))
}
