//! Every metric there is. docs/operate.md, the alerts and the dashboard use these names; a test compares them.

use std::fmt;

/// What Prometheus may do with a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}

/// A metric.
pub struct Metric {
    /// Its name, with its unit last.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// A sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}

/// All of them, in the order in which they are printed.
pub const METRICS: &[Metric] = &[
    gauge("domicile_wave_subjects", "Subjects of the wave that this process drives."),
    gauge("domicile_wave_subjects_moved", "Those of them at their new home, as far as this process knows."),
    counter("domicile_subjects_moved_total", "Subjects that this process brought to their new home."),
    counter(
        "domicile_subjects_left_total",
        "Subjects that left their batch, by reason; busy and taken are tried again.",
    ),
    counter("domicile_rows_copied_total", "Rows copied to the target."),
    counter("domicile_row_bytes_copied_total", "Bytes of those rows, as they travelled."),
    counter("domicile_objects_copied_total", "Objects copied to the target."),
    counter("domicile_object_bytes_copied_total", "Bytes of those objects."),
    gauge("domicile_batches_in_flight", "Batches that this process works on."),
    counter("domicile_batches_ended_total", "Batches that this process brought to their end."),
    counter("domicile_stage_seconds_total", "Seconds that batches were in each stage."),
    Metric {
        name: "domicile_subject_pause_seconds",
        kind: Kind::Histogram,
        help: "From a subject's first refused write to the first accepted one.",
    },
    counter("domicile_retries_total", "Steps that were tried again, by reason."),
    counter("domicile_lease_losses_total", "Batches that another worker took over from this one."),
    gauge("domicile_ceiling_waiting", "1 while nothing new is begun because that ceiling is exceeded."),
    gauge("domicile_paused", "1 while the wave is paused."),
    gauge("domicile_guard_subjects", "Subjects by region and state, as the region's guard has them."),
    gauge(
        "domicile_guard_oldest_fence_seconds",
        "Age of the oldest fence at the region; 0 where nobody is fenced.",
    ),
    gauge("domicile_guard_changes_waiting", "Recorded changes at the region that wait to be brought over."),
    gauge("domicile_region_up", "1 where the region's guard answered when it was asked."),
];
