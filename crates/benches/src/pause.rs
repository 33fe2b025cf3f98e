//! The pause of a subject while applications write to it: as the mover measures it, and as writers see
//! it, from the first refused to the first accepted write.

use crate::figures::{quantile, three};
use crate::ground::{Ground, SCHEMA, rows};
use crate::site::{moved, planned};
use crate::stages::Stages;
use crate::{Asked, Fallible};
use domicile_stores::records::SubjectId;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls, Statement};

/// Connections that write.
const WRITERS: u64 = 8;
/// Between two writes of one connection: an application has other things to do.
const THINK: Duration = Duration::from_millis(2);
/// Between a refusal and the next try.
const RETRY: Duration = Duration::from_millis(1);
/// Before the wave, to have what a write takes without one.
const BEFORE: Duration = Duration::from_secs(1);

/// What the writers saw.
#[derive(Default)]
struct Seen {
    /// First refusal of a subject that has not been accepted since, and whether each home refused it.
    refused: HashMap<u64, (Instant, [bool; 2])>,
    /// Milliseconds from there to an acceptance at the new home, where both homes had refused it (a
    /// writer that only did not know of a move is no pause).
    pauses: Vec<f64>,
    /// The same where it was accepted at the old home (marking, or a fence given up).
    marks: Vec<f64>,
    /// Milliseconds of accepted first tries before the wave.
    writes: Vec<f64>,
}

/// Measures both sizes and prints.
pub async fn run(ground: &Ground, asked: &Asked) -> Fallible<()> {
    println!(
        "\n## Pause under load\n\n{WRITERS} connections update rows of random subjects of the move, {} ms apart, and try again \
         every {} ms when refused. Milliseconds; each cell is min / median / max over {} runs.",
        THINK.as_millis(),
        RETRY.as_millis(),
        asked.runs
    );
    size(ground, asked, "many", asked.subjects.min(1_000), 10).await?;
    size(ground, asked, "big", 4, asked.big_rows).await
}

async fn size(ground: &Ground, asked: &Asked, name: &str, subjects: u64, each: u64) -> Fallible<()> {
    ground.template(name, SCHEMA, &rows(subjects, each));
    let mut cells: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut hit, mut profile) = (0, String::new());
    for run in 0..asked.runs {
        eprintln!("bench: pause, subjects of {each} rows, run {}", run + 1);
        let (pauses, seen, told) = one(ground, name, subjects, each).await?;
        let sorted = |mut v: Vec<f64>| {
            v.sort_by(f64::total_cmp);
            v
        };
        let (writes, apps, marks) = (sorted(seen.writes), sorted(seen.pauses), sorted(seen.marks));
        let kinds = [("mover", &pauses), ("writers", &apps), ("marking", &marks)];
        for (kind, values) in kinds {
            for (share, at) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
                // A run in which nobody was refused has nothing to say of writers.
                if !values.is_empty() {
                    cells.entry(word(kind, share)).or_default().push(quantile(values, at));
                }
            }
        }
        cells.entry("write").or_default().push(quantile(&writes, 0.5));
        cells.entry("ratio").or_default().push(quantile(&pauses, 0.5) / quantile(&writes, 0.5));
        hit += apps.len();
        profile = told;
    }
    let cell = |name: &str| cells.get(name).map_or("none".to_owned(), |v| three(v, 1));
    println!(
        "\n### {subjects} subjects of {each} rows\n\n| | p50 | p99 | max |\n|---|---|---|---|\n\
         | pause, by the mover (every subject) | {} | {} | {} |\n\
         | pause, by writers that were refused and then accepted at the new home ({hit} in all runs) | {} | {} | {} |\n\
         | refused while marked, accepted at the old home | {} | {} | {} |\n\n\
         A write before the wave (p50): {} ms. **Pause p50 by the mover / that: {}**\n\nLast run:\n\n{profile}",
        cell("mover p50"),
        cell("mover p99"),
        cell("mover max"),
        cell("writers p50"),
        cell("writers p99"),
        cell("writers max"),
        cell("marking p50"),
        cell("marking p99"),
        cell("marking max"),
        cell("write"),
        cell("ratio")
    );
    Ok(())
}

fn word(kind: &str, share: &str) -> &'static str {
    const WORDS: [&str; 9] = [
        "mover p50",
        "mover p99",
        "mover max",
        "writers p50",
        "writers p99",
        "writers max",
        "marking p50",
        "marking p99",
        "marking max",
    ];
    WORDS
        .into_iter()
        .find(|w| w.strip_prefix(kind).is_some_and(|rest| rest.trim_start() == share))
        .unwrap_or("")
}

