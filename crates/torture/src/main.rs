//! Moves subjects to and fro without end while everything fails, and checks by other means that nothing is lost.
//! Started by `cargo xtask torture`; docs/torture.md says what is tried and how to read it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command for people")]

mod check;
mod deck;
mod dice;
mod drive;
mod evidence;
mod ground;
mod load;
mod planted;
mod points;
mod process;
mod site;
mod tally;
mod worker;

use drive::Asked;
use ground::Engine;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Anything that goes wrong, in words.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const HELP: &str = "\
cargo xtask torture [--minutes N | --once] [--engine postgres|sqlite] [--seed S] [--evidence DIR] [--planted NAME|all]
cargo xtask torture points

  --minutes N     so long (a fraction will do; 5 unless said)
  --once          instead: every durable write dies once and fails twice, a few kills and crashes; one to two minutes
  --engine        postgres (unless said) or sqlite
  --seed S        of the dice; a run prints its own
  --evidence DIR  where logs go, and what is kept of a finding; a new folder below the system's for temporary
                  files unless said
  --planted NAME  breaks one thing on purpose and expects to find it; `all`: one after the other
  points          lists the durable writes that can be made to fail, by name

Exit code: 0 nothing was found (with --planted: each was found), 1 something was, 2 usage.
";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("worker") => return worker(&args[1..]).await,
        Some("points") => {
            print!("{}", points::listed());
            Ok(true)
        }
        Some("--help" | "help") => {
            print!("{HELP}");
            Ok(true)
        }
        _ => torture(&args).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("torture: {why}");
            ExitCode::from(2)
        }
    }
}

async fn torture(args: &[String]) -> Fallible<bool> {
    let (mut engine, mut minutes, mut once, mut seed) = (Engine::Postgres, 5.0_f64, false, None);
    let (mut folder, mut planted) = (None, None);
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{arg} needs a value\n\n{HELP}"));
        match arg.as_str() {
            "--minutes" => minutes = value()?.parse()?,
            "--once" => once = true,
            "--seed" => seed = Some(value()?.parse::<u64>()?),
            "--evidence" => folder = Some(PathBuf::from(value()?)),
            "--planted" => planted = Some(value()?.clone()),
            "--engine" => {
                engine = match value()?.as_str() {
                    "postgres" => Engine::Postgres,
                    "sqlite" => Engine::Sqlite,
                    other => return Err(format!("no engine is called `{other}`").into()),
                }
            }
            other => return Err(format!("unknown: {other}\n\n{HELP}").into()),
        }
    }
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis() as u64;
    let seed = seed.unwrap_or(clock % 1_000_000);
    let folder = match folder {
        Some(folder) => folder,
        None => std::env::temp_dir().join(format!("domicile-torture-{seed}-{clock}")),
    };
    std::fs::create_dir_all(&folder)?;
    let time = (!once).then(|| Duration::from_secs_f64(minutes * 60.0));
    let asked = Asked { engine, seed, time, folder };
    match planted {
        Some(name) => planted::run(&asked, &name).await,
        None => one(&asked).await,
    }
}

/// One run, told at its end. True: nothing was found.
async fn one(asked: &Asked) -> Fallible<bool> {
    println!("torture on {:?}, seed {}, logs in {}", asked.engine, asked.seed, asked.folder.display());
    let ran = drive::run(asked).await?;
    print!("{}", ran.tally.told(ran.took));
    println!("  load: {}", ran.load);
    println!("durable writes, and what was done to them:\n{}", ran.tally.told_by_point().trim_end());
    if !ran.tally.errors.is_empty() {
        println!("workers ended with:");
        for (error, times) in &ran.tally.errors {
            println!("  {times:>4} {error}");
        }
    }
    let untried: Vec<_> = points::POINTS
        .iter()
        .filter(|p| !ran.tally.has_struck(p.name) && (p.name != "scrub" || asked.engine == Engine::Sqlite))
        .map(|p| p.name)
        .collect();
    if !untried.is_empty() {
        println!("not struck in this run: {}", untried.join(", "));
    }
    if ran.findings.is_empty() {
        println!(
            "found: nothing (lost, doubled, stale, phantom, misplaced, resurrected, homeless, left behind: 0)"
        );
        let _ = std::fs::remove_dir_all(&asked.folder);
        return Ok(true);
    }
    println!(
        "FOUND {} after {} s: {}",
        ran.findings.len(),
        ran.took.as_secs(),
        check::counted(&ran.findings)
    );
    for finding in ran.findings.iter().take(20) {
        println!("  {finding}");
    }
    println!("evidence: {} (seed {})", asked.folder.display(), asked.seed);
    Ok(false)
}

async fn worker(args: &[String]) -> ExitCode {
    let asked = || -> Fallible<_> {
        let [site, verb, from, turns, faults @ ..] = args else { return Err("a worker's arguments".into()) };
        let verb = match verb.as_str() {
            "move" => worker::Verb::Move,
            "abort" => worker::Verb::Abort,
            "help" => worker::Verb::Help,
            "settle" => worker::Verb::Settle,
            other => return Err(format!("no verb is called `{other}`").into()),
        };
        let from = Some(from.clone()).filter(|from| from != "-");
        let faults: Vec<points::Fault> = faults.iter().map(|f| f.parse()).collect::<Result<_, String>>()?;
        for fault in faults.iter().filter(|f| f.point != "copy-rows") {
            points::find(&fault.point)?;
        }
        Ok((site.clone(), verb, from, turns.parse::<u32>()?, faults))
    };
    let ran = match asked() {
        Ok((site, verb, from, turns, faults)) => {
            worker::run(Path::new(&site), verb, faults, from, turns).await
        }
        Err(why) => Err(why),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            points::say(&format!("error {why}").replace('\n', " "));
            ExitCode::from(3)
        }
    }
}
