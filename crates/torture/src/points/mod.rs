//! Every durable write by name, and what is done to it.
//!
//! The names say what is written. The stores' and the control store's writes are named by [`records`] and
//! [`control`], which wrap the seams; objects and receipts name themselves (`domicile_stores::failpoints`).

pub mod control;
pub mod records;

use crate::Fallible;
use domicile_stores::failpoints::{self, When};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::str::FromStr;
use std::sync::{Arc, Mutex, OnceLock};

/// Where a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Control,
    Source,
    Target,
    Objects,
    Receipts,
}

/// A durable write of the route.
#[derive(Debug)]
pub struct Point {
    pub name: &'static str,
    pub place: Place,
    pub writes: &'static str,
    /// What has to be for it to come about.
    pub needs: Needs,
}

/// What has to be for a write to come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Any move.
    Move,
    /// A swap whose answer is lost.
    LostSwap,
    /// A swap that was not made.
    FailedSwap,
    /// A worker that looks for work by itself (`domicile worker`).
    Helper,
    /// Somebody aborts a wave that has begun.
    Abort,
    /// A writer that does not let go in time, or a row at the wrong moment: comes about by itself, sometimes.
    Luck,
}

const fn point(name: &'static str, place: Place, writes: &'static str, needs: Needs) -> Point {
    Point { name, place, writes, needs }
}

/// All of them, in the order in which a move passes them.
pub const POINTS: [Point; 44] = [
    point("list-extend", Place::Source, "a plan's list of subjects", Needs::Move),
    point("wave-open", Place::Control, "a wave", Needs::Move),
    point("turn-take", Place::Control, "whose turn it is to drive a wave", Needs::Move),
    point("turn-renew", Place::Control, "that it still is", Needs::Move),
    point("wave-state", Place::Control, "how far a wave is, and its note", Needs::Move),
    point("arm", Place::Source, "whether triggers are armed (guard = \"wave\")", Needs::Move),
    point("batches-open", Place::Source, "batches with their members", Needs::Move),
    point("worker-seen", Place::Control, "that a worker is there", Needs::Helper),
    point("claim-take", Place::Control, "which worker moves a batch", Needs::Move),
    point("claim-renew", Place::Control, "that it still does", Needs::Move),
    point("lease-take", Place::Source, "a batch's token, at both sides", Needs::Move),
    point("record-save", Place::Source, "a batch's record", Needs::Move),
    point("mark-begin", Place::Source, "home -> marking", Needs::Move),
    point("mark", Place::Source, "marking -> moving, with a new generation", Needs::Move),
    point("mark-undo", Place::Source, "marking -> home", Needs::Luck),
    point("arrive", Place::Target, "arriving", Needs::Move),
    point("object-put", Place::Objects, "an object", Needs::Move),
    point("copy-commit", Place::Target, "a copy", Needs::Move),
    point(
        "object-delete",
        Place::Objects,
        "that an object is gone, which no row names any more",
        Needs::Luck,
    ),
    point("catch-up-commit", Place::Target, "rows that changed meanwhile", Needs::Move),
    point("changes-forget", Place::Source, "that recorded changes were brought over", Needs::Move),
    point("fence-begin", Place::Source, "moving -> fencing", Needs::Move),
    point("fence", Place::Source, "fencing -> fenced, with a new generation", Needs::Move),
    point("unfence", Place::Source, "fencing, fenced -> moving", Needs::Luck),
    point("seal", Place::Source, "fenced -> sealed", Needs::Move),
    point("swap", Place::Control, "the new home: the point of no return", Needs::Move),
    point("settle", Place::Control, "that a swap which has not landed never will", Needs::LostSwap),
    point("unseal", Place::Source, "sealed -> moving", Needs::FailedSwap),
    point("activate", Place::Target, "arriving -> home", Needs::Move),
    point("flush", Place::Target, "that home there is on the disk", Needs::Move),
    point("away", Place::Source, "sealed -> away", Needs::Move),
    point("receipts-publish", Place::Receipts, "a wave's file of receipts", Needs::Move),
    point("claim-give-back", Place::Control, "that a worker is done with a batch", Needs::Move),
    point("worker-gone", Place::Control, "that a worker is there no more", Needs::Helper),
    point("turn-give-back", Place::Control, "that the turn is over", Needs::Move),
    point("object-erase", Place::Objects, "that an object is gone from the old home", Needs::Move),
    point("erase-rows", Place::Source, "that rows are gone from the old home", Needs::Move),
    point("erase-homes", Place::Source, "that the old home knows the subjects no more", Needs::Move),
    point("scrub", Place::Source, "free pages of the file anew (SQLite)", Needs::Move),
    point("batch-close", Place::Source, "that a batch is over, at both sides", Needs::Move),
    point("list-drop", Place::Source, "that a plan's list is over", Needs::Move),
    point("wave-ask", Place::Control, "that somebody wants a wave to end", Needs::Abort),
    point("clear-commit", Place::Target, "that a copy is gone with its arriving homes", Needs::Abort),
    point("go-home", Place::Source, "back to home from the middle of a move", Needs::Abort),
];

