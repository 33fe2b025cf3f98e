//! `leave::moving`: the target is emptied first, then the subject is `home` again.

use super::Taken;
use crate::broken::Weakness;
use crate::disk::{Commit, skipped};
use crate::moves::{Event, Model};
use crate::state::{At, Home, Round, SOURCE, State, TARGET, Worker, each, entries};

impl Model {
    /// The target's rows; mended, its homes in the same transaction.
    pub(super) fn leave_clear(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[TARGET].commit(Commit::Durable, |db| db.rows.remove(db.rows.of(w.leaving)));
        s.gave_up |= w.differs;
        w.differs = false;
        w.at = At::LeaveDrop;
        if self.weakness != Some(Weakness::CopiedForEver) {
            self.leave_drop(s, w)?;
        }
        Some(())
    }

    /// The target's `arriving`.
    pub(super) fn leave_drop(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[TARGET].commit(Commit::Durable, |db| {
            for who in each(w.leaving) {
                if db.home[who] == Home::Arriving {
                    db.home[who] = Home::None;
                }
            }
        });
        w.at = At::LeaveHome;
        Some(())
    }

    /// `home` again. As it is, the statement skips rows that a transaction holds and takes `moving` alone, and
    /// nobody looks whom it changed; mended, it waits, and takes whatever the batch made of the subject.
    pub(super) fn leave_home(&self, s: &mut State, w: &mut Worker) -> Taken {
        let held = skipped(s, SOURCE) & w.leaving;
        let mended = self.weakness != Some(Weakness::SkippedRows);
        if mended && held != 0 {
            return None;
        }
        let free = w.leaving & !held;
        s.store[SOURCE].commit(Commit::Durable, |db| {
            for who in each(free) {
                let left_over = mended && db.home[who].ends_by_itself();
                if db.home[who] == Home::Moving || left_over {
                    db.home[who] = Home::Home;
                }
            }
        });
        w.at = At::LeaveForget;
        Some(())
    }

    /// `forget_changes`, then the outcome is saved: one step, since a late entry is harmless.
    pub(super) fn leave_forget(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[SOURCE].commit(Commit::Durable, |db| db.changed &= !entries(w.leaving));
        w.record.left |= w.leaving;
        self.save(s, w);
        w.going &= !w.leaving;
        w.leaving = 0;
        self.saw(Event::GaveBack);
        if w.aborts || w.going == 0 {
            w.at = At::Finish;
        } else if w.unmarked {
            w.unmarked = false;
            self.marked(w);
        } else if w.round == Round::Verify {
            self.next_round(w, Round::Verify);
        } else {
            self.fenced(w);
        }
        Some(())
    }
}
