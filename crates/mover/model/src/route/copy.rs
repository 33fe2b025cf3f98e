//! `copy`: the mark in two steps, `arrive`, and the copy from one snapshot in one transaction.

use super::Taken;
use crate::broken::Broken;
use crate::disk::{Commit, bump, skipped, waited_for};
use crate::moves::{Event, Model, Way};
use crate::state::{At, Home, Reached, Rows, SOURCE, State, TARGET, Worker, each, entries, only};

impl Model {
    /// `mark` reads who is `moving` already, once; `mark_group`, step 1. Entries that an abort left go.
    pub(super) fn mark_begin(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let home = s.db(SOURCE).home;
        if w.tries[0] == 0 {
            w.group = each(w.going).filter(|who| home[*who] == Home::Moving).map(only).sum();
        }
        let rest = w.going & !w.group & !skipped(s, SOURCE);
        let begun: u8 = each(rest).filter(|who| home[*who] == Home::Home).map(only).sum();
        s.store[SOURCE].commit(self.how(w.at, way), |db| {
            each(begun).for_each(|who| db.home[who] = Home::Marking);
            db.changed &= !entries(begun);
        });
        for other in &mut s.workers {
            other.ids &= !entries(begun);
        }
        (w.waits, w.failed) = (begun, 0);
        w.at = At::MarkWait;
        if begun == 0 {
            self.mark_round_ends(w);
        }
        Some(())
    }

    /// Step 2 for one subject: waits for its writers.
    pub(super) fn mark_wait(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let who = each(w.waits).next()?;
        let plain = self.broken == Some(Broken::MarkWithoutGen);
        if self.second_step(s, w, way, who, (Home::Marking, Home::Moving), plain)? {
            w.group |= only(who);
        } else {
            w.failed |= only(who);
        }
        w.waits &= !only(who);
        if w.waits == 0 {
            w.at = At::MarkUndo;
            if w.failed == 0 {
                self.mark_round_ends(w);
            }
        }
        Some(())
    }

    /// `change_state_waiting` for one subject. `Some(true)`: changed; `None`: it still waits.
    pub(super) fn second_step(
        &self,
        s: &mut State,
        w: &Worker,
        way: Way,
        who: usize,
        (from, to): (Home, Home),
        plain: bool,
    ) -> Option<bool> {
        let locked = if plain { skipped(s, SOURCE) } else { waited_for(s, SOURCE) } & only(who) != 0;
        if way == Way::TimesOut {
            self.saw(Event::Straggled);
            return locked.then_some(false);
        }
        if locked {
            return None;
        }
        if s.db(SOURCE).home[who] != from {
            return (way == Way::Plain).then_some(false);
        }
        s.store[SOURCE].commit(self.how(w.at, way), |db| db.home[who] = to);
        if !plain {
            bump(s, SOURCE, only(who));
        }
        Some(true)
    }

    /// Stragglers are as they were.
    pub(super) fn mark_undo(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let free = w.failed & !skipped(s, SOURCE);
        s.store[SOURCE].commit(self.how(w.at, way), |db| {
            for who in each(free) {
                if db.home[who] == Home::Marking {
                    db.home[who] = Home::Home;
                }
            }
        });
        self.mark_round_ends(w);
        Some(())
    }

    fn mark_round_ends(&self, w: &mut Worker) {
        w.failed = 0;
        w.tries[0] += 1;
        let rest = w.going & !w.group;
        if rest == 0 {
            self.marked(w);
        } else if w.tries[0] < self.scope.tries {
            w.at = At::MarkBegin;
        } else {
            w.at = At::Unmarked;
        }
    }

    /// Who could not be marked goes the way of all who leave (`leave::go_back`).
    pub(super) fn unmarked(&self, s: &mut State, w: &mut Worker) -> Taken {
        self.saw(Event::Unmarked);
        if !self.is(Broken::UnmarkedKeepsCopy) {
            w.leaving = w.going & !w.group;
            w.unmarked = true;
            w.at = At::LeaveClear;
            return Some(());
        }
        w.record.left |= w.going & !w.group;
        w.going = w.group;
        self.save(s, w);
        self.marked(w);
        Some(())
    }

    pub(super) fn marked(&self, w: &mut Worker) {
        (w.tries, w.group) = ([0, 0], 0);
        w.at = if w.going == 0 { At::Finish } else { At::Arrive };
    }

    /// `arrive`: taken over where `away`, or `arriving` in this batch; else it fails.
    pub(super) fn arrive(&self, s: &mut State, w: &mut Worker) -> Taken {
        let home = s.db(TARGET).home;
        if each(w.going).any(|who| !matches!(home[who], Home::None | Home::Away | Home::Arriving)) {
            w.at = At::Idle;
            return Some(());
        }
        s.store[TARGET].commit(Commit::Durable, |db| {
            each(w.going).for_each(|who| db.home[who] = Home::Arriving);
        });
        w.at = At::CopyRead;
        Some(())
    }

    /// `copy_from_snapshot`: the snapshot at the source; the transaction at the target begins.
    pub(super) fn copy_read(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.seen = s.db(SOURCE).rows;
        w.at = At::CopyWrite;
        Some(())
    }

    /// What an earlier try left is cleared, all rows are loaded, and it commits.
    pub(super) fn copy_write(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let mut rows = s.db(TARGET).rows;
        rows.remove(rows.of(w.going));
        let load = w.seen.of(w.going);
        if (0..3).any(|row| load & (1 << row) != 0 && rows.version[row] > 0) {
            // A key is taken (`copy_what_fits`): its subject leaves. No other batch is here, so all do.
            w.leaving = w.going;
            w.at = At::LeaveClear;
            return Some(());
        }
        rows.put(load, &w.seen);
        s.store[TARGET].commit(self.how(w.at, way), |db| db.rows = rows);
        w.seen = Rows::default();
        // Closing the snapshot fails where its connection broke.
        w.at = if w.cut { At::Idle } else { At::CopyDone };
        Some(())
    }

    /// `batch.reached(Copied)`.
    pub(super) fn copy_done(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.record.reached = Reached::Copied;
        self.save(s, w);
        self.copied(w);
        Some(())
    }
}
