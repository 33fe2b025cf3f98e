//! The wide area: a new home at the end of a long and lossy line, the worker beside the source.

use crate::figures::{quantile, three};
use crate::ground::{Ground, SCHEMA, rows};
use crate::line::{Line, overrun};
use crate::pause::{self, Shape};
use crate::site::{moved, planned};
use crate::verdicts::{Target, Verdicts};
use crate::whole::pipe_seconds;
use crate::{Asked, Fallible};
use domicile_mover::progress::Silent;
use domicile_testbed::far::Far;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The line of the throughput rows.
const LOSSY: Line = line(169, 5_000);
/// The line of the pause row.
const LONG: Line = line(200, 0);
/// How far the measured ping may be from what was asked for, ms.
const PING_OFF_MAX: f64 = 8.0;
/// Rows of a subject of the throughput rows.
const EACH: u64 = 1_000;
/// Subjects that the mover moves, and the pipe with BBR; with cubic it brings a part of them, since it would take
/// minutes for all, and its rate is what it is from the second second on.
const SUBJECTS: u64 = 1_000;
const PART: u64 = 20;
/// What sockets use that ask for nothing, as most machines are set. The mover's ask for BBR.
const USUAL: &str = "cubic";
/// A run takes a minute.
const RUNS_MAX: usize = 3;
/// Subjects of ten rows whose pause is measured.
const PAUSED: u64 = 40;

const fn line(round_trip_ms: u64, loss_ppm: u32) -> Line {
    let round_trip = Duration::from_millis(round_trip_ms);
    Line { round_trip, loss_ppm, look: Duration::from_micros(200), bytes_per_s: [0; 2] }
}

/// Measures and prints.
pub async fn run(asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let asked = &Asked { runs: asked.runs.min(RUNS_MAX), ..asked.clone() };
    let far = Far::start()?;
    let ground = Ground::start_far(&far)?;
    throughput(&far, &ground, asked, verdicts).await?;
    pauses(&far, &ground, asked, verdicts).await
}

/// Pings over the line, which must be what it is said to be.
fn measured_ping(far: &Far, line: Line) -> Fallible<f64> {
    let (ping, asked) = (far.ping_ms()?, line.round_trip.as_secs_f64() * 1000.0);
    if (ping - asked).abs() > PING_OFF_MAX {
        return Err(
            format!("the ping takes {ping} ms, not {asked}: the machine is too busy for the line").into()
        );
    }
    Ok(ping)
}

async fn throughput(far: &Far, ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let (all, part) = if asked.quick { (6, 6) } else { (SUBJECTS, PART) };
    for (name, subjects) in [("wide", all), ("wide_part", part)] {
        ground.template(name, SCHEMA, &rows(subjects, EACH));
    }
    let kib = |name: &str| ground.old.sql(name, BYTES).parse::<f64>().map(|bytes| bytes / 1024.0);
    let (kib_all, kib_part) = (kib("wide")?, kib("wide_part")?);
    let _laid = LOSSY.lay(far)?;
    let ping = measured_ping(far, LOSSY)?;
    let mut controls = Far::congestion_controls();
    controls.retain(|control| [USUAL, "bbr"].contains(&control.as_str()));
    let mut pipes: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut movers = Vec::new();
    for run in 0..asked.runs {
        eprintln!("bench: wide area, run {}", run + 1);
        far.congestion(USUAL)?;
        movers.push(kib_all / mover(ground).await?);
        for control in &controls {
            far.congestion(control)?;
            let rate = match control == USUAL {
                true => kib_part / pipe(ground, "wide_part", part * EACH)?,
                false => kib_all / pipe(ground, "wide", all * EACH)?,
            };
            pipes.entry(control.clone()).or_default().push(rate);
        }
    }
    println!(
        "\n## Wide area\n\nThe new home is in a network namespace of its own behind a pair of virtual interfaces (TSO, GSO and GRO off). A program \
         on NFQUEUE keeps every packet for half a round trip and drops {} % of them in each direction, each by itself; ping says {ping:.1} ms. \
         The mover and psql are beside the source. {all} subjects of {EACH} rows, {:.1} MiB as COPY text; the pipe with {USUAL} brings {part} of \
         them. The congestion control is that of the route to the new home, {USUAL} for the mover; its sockets ask for BBR.\n\n\
         | KiB/s, min / median / max of {} runs | |\n|---|---|\n| mover, the whole wave | {} |",
        f64::from(LOSSY.loss_ppm) / 10_000.0,
        kib_all / 1024.0,
        asked.runs,
        three(&movers, 0)
    );
    for (control, rates) in &pipes {
        let ratios: Vec<f64> = movers.iter().zip(rates).map(|(mover, pipe)| mover / pipe).collect();
        println!(
            "| psql pipe, {control} | {} |\n| **ratio to it** | **{}** |",
            three(rates, 0),
            three(&ratios, 2)
        );
        // DESIGN's pipe is what somebody has who sets nothing.
        if control == USUAL {
            let what = format!("169 ms and 0.5 % loss: mover / psql pipe ({USUAL}), bytes/s");
            verdicts.add(&what, Target::AtLeast(20.0), &ratios);
        }
    }
    println!("\nPackets that the emulator was too slow for, beyond the loss: {}.", overrun(far)?);
    Ok(())
}

/// Bytes of those who move, as COPY writes them.
const BYTES: &str = "SELECT (SELECT sum(length(t::text) - 1) FROM accounts t WHERE country = 'IN') + (SELECT sum(length(t::text) - 1) FROM orders t) \
                     + (SELECT sum(length(t::text) - 1) FROM items t)";

async fn mover(ground: &Ground) -> Fallible<f64> {
    let site = ground.site("wide").await?;
    let service = site.service(Arc::new(Silent)).await?;
    let plan = planned(&service).await?;
    let began = Instant::now();
    moved(&service, &plan).await?;
    let seconds = began.elapsed().as_secs_f64();
    drop(service);
    ground.drop(&site.database);
    Ok(seconds)
}

fn pipe(ground: &Ground, template: &str, rows: u64) -> Fallible<f64> {
    let name = ground.copy(&[&ground.old, &ground.new], template);
    ground.settle();
    let seconds = pipe_seconds(ground, &name, rows)?;
    ground.drop(&name);
    Ok(seconds)
}

async fn pauses(far: &Far, ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    let _laid = LONG.lay(far)?;
    let ping = measured_ping(far, LONG)?;
    let shape = Shape {
        name: "wide_pause",
        subjects: if asked.quick { 10 } else { PAUSED },
        each: 10,
        object_bytes: 0,
    };
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for run in 0..asked.runs {
        eprintln!("bench: pause at 200 ms round trip, run {}", run + 1);
        let ran = pause::one(ground, shape).await?;
        p50.push(quantile(&ran.pauses, 0.5));
        p99.push(quantile(&ran.pauses, 0.99));
    }
    println!(
        "\n### Pause at 200 ms round trip\n\nPing says {ping:.1} ms; no loss. {} subjects of 10 rows under the load of the pause row, whose writers \
         reach both homes without the detour.\n\n| ms, min / median / max of {} runs | |\n|---|---|\n| pause p50, by the mover | {} |\n\
         | pause p99, by the mover | {} |\n| three round trips + 60 ms | {:.0} |",
        shape.subjects,
        asked.runs,
        three(&p50, 0),
        three(&p99, 0),
        3.0 * ping + 60.0
    );
    verdicts.add("pause p99 at 200 ms round trip, ms", Target::AtMost((3.0 * ping + 60.0).round()), &p99);
    Ok(())
}
