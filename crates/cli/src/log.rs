//! `--log json`: the story as one JSON object a line, for whoever collects logs. No event names a subject.

use crate::screen::Screen;
use domicile_mover::progress::Event;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// How a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody may want to look.
    Warn,
    /// It failed.
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }
}

/// A line: when, how it matters, of which wave, what happened, and what belongs to it.
pub fn line(level: Level, wave: &str, event: &str, more: Value) -> String {
    let mut all = Map::new();
    all.insert("time".to_owned(), json!(format!("{:.3}", Timestamp::now())));
    all.insert("level".to_owned(), json!(level.word()));
    if !wave.is_empty() {
        all.insert("wave".to_owned(), json!(wave));
    }
    all.insert("event".to_owned(), json!(event));
    if let Value::Object(more) = more {
        all.extend(more);
    }
    Value::Object(all).to_string()
}

/// Says an event.
pub fn event(screen: &Screen, wave: &str, event: &Event) {
    // Many a second, and the batch says all of them.
    if matches!(event, Event::RowsErased { .. }) {
        return;
    }
    let (level, name, more) = told(event);
    screen.log(&line(level, wave, name, more));
}

fn told(event: &Event) -> (Level, &'static str, Value) {
    use Level::{Info, Warn};
    let ms = |d: &std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    match event {
        Event::Wave { wave, from, to, subjects, rows, resumed, moved } => (
            Info,
            "wave",
            json!({ "wave": wave, "from": from, "to": to, "subjects": subjects, "rows": rows,
                    "resumed": resumed, "moved": moved }),
        ),
        Event::Helps { wave, from, to, driver } => {
            (Info, "helps", json!({ "wave": wave, "from": from, "to": to, "driver": driver }))
        }
        Event::Ended { batch } => (Info, "batch-ended", json!({ "batch": batch })),
        Event::TakenOver { batch } => (Warn, "batch-taken-over", json!({ "batch": batch })),
        Event::Stage { batch, stage } => (Info, "stage", json!({ "batch": batch, "stage": stage })),
        Event::Copied { rows, bytes } => (Info, "copied", json!({ "rows": rows, "bytes": bytes })),
        Event::Objects { objects, bytes } => {
            (Info, "objects-copied", json!({ "objects": objects, "bytes": bytes }))
        }
        Event::Fenced { batch, subjects } => {
            (Info, "fenced", json!({ "batch": batch, "subjects": subjects }))
        }
        Event::Activated { subjects, pause } => {
            (Info, "activated", json!({ "subjects": subjects, "pause_ms": ms(pause) }))
        }
        Event::Left { subjects, code, why } => {
            (Warn, "left", json!({ "subjects": subjects, "code": code, "why": why }))
        }
        Event::Again { batch, code, why } => {
            (Warn, "again", json!({ "batch": batch, "code": code, "why": why }))
        }
        Event::Erases { wave, from, to, batches } => {
            (Info, "erases", json!({ "wave": wave, "from": from, "to": to, "batches": batches }))
        }
        Event::Erased { rows, objects } => (Info, "erased", json!({ "rows": rows, "objects": objects })),
        Event::CeilingReached { ceiling, why, .. } => {
            (Warn, "ceiling-reached", json!({ "ceiling": ceiling, "why": why }))
        }
        Event::CeilingClear { .. } => (Info, "ceiling-clear", json!({})),
        Event::Paused => (Info, "paused", json!({})),
        Event::Waits { wave, holder, left } => {
            (Info, "waits", json!({ "wave": wave, "holder": holder, "left_ms": ms(left) }))
        }
        _ => (Info, "other", json!({})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object_with_its_time_first() {
        let (level, name, more) = told(&Event::Left { subjects: 2, code: "busy", why: "a\nb".into() });
        let line = line(level, "w1", name, more);
        assert!(line.starts_with("{\"") && !line.contains('\n'), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap();
        read["time"].as_str().unwrap().parse::<Timestamp>().unwrap();
        for (key, value) in [
            ("level", json!("warn")),
            ("wave", json!("w1")),
            ("event", json!("left")),
            ("subjects", json!(2)),
            ("code", json!("busy")),
        ] {
            assert_eq!(read[key], value, "{line}");
        }
    }
}
