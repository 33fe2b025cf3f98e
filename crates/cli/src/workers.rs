//! Who works on waves now, for `status`: from the workers that say they are there, the turns, and the batches
//! in hand.

use crate::failure::{self, Result};
use crate::figures::duration;
use crate::paper;
use domicile_directory::WaveFilter;
use domicile_mover::Service;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// A process that works on waves, or is there for it.
#[derive(Default)]
struct Seen {
    /// Waves whose turn it has.
    drives: Vec<String>,
    /// Batches it has in hand.
    batches: Vec<String>,
    /// How long ago it was heard of.
    ago: Option<Duration>,
    /// For longer than it may be silent: others take over what it has.
    silent: bool,
}

impl Seen {
    fn heard(&mut self, ago: Duration, silent: bool) {
        self.silent = if self.ago.is_some() { self.silent && silent } else { silent };
        self.ago = Some(self.ago.map_or(ago, |before| before.min(ago)));
    }
}

/// The workers by their names.
pub struct Workers(BTreeMap<String, Seen>);

impl Workers {
    /// All that the control store knows of, whatever service they work for.
    pub async fn of(service: &Service) -> Result<Self> {
        let (directory, turn) = (&service.directory, service.limits.turn);
        let of = |e| failure::of_directory(&e);
        let mut all: BTreeMap<String, Seen> = BTreeMap::new();
        for worker in directory.workers().await.map_err(of)? {
            all.entry(worker.worker).or_default().heard(worker.ago, worker.silent);
        }
        let filter = WaveFilter { service: None, unfinished: true };
        for wave in directory.waves(&filter).await.map_err(of)? {
            for batch in directory.batches_in_hand(&wave.id).await.map_err(of)? {
                let Some(holder) = batch.holder else { continue };
                let seen = all.entry(holder).or_default();
                seen.heard(ago(turn, batch.left_ms), batch.left_ms <= 0);
                seen.batches.push(batch.batch);
            }
            if let Some(holder) = wave.holder {
                let left = i64::try_from(wave.lease_left.as_millis()).unwrap_or(i64::MAX);
                let seen = all.entry(holder).or_default();
                if left > 0 || seen.ago.is_none() {
                    seen.heard(ago(turn, left), left <= 0);
                }
                seen.drives.push(wave.id);
            }
        }
        Ok(Self(all))
    }

    /// How many are alive.
    pub fn alive(&self) -> usize {
        self.0.values().filter(|seen| !seen.silent).count()
    }

    /// A table, nothing where nobody is there.
    pub fn text(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let rows = self.0.iter().map(|(name, seen)| {
            let (name, host) = parts(name);
            vec![name.to_owned(), host.to_owned(), seen.doing(), seen.state()]
        });
        format!("\n{}\n", paper::table(&["worker", "host", "has in hand", "seen"], &[], rows.collect()))
    }

    /// For `--json`.
    pub fn json(&self) -> Value {
        let one = |(name, seen): (&String, &Seen)| {
            let (worker, host) = parts(name);
            let ms = seen.ago.map(|ago| u64::try_from(ago.as_millis()).unwrap_or(u64::MAX));
            json!({
                "worker": worker, "host": host, "drives": seen.drives, "batches": seen.batches,
                "seen_ms_ago": ms, "silent": seen.silent,
            })
        };
        self.0.iter().map(one).collect()
    }
}

impl Seen {
    fn doing(&self) -> String {
        let turns = self.drives.iter().map(|wave| format!("turn of {wave}"));
        let all: Vec<String> = turns.chain(self.batches.iter().cloned()).collect();
        if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
    }

    fn state(&self) -> String {
        let ago = self.ago.unwrap_or_default();
        match (self.silent, ago.as_secs()) {
            (true, _) => format!("silent for {}: others take over", duration(ago)),
            (false, 0) => "less than a second ago".to_owned(),
            (false, s) => format!("{s} s ago"),
        }
    }
}

/// When a lease of that length, of which so much is left, was renewed.
fn ago(turn: Duration, left_ms: i64) -> Duration {
    let turn = i64::try_from(turn.as_millis()).unwrap_or(i64::MAX);
    Duration::from_millis(u64::try_from(turn.saturating_sub(left_ms)).unwrap_or(0))
}

/// Name and host of `pid 4711 1a2b3c4d on host7`.
fn parts(name: &str) -> (&str, &str) {
    name.split_once(" on ").unwrap_or((name, "?"))
}
