//! How a wave shows itself while it runs: a bar on a terminal, else a plain line for each change and
//! every ten seconds. All on stderr; no event names a subject.

use crate::figures::{bytes, count, counted, duration};
use crate::log::{self, Level};
use crate::metrics::Metrics;
use crate::named;
use crate::screen::Screen;
use domicile_mover::progress::{Event, Observer};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Between two plain lines of a wave that goes on without a change worth telling.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Reasons for trying again are told once in this time: a busy server would fill the screen.
const AGAIN_EVERY: Duration = Duration::from_secs(5);

/// Hears the mover's events.
pub struct Progress {
    screen: Screen,
    bar: Option<ProgressBar>,
    rehearsal: bool,
    metrics: OnceLock<Arc<Metrics>>,
    tally: Mutex<Tally>,
    batches: AtomicU64,
    /// Whose waves these are, where the command line does not say and there are several services.
    service: Mutex<Option<String>>,
}

/// What happened so far in the wave under way.
struct Tally {
    wave: String,
    to: String,
    /// Another worker drives it: how many subjects there are in all is not known here.
    helps: bool,
    subjects: u64,
    moved: u64,
    /// Subjects were set aside, for another try or for good.
    left: bool,
    /// It was said that the wave is paused.
    paused: bool,
    /// A ceiling is exceeded.
    waits: bool,
    /// Of an erase: batches that are erased, and all.
    batches: Option<(u64, u64)>,
    rows: u64,
    objects: u64,
    object_bytes: u64,
    stage: &'static str,
    began: Instant,
    said: Instant,
    said_again: Option<Instant>,
}

impl Progress {
    /// Begins to listen. Must be called inside the runtime.
    pub fn start(screen: &Screen) -> Arc<Self> {
        Self::start_for(screen, false)
    }

    /// The same; in a rehearsal those who stay are no news.
    pub fn start_for(screen: &Screen, rehearsal: bool) -> Arc<Self> {
        let tally = Tally::of(String::new(), String::new());
        let bar = (screen.is_terminal() && !screen.is_quiet() && !screen.logs_json())
            .then(|| bar(screen.has_colour()));
        let progress = Arc::new(Self {
            screen: screen.clone(),
            bar,
            rehearsal,
            metrics: OnceLock::new(),
            tally: Mutex::new(tally),
            batches: AtomicU64::new(0),
            service: Mutex::default(),
        });
        tokio::spawn(tick(Arc::downgrade(&progress)));
        progress
    }

    /// From here on events are counted, too.
    pub fn count(&self, metrics: Option<Arc<Metrics>>) {
        if let Some(metrics) = metrics {
            // Set once, when the command begins.
            let _ = self.metrics.set(metrics);
        }
    }

    /// The regions of this service are asked when somebody scrapes.
    pub fn watch(&self, service: &Arc<domicile_mover::Service>) {
        if let Some(metrics) = self.metrics.get() {
            metrics.watch(service);
        }
    }

    /// From here on it is this service's waves, one of several: commands in what is said name it.
    pub fn of_service(&self, service: &str) {
        *self.service.lock().unwrap_or_else(PoisonError::into_inner) = Some(service.to_owned());
    }

