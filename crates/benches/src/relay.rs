//! The relay beside the store it keeps messages in: messages a second and their latency through its HTTP door, as devices send them
//! (token, proof, consent, guard), beside bare inserts of the same rows into the same server.

mod bare;
mod connection;
mod journey;
mod load;
pub mod process;

use crate::figures::{quantile, spread, three};
use crate::ground::Ground;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use domicile_stores::mailboxes::schema;
use journey::Journey;
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

/// Messages a second the whole way, tried one after the other until one is sustained.
const JOURNEYS: [u32; 9] = [5_000, 4_500, 4_000, 3_500, 3_000, 2_500, 2_000, 1_500, 1_000];
/// Messages that go before, and are not counted.
const WARM: u32 = 500;
/// What must be sustained of them, on two cores that senders, receivers and PostgreSQL share.
const WHOLE_WAY: f64 = 2_000.0;

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
    if spread(&column(3)).1.is_nan() {
        return Err("nothing was measured".into());
    }
    whole_way(ground, &senders, (runs, seconds), verdicts).await
}

/// The highest rate at which messages go the whole way without falling behind, each rate in rounds of its own.
async fn whole_way(
    ground: &Ground,
    senders: &Senders,
    (runs, seconds): (usize, u64),
    verdicts: &mut Verdicts,
) -> Fallible<()> {
    println!(
        "\n### The whole way\n\nEach of the {MAILBOXES} devices waits in a long poll besides, and acknowledges what it receives, durably. \
         A rate is sustained where the messages of {seconds} s have all been acknowledged within a second more, in every round. Latency from when each \
         was due, p50 / p99 ms, the middle round. Bare: the same rows inserted and deleted again, one in a commit, on 16 connections.\n\n\
         | offered/s | acknowledged/s | kept | at the receiver | acknowledged |\n|---|---|---|---|---|"
    );
    let mut sustained = f64::NAN;
    for rate in JOURNEYS {
        let mut rounds = Vec::new();
        for round in 0..runs {
            eprintln!("bench: relay, the whole way at {rate}/s, round {}", round + 1);
            rounds.push(one_journey(ground, senders, rate, seconds).await?);
        }
        let rates: Vec<f64> = rounds.iter().map(Journey::rate).collect();
        let middle = |n: usize| spread(&rounds.iter().map(|round| round.row()[n]).collect::<Vec<_>>()).1;
        let [a, b, c, d, e, f] = std::array::from_fn(middle);
        println!("| {rate} | {} | {a:.1} / {b:.1} | {c:.1} / {d:.1} | {e:.1} / {f:.1} |", three(&rates, 0));
        let least = f64::from(rate) * seconds as f64 / (seconds + 1) as f64;
        if rates.iter().all(|reached| *reached >= least) {
            sustained = f64::from(rate);
            break;
        }
    }
    let [rate, p50, p99] = bare::pairs(ground, Duration::from_secs(seconds)).await?;
    println!("| bare, at most | {rate:.0} | | | {p50:.1} / {p99:.1} |");
    verdicts.add("relay: messages/s the whole way, acknowledged", Target::AtLeast(WHOLE_WAY), &[sustained]);
    Ok(())
}

async fn one_journey(ground: &Ground, senders: &Senders, rate: u32, seconds: u64) -> Fallible<Journey> {
    let site = ground.site("relay").await?;
    let relay = process::Running::start(&site, &ground.old.url("app", &site.database)).await?;
    let address = relay.address();
    journey::run(senders, (&address, relay.port), WARM, 1).await?;
    let journey = journey::run(senders, (&address, relay.port), rate, seconds).await?;
    let count = |table: &str| ground.old.sql(&site.database, &format!("SELECT count(*) FROM {table}"));
    let (left, known) = (count("mailbox_message"), count("mailbox_delivered"));
    let all = WARM as usize + rate as usize * usize::try_from(seconds)?;
    let gone = WARM as usize + journey.gone.len();
    // Fallen behind, some are not received within the time that is waited for.
    let is_right = known.trim().parse::<usize>()? >= gone && left.trim().parse::<usize>()? <= all - gone;
    if !is_right {
        return Err(format!(
            "of {all} messages {gone} were acknowledged, {left} are there still, {known} known"
        )
        .into());
    }
    drop(relay);
    ground.drop(&site.database);
    Ok(journey)
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
