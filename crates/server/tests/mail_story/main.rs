//! Messages while their senders and receivers move there and back under load, by the real mover, and relays are killed: every
//! message that was acknowledged to its sender is shown once, none is lost, none is shown twice. And the same of two relays of one region
//! that are killed, with their database, in the middle of whatever they are at ([`killed`]); and what these two tell each other
//! ([`neighbours`]).
//!
//! No harness: a relay is this program again, in a process of its own that can be killed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test without a harness tells of itself")]

mod device;
mod killed;
mod neighbours;
mod relay;
mod site;

use device::{Device, Known};
use domicile_messaging::wire::MailboxId;
use domicile_mover::wave::{self, Options};
use domicile_mover::{Ask, Service, plan};
use relay::Running;
use site::{Places, REGIONS, Site};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

type Fallible<T> = Result<T, Box<dyn std::error::Error + std::marker::Send + Sync>>;

/// Mailboxes, each with a device that sends and reads.
const MAILBOXES: usize = 10;
/// Times that half of them move, there and back in turn.
const MOVES: usize = 6;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let told = |what: &str, done: Fallible<()>| match done {
        Ok(()) => true,
        Err(why) => {
            eprintln!("{what}: {why}");
            false
        }
    };
    if let [word, region, places, port @ ..] = args.as_slice()
        && word == "relay"
    {
        let port = port.first().map(String::as_str);
        let done = runtime.block_on(relay::run(Path::new(places), region, port));
        return if told("relay", done) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    // `cargo test -- --list` is of harnesses.
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    // A word names a story; without one all are told.
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let is_asked = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    let tells = |name: &str, story: &dyn Fn(&str) -> Fallible<()>| !is_asked(name) || told(name, story(name));
    let good = tells("PostgreSQL", &|name| runtime.block_on(story(name, false)))
        && tells("SQLite", &|name| runtime.block_on(story(name, true)))
        && tells("neighbours", &|_| runtime.block_on(neighbours::story()))
        && tells("alone", &|_| runtime.block_on(neighbours::alone()))
        && tells("killed", &|_| runtime.block_on(killed::story()));
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn story(engine: &str, sqlite: bool) -> Fallible<()> {
    let mailboxes: Vec<MailboxId> = (0..MAILBOXES).map(|_| MailboxId::random()).collect();
    let names: Vec<String> = mailboxes.iter().map(ToString::to_string).collect();
    let site = Site::start(sqlite, &mailboxes)?;
    let places = Arc::new(site.places.clone());
    let service = places.service().await?;
    places.adopt(&service).await?;
    let mut relays = Vec::new();
    for (region, _) in REGIONS {
        relays.push(Running::start(&places, region).await?);
    }
    let known = Arc::<Known>::default();
    let device = |mailbox: &MailboxId| Device::new(*mailbox, places.clone(), known.clone());
    let senders: Vec<_> = mailboxes
        .iter()
        .map(|m| tokio::spawn(device(m).send_until_enough(mailboxes.clone(), Duration::from_millis(15))))
        .collect();
    let readers: Vec<_> = mailboxes.iter().map(|m| tokio::spawn(device(m).read_until_enough())).collect();
    let begun = Instant::now();
    let moved = moves(&service, &places, &site, &names, &mut relays).await;
    known.sent_enough.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await?;
    }
    until_all_is_shown(&known).await;
    known.read_enough.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await?;
    }
    let moved = moved?;
    println!(
        "{engine}: {moved} mailboxes moved in {:.0} s, {} relays killed; {}",
        begun.elapsed().as_secs_f64(),
        MOVES,
        verdict(&known)?
    );
    Ok(())
}

/// Half of the mailboxes move, there and back; a relay is killed in the middle of each move.
async fn moves(
    service: &Arc<Service>,
    places: &Places,
    site: &Site,
    names: &[String],
    relays: &mut [Running],
) -> Fallible<u64> {
    let mut moved = 0;
    for turn in 0..MOVES {
        let (from, to) = (turn % 2, (turn + 1) % 2);
        let half: Vec<&String> = names.iter().skip(turn / 2 % 2).step_by(2).collect();
        emigrate(site, from, REGIONS[to].1, &half)?;
        let killed = &mut relays[turn / 2 % 2];
        let region = REGIONS[turn / 2 % 2].0;
        let (wave, killed) = tokio::join!(one_wave(service, half.len() as u64), async {
            tokio::time::sleep(Duration::from_millis(40 * turn as u64)).await;
            killed.kill();
            tokio::time::sleep(Duration::from_millis(200)).await;
            Running::start(places, region).await
        });
        relays[turn / 2 % 2] = killed?;
        moved += wave?;
    }
    Ok(moved)
}

/// Their owners say that they live elsewhere now.
fn emigrate(site: &Site, region: usize, country: &str, who: &[&String]) -> Fallible<()> {
    let ids: Vec<String> = who.iter().map(|id| format!("'{id}'")).collect();
    let sql = format!("UPDATE mailbox SET country = '{country}' WHERE id IN ({})", ids.join(", "));
    if let Some(cluster) = site.clusters.get(region) {
        let ran = cluster.script("relay", "messages", &sql);
        return match ran.stderr.is_empty() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&ran.stderr).into()),
        };
    }
    let file = site.places.records[REGIONS[region].0].clone();
    let db = rusqlite::Connection::open(file.trim_start_matches("sqlite:"))?;
    db.busy_timeout(Duration::from_secs(20))?;
    db.execute_batch(&sql)?;
    Ok(())
}

/// `domicile plan`, `move` and `erase`; again for whom the first wave left.
async fn one_wave(service: &Arc<Service>, wanted: u64) -> Fallible<u64> {
    let mut moved = 0;
    for _ in 0..20 {
        let ask =
            Ask { today: jiff::civil::date(2026, 11, 27), for_latency: false, from: Default::default() };
        let plan = plan::stored(service, &ask).await?;
        for report in wave::run_plan(service, &plan, &Options::default()).await?.reports {
            moved += report.subjects;
            wave::erase_wave(service, &report.wave).await?;
        }
        if moved >= wanted {
            return Ok(moved);
        }
    }
    Err(format!("{moved} of {wanted} moved").into())
}

async fn until_all_is_shown(known: &Known) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        let all = {
            let (kept, shown) = (known.kept.lock().unwrap(), known.shown.lock().unwrap());
            kept.iter().all(|message| shown.contains_key(message))
        };
        if all {
            // One that is shown twice would be shown now.
            tokio::time::sleep(Duration::from_secs(2)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn verdict(known: &Known) -> Fallible<String> {
    let (kept, shown) = (known.kept.lock().unwrap(), known.shown.lock().unwrap());
    let lost = kept.iter().filter(|message| !shown.contains_key(message)).count();
    let twice = shown.values().filter(|times| **times > 1).count();
    let strange = known.strange.lock().unwrap();
    let said = format!(
        "{} messages kept, {} shown, {lost} lost, {twice} twice; {} tries repeated, {} answers 421",
        kept.len(),
        shown.len(),
        known.repeated.load(Ordering::Relaxed),
        known.moved.load(Ordering::Relaxed)
    );
    match lost == 0 && twice == 0 && strange.is_empty() && kept.len() > 100 {
        true => Ok(said),
        false => Err(format!("{said}; strange: {strange:?}").into()),
    }
}
