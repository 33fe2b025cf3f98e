//! Chinook, a shop for music: its customers move from Frankfurt to the regions of their countries.

mod load;
mod places;
mod proof;
mod shop;

use crate::walk::{Result, Walk, say};
use places::{HOME, PLACES, POLICY};
use proof::Before;
use shop::Shop;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

/// How long a wave may take to begin.
const BEGIN_MAX: Duration = Duration::from_secs(120);
/// Ceiling on rows a second while the mover is going to be killed, for each time of `--times`.
const ROWS_PER_S: u32 = 60;
/// From a wave's beginning to the kill.
const KILL_AFTER: Duration = Duration::from_millis(700);

/// What was asked for.
struct Asked {
    times: u32,
    sqlite: bool,
    keep: Option<PathBuf>,
}

/// `chinook [--times N] [--sqlite] [--keep DIR]`.
pub fn run(args: &[String]) -> Result<()> {
    let asked = parse(args)?;
    let walk = Walk::new("chinook", asked.keep.as_deref())?;
    let shop = if asked.sqlite { Shop::sqlite(&walk)? } else { Shop::postgres()? };
    if asked.times > 1 {
        say(&format!("{} times as many customers, invoices and lines", asked.times));
        shop.multiply(asked.times)?;
    }
    let before = Before::read(&shop)?;
    println!("{before}");
    adopt(&walk, &shop)?;
    open_regions(&walk, &shop)?;
    let wrote = move_all(&walk, &shop, asked.times)?;
    after(&walk, &before)?;
    proof::check(&walk, &shop, &before, &wrote)
}

fn parse(args: &[String]) -> Result<Asked> {
    let mut asked = Asked { times: 1, sqlite: false, keep: None };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
        match arg.as_str() {
            "--sqlite" => asked.sqlite = true,
            "--times" => {
                asked.times = value()?.parse().map_err(|e| format!("--times: {e}"))?;
                if !(1..=2000).contains(&asked.times) {
                    return Err("--times is from 1 to 2000: Chinook's ids are 32 bits wide".to_owned());
                }
            }
            "--keep" => asked.keep = Some(PathBuf::from(value()?)),
            other => return Err(format!("unknown: {other}; chinook [--times N] [--sqlite] [--keep DIR]")),
        }
    }
    Ok(asked)
}

/// From nothing to a guard that observes at the one region there is, where everybody has a home.
fn adopt(walk: &Walk, shop: &Shop) -> Result<()> {
    let from = shop.url(walk, &PLACES[HOME]);
    walk.ok(&["init", "--from", &from, "--country", "DE", "--region", PLACES[HOME].id])?;
    walk.wants(&[3], &["answer"])?;
    walk.ok(&["answer", &format!("personal:{}", shop.employee()), "stub"])?;
    walk.ok(&["answer", "stores", "none"])?;
    say("policies/residency.cedar takes the place of the starter");
    walk.write("policies/residency.cedar", POLICY)?;
    std::fs::remove_file(walk.path("policies/starter.cedar")).map_err(|e| e.to_string())?;
    // Not ready yet: the role may do nothing, and there is no guard.
    walk.wants(&[3], &["check"])?;
    grant(walk, shop, HOME)?;
    walk.ok(&["guard", "install"])?;
    say("the shop goes on; one new customer, whom the guard would have refused");
    shop.new_customer(HOME, 900_000_001, "Atlantis")?;
    walk.ok(&["guard", "status"])?;
    shop.run(HOME, "DELETE FROM customer WHERE customer_id = 900000001")?;
    walk.ok(&["guard", "backfill"])?;
    Ok(())
}

/// Runs what `guard grants` prints, as the database's owner would.
fn grant(walk: &Walk, shop: &Shop, place: usize) -> Result<()> {
    let sql = walk.ok(&["guard", "grants", "--region", PLACES[place].id])?;
    shop.grant(place, &sql)
}

/// The other regions: configuration, schema, shared tables, guard.
fn open_regions(walk: &Walk, shop: &Shop) -> Result<()> {
    say("the other regions are written into domicile.toml");
    for place in PLACES.iter().skip(1) {
        let url = shop.url(walk, place);
        let text = format!(
            "\n[[region]]\nid = \"{}\"\ncountry = \"{}\"\nrecords = \"{url}\"\n",
            place.id, place.country
        );
        print!("{text}");
        walk.append("domicile.toml", &text)?;
    }
    for (at, place) in PLACES.iter().enumerate().skip(1) {
        grant(walk, shop, at)?;
        walk.ok(&["region", "prepare", place.id])?;
        shop.let_the_application_in(at)?;
    }
    walk.ok(&["policy", "explain", "--country", "France"])?;
    walk.ok(&["guard", "install"])?;
    walk.ok(&["guard", "backfill"])?;
    walk.ok(&["guard", "enforce"])?;
    walk.ok(&["check"])?;
    Ok(())
}