    fn naming(&self, line: &str) -> String {
        match &*self.service.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(service) => named::of_service(line, service),
            None => line.to_owned(),
        }
    }

    /// Takes the bar away, so that what follows stands on a clean line.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// No wave is under way here for now: nothing more is said of the last.
    pub fn rest(&self) {
        if let Some(metrics) = self.metrics.get() {
            metrics.rest();
        }
        *self.tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::of(String::new(), String::new());
    }

    /// Batches that came to their end here so far.
    pub fn batches(&self) -> u64 {
        self.batches.load(Ordering::Relaxed)
    }

    /// A line of the story, above the bar where there is one.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.screen.say(text)),
            None => self.screen.say(text),
        }
    }

    /// Takes the event in; what is to be said is returned, so that nothing is printed under the lock.
    fn note(&self, event: Event) -> Option<String> {
        let mut t = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let said = match event {
            Event::Wave { wave, from, to, subjects, rows, resumed, moved } => {
                let goes = if resumed { "goes on" } else { "begins" };
                let line = format!(
                    "wave {wave} {goes}: {from} -> {to}, {}, {}",
                    counted(subjects, "subject"),
                    counted(rows, "row")
                );
                *t = Tally { subjects, moved, ..Tally::of(wave, to) };
                Some(line)
            }
            Event::Helps { wave, from, to, driver } => {
                let line = format!("wave {wave}: helping with it, {from} -> {to}, driven by {driver}");
                *t = Tally { helps: true, ..Tally::of(wave, to) };
                Some(line)
            }
            Event::Ended { .. } => {
                self.batches.fetch_add(1, Ordering::Relaxed);
                None
            }
            Event::TakenOver { batch } => Some(format!(
                "batch {batch}: another worker took it over while this one stood still; going on with others"
            )),
            Event::Stage { stage, .. } => {
                t.stage = stage;
                t.paused = false;
                None
            }
            Event::Copied { rows, .. } => {
                t.rows += rows;
                None
            }
            Event::Objects { objects, bytes } => {
                t.objects += objects;
                t.object_bytes += bytes;
                None
            }
            Event::Activated { subjects, .. } => {
                t.moved += subjects;
                None
            }
            Event::Left { .. } => {
                // They are tried again, in rounds: who stays in the end, and why, the report says once. Nobody
                // moves in a rehearsal, so everybody stays.
                t.left |= !self.rehearsal;
                None
            }
            Event::Again { why, .. } => t.again().then(|| format!("trying again: {why}")),
            Event::Erases { wave, from, batches, .. } => {
                *t = Tally { batches: Some((0, batches)), stage: "erase", ..Tally::of(wave, from) };
                None
            }
            Event::RowsErased { rows } => {
                t.rows += rows;
                None
            }
            Event::Erased { objects, .. } => {
                t.objects += objects;
                if let Some((erased, _)) = &mut t.batches {
                    *erased += 1;
                }
                None
            }
            Event::Waits { wave, holder, left } => Some(format!(
                "wave {wave}: {holder} took its turn; waiting {} in case that worker died",
                duration(left)
            )),
            Event::CeilingReached { why, .. } => {
                t.waits = true;
                Some(format!("waits: {why}"))
            }
            Event::CeilingClear { .. } => {
                std::mem::take(&mut t.waits).then(|| "goes on: below the ceilings again".to_owned())
            }
            // Every batch that was about to begin says it.
            Event::Paused => (!std::mem::replace(&mut t.paused, true))
                .then(|| "paused: `domicile resume` in another terminal goes on".to_owned()),
            _ => None,
        };
        if let Some(bar) = &self.bar {
            // An erase counts batches, in the bar, too.
            let (at, of) = t.batches.unwrap_or((t.moved, t.subjects.max(t.moved)));
            bar.set_prefix(if t.batches.is_some() { "batches" } else { "subjects" });
            bar.set_length(of);
            bar.set_position(at);
            bar.set_message(t.words());
        }
        said
    }

    /// A plain line, if one is due.
    fn due(&self) -> Option<String> {
        let mut t = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        if self.bar.is_some() || t.wave.is_empty() || t.said.elapsed() < LINE_EVERY {
            return None;
        }
        t.said = Instant::now();
        if self.screen.logs_json() {
            self.screen.log(&log::line(Level::Info, &t.wave, "progress", t.json()));
            return None;
        }
        Some(format!("wave {}: {}, {}, {}", t.wave, t.so_far(), t.words(), duration(t.began.elapsed())))
    }
}

