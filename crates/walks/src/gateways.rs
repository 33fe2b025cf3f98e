//! The promise of the gateway (docs/gateway.md), under load: people move while they keep writing, behind two gateways. One of
//! them is killed and started again, and so is the worker. No request fails, none is done twice, none reaches a region
//! that is not its subject's home.

mod places;
mod proof;
mod wave;

use crate::adopt::site::{POLICY, Site};
use crate::walk::{Result, Walk, say};
use domicile_sample::load::{Asked as Load, Load as Running, Log, Person, Rate};
use places::Places;
use std::path::PathBuf;

/// What was asked for.
struct Asked {
    people: usize,
    per_s: f64,
    sqlite: bool,
    keep: Option<PathBuf>,
}

/// `gateways [--people N] [--rate N] [--sqlite] [--keep DIR]`.
pub fn run(args: &[String]) -> Result<()> {
    let asked = parse(args)?;
    let walk = Walk::new("gateways", asked.keep.as_deref())?;
    let site = if asked.sqlite { Site::sqlite(&walk) } else { Site::postgres() };
    let mut places = Places::start(&walk, &site, asked.people)?;
    say(&format!("{} people use it through both gateways: {} requests a second", asked.people, asked.per_s));
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let load = start(&runtime, &places, &walk, &asked)?;
    let moved = wave::all(&walk, &mut places, &load);
    let tally = runtime.block_on(load.stop()).map_err(|e| format!("the load's log: {e}"))?;
    let moved = moved?;
    places.stop()?;
    let log = Log::read(&walk.path("load.log")).map_err(|e| format!("the load's log: {e}"))?;
    proof::all(&site, &moved, &tally, &log)
}

fn parse(args: &[String]) -> Result<Asked> {
    let mut asked = Asked { people: 20_000, per_s: 300.0, sqlite: false, keep: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--sqlite" => asked.sqlite = true,
            "--people" => asked.people = value()?.parse().map_err(|e| format!("--people: {e}"))?,
            "--rate" => asked.per_s = value()?.parse().map_err(|e| format!("--rate: {e}"))?,
            "--keep" => asked.keep = Some(PathBuf::from(value()?)),
            other => {
                return Err(format!(
                    "unknown: {other}; gateways [--people N] [--rate N] [--sqlite] [--keep DIR]"
                ));
            }
        }
    }
    if !(100..=200_000).contains(&asked.people) || !(10.0..=5000.0).contains(&asked.per_s) {
        return Err("--people is from 100 to 200000, --rate from 10 to 5000".to_owned());
    }
    Ok(asked)
}

fn start(runtime: &tokio::runtime::Runtime, places: &Places, walk: &Walk, asked: &Asked) -> Result<Running> {
    let load = Load {
        bases: places.gateways(),
        run: "gateways".to_owned(),
        rate: Rate::Open(asked.per_s),
        sign_ups_per_s: (asked.per_s / 100.0).max(0.5),
        countries: ["DE", "FR", "IN"].map(str::to_owned).to_vec(),
        log: walk.path("load.log"),
    };
    let people = (0..asked.people).map(|nr| Person::known(&format!("p{nr}"), nr)).collect();
    let _within = runtime.enter();
    Running::start(load, people).map_err(|e| e.to_string())
}

/// The only rule: everybody at home. Also the walk's policy file.
const RULES: &str = POLICY;
