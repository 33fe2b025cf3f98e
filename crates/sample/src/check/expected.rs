//! What the log says that there must be.

use crate::load::{Entry, What};
use std::collections::BTreeMap;

/// A person and the idempotency key of one of their notes.
pub type Key = (String, String);

/// What one note may be now.
#[derive(Debug, Default)]
pub struct Note {
    /// Its id; empty where nobody was told.
    pub id: String,
    /// Its text, or `None` where it may be gone. More than one where a write was not answered.
    pub possible: Vec<Option<String>>,
    /// The region that acknowledged last; empty where that is not known.
    pub region: String,
}

impl Note {
    /// The region that must have written the row as it is, if that is certain.
    pub fn written_by(&self) -> Option<&str> {
        (self.possible.len() == 1 && !self.region.is_empty()).then_some(&self.region)
    }
}

/// Which regions answered one person's writes.
#[derive(Debug, Default)]
pub struct Regions {
    /// In turn, each once until another one answers.
    pub in_turn: Vec<String>,
    /// Some write was acknowledged.
    pub acknowledged: bool,
}

/// The log, folded.
#[derive(Debug, Default)]
pub struct Expected {
    pub notes: BTreeMap<Key, Note>,
    pub regions: BTreeMap<String, Regions>,
    pub acknowledged: u64,
}

impl Expected {
    /// Each person's lines stand in the order in which they were acknowledged.
    pub fn of(log: &[Entry]) -> Self {
        let mut all = Self::default();
        log.iter().for_each(|entry| all.take(entry));
        all
    }

    fn take(&mut self, entry: &Entry) {
        let known = entry.what != What::Unknown;
        let regions = self.regions.entry(entry.person.clone()).or_default();
        regions.acknowledged |= known;
        if !entry.region.is_empty() && regions.in_turn.last() != Some(&entry.region) {
            regions.in_turn.push(entry.region.clone());
        }
        self.acknowledged += u64::from(known);
        let is_sign_up = entry.what == What::SignUp || (!known && entry.key.contains('@'));
        if !is_sign_up {
            self.note(entry);
        }
    }

    fn note(&mut self, entry: &Entry) {
        let note = self.notes.entry((entry.person.clone(), entry.key.clone())).or_default();
        let text = (!entry.text.is_empty()).then(|| entry.text.clone());
        match entry.what {
            What::Unknown if note.possible.is_empty() => note.possible = vec![None, text],
            What::Unknown => note.possible.push(text),
            _ => {
                note.possible = vec![text];
                note.id.clone_from(&entry.id);
                note.region.clone_from(&entry.region);
            }
        }
    }
}
