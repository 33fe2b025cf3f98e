//! The pause of a hot subject: sixteen writers whose transactions overlap, so that there is never a moment in
//! which nobody writes to it, against the longest of those transactions.

use crate::figures::three;
use crate::ground::{Ground, SCHEMA, rows};
use crate::site::{moved, planned};
use crate::verdicts::{Target, Verdicts};
use crate::{Asked, Fallible};
use domicile_mover::progress::Silent;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// Connections that write.
const WRITERS: u64 = 16;
/// Rows of the subject: each writer has one of its own, and waits for no other.
const EACH: u64 = 60;
/// The first half of the writers' transactions stay open for so long, the others for twice that.
const OPEN: Duration = Duration::from_millis(10);
/// Between a refusal and the next try.
const RETRY: Duration = Duration::from_millis(1);
/// Before the wave.
const BEFORE: Duration = Duration::from_millis(500);

/// What the writers saw of the subject.
#[derive(Default)]
struct Watch {
    refused_since: Option<Instant>,
    /// From the first refused to the first accepted write, ms, ended at the new home.
    pause_ms: Option<f64>,
    /// The same, ended at the old home: marking, and fences that were given up.
    before_ms: Vec<f64>,
    /// Of a transaction that was committed at the old home, ms.
    longest_ms: f64,
}

/// One run, ms.
struct Run {
    mover: f64,
    writers: f64,
    refused_before: f64,
    longest: f64,
}

/// Measures and prints.
pub async fn run(ground: &Ground, asked: &Asked, verdicts: &mut Verdicts) -> Fallible<()> {
    ground.template_once("hot", SCHEMA, &rows(1, EACH));
    let mut runs = Vec::new();
    for run in 0..2 * asked.runs {
        eprintln!("bench: a hot subject, run {}", run + 1);
        runs.push(one(ground).await?);
    }
    let of = |figure: fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<f64>>();
    let ratios = of(|run| run.writers.max(run.mover) / (2.0 * run.longest + 40.0));
    println!(
        "\n## Pause of a hot subject\n\n{WRITERS} connections write to one subject without a break, each in transactions that stay open for \
         {} or {} ms, so that many are under way at any time. Milliseconds; min / median / max of {} runs.\n\n\
         | | |\n|---|---|\n| longest transaction at the old home | {} |\n| pause, by the mover | {} |\n\
         | pause, by the writers: first refused to first accepted at the new home | {} |\n\
         | refused before that and accepted at the old home (marking, fences given up), longest | {} |\n\
         | **longer of both pauses / (twice the longest transaction + 40 ms)** | **{}** |",
        OPEN.as_millis(),
        2 * OPEN.as_millis(),
        runs.len(),
        three(&of(|run| run.longest), 1),
        three(&of(|run| run.mover), 1),
        three(&of(|run| run.writers), 1),
        three(&of(|run| run.refused_before), 1),
        three(&ratios, 3)
    );
    let what = "pause of a hot subject / (twice its longest transaction + 40 ms)";
    verdicts.add(what, Target::AtMost(1.0), &ratios);
    Ok(())
}

async fn one(ground: &Ground) -> Fallible<Run> {
    let site = ground.site("hot").await?;
    let service = site.service(Arc::new(Silent)).await?;
    let plan = planned(&service).await?;
    let (watch, stop) = (Arc::new(Mutex::new(Watch::default())), Arc::new(AtomicBool::new(false)));
    let home = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        let mut clients = Vec::new();
        for url in [ground.old.url("app", &site.database), ground.new.url("app", &site.database)] {
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
            tokio::spawn(connection);
            clients.push(client);
        }
        let open = if number < WRITERS / 2 { OPEN } else { 2 * OPEN };
        let writer =
            Writer { clients, item: 1 + number as i64, open, home: home.clone(), watch: watch.clone() };
        writers.push(tokio::spawn(writer.run(stop.clone())));
    }
    tokio::time::sleep(BEFORE).await;
    let report = moved(&service, &plan).await;
    // Until somebody was accepted at the new home there is no pause to tell.
    let until = Instant::now() + Duration::from_secs(10);
    while seen(&watch).pause_ms.is_none() && Instant::now() < until {
        tokio::time::sleep(RETRY).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await??;
    }
    let report = report?;
    drop(service);
    ground.drop(&site.database);
    let watch = seen(&watch);
    Ok(Run {
        mover: report.pauses_us.iter().map(|us| *us as f64 / 1000.0).fold(0.0, f64::max),
        writers: watch.pause_ms.ok_or("no writer was accepted at the new home")?,
        refused_before: watch.before_ms.iter().copied().fold(0.0, f64::max),
        longest: watch.longest_ms,
    })
}

fn seen(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Writer {
    clients: Vec<Client>,
    item: i64,
    open: Duration,
    /// Where the subject was last accepted, known to all writers.
    home: Arc<AtomicUsize>,
    watch: Arc<Mutex<Watch>>,
}

impl Writer {
    async fn run(self, stop: Arc<AtomicBool>) -> Fallible<()> {
        let mut at = 0;
        while !stop.load(Ordering::Relaxed) {
            if self.transaction(at).await? {
                at = self.home.load(Ordering::Relaxed);
            } else {
                at = 1 - at;
                tokio::time::sleep(RETRY).await;
            }
        }
        Ok(())
    }

    /// One transaction with one write. False: it was refused here.
    async fn transaction(&self, at: usize) -> Fallible<bool> {
        let (client, began) = (&self.clients[at], Instant::now());
        client.batch_execute("BEGIN").await?;
        let written =
            client.execute("UPDATE items SET version = version + 1 WHERE id = $1", &[&self.item]).await;
        let accepted = match written {
            Ok(rows) => rows == 1,
            Err(e) if e.code().is_some_and(|c| ["RS001", "40001", "40P01"].contains(&c.code())) => {
                // At the new home nobody can write before the subject is there.
                if at == 0 {
                    seen(&self.watch).refused_since.get_or_insert_with(Instant::now);
                }
                false
            }
            Err(e) => return Err(format!("a writer: {e}").into()),
        };
        if !accepted {
            client.batch_execute("ROLLBACK").await?;
            return Ok(false);
        }
        self.accepted(at);
        tokio::time::sleep(self.open).await;
        client.batch_execute("COMMIT").await?;
        if at == 0 {
            let mut watch = seen(&self.watch);
            watch.longest_ms = watch.longest_ms.max(began.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(true)
    }

    fn accepted(&self, at: usize) {
        self.home.store(at, Ordering::Relaxed);
        let mut watch = seen(&self.watch);
        let Some(since) = watch.refused_since.take() else { return };
        let ms = since.elapsed().as_secs_f64() * 1000.0;
        if at == 0 {
            watch.before_ms.push(ms);
        } else {
            watch.pause_ms.get_or_insert(ms);
        }
    }
}
