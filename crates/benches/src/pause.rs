//! The pause of a subject while applications write to it: as the mover measures it, and as writers see
//! it, from the first refused to the first accepted write.

use crate::figures::{quantile, three};
use crate::ground::{Ground, PHOTOS, SCHEMA, rows};
use crate::objects::noise;
use crate::site::{Site, moved, planned};
use crate::stages::Stages;
use crate::verdicts::{Target, Verdicts};
use crate::writer::{RETRY, Seen, THINK, Writer};
use crate::{Asked, Fallible};
use domicile_stores::records::SubjectId;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Connections that write.
const WRITERS: u64 = 8;
/// Before the wave, to have what a write takes without one.
const BEFORE: Duration = Duration::from_secs(1);
/// Objects that the bytes of a subject with objects are cut into.
const OBJECTS: u64 = 8;

/// Subjects of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// The template's name.
    pub name: &'static str,
    /// How many move.
    pub subjects: u64,
    /// Rows of each.
    pub each: u64,
    /// Bytes of objects of each.
    pub object_bytes: u64,
}

impl Shape {
    fn words(self) -> String {
        let objects = match self.object_bytes >> 20 {
            0 => String::new(),
            mib => format!(" and {OBJECTS} objects of {} MiB", mib / OBJECTS),
        };
        format!("{} subjects of {} rows{objects}", self.subjects, self.each)
    }

    fn template(self, ground: &Ground) {
        let (schema, photos) = match self.object_bytes {
            0 => (SCHEMA.to_owned(), String::new()),
            _ => (
                format!("{SCHEMA}{PHOTOS}"),
                format!(
                    "INSERT INTO photos SELECT (s - 1) * {OBJECTS} + o, s, s || '/' || o FROM generate_series(1, {}) s, generate_series(1, {OBJECTS}) o;",
                    self.subjects
                ),
            ),
        };
        ground.template_once(self.name, &schema, &(rows(self.subjects, self.each) + &photos));
    }

    /// Puts the objects into the old home's folder: links to one file, so that they cost their room once.
    fn fill(self, site: &Site, noise: &Path) -> Fallible<()> {
        if self.object_bytes == 0 {
            return Ok(());
        }
        for subject in 1..=self.subjects {
            let folder = site.dir().join(format!("old-objects/{subject}"));
            fs::create_dir_all(&folder)?;
            for object in 1..=OBJECTS {
                fs::hard_link(noise, folder.join(object.to_string()))?;
            }
        }
        Ok(())
    }
}

/// What one run saw: the mover's pauses in ms, the writers' observations, where the time went.
pub struct Run {
    /// Of every subject, ascending.
    pub pauses: Vec<f64>,
    /// The writers'.
    pub seen: Seen,
    stages: String,
}

/// Measures all shapes and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    println!(
        "\n## Pause under load\n\n{WRITERS} connections update rows of random subjects of the move, {} ms apart, and try again \
         every {} ms when refused. Milliseconds; each cell is min / median / max over {} runs. Objects are between two folders.",
        THINK.as_millis(),
        RETRY.as_millis(),
        asked.runs
    );
    let object_bytes = if asked.quick { 64 << 20 } else { 2 << 30 };
    let plain = Shape { name: "many", subjects: asked.subjects.min(1_000), each: 10, object_bytes: 0 };
    for shape in [
        plain,
        Shape { name: "big", subjects: 4, each: asked.big_rows, ..plain },
        Shape { name: "films", subjects: 1, each: 10, object_bytes },
    ] {
        size(ground, asked, shape, verdicts).await?;
    }
    Ok(())
}