/// Plan and move; where there is more than Chinook itself, applications write meanwhile and the mover is
/// killed twice.
fn move_all(walk: &Walk, shop: &Shop, times: u32) -> Result<load::Wrote> {
    walk.ok(&["plan", "-o", "plan.json"])?;
    say("Chinook has no objects, so this walk has no object store; `cargo xtask odd` has one");
    if times == 1 {
        walk.ok(&["move", "--rehearse", "plan.json"])?;
        walk.ok(&["move", "--first", "1", "plan.json"])?;
        walk.ok(&["move", "plan.json"])?;
        return Ok(load::Wrote::default());
    }
    let applications = load::Applications::start(shop, 3)?;
    let moved = kill_twice_and_go_on(walk, times);
    let wrote = applications.stop()?;
    moved?;
    println!("\n{wrote}");
    Ok(wrote)
}

/// Kills `move`, then `resume`, each a while after its wave began, and goes on to the end.
fn kill_twice_and_go_on(walk: &Walk, times: u32) -> Result<()> {
    // The first wave has 368 rows of Chinook's own: so it lasts some seconds on any machine.
    let slowly = format!("\n[limits]\nrows_per_s = {}\n", ROWS_PER_S * times);
    walk.append("domicile.toml", &slowly)?;
    for (n, args) in [&["move", "plan.json"][..], &["resume"]].into_iter().enumerate() {
        let log = format!("killed-{n}.log");
        let mut child = walk.start(args, &log)?;
        let killed = kill_in_the_middle(walk, &mut child, &log);
        let _ = child.kill();
        child.wait().map_err(|e| e.to_string())?;
        print!("{}", walk.read(&log)?);
        println!("(killed with SIGKILL)");
        killed?;
        walk.wants(&[0, 3], &["status"])?;
    }
    let config = walk.read("domicile.toml")?;
    walk.write("domicile.toml", &config.replace(&slowly, ""))?;
    walk.ok(&["resume"])?;
    // `resume` ends the waves that had begun; the plan's other moves begin with the same command.
    walk.ok(&["move", "plan.json"])?;
    Ok(())
}

/// A wave has begun where a line says so. A killed worker's turn is waited for, a few seconds, first.
fn kill_in_the_middle(walk: &Walk, child: &mut Child, log: &str) -> Result<()> {
    let until = Instant::now() + BEGIN_MAX;
    while !walk.read(log)?.lines().any(|l| l.contains(" begins: ") || l.contains(" goes on: ")) {
        if Instant::now() > until {
            return Err(format!("no wave began within {BEGIN_MAX:?}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(KILL_AFTER);
    match child.try_wait().map_err(|e| e.to_string())? {
        None => Ok(()),
        Some(status) => Err(format!("it had ended ({status}) before it was killed: try a larger --times")),
    }
}

/// What comes after a move: look, wait, erase, prove.
fn after(walk: &Walk, before: &Before) -> Result<()> {
    walk.ok(&["verify"])?;
    walk.ok(&["locate", &before.a_french_customer.to_string()])?;
    walk.wants(&[3], &["erase"])?;
    say("nobody holds a route to Frankfurt any more in this walk: [limits] grace = \"0s\"");
    walk.append("domicile.toml", "\n[limits]\ngrace = \"0s\"\n")?;
    walk.ok(&["erase"])?;
    walk.ok(&["status"])?;
    walk.ok(&["verify"])?;
    let folder = std::fs::read_dir(walk.path("receipts")).map_err(|e| format!("receipts: {e}"))?;
    let mut names: Vec<String> =
        folder.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|n| n.ends_with(".receipts"));
    names.sort();
    for name in &names {
        walk.ok(&["receipt", "verify", &format!("receipts/{name}")])?;
    }
    walk.ok(&["receipt", "extract", &before.a_french_customer.to_string(), "-o", "one.receipt"])?;
    walk.ok(&["receipt", "verify", "one.receipt", "--keys", "keys/frankfurt.pub", "keys/paris.pub"])?;
    Ok(())
}
