//! The move, with what goes wrong on the way: a gateway and the worker are killed.

use super::places::Places;
use crate::walk::{Result, Walk, say};
use domicile_sample::load::{Load, Tally};
use std::time::{Duration, Instant};

/// The load has begun when so many requests were answered.
const WARM_REQUESTS: u64 = 200;
/// Nothing of the walk takes so long.
const STEP_MAX: Duration = Duration::from_secs(900);

/// What the walk's tables show.
pub struct Moved {
    /// People who were to move.
    pub planned: u64,
    /// The load before the move, and while people moved.
    pub before: Tally,
    pub during: Tally,
    /// From the first command of the move to the end of the last.
    pub took: Duration,
}

/// Moves everybody who is to move.
pub fn all(walk: &Walk, places: &mut Places, load: &Load) -> Result<Moved> {
    warm(load)?;
    let plan = walk.ok(&["plan", "-o", "plan.json"])?;
    let before = load.lap();
    let begun = Instant::now();
    let planned = planned(walk, &plan)?;
    let mut worker = walk.start(&["move", "plan.json"], "move.log")?;
    until(walk, planned / 4, &mut worker)?;
    say("a gateway is killed (SIGKILL) while it holds requests");
    places.kill_gateway(0)?;
    until(walk, planned / 2, &mut worker)?;
    say("it is started again; the worker is killed");
    places.start_gateway(walk, 0)?;
    worker.kill().and_then(|()| worker.wait()).map_err(|e| e.to_string())?;
    walk.ok(&["resume"])?;
    let took = begun.elapsed();
    walk.wants(&[0, 3], &["status"])?;
    Ok(Moved { planned, before, during: load.lap(), took })
}

fn warm(load: &Load) -> Result<()> {
    let begun = Instant::now();
    while load.tally().answered() < WARM_REQUESTS {
        if begun.elapsed() > STEP_MAX {
            return Err(format!("the load does not get going: {}", load.tally()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Subjects of the plan file that move.
fn planned(walk: &Walk, shown: &str) -> Result<u64> {
    let plan: serde_json::Value =
        serde_json::from_str(&walk.read("plan.json")?).map_err(|e| e.to_string())?;
    let moves = plan["moves"].as_array().into_iter().flatten();
    let all: u64 = moves.filter_map(|m| m["subjects"].as_u64()).sum();
    if all > 0 { Ok(all) } else { Err(format!("nobody is to move: {shown}")) }
}

/// Waits until so many have moved.
fn until(walk: &Walk, many: u64, worker: &mut std::process::Child) -> Result<()> {
    let begun = Instant::now();
    loop {
        let status = walk.json(&["status"])?;
        let homes = |region: &str| at_home(&status, region);
        if homes("paris") + homes("mumbai") >= many {
            return Ok(());
        }
        if let Some(ended) = worker.try_wait().map_err(|e| e.to_string())? {
            return Err(format!(
                "the move ended ({ended}) before anything was killed: {}",
                walk.read("move.log")?
            ));
        }
        if begun.elapsed() > STEP_MAX {
            return Err("nobody moves".to_owned());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// How many the directory says are at home there.
fn at_home(status: &serde_json::Value, region: &str) -> u64 {
    let regions = status["regions"].as_array().into_iter().flatten();
    regions.filter(|r| r["region"] == region).filter_map(|r| r["homes"].as_u64()).sum()
}
