//! The relay beside the store it keeps messages in: messages a second and their latency through its HTTP door, as devices send them
//! (token, proof, consent, guard), beside bare inserts of the same rows into the same server.

mod bare;
mod load;
pub mod process;

use crate::figures::{quantile, spread, three};
use crate::ground::Ground;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use domicile_stores::mailboxes::schema;
use load::{Measured, Senders};
use std::time::Duration;

/// Mailboxes, each with a device that sends to all.
const MAILBOXES: usize = 1_000;
/// What the relay must take, messages a second.
const RATE: u32 = 5_000;
/// What it may take for it, ms.
const P99_MS: f64 = 50.0;
/// Bytes of a message: a short text, padded and encrypted.
const BODY_BYTES: usize = 1_100;

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let (runs, seconds) = if asked.quick { (1, 2) } else { (asked.runs.min(3), 8) };
    println!(
        "\n## Relay\n\nOne relay, its PostgreSQL (fsync on, guard enforced) and who sends, all on this machine's cores. {MAILBOXES} devices \
         send messages of {BODY_BYTES} bytes, each request with its consent token and a proof of the device's key; an answer comes after the commit. \
         Open loop: {RATE} a second on a fixed schedule for {seconds} s, latency from when each was due. At most: as fast as 256 connections \
         get answers. Bare: the same rows without guard and foreign key, 512 of them in a commit on three connections, and one in a commit on \
         16.\n"
    );
    let senders = Senders::new(MAILBOXES);
    ground.template_once("relay", schema::POSTGRES, "");
    // Too long for a command's argument.
    let rows = tempfile::NamedTempFile::new()?;
    std::fs::write(rows.path(), senders.rows())?;
    ground.old.sql_file("relay", rows.path());
    let mut all: Vec<[f64; 6]> = Vec::new();
    for round in 0..runs {
        eprintln!("bench: relay, round {}", round + 1);
        all.push(one_round(ground, &senders, seconds).await?);
    }
    let column = |n: usize| all.iter().map(|round| round[n]).collect::<Vec<f64>>();
    println!("| what | messages/s | p50 ms | p99 ms |\n|---|---|---|---|");
    println!(
        "| relay, open loop | {} | {} | {} |",
        three(&column(0), 0),
        three(&column(1), 1),
        three(&column(2), 1)
    );
    println!("| relay, at most | {} | | |", three(&column(3), 0));
    println!("| bare, 512 rows a commit | {} | | |", three(&column(4), 0));
    println!("| bare, one row a commit | {} | | |", three(&column(5), 0));
    let ratio = |n: usize| all.iter().map(|round| round[3] / round[n]).collect::<Vec<f64>>();
    println!(
        "\nAt most, of bare: {} of 512 rows a commit, {} of one row a commit.",
        three(&ratio(4), 2),
        three(&ratio(5), 2)
    );
    verdicts.add(
        "relay: messages/s taken of 5 000/s offered",
        Target::AtLeast(f64::from(RATE) * 0.99),
        &column(0),
    );
    verdicts.add("relay: p99 ms at 5 000/s", Target::AtMost(P99_MS), &column(2));
    if spread(&column(3)).1.is_nan() { Err("nothing was measured".into()) } else { Ok(()) }
}

/// Rate, p50 and p99 of the open loop; rates of the closed one and of both bare ones.
async fn one_round(ground: &Ground, senders: &Senders, seconds: u64) -> Fallible<[f64; 6]> {
    let site = ground.site("relay").await?;
    let relay = process::Running::start(&site, &ground.old.url("app", &site.database)).await?;
    let length = Duration::from_secs(seconds);
    let warm = senders.requests(RATE as usize, relay.port)?;
    load::open(&relay.address(), warm, RATE).await?;
    let many = RATE as usize * seconds as usize;
    let open = load::open(&relay.address(), senders.requests(many, relay.port)?, RATE).await?;
    let plenty = senders.requests(many * 3, relay.port)?;
    let most = load::closed(&relay.address(), plenty, length).await?;
    let kept = ground.old.sql(&site.database, "SELECT count(*) FROM mailbox_message").parse::<usize>()?;
    let answered = RATE as usize + open.kept + most.kept;
    // What was cut off at the end of the closed loop may be kept, too.
    if kept < answered {
        return Err(format!("{answered} messages were acknowledged, {kept} are there").into());
    }
    drop(relay);
    ground.drop(&site.database);
    let (batched, single) = bare::run(ground, length).await?;
    Ok([open.rate(), open.ms(0.5), open.ms(0.99), most.rate(), batched, single])
}

impl Measured {
    fn rate(&self) -> f64 {
        self.kept as f64 / self.took.as_secs_f64()
    }

    fn ms(&self, share: f64) -> f64 {
        quantile(&self.sorted_ms, share)
    }
}
