//! Which parks stand: what the directory lists, made true in the lanes.

use super::lane::{Drain, Lanes};
use domicile_directory::{Park, SubjectHash};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The parks that this gateway keeps.
#[derive(Default)]
pub(crate) struct Parks(BTreeMap<u64, Vec<SubjectHash>>);

impl Parks {
    /// Begins those that are new, in the order of their numbers, with what must be waited for before each is said to be seen.
    pub fn begin(&mut self, lanes: &Lanes, listed: Vec<Park>) -> Vec<(u64, Arc<Drain>)> {
        let mut begun = Vec::new();
        for park in listed {
            if let std::collections::btree_map::Entry::Vacant(place) = self.0.entry(park.number) {
                begun.push((park.number, lanes.park(&park.subjects)));
                place.insert(park.subjects);
            }
        }
        begun
    }

    /// Ends those that are not listed any more.
    pub fn end(&mut self, lanes: &Arc<Lanes>, listed: &BTreeSet<u64>) {
        let over: Vec<u64> = self.0.keys().copied().filter(|number| !listed.contains(number)).collect();
        for number in over {
            if let Some(subjects) = self.0.remove(&number) {
                lanes.unpark(&subjects);
            }
        }
    }

    /// Is there any?
    pub fn any(&self) -> bool {
        !self.0.is_empty()
    }
}
