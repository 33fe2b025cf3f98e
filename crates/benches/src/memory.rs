//! The mover's memory: a process of its own moves, and tells the most it ever held (`VmHWM`). What makes
//! the rows and the object is outside it.

use crate::ground::{Ground, PHOTOS, SCHEMA, rows};
use crate::site::{Site, moved, planned};
use crate::stages::Stages;
use crate::{Asked, Fallible};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Rows of one subject.
const EACH: u64 = 60;

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked) -> Fallible<()> {
    println!(
        "\n## Memory of the mover\n\nPeak resident memory (`VmHWM`) of a process that plans, moves everybody and writes the receipts; one run each.\n"
    );
    let subjects = (asked.rows / EACH).max(1);
    eprintln!("bench: memory, {} rows", subjects * EACH);
    ground.template("many_rows", SCHEMA, &rows(subjects, EACH));
    let told = apart(&ground.site("many_rows").await?)?;
    println!("### {} rows of {subjects} subjects\n\n{told}", subjects * EACH);

    eprintln!("bench: memory, an object of {} GiB", asked.object_gib);
    let photo = "INSERT INTO accounts VALUES (1, 'IN', NULL, 0), (2, 'DE', NULL, 0); INSERT INTO photos VALUES (1, 1, 'photos/film');";
    ground.template("big_object", &format!("{SCHEMA}{PHOTOS}"), photo);
    let site = ground.site("big_object").await?;
    let film = site.dir().join("old-objects/photos/film");
    fs::create_dir_all(film.parent().unwrap_or(Path::new("/")))?;
    write_noise(&film, asked.object_gib << 30)?;
    let told = apart(&site)?;
    let arrived = fs::metadata(site.dir().join("new-objects/photos/film"))?.len();
    if arrived != asked.object_gib << 30 {
        return Err(format!("{arrived} bytes of the object arrived").into());
    }
    println!("### One object of {} GiB between two folders\n\n{told}", asked.object_gib);
    Ok(())
}

/// Bytes that no file system stores as a hole.
fn write_noise(path: &Path, bytes: u64) -> Fallible<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 88_172_645_463_325_252_u64;
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    Ok(file.flush()?)
}

/// Moves in a process of its own; what it told.
fn apart(site: &Site) -> Fallible<String> {
    let file = site.dir().join("site.json");
    fs::write(&file, serde_json::to_vec(site)?)?;
    Ok(domicile_testbed::run(Command::new(std::env::current_exe()?).arg("mover").arg(file)))
}

/// That process.
pub async fn mover(site: &str) -> Fallible<()> {
    let site: Site = serde_json::from_slice(&fs::read(site)?)?;
    let stages = Arc::new(Stages::default());
    let service = site.service(stages.clone()).await?;
    let began = Instant::now();
    let plan = planned(&service).await?;
    let (plan_time, plan_peak) = (began.elapsed(), peak_mib()?);
    let began = Instant::now();
    let report = moved(&service, &plan).await?;
    let (size, seconds) = (report.size(), began.elapsed().as_secs_f64());
    println!(
        "| | |\n|---|---|\n| **peak memory** | **{:.0} MiB** |\n| after the plan, which took {:.1} s | {plan_peak:.0} MiB |\n\
         | rows, objects moved | {}, {} |\n| time of the move | {seconds:.1} s |\n| rows/s; object MiB/s | {:.0}; {:.0} |\n\n{}",
        peak_mib()?,
        plan_time.as_secs_f64(),
        size.rows,
        report.objects,
        size.rows as f64 / seconds,
        report.object_bytes as f64 / f64::from(1 << 20) / seconds,
        stages.told()
    );
    Ok(())
}

/// `VmHWM` of this process.
fn peak_mib() -> Fallible<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
