//! `verify::compare_once`: at one snapshot of the source, every row of every subject is compared.

use super::Taken;
use crate::moves::Model;
use crate::state::{At, Round, Rows, State, TARGET, Worker, each, only};

impl Model {
    /// Digests on both sides, and the record's save.
    ///
    /// The code believes a difference when it sees it three times, since a neighbour's batch may push a row
    /// aside between two comparisons. There is no other batch here: a difference stays, and is believed.
    pub(super) fn compare(&self, s: &mut State, w: &mut Worker) -> Taken {
        if w.cut {
            w.at = At::Idle;
            return Some(());
        }
        let there = s.db(TARGET).rows;
        let differing = each(w.going).filter(|who| !equal(&w.seen, &there, *who)).map(only).sum();
        w.seen = Rows::default();
        if differing != 0 {
            w.leaving = differing;
            w.differs = true;
            w.at = At::LeaveClear;
            return Some(());
        }
        self.save(s, w);
        // `Verified::new`.
        (w.dirty, w.tries) = (0, [0, 0]);
        self.next_round(w, Round::BeforeFence);
        Some(())
    }
}

/// All rows of a subject are the same on both sides.
pub(super) fn equal(here: &Rows, there: &Rows, who: usize) -> bool {
    let mine = here.of(only(who));
    mine == there.of(only(who)) && (0..3).all(|r| mine & (1 << r) == 0 || here.version[r] == there.version[r])
}
