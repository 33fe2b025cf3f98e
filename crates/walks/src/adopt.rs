//! Adoption without an outage (docs/adopt.md): an application in one region, under load the whole time, becomes one
//! in three; no request of it fails on the way.

mod gateways;
pub(crate) mod instances;
mod laps;
mod proof;
mod routes;
mod service;
pub(crate) mod site;

use crate::walk::{Result, Walk, say};
use instances::{Instances, binary};
use laps::Laps;
use routes::Routes;
use site::{PLACES, POLICY, Site, TODAY};
use std::path::PathBuf;
use std::process::Command;

/// What was asked for.
struct Asked {
    people: usize,
    /// Requests a second.
    per_s: f64,
    sqlite: bool,
    /// Residency is enforced for good, not only while somebody moves.
    always: bool,
    /// Gateways stand in front of the application; else it asks the directory service itself.
    gateway: bool,
    keep: Option<PathBuf>,
}

/// `adopt [--gateway] [--sqlite] [--always] [--people N] [--rate N] [--keep DIR]`.
pub fn run(args: &[String]) -> Result<()> {
    let asked = parse(args)?;
    let walk = Walk::new("adopt", asked.keep.as_deref())?;
    let site = if asked.sqlite { Site::sqlite(&walk) } else { Site::postgres() };
    make(&site, asked.people)?;
    let mut instances = Instances::start(&alone(&site, 0))?;
    say(&format!(
        "{} people use it: {} requests a second, until the end of this walk",
        asked.people, asked.per_s
    ));
    let mut laps = Laps::start(instances.bases(), asked.people, asked.per_s, &walk.path("load.log"))?;
    laps.step("before Domicile")?;
    let routes = adopt(&walk, &site, &asked, &mut instances, &mut laps);
    let (tally, log) = laps.stop()?;
    let routes = routes?;
    proof::a_stranger_is_refused(&routes.bases(&instances)[0])?;
    routes.stop()?;
    instances.stop()?;
    proof::all(&site, asked.people, asked.always, &tally, &log)
}

/// The whole way, a step after the other. What tells where people live is needed until the load ends.
fn adopt(
    walk: &Walk,
    site: &Site,
    asked: &Asked,
    instances: &mut Instances,
    laps: &mut Laps,
) -> Result<Routes> {
    read(walk, site, asked, laps)?;
    watch(walk, laps)?;
    let routes = if asked.gateway {
        let gateways = routes::by_gateways(walk, instances, laps)?;
        open_regions(walk, site, laps)?;
        routes::to_all_regions(walk, site, gateways, laps)?
    } else {
        open_regions(walk, site, laps)?;
        routes::by_the_directory(walk, site, instances, laps)?
    };
    enforce(walk, laps)?;
    move_all(walk, laps)?;
    end(walk, laps)?;
    Ok(routes)
}

fn parse(args: &[String]) -> Result<Asked> {
    let mut asked =
        Asked { people: 4000, per_s: 200.0, sqlite: false, always: false, gateway: false, keep: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--sqlite" => asked.sqlite = true,
            "--gateway" => asked.gateway = true,
            "--always" => asked.always = true,
            "--people" => asked.people = value()?.parse().map_err(|e| format!("--people: {e}"))?,
            "--rate" => asked.per_s = value()?.parse().map_err(|e| format!("--rate: {e}"))?,
            "--keep" => asked.keep = Some(PathBuf::from(value()?)),
            other => {
                return Err(format!(
                    "unknown: {other}; adopt [--gateway] [--sqlite] [--always] [--people N] [--rate N] [--keep DIR]"
                ));
            }
        }
    }
    if !(100..=100_000).contains(&asked.people) || !(10.0..=2000.0).contains(&asked.per_s) {
        return Err("--people is from 100 to 100000, --rate from 10 to 2000".to_owned());
    }
    Ok(asked)
}

/// The application's tables and people in the first region.
fn make(site: &Site, people: usize) -> Result<()> {
    let made = Command::new(binary()?).args(["prepare", "--store", &site.url(0, "owner")]).status();
    if !made.map_err(|e| e.to_string())?.success() {
        return Err("the application's tables could not be made".to_owned());
    }
    site.let_the_application_in(0);
    site.seed(people)
}

/// An instance that knows its own region only.
fn alone(site: &Site, place: usize) -> Vec<String> {
    vec!["--region".into(), PLACES[place].id.into(), "--store".into(), site.url(place, "app")]
}

