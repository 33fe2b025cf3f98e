//! What moves on the screen while subjects move: two bars and a line of the applications.

use super::applications::Counters;
use super::page::Page;
use crate::figures::{bytes, count};
use domicile_mover::progress::{Event, Observer};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two pictures.
const TICK: Duration = Duration::from_millis(120);

/// Sums of the mover's events, and the bars that show them.
#[derive(Default)]
pub struct Tally {
    pub moved: AtomicU64,
    pub rows: AtomicU64,
    pub objects: AtomicU64,
    pub object_bytes: AtomicU64,
    pub again: AtomicU64,
    stage: Mutex<&'static str>,
    /// When the turn ends that is waited for.
    turn_ends: Mutex<Option<Instant>>,
}

impl Tally {
    /// What stands beside the bar: the stage, or what is waited for.
    fn doing(&self) -> String {
        let ends = *self.turn_ends.lock().unwrap_or_else(PoisonError::into_inner);
        let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) => format!("dead worker's turn: {:.1} s", left.as_secs_f64()),
            None => (*self.stage.lock().unwrap_or_else(PoisonError::into_inner)).to_owned(),
        }
    }
}

impl Observer for Tally {
    fn event(&self, event: Event) {
        match event {
            Event::Stage { stage, .. } => *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage,
            Event::Copied { rows, .. } => drop(self.rows.fetch_add(rows, Ordering::Relaxed)),
            Event::Objects { objects, bytes } => {
                self.objects.fetch_add(objects, Ordering::Relaxed);
                self.object_bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Event::Activated { subjects, .. } => drop(self.moved.fetch_add(subjects, Ordering::Relaxed)),
            Event::Waits { left, .. } => {
                *self.turn_ends.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + left);
            }
            Event::Again { .. } => drop(self.again.fetch_add(1, Ordering::Relaxed)),
            Event::Erased { rows, objects } => {
                self.rows.fetch_add(rows, Ordering::Relaxed);
                self.objects.fetch_add(objects, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// Bars that are drawn until this is ended.
pub struct Watch {
    bars: MultiProgress,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Begins to draw. `subjects` and `rows` are what the plan expects.
    pub fn start(
        page: &Page,
        tally: &Arc<Tally>,
        counters: &Arc<Counters>,
        subjects: u64,
        rows: u64,
    ) -> Self {
        let target =
            if page.is_moving() { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let colour = if page.has_colour() { ".cyan/dim" } else { "" };
        let people = bars.add(ProgressBar::new(subjects).with_style(bar("people", colour)));
        let copied = bars.add(ProgressBar::new(rows).with_style(bar("rows  ", colour)));
        let line =
            ProgressStyle::with_template("  {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let apps = bars.add(ProgressBar::new_spinner().with_style(line));
        let (tally, counters) = (tally.clone(), counters.clone());
        let task = tokio::spawn(async move {
            loop {
                // A worker that goes on tells again of the batch that the dead one was in.
                people.set_position(tally.moved.load(Ordering::Relaxed).min(subjects));
                people.set_message(tally.doing());
                copied.set_position(tally.rows.load(Ordering::Relaxed).min(rows));
                let objects = tally.objects.load(Ordering::Relaxed);
                if objects > 0 {
                    let size = bytes(tally.object_bytes.load(Ordering::Relaxed));
                    copied.set_message(format!("{} photos, {size}", count(objects)));
                }
                apps.set_message(of_applications(&counters));
                tokio::time::sleep(TICK).await;
            }
        });
        Self { bars, task }
    }

    /// Takes the bars away.
    pub fn end(self) {
        self.task.abort();
        let _ = self.bars.clear();
    }
}

/// What the applications have come to.
pub fn of_applications(counters: &Counters) -> String {
    format!(
        "applications: {} writes acknowledged, {} refused and repeated",
        count(counters.acknowledged.load(Ordering::Relaxed)),
        count(counters.refused.load(Ordering::Relaxed))
    )
}

fn bar(what: &str, colour: &str) -> ProgressStyle {
    let template = format!("  {what} {{bar:30{colour}}} {{human_pos}}/{{human_len}}  {{wide_msg}}");
    // The template is ours; a wrong one falls back to indicatif's own.
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}