/// What is done at a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It fails; the worker hears of it and lives.
    Errs,
    /// The worker is killed by SIGKILL.
    Dies,
    /// The worker is stopped by SIGSTOP, and goes on when somebody says so.
    Stops,
    /// The answer is an error now; the write is made later. (`swap`)
    Late,
    /// Rows are lost on their way into a copy. (`copy-rows`)
    Loses,
}

/// One fault: at the `nth` time that a write of this name comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub point: String,
    pub way: Way,
    pub when: When,
    pub nth: u32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.way {
            Way::Errs => "errs",
            Way::Dies => "dies",
            Way::Stops => "stops",
            Way::Late => "late",
            Way::Loses => "loses",
        };
        let when = if self.when == When::Done { "done" } else { "not-done" };
        write!(f, "{}:{way}:{when}:{}", self.point, self.nth)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is no fault: POINT:errs|dies|stops|late|loses:done|not-done:N");
        let parts: Vec<&str> = text.split(':').collect();
        let [point, way, when, nth] = parts[..] else { return Err(bad()) };
        let way = match way {
            "errs" => Way::Errs,
            "dies" => Way::Dies,
            "stops" => Way::Stops,
            "late" => Way::Late,
            "loses" => Way::Loses,
            _ => return Err(bad()),
        };
        let when = match when {
            "done" => When::Done,
            "not-done" => When::NotDone,
            _ => return Err(bad()),
        };
        let nth = nth.parse().map_err(|_| bad())?;
        Ok(Self { point: point.to_owned(), way, when, nth })
    }
}

/// The faults of this process.
#[derive(Debug)]
pub struct Faults {
    faults: Vec<Fault>,
    passed: Mutex<BTreeMap<String, u32>>,
}

static FAULTS: OnceLock<Arc<Faults>> = OnceLock::new();

/// Arms the failpoints of this process.
pub fn arm(faults: Vec<Fault>) {
    let faults = Arc::new(Faults { faults, passed: Mutex::default() });
    let _ = FAULTS.set(faults.clone());
    failpoints::arm(move |point, when| faults.strike(point, when));
}

/// How often each write came about in this process.
pub fn passed() -> BTreeMap<String, u32> {
    FAULTS.get().map(|f| f.passed.lock().unwrap_or_else(|e| e.into_inner()).clone()).unwrap_or_default()
}

/// Whether this swap is to be late. One that is counts as made.
pub fn is_late(point: &str) -> bool {
    let Some(faults) = FAULTS.get() else { return false };
    let mut passed = faults.passed.lock().unwrap_or_else(|e| e.into_inner());
    let made = passed.entry(point.to_owned()).or_default();
    let late = |f: &&Fault| f.point == point && f.way == Way::Late && f.nth == *made + 1;
    let Some(fault) = faults.faults.iter().find(late) else { return false };
    *made += 1;
    say(&format!("fault {fault}"));
    true
}

/// Whether the rows that come now are to be lost.
pub fn loses_rows(fragile: bool) -> bool {
    fragile && failpoints::fails("copy-rows", When::NotDone)
}

impl Faults {
    fn strike(&self, point: &str, when: When) -> bool {
        let nth = {
            let mut passed = self.passed.lock().unwrap_or_else(|e| e.into_inner());
            let count = passed.entry(point.to_owned()).or_default();
            *count += u32::from(when == When::NotDone);
            *count
        };
        let hit = |f: &&Fault| f.point == point && f.when == when && f.nth == nth;
        let Some(fault) = self.faults.iter().find(hit) else { return false };
        if fault.way == Way::Late {
            return false;
        }
        say(&format!("fault {fault}"));
        match fault.way {
            Way::Errs => return true,
            Way::Dies => signal(rustix::process::Signal::KILL),
            Way::Stops => signal(rustix::process::Signal::STOP),
            Way::Loses => return true,
            Way::Late => {}
        }
        false
    }
}

/// Signals this process. A SIGKILL leaves nothing of it behind: no destructor runs, no buffer is flushed.
fn signal(signal: rustix::process::Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}

/// A line to whoever started this process, at once.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The list, for people.
pub fn listed() -> String {
    let mut text = String::from("Durable writes of the route, in the order in which a move passes them:\n");
    for p in &POINTS {
        let place = format!("{:?}", p.place).to_lowercase();
        text.push_str(&format!("  {:<17} {place:<9} {}\n", p.name, p.writes));
    }
    text
}

/// The point of that name.
pub fn find(name: &str) -> Fallible<&'static Point> {
    POINTS.iter().find(|p| p.name == name).ok_or_else(|| format!("no failpoint is called `{name}`").into())
}
