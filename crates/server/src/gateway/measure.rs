//! What the gateway measures: how long requests took and writes waited, and which region failed. Prometheus' histograms.

use super::forward::Broke;
use crate::trace::Route;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, microseconds: from what memory answers to what nobody waits for.
const BOUNDS_US: [u64; 16] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// How many took how long. Counting one is two additions.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Histogram {
    /// One more.
    pub fn note(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Its lines, without the explanation: `labels` as `a="b"`, or empty.
    pub fn lines(&self, name: &str, labels: &str, text: &mut String) {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut all = 0;
        for (n, bucket) in self.buckets.iter().enumerate() {
            all += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS_US.get(n).map_or("+Inf".to_owned(), |us| seconds(*us));
            // Writing to a String never fails.
            let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {all}");
        }
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sum = seconds(self.sum_us.load(Ordering::Relaxed));
        let _ = writeln!(text, "{name}_sum{braces} {sum}\n{name}_count{braces} {all}");
    }
}

fn seconds(us: u64) -> String {
    (us as f64 / 1e6).to_string()
}

/// The first two lines of a metric.
pub fn explained(name: &str, kind: &str, help: &str, text: &mut String) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Why a region gave no answer, in the order of [`Broke`].
const KINDS: [&str; 3] = ["not-connected", "broke-off", "slow"];

/// Everything that is measured, by route and by region.
#[derive(Debug)]
pub(super) struct Measures {
    /// From a request's head to its answer's.
    pub answers: [Histogram; Route::ALL.len()],
    /// How long writes waited that had to.
    pub parked: Histogram,
    regions: Vec<(String, [AtomicU64; KINDS.len()])>,
}

/// (name, kind, help).
pub(crate) const MEASURED: [(&str, &str, &str); 3] = [
    (
        "domicile_gateway_request_seconds",
        "histogram",
        "From a request's head to its answer's head, by the way it took.",
    ),
    ("domicile_gateway_parked_seconds", "histogram", "How long writes waited for a park to end."),
    (
        "domicile_gateway_upstream_errors_total",
        "counter",
        "Tries at which a region's application gave no answer, those that were repeated included.",
    ),
];

impl Measures {
    pub fn new(regions: &[String]) -> Self {
        let regions = regions.iter().map(|id| (id.clone(), Default::default())).collect();
        Self { answers: Default::default(), parked: Histogram::default(), regions }
    }

    /// A region gave no answer.
    pub fn broke(&self, region: u16, broke: Broke) {
        let kind = match broke {
            Broke::NotConnected => 0,
            Broke::Unknown => 1,
            Broke::Slow => 2,
        };
        if let Some((_, counts)) = self.regions.get(usize::from(region)) {
            counts[kind].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As Prometheus reads them.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let [(answers, ..), (parked, ..), (errors, ..)] = MEASURED;
        for (name, kind, help) in MEASURED {
            explained(name, kind, help, &mut text);
            if name == answers {
                for route in Route::ALL {
                    let labels = format!("route=\"{}\"", route.as_str());
                    self.answers[route as usize].lines(name, &labels, &mut text);
                }
            } else if name == parked {
                self.parked.lines(name, "", &mut text);
            } else if name == errors {
                for (region, counts) in &self.regions {
                    for (kind, count) in KINDS.iter().zip(counts) {
                        let count = count.load(Ordering::Relaxed);
                        // An id of a region has no character that would have to be escaped.
                        let _ = writeln!(text, "{name}{{region=\"{region}\",kind=\"{kind}\"}} {count}");
                    }
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for us in [0, 500, 501, 1_000_000, 70_000_000] {
            histogram.note(Duration::from_micros(us));
        }
        let mut text = String::new();
        histogram.lines("x", "", &mut text);
        for line in [
            "x_bucket{le=\"0.0005\"} 2",
            "x_bucket{le=\"0.001\"} 3",
            "x_bucket{le=\"0.5\"} 3",
            "x_bucket{le=\"1\"} 4",
            "x_bucket{le=\"60\"} 4",
            "x_bucket{le=\"+Inf\"} 5",
            "x_sum 71.001001",
            "x_count 5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn errors_are_a_regions() {
        let measures = Measures::new(&["de".into(), "us".into()]);
        measures.broke(1, Broke::Slow);
        measures.broke(9, Broke::Slow);
        let text = measures.text();
        for line in ["{region=\"us\",kind=\"slow\"} 1", "{region=\"de\",kind=\"slow\"} 0"] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
