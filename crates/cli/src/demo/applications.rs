//! The applications that keep writing: threads with connections of their own, as any application has them.
//!
//! Each write goes by the directory: look the home up (and keep the answer for a second), write there; on
//! `RS001`, or where an UPDATE or DELETE finds no row, look again and repeat. What is acknowledged goes into
//! the log, and the log is what the world is compared with at the end.

mod route;
mod work;
mod write;

use super::case::{Case, ServiceName};
use super::folder::Folder;
use super::journal::{Entry, Journal};
use super::people::Person;
use super::world::World;
use crate::failure::{Failure, Result};
use domicile_directory::Directory;
use route::Routes;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use work::Desk;
use write::{Connections, Outcome};

/// Threads, each with a connection to every region.
const WRITERS: usize = 4;
/// Between two writes of one thread: a busy application, but one that leaves the machine some air.
const THINK: Duration = Duration::from_millis(6);
/// A write that is refused for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a fresh look-up may be followed by "no such row" before the row counts as gone.
const NO_ROW_MAX: u32 = 8;

/// Numbers that the screen shows while writers run.
#[derive(Debug, Default)]
pub struct Counters {
    pub acknowledged: AtomicU64,
    pub refused: AtomicU64,
    pub stale: AtomicU64,
    /// Microseconds that a write waited from its first refusal to its acknowledgement, for those refused.
    pub waits_us: std::sync::Mutex<Vec<u64>>,
}

impl Counters {
    /// The wait that `share` (0 to 1) of the refused writes did not exceed, in microseconds.
    pub fn wait_us(&self, share: f64) -> Option<u64> {
        let mut waits = self.waits_us.lock().unwrap_or_else(|e| e.into_inner()).clone();
        waits.sort_unstable();
        let last = waits.len().checked_sub(1)?;
        Some(waits[(last as f64 * share).round() as usize])
    }
}

/// Running writers.
pub struct Applications {
    threads: Vec<JoinHandle<Written>>,
    stop: Arc<AtomicBool>,
    pub counters: Arc<Counters>,
}

/// What one thread leaves: its log, and what ended it early.
struct Written {
    entries: Vec<Entry>,
    trouble: Option<String>,
}

/// What all threads leave.
pub struct Log {
    logs: Vec<Vec<Entry>>,
}

impl Log {
    /// Adds all of it to the journal.
    pub fn into_journal(self, journal: &mut Journal) {
        self.logs.iter().for_each(|log| journal.add(log));
    }
}

impl Applications {
    /// Starts the writers. `tokio` is where the directory is asked.
    pub fn start(
        world: &World,
        directory: &Arc<Directory>,
        tokio: &tokio::runtime::Handle,
    ) -> std::io::Result<Self> {
        let (stop, counters) = (Arc::new(AtomicBool::new(false)), Arc::new(Counters::default()));
        let began = Instant::now();
        let mut threads = Vec::new();
        for number in 0..WRITERS {
            let log = std::fs::File::options().create(true).append(true).open(world.folder.log())?;
            let writer = Writer {
                case: world.case,
                folder: world.folder.clone(),
                people: world.people.clone(),
                desk: Desk::new(world, number, WRITERS),
                routes: Routes::new(directory.clone(), tokio.clone()),
                connections: Connections::new(world.case, world.folder.clone()),
                log: BufWriter::with_capacity(1 << 16, log),
                entries: Vec::new(),
                counters: counters.clone(),
                began,
            };
            let stop = stop.clone();
            threads.push(
                std::thread::Builder::new().name(format!("app-{number}")).spawn(move || writer.run(&stop))?,
            );
        }
        Ok(Self { threads, stop, counters })
    }

    /// Lets every writer end its write, and collects what they were promised.
    ///
    /// # Errors
    /// A writer met something other than a refusal: that is a defect, and the demo says so.
    pub fn stop(self) -> Result<Log> {
        self.stop.store(true, Ordering::Relaxed);
        let mut logs = Vec::new();
        for thread in self.threads {
            let written = thread.join().map_err(|_| trouble("a thread panicked"))?;
            if let Some(why) = written.trouble {
                return Err(trouble(&why));
            }
            logs.push(written.entries);
        }
        Ok(Log { logs })
    }
}

fn trouble(why: &str) -> Box<Failure> {
    let what = format!("an application could not go on: {why}");
    let meaning = "applications must be able to write all the time, but for the milliseconds of a fence";
    Failure::new(
        "demo-application",
        what,
        meaning,
        "this is a defect: please report it with the command you used",
    )
    .state("the demo's folder is left as it is, to be looked at")
}

/// One thread.
struct Writer {
    case: &'static Case,
    folder: Folder,
    people: Arc<Vec<Person>>,
    desk: Desk,
    routes: Routes,
    connections: Connections,
    log: BufWriter<std::fs::File>,
    entries: Vec<Entry>,
    counters: Arc<Counters>,
    began: Instant,
}

impl Writer {
    fn run(mut self, stop: &AtomicBool) -> Written {
        let mut trouble = None;
        while !stop.load(Ordering::Relaxed) {
            if let Err(why) = self.one() {
                trouble = Some(why);
                break;
            }
            std::thread::sleep(THINK);
        }
        if let Err(e) = self.log.flush() {
            trouble.get_or_insert(format!("its log can't be written: {e}"));
        }
        Written { entries: self.entries, trouble }
    }

    /// One write, repeated until it is acknowledged.
    fn one(&mut self) -> std::result::Result<(), String> {
        let Some(job) = self.desk.next(self.case, &self.people) else { return Ok(()) };
        let (service, subject) = (job.service(), job.subject);
        let (mut refused_at, mut no_row) = (None::<Instant>, 0);
        let began = Instant::now();
        loop {
            let region = self.routes.home(service, subject)?;
            match self.connections.write(&region, &job)? {
                Outcome::Acknowledged(entries) => {
                    self.acknowledge(service, &entries, refused_at);
                    self.desk.done(&job);
                    return Ok(());
                }
                Outcome::Refused => {
                    self.counters.refused.fetch_add(1, Ordering::Relaxed);
                    refused_at.get_or_insert_with(Instant::now);
                }
                Outcome::NoRow => {
                    no_row += 1;
                    self.counters.stale.fetch_add(1, Ordering::Relaxed);
                }
                Outcome::Busy => {}
            }
            if began.elapsed() > PATIENCE || no_row > NO_ROW_MAX {
                return Err(format!("{} of {} was not possible in {region}", job.words(), service.as_str()));
            }
            self.routes.forget(service, subject);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn acknowledge(&mut self, service: ServiceName, entries: &[Entry], refused_at: Option<Instant>) {
        if let Some(at) = refused_at {
            let us = at.elapsed().as_micros() as u64;
            self.counters.waits_us.lock().unwrap_or_else(|e| e.into_inner()).push(us);
        }
        self.counters.acknowledged.fetch_add(1, Ordering::Relaxed);
        let ms = self.began.elapsed().as_millis();
        for entry in entries {
            let table = super::journal::table_name(entry.row);
            let value = entry.value.map_or("deleted".to_owned(), |v| format!("{v:016x}"));
            // A log that can't be written is told at the end, by `flush`.
            let _ = writeln!(
                self.log,
                "{ms},{},{},{table},{},{value}",
                service.as_str(),
                entry.subject,
                entry.row.1
            );
        }
        self.entries.extend_from_slice(entries);
        let _ = &self.folder;
    }
}
