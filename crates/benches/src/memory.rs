//! The mover's memory: a process of its own moves, and tells the most it ever held (`VmHWM`). What makes
//! the rows and the object is outside it.

use crate::ground::{Ground, PHOTOS, SCHEMA, rows};
use crate::peers;
use crate::site::{Site, moved, planned};
use crate::stages::Stages;
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Rows of one subject.
const EACH: u64 = 60;

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    println!(
        "\n## Memory of the mover\n\nPeak resident memory (`VmHWM`) of a process that plans, moves everybody and writes the receipts; one run each.\n"
    );
    let subjects = (asked.rows / EACH).max(1);
    eprintln!("bench: memory, {} rows", subjects * EACH);
    ground.template("many_rows", SCHEMA, &rows(subjects, EACH));
    let rows = apart(&ground.site("many_rows").await?).await?;
    println!("### {} rows of {subjects} subjects\n\n{}", subjects * EACH, rows.told());

    eprintln!("bench: memory, an object of {} GiB", asked.object_gib);
    let photo = "INSERT INTO accounts VALUES (1, 'IN', NULL, 0), (2, 'DE', NULL, 0); INSERT INTO photos VALUES (1, 1, 'photos/film');";
    ground.template("big_object", &format!("{SCHEMA}{PHOTOS}"), photo);
    let site = ground.site("big_object").await?;
    let film = site.dir().join("old-objects/photos/film");
    fs::create_dir_all(film.parent().unwrap_or(Path::new("/")))?;
    write_noise(&film, asked.object_gib << 30)?;
    let object = apart(&site).await?;
    let arrived = fs::metadata(site.dir().join("new-objects/photos/film"))?.len();
    if arrived != asked.object_gib << 30 {
        return Err(format!("{arrived} bytes of the object arrived").into());
    }
    println!("### One object of {} GiB between two folders\n\n{}", asked.object_gib, object.told());
    // 256 MB, in MiB.
    let most = Target::AtMost(244.0);
    verdicts.add("memory of the mover, many rows, MiB", most, &[rows.peak_mib]);
    verdicts.add("memory of the mover, one large object, MiB", most, &[object.peak_mib]);
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

/// What a process that moved everybody tells of itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Figures {
    /// MiB at most.
    pub peak_mib: f64,
    /// MiB at most until the plan was made.
    plan_peak_mib: f64,
    /// Seconds of the plan.
    plan_seconds: f64,
    /// Rows that moved.
    rows: u64,
    objects: u64,
    object_bytes: u64,
    /// Seconds of the wave.
    pub seconds: f64,
    /// Of every subject, ms, ascending.
    pub pauses_ms: Vec<f64>,
    stages: String,
}

impl Figures {
    fn told(&self) -> String {
        format!(
            "| | |\n|---|---|\n| **peak memory** | **{:.0} MiB** |\n| after the plan, which took {:.1} s | {:.0} MiB |\n\
             | rows, objects moved | {}, {} |\n| time of the move | {:.1} s |\n| rows/s; object MiB/s | {:.0}; {:.0} |\n\n{}",
            self.peak_mib,
            self.plan_seconds,
            self.plan_peak_mib,
            self.rows,
            self.objects,
            self.seconds,
            self.rows as f64 / self.seconds,
            self.object_bytes as f64 / f64::from(1 << 20) / self.seconds,
            self.stages
        )
    }
}

/// Moves everybody in a process of its own.
pub async fn apart(site: &Site) -> Fallible<Figures> {
    let file = site.dir().join("site.json");
    fs::write(&file, serde_json::to_vec(site)?)?;
    let mut child = peers::peer(&std::env::current_exe()?.to_string_lossy());
    child.arg("mover").arg(file);
    Ok(serde_json::from_str(&peers::run(child).await?.0)?)
}

/// That process.
pub async fn mover(site: &str) -> Fallible<()> {
    let site: Site = serde_json::from_slice(&fs::read(site)?)?;
    let stages = Arc::new(Stages::default());
    let service = site.service(stages.clone()).await?;
    let began = Instant::now();
    let plan = planned(&service).await?;
    let (plan_seconds, plan_peak_mib) = (began.elapsed().as_secs_f64(), peak_mib()?);
    let began = Instant::now();
    let report = moved(&service, &plan).await?;
    let seconds = began.elapsed().as_secs_f64();
    let figures = Figures {
        peak_mib: peak_mib()?,
        plan_peak_mib,
        plan_seconds,
        rows: report.size().rows,
        objects: report.objects,
        object_bytes: report.object_bytes,
        seconds,
        pauses_ms: report.pauses_us.iter().map(|us| *us as f64 / 1000.0).collect(),
        stages: stages.told(),
    };
    println!("{}", serde_json::to_string(&figures)?);
    Ok(())
}

/// `VmHWM` of this process.
pub fn peak_mib() -> Fallible<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|l| l.strip_prefix("VmHWM:")).ok_or("/proc/self/status has no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
