//! Applications that write to subjects while they move, and what they see of it.

use crate::Fallible;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls, Statement};

/// Between two writes of one connection: an application has other things to do.
pub const THINK: Duration = Duration::from_millis(2);
/// Between a refusal and the next try.
pub const RETRY: Duration = Duration::from_millis(1);

/// What the writers saw.
#[derive(Default)]
pub struct Seen {
    /// First refusal of a subject that has not been accepted since, and whether each home refused it.
    refused: HashMap<u64, (Instant, [bool; 2])>,
    /// Milliseconds from there to an acceptance at the new home, where both homes had refused it (a
    /// writer that only did not know of a move is no pause).
    pub pauses: Vec<f64>,
    /// The same where it was accepted at the old home (marking, or a fence given up).
    pub marks: Vec<f64>,
    /// Milliseconds of accepted first tries before the wave.
    pub writes: Vec<f64>,
}

/// A connection to each home that writes to random subjects.
pub struct Writer {
    clients: [(Client, Statement); 2],
    /// Where each subject was last accepted, known to all writers.
    homes: Arc<Vec<AtomicUsize>>,
    subjects: u64,
    items: u64,
    dice: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Writer {
    /// Connects to both homes.
    pub async fn connect(
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

    /// Writes until it is told to stop; `wave`: the wave has begun.
    pub async fn run(mut self, stop: Arc<AtomicBool>, wave: Arc<AtomicBool>) -> Fallible<()> {
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
