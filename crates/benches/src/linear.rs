//! How the cost grows: time and memory over the number of subjects, the pause over a subject's size; tables,
//! and plots for docs/img.

use crate::figures::{quantile, spread, three};
use crate::ground::{Ground, SCHEMA, rows};
use crate::memory::{self, Figures};
use crate::pause::{self, Shape};
use crate::plot::{Axis, Plot, Scale};
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use std::fs;

/// Rows of a subject while subjects are counted.
const EACH: u64 = 4;
/// A size of this many subjects or more is run once.
const MANY: u64 = 50_000;

/// Subjects whose pause is measured, as many at every size: with fewer of them each would have more of the load's writers, and
/// the pause would tell of those.
const PAUSED: u64 = 4;

/// What was measured at one size.
struct Size {
    count: u64,
    runs: usize,
    seconds: Vec<f64>,
    peaks_mib: Vec<f64>,
    pauses_ms: Vec<f64>,
}

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    println!("\n## How the cost grows");
    let mut counts = if asked.quick { vec![100, 300, 1_000] } else { vec![1_000, 10_000, 100_000] };
    counts.extend(asked.large.then_some(1_000_000));
    let mut sizes = Vec::new();
    for count in counts {
        sizes.push(subjects(ground, asked, count).await?);
    }
    tell_subjects(&sizes);
    let largest = if asked.quick { 10_000 } else { 100_000 };
    let mut pauses = Vec::new();
    for (name, each) in [("p1", 10), ("p2", 100), ("p3", 1_000), ("p4", 10_000), ("p5", 100_000)] {
        if each <= largest {
            pauses.push(pause_of(ground, asked, name, each).await?);
        }
    }
    tell_pauses(&pauses);
    judge(&sizes, &pauses, verdicts);
    match &asked.plots {
        Some(_) => plots(asked, &sizes, &pauses),
        None => Ok(()),
    }
}

async fn subjects(ground: &Ground, asked: &Asked, count: u64) -> Fallible<Size> {
    let name = format!("linear{count}");
    ground.template(&name, SCHEMA, &rows(count, EACH));
    let runs = if count >= MANY { 1 } else { asked.runs };
    let mut size = Size { count, runs, seconds: Vec::new(), peaks_mib: Vec::new(), pauses_ms: Vec::new() };
    for run in 0..runs {
        eprintln!("bench: {count} subjects, run {}", run + 1);
        let site = ground.site(&name).await?;
        let Figures { peak_mib, seconds, pauses_ms, .. } = memory::apart(&site).await?;
        size.seconds.push(seconds);
        size.peaks_mib.push(peak_mib);
        size.pauses_ms.push(quantile(&pauses_ms, 0.5));
        ground.drop(&site.database);
    }
    ground.drop(&name);
    Ok(size)
}

/// The medians of all runs' pauses (p50 by the mover, under writers) for subjects of so many rows.
async fn pause_of(ground: &Ground, asked: &Asked, name: &'static str, each: u64) -> Fallible<Size> {
    let runs = if asked.quick { 1 } else { 5 };
    let mut size =
        Size { count: each, runs, seconds: Vec::new(), peaks_mib: Vec::new(), pauses_ms: Vec::new() };
    for run in 0..runs {
        eprintln!("bench: pause of subjects of {each} rows, run {}", run + 1);
        let ran = pause::one(ground, Shape { name, subjects: PAUSED, each, object_bytes: 0 }).await?;
        size.pauses_ms.push(quantile(&ran.pauses, 0.5));
    }
    ground.drop(name);
    Ok(size)
}

fn tell_subjects(sizes: &[Size]) {
    println!(
        "\nSubjects of {EACH} rows, everybody moved by a process of its own, nobody writes; min / median / max where there is more than one run.\n\n\
         | subjects | runs | seconds of the wave | rows/s | ms a subject | pause p50, ms | peak memory, MiB |\n|---|---|---|---|---|---|---|"
    );
    for size in sizes {
        let rates: Vec<f64> = size.seconds.iter().map(|s| (size.count * EACH) as f64 / s).collect();
        let each: Vec<f64> = size.seconds.iter().map(|s| s * 1000.0 / size.count as f64).collect();
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            size.count,
            size.runs,
            three(&size.seconds, 2),
            three(&rates, 0),
            three(&each, 3),
            three(&size.pauses_ms, 1),
            three(&size.peaks_mib, 0)
        );
    }
}

fn tell_pauses(sizes: &[Size]) {
    println!(
        "\nThe pause of {PAUSED} subjects under the load of the pause row, by a subject's size:\n\n| rows of a subject | runs | pause p50 by the mover, ms |\n|---|---|---|"
    );
    for size in sizes {
        println!("| {} | {} | {} |", size.count, size.runs, three(&size.pauses_ms, 1));
    }
}

/// DESIGN gives no number for growth; these are ours.
fn judge(sizes: &[Size], pauses: &[Size], verdicts: &mut Verdicts) {
    let (Some(first), Some(last)) = (sizes.first(), sizes.last()) else { return };
    let (Some(small), Some(large)) = (pauses.first(), pauses.last()) else { return };
    let each = |size: &Size| spread(&size.seconds).1 / size.count as f64;
    let of = |what: &str| format!("{what} (a target of the benchmark's, not of DESIGN)");
    let what = of(&format!("time a subject, {} subjects / {}", last.count, first.count));
    verdicts.add(&what, Target::AtMost(1.2), &[each(last) / each(first)]);
    let what = of(&format!("pause p50, subjects of {} rows / {}", large.count, small.count));
    verdicts.add(&what, Target::AtMost(2.0), &[spread(&large.pauses_ms).1 / spread(&small.pauses_ms).1]);
    verdicts.add(
        &format!("memory of the mover, {} subjects, MiB", last.count),
        Target::AtMost(244.0),
        &last.peaks_mib,
    );
}

fn plots(asked: &Asked, sizes: &[Size], pauses: &[Size]) -> Fallible<()> {
    let Some(dir) = &asked.plots else { return Ok(()) };
    fs::create_dir_all(dir)?;
    let subtitle = if asked.quick {
        "taken with --quick on a busy machine: shows that it works"
    } else {
        "medians; docs/benchmarks.md has the machine"
    };
    let subjects = Axis { label: "subjects", scale: Scale::Log };
    let rows_each = Axis { label: "rows of a subject", scale: Scale::Log };
    let time = Axis { label: "seconds of the wave", scale: Scale::Log };
    let pause = Axis { label: "pause p50, ms", scale: Scale::Linear };
    let memory = Axis { label: "peak memory, MiB", scale: Scale::Linear };
    let points = |sizes: &[Size], of: fn(&Size) -> &Vec<f64>| -> Vec<(f64, f64)> {
        sizes.iter().map(|size| (size.count as f64, spread(of(size)).1)).collect()
    };
    for (file, title, x, y, points, proportional) in [
        ("time.svg", "Time of a wave", subjects, time, points(sizes, |s| &s.seconds), true),
        ("pause.svg", "Pause of a subject", rows_each, pause, points(pauses, |s| &s.pauses_ms), false),
        ("memory.svg", "Memory of the mover", subjects, memory, points(sizes, |s| &s.peaks_mib), false),
    ] {
        let plot = Plot { title, subtitle, x, y, points: &points, proportional };
        fs::write(dir.join(file), plot.svg())?;
    }
    eprintln!("bench: plots are in {}", dir.display());
    Ok(())
}
