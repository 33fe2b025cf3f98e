//! The load in the dense form: few subjects, many writers, three isolation levels, old snapshots, locks held,
//! rows that change owners, deletes with cascades; and the log of what was acknowledged.

pub mod application;
pub mod log;
pub mod rows;
mod transaction;
mod writer;

use crate::Fallible;
use crate::dice::Dice;
use crate::ground::{Engine, Ground};
use crate::site::REGIONS;
use log::Log;
use rows::{Row, Table, value_of};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use tokio::task::JoinHandle;
use writer::Writer;

/// Few, so that everybody meets everybody.
pub const SUBJECTS: i64 = 12;
/// Orders that a subject begins with. They are never deleted, so that anybody may put items into them.
const ORDERS: i64 = 2;

/// Writers at once. SQLite lets one write at a time; more would only wait.
fn writers(engine: Engine) -> u64 {
    match engine {
        Engine::Postgres => 10,
        Engine::Sqlite => 5,
    }
}

/// The first rows: subjects by their country's region, with their orders.
pub fn first_rows(region: &str) -> String {
    let mut sql = String::new();
    for row in beginning().iter().filter(|(_, at)| *at == region) {
        sql.push_str(&format!("{}; ", row.0.insert()));
    }
    sql
}

fn beginning() -> Vec<(Row, &'static str)> {
    let mut all = Vec::new();
    for id in 1..=SUBJECTS {
        let (region, country) = REGIONS[(id as usize) % REGIONS.len()];
        let account = vec![country.to_owned(), format!("a{id}@example")];
        all.push((Row { table: Table::Accounts, id, cells: account, value: id }, region));
        for order in 0..ORDERS {
            let id = id * 100 + order;
            let cells = vec![(id / 100).to_string()];
            all.push((Row { table: Table::Orders, id, cells, value: value_of(0, id as u64) }, region));
        }
    }
    all
}

/// The load under way.
pub struct Load {
    pub log: Arc<Mutex<Log>>,
    gate: Arc<RwLock<()>>,
    stop: Arc<AtomicBool>,
    writers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the writers; the log goes to `file`, too.
    pub async fn start(ground: &Ground, seed: u64, file: &Path) -> Fallible<Self> {
        let mut log = Log::create(file)?;
        for (row, region) in beginning() {
            log.found(&row, region);
        }
        let log = Arc::new(Mutex::new(log));
        let (gate, stop) = (Arc::new(RwLock::new(())), Arc::new(AtomicBool::new(false)));
        let (mut tasks, count) = (Vec::new(), writers(ground.engine));
        for number in 0..count {
            let places = REGIONS.iter().map(|(region, _)| (*region, ground.application(region)));
            let mine = beginning().into_iter().filter(|(row, _)| row.id as u64 % count == number);
            let writer = Writer::new(
                number,
                places.collect::<BTreeMap<_, _>>(),
                mine.map(|(row, _)| row).collect(),
                ground.site.clone(),
                Dice::new(seed.wrapping_mul(1000) + number),
                log.clone(),
            );
            let (gate, stop) = (gate.clone(), stop.clone());
            tasks.push(tokio::spawn(writer.run(gate, stop)));
        }
        Ok(Self { log, gate, stop, writers: tasks })
    }

    /// Waits until no write is in flight; none begins while the answer is held.
    pub async fn pause(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    /// What every row may hold now; everything of it is on disk, too.
    pub fn known(&self) -> BTreeMap<(Table, i64), log::Known> {
        let mut log = self.log.lock().unwrap_or_else(|e| e.into_inner());
        log.flush();
        log.rows.clone()
    }

    /// Ends the writers. One that panicked is an error.
    pub async fn stop(&mut self) -> Fallible<()> {
        self.stop.store(true, Ordering::Relaxed);
        for writer in self.writers.drain(..) {
            writer.await?;
        }
        Ok(())
    }

    /// Has a writer ended by itself?
    pub fn is_broken(&self) -> bool {
        self.writers.iter().any(JoinHandle::is_finished)
    }
}
