//! The last screen: before and after, how it went, what is proven and what is not, and what to try next.

use super::census::Held;
use super::erasing::Erased;
use super::moving::Moved;
use super::page::{Page, Tone};
use super::phone::Shown;
use super::stage::Stage;
use super::verdict::Verdict;
use super::world::World;
use crate::figures::{bytes, count, duration, milliseconds};
use crate::paper;
use crate::screen::{Answer, Exit};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// Everything the last screen tells.
pub struct Told {
    pub before: Vec<Held>,
    pub after: Vec<Held>,
    pub moved: Vec<Moved>,
    pub erased: Erased,
    pub verdict: Verdict,
    pub phone: Shown,
    /// The longest that an application's write waited, milliseconds.
    pub wait_us_max: Option<u64>,
    pub refused: u64,
    pub wall: Duration,
    /// Seconds by scene.
    pub scenes: Vec<(&'static str, Duration)>,
}

impl Told {
    /// Every proof holds.
    pub fn holds(&self) -> bool {
        self.verdict.holds() && self.phone.holds()
    }
}

const NOT_PROVEN: &str = "where regions stand: that is declared, and here they are folders; what lies below \
                          the file system; copies made before; numbers written otherwise: contacts of those \
                          who stay keep keyed hashes. And here one person holds all keys.";

/// The answer of the command.
pub fn answer(stage: &Stage, told: &Told) -> Answer {
    let page = &stage.page;
    page.begin(if told.holds() { "Before and after" } else { "A PROOF FAILED" });
    let mut text = format!("{}\n\n", paper::indented("  ", &table(stage, told)));
    text.push_str(&numbers(stage, page, told));
    text.push_str(&format!("{}\n", paper::wrapped(&label("not proven"), NOT_PROVEN)));
    text.push_str(&format!("\n{}\n{}", page.paint(Tone::Bold, "Try next"), commands(stage)));
    let mut answer = Answer::new(text, json_of(stage, told));
    if !told.holds() {
        answer.text.push_str(&format!(
            "\n\n{}\n",
            page.paint(
                Tone::Bad,
                "A PROOF FAILED: see `The proofs` above. This is a defect; please report it."
            )
        ));
        answer.exit = Exit::Failed;
    }
    answer
}

fn table(stage: &Stage, told: &Told) -> String {
    let rows = stage.world.case.regions.iter().zip(told.before.iter().zip(&told.after));
    let arrow = |a: u64, b: u64, words: fn(u64) -> String| format!("{} → {}", words(a), words(b));
    let rows = rows.map(|(place, (a, b))| {
        vec![
            place.id.to_owned(),
            format!("{}/{}", place.country, place.operator),
            arrow(a.people, b.people, count),
            arrow(a.rows, b.rows, count),
            arrow(a.objects, b.objects, count),
            bytes(b.bytes),
        ]
    });
    paper::table(&["region", "in/by", "people", "rows", "photos", "files"], &[2, 3, 4, 5], rows.collect())
}

fn numbers(stage: &Stage, page: &Page, told: &Told) -> String {
    let verdict = &told.verdict;
    let pauses = told.erased.pauses_us();
    let at = |share: f64| {
        let last = pauses.len().saturating_sub(1);
        pauses
            .get((last as f64 * share).ceil() as usize)
            .map_or("-".to_owned(), |us| milliseconds(*us as f64 / 1000.0))
    };
    let moving: Duration = told.moved.iter().map(|m| m.elapsed).sum();
    let rows: u64 = told.moved.iter().map(|m| m.rows).sum();
    let rate = rows as f64 / moving.as_secs_f64().max(0.001);
    let zero = |n: u64, words: &str| {
        page.paint(if n == 0 { Tone::Good } else { Tone::Bad }, &format!("{words} {}", count(n)))
    };
    let killed = told.moved.iter().filter(|m| m.killed).count();
    let lines = [
        (
            "proven",
            format!(
                "{}, {}, {}, {} of {} numbers in {}",
                zero(verdict.findings.lost, "lost"),
                zero(verdict.findings.doubled, "doubled"),
                zero(verdict.findings.wrong() - verdict.findings.lost - verdict.findings.doubled, "wrong"),
                zero(verdict.scan.found, "left"),
                count(verdict.scan.numbers),
                stage.world.case.old
            ),
        ),
        (
            "applications",
            format!(
                "{} writes, {} repeated, longest wait {}{}",
                count(verdict.acknowledged),
                count(told.refused),
                told.wait_us_max.map_or("-".to_owned(), |us| milliseconds(us as f64 / 1000.0)),
                if told.moved.iter().any(|m| m.killed) { " (the kill)" } else { "" }
            ),
        ),
        (
            "the phone",
            format!(
                "{} bytes before consent; then {}, {} numbers of contacts",
                told.phone.before.1,
                bytes(told.phone.after_bytes),
                zero(told.phone.searched.found, "").trim_start(),
            ),
        ),
        ("pause a person", format!("p50 {}, p99 {}, longest {}", at(0.5), at(0.99), at(1.0))),
        (
            "moved",
            format!(
                "{} rows in {} ({} rows/s); {} worker{} killed",
                count(rows),
                duration(moving),
                count(rate as u64),
                killed,
                if killed == 1 { "" } else { "s" }
            ),
        ),
        (
            "receipts",
            format!(
                "{} of {} files verified, {} lines; the whole demo: {}",
                verdict.verified,
                verdict.receipts,
                count(verdict.lines),
                duration(told.wall)
            ),
        ),
    ];
    lines.iter().map(|(name, value)| format!("{}{value}\n", label(name))).collect()
}

fn label(name: &str) -> String {
    format!("  {name:<15}")
}

/// Commands that work as they stand, from where the demo was called.
fn commands(stage: &Stage) -> String {
    let world = &stage.world;
    let case = world.case;
    let someone = world.people.iter().find(|p| !p.flagged && p.country == case.cheat.0).map_or(1, |p| p.id);
    let flag = if case.services.len() > 1 { " --service cloud" } else { "" };
    let lines = [
        format!("cd {}{}", world.folder.path().display(), alias()),
        format!("domicile locate {someone}{flag}"),
        format!("domicile policy explain {someone}{flag}"),
        format!("domicile receipt extract {someone}{flag} -o {someone}.receipt"),
        format!("domicile receipt verify {someone}.receipt"),
        format!("domicile verify{flag}{}", expected(world)),
        format!(
            "sqlite3 {}/cloud.db \"INSERT INTO accounts VALUES(0,'+1','X','{}','',0)\"",
            case.old, case.cheat.0
        ),
    ];
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

/// What `verify` finds: nobody's fault, and no surprise.
fn expected(world: &World) -> String {
    match world.people.iter().filter(|p| p.flagged).count() {
        0 => String::new(),
        n => format!("   # exit code 3: {n} people may live nowhere"),
    }
}

/// Where the program was called by a path, its name alone must mean it in the lines that follow.
fn alias() -> String {
    let by_path = std::env::args_os().next().is_some_and(|name| Path::new(&name).components().count() > 1);
    match std::env::current_exe() {
        Ok(program) if by_path => format!("; alias domicile={}", program.display()),
        _ => String::new(),
    }
}

fn json_of(stage: &Stage, told: &Told) -> Value {
    let held =
        |h: &Held| json!({ "people": h.people, "rows": h.rows, "objects": h.objects, "bytes": h.bytes });
    let regions = stage.world.case.regions.iter().zip(told.before.iter().zip(&told.after));
    let regions: Vec<Value> = regions
        .map(|(place, (a, b))| json!({ "region": place.id, "before": held(a), "after": held(b) }))
        .collect();
    let (verdict, found) = (&told.verdict, &told.verdict.findings);
    let pauses = told.erased.pauses_us();
    let moving: Duration = told.moved.iter().map(|m| m.elapsed).sum();
    json!({
        "case": stage.world.case.name,
        "folder": stage.world.folder.path(),
        "holds": told.holds(),
        "regions": regions,
        "rows_compared": found.rows, "objects_compared": found.objects,
        "lost": found.lost, "doubled": found.doubled, "stale": found.stale, "misplaced": found.misplaced,
        "resurrected": found.resurrected, "invented": found.invented,
        "objects_wrong": found.objects_wrong, "objects_left": found.objects_left,
        "unsettled": verdict.unsettled,
        "numbers_scanned": verdict.scan.numbers, "numbers_found": verdict.scan.found,
        "control_found": verdict.scan.control,
        "phone": {
            "holds": told.phone.holds(),
            "connections_before_consent": told.phone.before.0, "bytes_before_consent": told.phone.before.1,
            "bytes_after_consent": told.phone.after_bytes, "contacts": told.phone.contacts.0,
            "contacts_found": told.phone.contacts.1, "shown": told.phone.shown,
            "silent_again": told.phone.silent_again, "numbers_found": told.phone.searched.found,
            "controls": told.phone.searched.controls.0, "controls_found": told.phone.searched.controls.1,
        },
        "acknowledged": verdict.acknowledged, "refused": told.refused, "wait_us_max": told.wait_us_max,
        "pauses": pauses.len(),
        "pause_us_max": pauses.last(),
        "moved_ms": moving.as_millis() as u64,
        "killed": told.moved.iter().filter(|m| m.killed).count(),
        "receipts": verdict.receipts, "receipts_verified": verdict.verified,
        "wall_ms": told.wall.as_millis() as u64,
        "scenes_ms": told.scenes.iter().map(|(name, d)| json!({ "scene": name, "ms": d.as_millis() as u64 })).collect::<Vec<_>>(),
    })
}
