//! What the edge cache counts. No path, host or key: these could name somebody.

use super::judge::Reason;
use super::key::Crooked;
use super::store::Store;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a public request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// From the store, fresh.
    Hit,
    /// From the store, stale, while a fresh one is fetched.
    StaleWhileRevalidate,
    /// From the store, stale, since the origin failed.
    StaleIfError,
    /// From the store, after the origin said that it has not changed.
    Revalidated,
    /// By the origin, and stored.
    Miss,
    /// By an answer that another request was waiting for already.
    Collapsed,
    /// By the origin, for this request alone.
    Passed,
    /// Not at all: the origin failed, or the answer may not be given.
    Failed,
    /// `only-if-cached`, and it was not.
    NotCached,
}

const OUTCOMES: [(Outcome, &str); 9] = [
    (Outcome::Hit, "hit"),
    (Outcome::StaleWhileRevalidate, "stale-while-revalidate"),
    (Outcome::StaleIfError, "stale-if-error"),
    (Outcome::Revalidated, "revalidated"),
    (Outcome::Miss, "miss"),
    (Outcome::Collapsed, "collapsed"),
    (Outcome::Passed, "passed"),
    (Outcome::Failed, "failed"),
    (Outcome::NotCached, "not-cached"),
];

/// What was taken off before it went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stripped {
    /// A request's cookies.
    Cookie,
    /// A request's credentials.
    Authorization,
    /// An answer's cookies.
    SetCookie,
}

const STRIPPED: [(Stripped, &str); 3] = [
    (Stripped::Cookie, "cookie"),
    (Stripped::Authorization, "authorization"),
    (Stripped::SetCookie, "set-cookie"),
];

/// The counters, since the process began.
#[derive(Debug, Default)]
pub struct Counts {
    outcomes: [AtomicU64; OUTCOMES.len()],
    not_stored: [AtomicU64; Reason::ALL.len()],
    crooked: [AtomicU64; Crooked::ALL.len()],
    not_public_method: AtomicU64,
    stripped: [AtomicU64; STRIPPED.len()],
    evicted: AtomicU64,
}

/// One line of metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The metric's name.
    pub name: &'static str,
    /// What it means, a sentence.
    pub help: &'static str,
    /// Does it only grow?
    pub counter: bool,
    /// Label and value; a metric has one at most.
    pub label: Option<(&'static str, &'static str)>,
    /// Its value now.
    pub value: u64,
}

impl Counts {
    pub(super) fn answered(&self, outcome: Outcome) {
        add(&self.outcomes[outcome as usize], 1);
    }

    pub(super) fn not_stored(&self, reason: Reason) {
        add(&self.not_stored[reason as usize], 1);
    }

    pub(super) fn crooked(&self, why: Crooked) {
        add(&self.crooked[why as usize], 1);
    }

    pub(super) fn other_method(&self) {
        add(&self.not_public_method, 1);
    }

    pub(super) fn stripped(&self, what: Stripped) {
        add(&self.stripped[what as usize], 1);
    }

    pub(super) fn evicted(&self, many: u64) {
        add(&self.evicted, many);
    }

    /// All of them, in a fixed order, those that are 0 too.
    pub(super) fn samples(&self, store: &Store) -> Vec<Sample> {
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        let counter = |name, help, label, value| Sample { name, help, counter: true, label, value };
        let mut all = Vec::new();
        for (outcome, word) in OUTCOMES {
            let value = get(&self.outcomes[outcome as usize]);
            all.push(counter(ANSWERED.0, ANSWERED.1, Some(("outcome", word)), value));
        }
        for reason in Reason::ALL {
            let value = get(&self.not_stored[reason as usize]);
            all.push(counter(NOT_STORED.0, NOT_STORED.1, Some(("reason", reason.as_str())), value));
        }
        for why in Crooked::ALL {
            let value = get(&self.crooked[why as usize]);
            all.push(counter(NOT_PUBLIC.0, NOT_PUBLIC.1, Some(("reason", why.as_str())), value));
        }
        let method = get(&self.not_public_method);
        all.push(counter(NOT_PUBLIC.0, NOT_PUBLIC.1, Some(("reason", "method")), method));
        for (what, word) in STRIPPED {
            let value = get(&self.stripped[what as usize]);
            all.push(counter(TAKEN_OFF.0, TAKEN_OFF.1, Some(("what", word)), value));
        }
        all.push(counter(EVICTED.0, EVICTED.1, None, get(&self.evicted)));
        let (bytes, objects) = store.size();
        for ((name, help), value) in [(BYTES, bytes as u64), (OBJECTS, objects as u64)] {
            all.push(Sample { name, help, counter: false, label: None, value });
        }
        all
    }
}

const ANSWERED: (&str, &str) =
    ("domicile_edge_requests_total", "Requests on public routes, by how they were answered.");
const NOT_STORED: (&str, &str) =
    ("domicile_edge_not_stored_total", "Answers on public routes that were not stored, by reason.");
const NOT_PUBLIC: (&str, &str) =
    ("domicile_edge_not_public_total", "Requests that looked public and were not, by reason.");
const TAKEN_OFF: (&str, &str) =
    ("domicile_edge_stripped_total", "Requests and answers on public routes that lost what names somebody.");
const EVICTED: (&str, &str) = ("domicile_edge_evicted_total", "Stored answers that had to go for others.");
const BYTES: (&str, &str) = ("domicile_edge_store_bytes", "Bytes of stored answers.");
const OBJECTS: (&str, &str) = ("domicile_edge_store_objects", "Stored answers.");

fn add(counter: &AtomicU64, many: u64) {
    counter.fetch_add(many, Ordering::Relaxed);
}
