//! What a process that moves counts, for Prometheus. No label ever names a subject: regions, stages, codes and waves.
//!
//! Counters and the pauses are of what this process did. Fences, recorded changes and states are asked of the
//! regions' guards when somebody scrapes, so every worker says the same of them.

mod guards;
mod names;
pub mod serve;

pub use names::METRICS;

use domicile_mover::progress::Event;
use guards::Guards;
use names::Kind;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Upper bounds of the pause's buckets, in seconds.
const PAUSES_S: [f64; 12] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counts of this process.
#[derive(Default)]
pub struct Metrics {
    counted: Mutex<Counted>,
    guards: Guards,
}

#[derive(Default)]
struct Counted {
    wave: String,
    /// `from="us",to="de"` of the wave under way.
    pair: String,
    /// Series by the metric's name and their labels.
    series: BTreeMap<(&'static str, String), f64>,
    /// By pair: subjects in each bucket and above the last, and the sum of their pauses.
    pauses: BTreeMap<String, ([u64; PAUSES_S.len() + 1], f64)>,
    /// In which stage each batch in flight is, and since when.
    batches: BTreeMap<String, (&'static str, Instant)>,
}

impl Metrics {
    /// Regions of this service are asked when somebody scrapes, for as long as it is open.
    pub fn watch(&self, service: &Arc<domicile_mover::Service>) {
        self.guards.watch(service);
    }

    /// Counts an event.
    pub fn note(&self, event: &Event) {
        self.counted().note(event);
    }

    /// Nothing is under way here for now.
    pub fn rest(&self) {
        self.counted().begin("", "", "");
    }

    /// All of it in Prometheus' text form.
    pub async fn text(&self) -> String {
        let guards = self.guards.series().await;
        let counted = self.counted();
        let mut text = String::new();
        for metric in METRICS {
            // Writing to a String never fails.
            let _ = writeln!(
                text,
                "# HELP {} {}\n# TYPE {} {}",
                metric.name, metric.help, metric.name, metric.kind
            );
            if metric.kind == Kind::Histogram {
                counted.pauses_text(metric.name, &mut text);
                continue;
            }
            let mine = counted.series.iter().chain(&guards).filter(|((name, _), _)| *name == metric.name);
            for ((name, labels), value) in mine {
                let _ = match labels.is_empty() {
                    true => writeln!(text, "{name} {value}"),
                    false => writeln!(text, "{name}{{{labels}}} {value}"),
                };
            }
        }
        text
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Wave { wave, from, to, subjects, moved, .. } => {
                self.begin(wave, from, to);
                let labels = self.of_wave();
                self.series.insert(("domicile_wave_subjects", labels.clone()), *subjects as f64);
                self.series.insert(("domicile_wave_subjects_moved", labels), *moved as f64);
            }
            Event::Helps { wave, from, to, .. } => self.begin(wave, from, to),
            Event::Stage { batch, stage } => self.stage(batch, Some(stage)),
            Event::Ended { batch } => {
                self.stage(batch, None);
                self.add("domicile_batches_ended_total", &[], 1);
            }
            Event::TakenOver { batch } => {
                self.stage(batch, None);
                self.add("domicile_lease_losses_total", &[], 1);
            }
            Event::Copied { rows, bytes } => {
                self.add("domicile_rows_copied_total", &[], *rows);
                self.add("domicile_row_bytes_copied_total", &[], *bytes);
            }
            Event::Objects { objects, bytes } => {
                self.add("domicile_objects_copied_total", &[], *objects);
                self.add("domicile_object_bytes_copied_total", &[], *bytes);
            }
            Event::Activated { subjects, pause } => self.activated(*subjects, *pause),
            Event::Left { subjects, code, .. } => {
                self.add("domicile_subjects_left_total", &[("code", code)], *subjects);
            }
            Event::Again { code, .. } => self.add("domicile_retries_total", &[("code", code)], 1),
            Event::CeilingReached { ceiling, .. } => {
                self.set("domicile_ceiling_waiting", labelled("ceiling", ceiling), 1.0);
            }
            Event::CeilingClear { .. } => self.clear("domicile_ceiling_waiting"),
            Event::Paused => self.set("domicile_paused", String::new(), 1.0),
            _ => {}
        }
    }

    /// Another wave, or none: what was in flight of the one before is so no longer.
    fn begin(&mut self, wave: &str, from: &str, to: &str) {
        self.batches.clear();
        for gauge in ["domicile_batches_in_flight", "domicile_ceiling_waiting"] {
            self.clear(gauge);
        }
        // There from the first moment, or an alert could not tell "not paused" from "not there".
        self.set("domicile_paused", String::new(), 0.0);
        self.wave = wave.to_owned();
        self.pair = format!("{},{}", labelled("from", from), labelled("to", to));
    }

    /// A batch enters a stage, or is not in flight any more.
    fn stage(&mut self, batch: &str, stage: Option<&'static str>) {
        let now = Instant::now();
        let before = match stage {
            Some(stage) => self.batches.insert(batch.to_owned(), (stage, now)),
            None => self.batches.remove(batch),
        };
        // Batches under way come to their end in a pause; one that begins ends it.
        if before.is_none() && stage.is_some() {
            self.clear("domicile_paused");
        }
        if let Some((before, since)) = before {
            let seconds = now.duration_since(since).as_secs_f64();
            self.add_f64("domicile_stage_seconds_total", &[("stage", before)], seconds);
        }
        self.set("domicile_batches_in_flight", self.pair.clone(), self.batches.len() as f64);
    }

    fn activated(&mut self, subjects: u64, pause: Duration) {
        self.add("domicile_subjects_moved_total", &[], subjects);
        let of_wave = ("domicile_wave_subjects_moved", self.of_wave());
        if let Some(moved) = self.series.get_mut(&of_wave) {
            *moved += subjects as f64;
        }
        // Nobody measured it where the worker was replaced in between.
        if !pause.is_zero() {
            let seconds = pause.as_secs_f64();
            let (buckets, sum) = self.pauses.entry(self.pair.clone()).or_default();
            let bucket = PAUSES_S.iter().position(|most| seconds <= *most).unwrap_or(PAUSES_S.len());
            buckets[bucket] += subjects;
            *sum += seconds * subjects as f64;
        }
    }

    fn pauses_text(&self, name: &str, text: &mut String) {
        for (pair, (buckets, sum)) in &self.pauses {
            let mut all = 0;
            let bounds = PAUSES_S.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (n, bound) in buckets.iter().zip(bounds) {
                all += n;
                let _ = writeln!(text, "{name}_bucket{{{pair},le=\"{bound}\"}} {all}");
            }
            let _ = writeln!(text, "{name}_sum{{{pair}}} {sum}\n{name}_count{{{pair}}} {all}");
        }
    }

    fn of_wave(&self) -> String {
        format!("{},{}", self.pair, labelled("wave", &self.wave))
    }

    fn add(&mut self, name: &'static str, more: &[(&str, &str)], n: u64) {
        self.add_f64(name, more, n as f64);
    }

    fn add_f64(&mut self, name: &'static str, more: &[(&str, &str)], n: f64) {
        let more = more.iter().map(|(label, value)| format!(",{}", labelled(label, value)));
        let labels = self.pair.clone() + &more.collect::<String>();
        *self.series.entry((name, labels)).or_default() += n;
    }

    fn set(&mut self, name: &'static str, labels: String, value: f64) {
        self.series.insert((name, labels), value);
    }

    fn clear(&mut self, name: &'static str) {
        self.series.iter_mut().filter(|((series, _), _)| *series == name).for_each(|(_, value)| *value = 0.0);
    }
}

/// A label as it stands in the text form.
fn labelled(label: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{label}=\"{value}\"")
}

#[cfg(test)]
mod tests;