async fn one(ground: &Ground, name: &str, subjects: u64, each: u64) -> Fallible<(Vec<f64>, Seen, String)> {
    let site = ground.site(name).await?;
    let stages = Arc::new(Stages::default());
    let service = site.service(stages.clone()).await?;
    let plan = planned(&service).await?;
    let items = each - 1 - 10.min((each - 1) / 3).max(1);
    let (seen, stop, wave) = (
        Arc::new(Mutex::new(Seen::default())),
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let homes: Arc<Vec<AtomicUsize>> = Arc::new((0..=subjects).map(|_| AtomicUsize::new(0)).collect());
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let urls = [ground.old.url("app", &site.database), ground.new.url("app", &site.database)];
        let writer = Writer::connect(urls, number, subjects, items, homes.clone(), seen.clone()).await?;
        writers.push(tokio::spawn(writer.run(stop.clone(), wave.clone())));
    }
    tokio::time::sleep(BEFORE).await;
    wave.store(true, Ordering::Relaxed);
    let report = moved(&service, &plan).await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await??;
    }
    let report = report?;
    let home =
        service.directory.home("main", &SubjectId("1".into())).await?.ok_or("subject 1 has no home")?;
    if home.region != "new" {
        return Err("subject 1 is not at its new home".into());
    }
    drop(service);
    ground.drop(&site.database);
    let pauses = report.pauses_us.iter().map(|us| *us as f64 / 1000.0).collect();
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((pauses, seen, stages.told()))
}

struct Writer {
    clients: [(Client, Statement); 2],
    /// Where each subject was last accepted, known to all writers.
    homes: Arc<Vec<AtomicUsize>>,
    subjects: u64,
    items: u64,
    dice: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Writer {
    async fn connect(
        urls: [String; 2],
        number: u64,
        subjects: u64,
        items: u64,
        homes: Arc<Vec<AtomicUsize>>,
        seen: Arc<Mutex<Seen>>,
    ) -> Fallible<Self> {
        let mut clients = Vec::new();
        for url in urls {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            let statement = client.prepare("UPDATE items SET version = version + 1 WHERE id = $1").await?;
            clients.push((client, statement));
        }
        let clients = clients.try_into().map_err(|_| "two regions")?;
        Ok(Self { clients, homes, subjects, items, dice: 7 + number * 1_000_003, seen })
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    async fn run(mut self, stop: Arc<AtomicBool>, wave: Arc<AtomicBool>) -> Fallible<()> {
        while !stop.load(Ordering::Relaxed) {
            let subject = 1 + self.roll(self.subjects);
            let item = (subject - 1) * self.items + 1 + self.roll(self.items);
            self.write(subject, item as i64, &wave).await?;
            tokio::time::sleep(THINK).await;
        }
        Ok(())
    }

    /// Writes until it is accepted, at the home it last knew first.
    async fn write(&mut self, subject: u64, item: i64, wave: &AtomicBool) -> Fallible<()> {
        let began = Instant::now();
        let mut at = self.homes[subject as usize].load(Ordering::Relaxed);
        for round in 0..20_000 {
            let (client, statement) = &self.clients[at];
            match client.execute(statement, &[&item]).await {
                Ok(1) => {
                    self.homes[subject as usize].store(at, Ordering::Relaxed);
                    self.accepted(subject, at, began, round == 0 && !wave.load(Ordering::Relaxed));
                    return Ok(());
                }
                // The row is not at the new home yet.
                Ok(_) => {}
                Err(e) if e.code().is_some_and(|c| ["RS001", "40001", "40P01"].contains(&c.code())) => {
                    let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.refused.entry(subject).or_insert_with(|| (Instant::now(), [false; 2])).1[at] = true;
                }
                Err(e) => return Err(format!("a writer: {e}").into()),
            }
            at = 1 - at;
            // One try at each home a round: an application asks the directory instead.
            if round % 2 == 1 {
                tokio::time::sleep(RETRY).await;
            }
        }
        Err(format!("a writer was refused for {:?}", began.elapsed()).into())
    }

    fn accepted(&self, subject: u64, at: usize, began: Instant, quiet: bool) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet {
            seen.writes.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        if let Some((since, by)) = seen.refused.remove(&subject) {
            let pause = since.elapsed().as_secs_f64() * 1000.0;
            match (at, by) {
                (0, _) => seen.marks.push(pause),
                (_, [true, true]) => seen.pauses.push(pause),
                _ => {}
            }
        }
    }
}