/// `init`, `answer`, the policy, and what the role may do: nothing of the application's database changes.
fn read(walk: &Walk, site: &Site, asked: &Asked, laps: &mut Laps) -> Result<()> {
    walk.ok(&["init", "--from", &site.url(0, "domicile"), "--country", "DE", "--region", PLACES[0].id])?;
    walk.wants(&[0, 3], &["answer"])?;
    walk.ok(&["answer", "stores", "none"])?;
    walk.write("policies/residency.cedar", POLICY)?;
    if asked.gateway {
        walk.write("policies/today.cedar", TODAY)?;
    }
    std::fs::remove_file(walk.path("policies/starter.cedar")).map_err(|e| e.to_string())?;
    if !asked.always {
        only_while_somebody_moves(walk)?;
    }
    let grants = walk.ok(&["guard", "grants"])?;
    site.grant(0, &grants)?;
    walk.wants(&[3], &["check"])?;
    laps.step("init, answer, check")
}

fn only_while_somebody_moves(walk: &Walk) -> Result<()> {
    say("domicile.toml: guard = \"wave\", so that the guard's triggers fire only while somebody moves");
    let (config, was) = (walk.read("domicile.toml")?, "guard = \"always\"");
    if !config.contains(was) {
        return Err(format!("domicile.toml does not say {was}"));
    }
    walk.write("domicile.toml", &config.replace(was, "guard = \"wave\""))
}

/// The guard counts what it would refuse; it goes once, to show how; everybody gets a home.
fn watch(walk: &Walk, laps: &mut Laps) -> Result<()> {
    walk.ok(&["guard", "install"])?;
    laps.until_a_newcomer()?;
    laps.step("guard install: observes")?;
    walk.ok(&["guard", "status"])?;
    what_would_be_refused_is_counted(walk)?;
    say("to go back: everything that Domicile installed goes, under load as well");
    walk.ok(&["guard", "remove"])?;
    laps.step("guard remove")?;
    walk.ok(&["guard", "install"])?;
    laps.step("guard install again")?;
    say("at most 1000 subjects a second get their home, so that nobody notices");
    walk.append("domicile.toml", "\n[limits]\nrows_per_s = 1000\n")?;
    walk.ok(&["guard", "backfill"])?;
    laps.step("guard backfill, paced")?;
    walk.ok(&["guard", "status"])?;
    Ok(())
}

/// By table and reason: all notes of people without a home, and those who sign up.
fn what_would_be_refused_is_counted(walk: &Walk) -> Result<()> {
    let status = walk.json(&["guard", "status"])?;
    let observed = status["regions"][0]["observed"].as_array().cloned().unwrap_or_default();
    for table in ["notes", "people"] {
        let of_it = |entry: &&serde_json::Value| {
            let named = entry[0].as_str().is_some_and(|name| name.ends_with(table));
            named && entry[1].as_str().is_some_and(|reason| !reason.is_empty()) && entry[2].as_u64() > Some(0)
        };
        observed
            .iter()
            .find(of_it)
            .ok_or_else(|| format!("no refusal of {table} was counted: {observed:?}"))?;
    }
    Ok(())
}

/// The other regions: configuration, schema, guard.
fn open_regions(walk: &Walk, site: &Site, laps: &mut Laps) -> Result<()> {
    say("the other regions are written into domicile.toml");
    for (at, place) in PLACES.iter().enumerate().skip(1) {
        let url = site.url(at, "domicile");
        let text = format!(
            "\n[[region]]\nid = \"{}\"\ncountry = \"{}\"\nrecords = \"{url}\"\n",
            place.id, place.country
        );
        print!("{text}");
        walk.append("domicile.toml", &text)?;
    }
    for (at, place) in PLACES.iter().enumerate().skip(1) {
        let grants = walk.ok(&["guard", "grants", "--region", place.id])?;
        site.grant(at, &grants)?;
        walk.ok(&["region", "prepare", place.id])?;
        site.let_the_application_in(at);
    }
    walk.ok(&["guard", "install"])?;
    laps.step("region prepare")
}

/// From here on residency is kept while somebody moves.
fn enforce(walk: &Walk, laps: &mut Laps) -> Result<()> {
    walk.ok(&["guard", "enforce"])?;
    walk.ok(&["guard", "status"])?;
    walk.ok(&["check"])?;
    laps.step("guard enforce")
}

/// A few people of each move, then all.
fn move_all(walk: &Walk, laps: &mut Laps) -> Result<()> {
    walk.ok(&["plan", "-o", "plan.json"])?;
    laps.step("plan")?;
    walk.ok(&["move", "--first", "20", "plan.json"])?;
    laps.step("move --first 20")?;
    walk.ok(&["move", "plan.json"])?;
    laps.step("move")
}

/// Old rows are erased; with that the guard is disarmed, unless it is there for good.
fn end(walk: &Walk, laps: &mut Laps) -> Result<()> {
    walk.ok(&["verify"])?;
    laps.step("verify")?;
    say("no instance holds an old route for longer than a request: [limits] grace = \"0s\"");
    let config = walk.read("domicile.toml")?;
    walk.write("domicile.toml", &config.replace("[limits]\n", "[limits]\ngrace = \"0s\"\n"))?;
    walk.ok(&["erase"])?;
    laps.step("erase")?;
    walk.ok(&["guard", "status"])?;
    laps.step("after")
}
