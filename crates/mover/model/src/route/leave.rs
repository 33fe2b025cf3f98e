//! `leave::go_back`: the target is emptied first, then the subject is `home` again.

use super::Taken;
use crate::broken::Broken;
use crate::disk::{Commit, skipped};
use crate::moves::{Event, Model};
use crate::state::{At, Home, Round, SOURCE, State, TARGET, Worker, each, entries, only};

impl Model {
    /// `clear_copies`: of those that are `arriving`, rows and homes in one transaction.
    pub(super) fn leave_clear(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.gave_up |= w.differs;
        w.differs = false;
        if self.is(Broken::CopiedForEver) {
            s.store[TARGET].commit(Commit::Durable, |db| db.rows.remove(db.rows.of(w.leaving)));
            w.at = At::LeaveDrop;
            return Some(());
        }
        let home = s.db(TARGET).home;
        let copied = each(w.leaving).filter(|who| home[*who] == Home::Arriving).map(only).sum();
        if copied != 0 {
            s.store[TARGET].commit(Commit::Durable, |db| db.rows.remove(db.rows.of(copied)));
        }
        self.leave_drop(s, w)?;
        if copied == 0 && self.is(Broken::ClearedBefore) {
            w.at = At::LeaveHome;
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
        w.at = if self.waits_to_keep() { At::LeaveKeeps } else { At::LeaveHome };
        Some(())
    }

    /// The target's standbys have it before the journal says that they stay, also where an earlier worker emptied it.
    pub(super) fn leave_keeps(&self, s: &State, w: &mut Worker) -> Taken {
        w.at = if self.target_keeps(s, w)? { At::LeaveHome } else { At::Idle };
        Some(())
    }

    /// `home` again, whatever the batch made of the subject. Rows that a transaction holds are tried again until
    /// nobody holds them (`Batch::settle_states`); nobody waits for those that need no change.
    pub(super) fn leave_home(&self, s: &mut State, w: &mut Worker) -> Taken {
        let skips = self.is(Broken::SkippedRows);
        let open = |home: Home| home == Home::Moving || (!skips && home.ends_by_itself());
        let home = s.db(SOURCE).home;
        let wanted: u8 = each(w.leaving).filter(|who| open(home[*who])).map(only).sum();
        let held = wanted & skipped(s, SOURCE);
        if held != 0 && !skips {
            return None;
        }
        s.store[SOURCE].commit(Commit::Durable, |db| {
            each(wanted & !held).for_each(|who| db.home[who] = Home::Home);
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