async fn size(ground: &Ground, asked: &Asked, shape: Shape, verdicts: &mut Verdicts) -> Fallible<()> {
    let mut cells: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let (mut hit, mut profile) = (0, String::new());
    for run in 0..asked.runs {
        eprintln!("bench: pause, {}, run {}", shape.words(), run + 1);
        let Run { pauses, seen, stages } = one(ground, shape).await?;
        let writes = sorted(seen.writes);
        let kinds =
            [("mover", pauses.clone()), ("writers", sorted(seen.pauses)), ("marking", sorted(seen.marks))];
        hit += kinds[1].1.len();
        for (kind, values) in kinds {
            for (share, at) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                // A run in which nobody was refused has nothing to say of writers.
                if !values.is_empty() {
                    cells.entry((kind, share)).or_default().push(quantile(&values, at));
                }
            }
        }
        cells.entry(("write", "")).or_default().push(quantile(&writes, 0.5));
        cells.entry(("ratio", "")).or_default().push(quantile(&pauses, 0.5) / quantile(&writes, 0.5));
        profile = stages;
    }
    let cell = |kind, share| cells.get(&(kind, share)).map_or("none".to_owned(), |v| three(v, 1));
    let line = |kind| ["p50", "p99", "max"].map(|share| cell(kind, share)).join(" | ");
    println!(
        "\n### {}\n\n| | p50 | p99 | max |\n|---|---|---|---|\n\
         | pause, by the mover (every subject) | {} |\n\
         | pause, by writers that were refused and then accepted at the new home ({hit} in all runs) | {} |\n\
         | refused while marked, accepted at the old home | {} |\n\n\
         A write before the wave (p50): {} ms. **Pause p50 by the mover / that: {}**\n\nLast run:\n\n{profile}",
        shape.words(),
        line("mover"),
        line("writers"),
        line("marking"),
        cell("write", ""),
        cell("ratio", "")
    );
    for (share, most) in [("p50", 10.0), ("p99", 40.0)] {
        let what = format!("pause, {}, {share} by the mover, ms", shape.words());
        verdicts.add(&what, Target::AtMost(most), cells.get(&("mover", share)).map_or(&[], Vec::as_slice));
    }
    Ok(())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Moves everybody of a shape under writers.
pub async fn one(ground: &Ground, shape: Shape) -> Fallible<Run> {
    shape.template(ground);
    let site = ground.site(shape.name).await?;
    let noise_file = site.dir().join("noise");
    fs::write(&noise_file, noise((shape.object_bytes / OBJECTS) as usize))?;
    shape.fill(&site, &noise_file)?;
    let stages = Arc::new(Stages::default());
    let service = site.service(stages.clone()).await?;
    let plan = planned(&service).await?;
    let writers = Writers::start(ground, &site, shape).await?;
    tokio::time::sleep(BEFORE).await;
    writers.wave.store(true, Ordering::Relaxed);
    let report = moved(&service, &plan).await;
    let seen = writers.stop().await?;
    let report = report?;
    let home =
        service.directory.home("main", &SubjectId("1".into())).await?.ok_or("subject 1 has no home")?;
    if home.region != "new" {
        return Err("subject 1 is not at its new home".into());
    }
    drop(service);
    ground.drop(&site.database);
    let pauses = report.pauses_us.iter().map(|us| *us as f64 / 1000.0).collect();
    Ok(Run { pauses, seen, stages: stages.told() })
}

/// The writers of one run.
struct Writers {
    tasks: Vec<tokio::task::JoinHandle<Fallible<()>>>,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    wave: Arc<AtomicBool>,
}

impl Writers {
    async fn start(ground: &Ground, site: &Site, shape: Shape) -> Fallible<Self> {
        let items = shape.each - 1 - 10.min((shape.each - 1) / 3).max(1);
        let mut all =
            Self { tasks: vec![], seen: Arc::default(), stop: Arc::default(), wave: Arc::default() };
        let homes: Arc<Vec<AtomicUsize>> =
            Arc::new((0..=shape.subjects).map(|_| AtomicUsize::new(0)).collect());
        for number in 0..WRITERS {
            let urls = [ground.old.url("app", &site.database), ground.new.url("app", &site.database)];
            let writer =
                Writer::connect(urls, number, shape.subjects, items, homes.clone(), all.seen.clone()).await?;
            all.tasks.push(tokio::spawn(writer.run(all.stop.clone(), all.wave.clone())));
        }
        Ok(all)
    }

    async fn stop(self) -> Fallible<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