impl Tally {
    /// Nothing has happened yet in this wave.
    fn of(wave: String, to: String) -> Self {
        let now = Instant::now();
        Self {
            wave,
            to,
            helps: false,
            subjects: 0,
            moved: 0,
            left: false,
            paused: false,
            waits: false,
            batches: None,
            rows: 0,
            objects: 0,
            object_bytes: 0,
            stage: "",
            began: now,
            said: now,
            said_again: None,
        }
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "subjects": (!self.helps).then_some(self.subjects), "moved": self.moved, "rows": self.rows,
            "objects": self.objects, "object_bytes": self.object_bytes, "stage": self.stage,
            "batches_erased": self.batches.map(|(erased, _)| erased), "batches": self.batches.map(|(_, all)| all),
        })
    }

    fn so_far(&self) -> String {
        match (self.helps, self.batches) {
            (_, Some((erased, all))) => {
                format!("{} of {} erased at {}", count(erased), batches(all), self.to)
            }
            (false, None) => {
                format!("{} of {} at {}", count(self.moved), counted(self.subjects, "subject"), self.to)
            }
            (true, None) => format!("helped {} to {}", counted(self.moved, "subject"), self.to),
        }
    }

    fn words(&self) -> String {
        let mut words = format!(
            "{} {}",
            counted(self.rows, "row"),
            if self.stage == "erase" { "erased" } else { "copied" }
        );
        if self.objects > 0 {
            words.push_str(&format!(", {}", counted(self.objects, "object")));
        }
        if self.object_bytes > 0 {
            words.push_str(&format!(" ({})", bytes(self.object_bytes)));
        }
        if self.left {
            words.push_str(", some set aside");
        }
        if !self.stage.is_empty() {
            words.push_str(&format!(" · {}", self.stage));
        }
        words
    }

    fn again(&mut self) -> bool {
        let due = self.said_again.is_none_or(|at| at.elapsed() >= AGAIN_EVERY);
        if due {
            self.said_again = Some(Instant::now());
        }
        due
    }
}

impl Observer for Progress {
    fn event(&self, event: Event) {
        if let Some(metrics) = self.metrics.get() {
            metrics.note(&event);
        }
        if self.screen.logs_json() {
            let wave = self.tally.lock().unwrap_or_else(PoisonError::into_inner).wave.clone();
            log::event(&self.screen, &wave, &event);
            // Its words are in the event already.
            self.note(event);
        } else if let Some(line) = self.note(event) {
            self.line(&self.naming(&line));
        }
    }
}

/// "1 batch", "3 batches": the only word of a story whose plural is no `s`.
fn batches(n: u64) -> String {
    format!("{} {}", count(n), if n == 1 { "batch" } else { "batches" })
}

fn bar(colour: bool) -> ProgressBar {
    let template = if colour {
        "  {bar:24.cyan/dim} {human_pos}/{human_len} {prefix}  {elapsed}  {wide_msg}"
    } else {
        "  {bar:24} {human_pos}/{human_len} {prefix}  {elapsed}  {wide_msg}"
    };
    // The template is ours; a wrong one falls back to indicatif's own.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(0).with_style(style.progress_chars("━╸─"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

async fn tick(progress: Weak<Progress>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        let Some(progress) = progress.upgrade() else { return };
        if let Some(line) = progress.due() {
            progress.line(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_erase_tells_how_far_it_is() {
        let progress = Progress::start(&Screen::new(false, true));
        let (wave, from, to) = ("w1".to_owned(), "us".to_owned(), "de".to_owned());
        progress.note(Event::Erases { wave, from, to, batches: 12 });
        for rows in [2_000, 40] {
            progress.note(Event::RowsErased { rows });
        }
        progress.note(Event::Erased { rows: 2_040, objects: 3 });
        let tally = progress.tally.lock().unwrap();
        assert_eq!(tally.so_far(), "1 of 12 batches erased at us");
        assert_eq!(tally.words(), "2,040 rows erased, 3 objects · erase");
        assert_eq!((&tally.json()["rows"], &tally.json()["batches_erased"]), (&json!(2_040), &json!(1)));
    }

    #[tokio::test]
    async fn a_worker_of_several_services_names_the_one() {
        let progress = Progress::start(&Screen::new(false, true));
        let paused = progress.note(Event::Paused).unwrap();
        assert_eq!(progress.naming(&paused), paused, "there is one service");
        progress.of_service("shop");
        let said = progress.naming(&paused);
        assert_eq!(said, "paused: `domicile resume --service shop` in another terminal goes on");
    }
}
