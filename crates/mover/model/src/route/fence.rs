//! `fence`: two steps, the last catch-up, and the comparison of what changed since verify.

use super::Taken;
use crate::broken::Broken;
use crate::disk::skipped;
use crate::moves::{Event, Model, Way};
use crate::state::{At, Home, Round, Rows, SOURCE, State, Subjects, TARGET, Worker, each, only};

impl Model {
    /// `two_steps`, step 1: turns new writers away, waits for nobody.
    pub(super) fn fence_begin(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        w.group = if w.going.count_ones() <= u32::from(self.scope.group) {
            w.going
        } else {
            // The queue's order depends on who failed before: either may be first.
            only(each(w.going).nth(usize::from(way == Way::Second))?)
        };
        let home = s.db(SOURCE).home;
        let takes = |who: &usize| {
            home[*who] == Home::Moving
                || (self.broken == Some(Broken::FenceFromHome) && home[*who] == Home::Home)
        };
        let begun: Subjects = each(w.group & !skipped(s, SOURCE)).filter(takes).map(only).sum();
        s.store[SOURCE].commit(self.how(w.at, way), |db| {
            each(begun).for_each(|who| db.home[who] = Home::Fencing);
        });
        (w.waits, w.failed, w.back) = (begun, w.group & !begun, 0);
        w.at = At::FenceWait;
        if begun == 0 {
            self.two_steps_done(w);
        }
        Some(())
    }

    /// Step 2 for one subject: waits for its writers.
    pub(super) fn fence_wait(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        let who = each(w.waits).next()?;
        let plain = self.broken == Some(Broken::FenceWithoutGen);
        if !self.second_step(s, w, way, who, (Home::Fencing, Home::Fenced), plain)? {
            w.failed |= only(who);
            w.back |= only(who);
        }
        w.waits &= !only(who);
        if w.waits == 0 {
            w.at = At::FenceUndo;
            if w.back == 0 {
                self.two_steps_done(w);
            }
        }
        Some(())
    }

    /// Stragglers are `moving` again.
    pub(super) fn fence_undo(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        self.unfence(s, w, way, w.back);
        w.back = 0;
        self.two_steps_done(w);
        Some(())
    }

    /// `unfence`.
    pub(super) fn unfence(&self, s: &mut State, w: &Worker, way: Way, group: Subjects) {
        let free = group & !skipped(s, SOURCE);
        s.store[SOURCE].commit(self.how(w.at, way), |db| {
            for who in each(free) {
                if matches!(db.home[who], Home::Fencing | Home::Fenced) {
                    db.home[who] = Home::Moving;
                }
            }
        });
    }

    /// `count_failures`; then the last catch-up for those fenced.
    fn two_steps_done(&self, w: &mut Worker) {
        w.group &= !w.failed;
        w.leaving = self.count_failures(w, w.failed);
        w.failed = 0;
        if w.leaving != 0 {
            w.at = At::LeaveClear;
        } else {
            self.fenced(w);
        }
    }

    /// `equal_now`, or another try.
    pub(super) fn fenced(&self, w: &mut Worker) {
        if w.group == 0 {
            self.next_fence(w);
        } else if self.broken == Some(Broken::FenceAfterLastCatchUp) {
            w.at = At::Seal;
        } else {
            self.next_round(w, Round::UnderFence);
        }
    }

    /// `equal_now`, its looks: rows changed since verify, one by one, and the counts of all.
    pub(super) fn check(&self, s: &mut State, w: &mut Worker) -> Taken {
        if w.cut {
            w.at = At::Idle;
            return Some(());
        }
        let (here, there) = (w.seen, s.db(TARGET).rows);
        let looked_at = |rows: &Rows| {
            let mine = rows.of(w.group) & w.dirty;
            (mine, [0, 1, 2].map(|r| if mine & (1 << r) != 0 { rows.version[r] } else { 0 }))
        };
        let counts_equal = each(w.group).all(|who| here.of(only(who)) == there.of(only(who)));
        w.seen = Rows::default();
        w.at = if looked_at(&here) == looked_at(&there) && counts_equal { At::Seal } else { At::Unequal };
        Some(())
    }

    /// Un-fenced; the sides are compared whole again (`Attempt::CompareAgain`).
    pub(super) fn unequal(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        self.saw(Event::UnequalUnderFence);
        self.unfence(s, w, way, w.group);
        w.leaving = self.count_failures(w, w.group);
        w.group = 0;
        self.next_round(w, Round::Verify);
        if w.leaving != 0 {
            w.at = At::LeaveClear;
        }
        Some(())
    }
}
