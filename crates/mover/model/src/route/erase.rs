//! `erase`, with no grace: nobody here keeps a stale route.

use super::Taken;
use crate::broken::Broken;
use crate::disk::Commit;
use crate::moves::{Event, Model};
use crate::state::{At, Home, Reached, SOURCE, State, Subjects, TARGET, Worker, each, entries, only};

impl Model {
    /// Before a fail-over could forget the move, the old copy must not be gone, nor may one of the new home.
    pub(super) fn erase_standbys(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.at = At::EraseRows;
        let target = s.store[TARGET].standbys_have_all() || self.is(Broken::TargetNotFlushed);
        (s.store[SOURCE].standbys_have_all() && target).then_some(())
    }

    /// `still_away`, then `erase_some`: looks for `away` in the same transaction, of all of them.
    pub(super) fn erase_rows(&self, s: &mut State, w: &mut Worker) -> Taken {
        let home = s.db(SOURCE).home;
        let here: Subjects = each(w.record.moved).filter(|who| home[*who] != Home::None).map(only).sum();
        if each(here).any(|who| home[who] != Home::Away) {
            w.at = At::Idle;
            return Some(());
        }
        s.store[SOURCE].commit(Commit::Durable, |db| db.rows.remove(db.rows.of(here)));
        self.saw(Event::Erased);
        w.at = At::EraseCheck;
        Some(())
    }

    /// `read_back`: nothing is left.
    pub(super) fn erase_check(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.at = if s.db(SOURCE).rows.of(w.record.moved) == 0 { At::EraseDrop } else { At::Idle };
        Some(())
    }

    /// `drop_homes`.
    pub(super) fn erase_drop(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[SOURCE].commit(Commit::Durable, |db| {
            for who in each(w.record.moved).filter(|who| db.home[*who] == Home::Away).collect::<Vec<_>>() {
                db.home[who] = Home::None;
                db.changed &= !entries(only(who));
            }
        });
        w.at = At::EraseNote;
        Some(())
    }

    /// `batch.reached(Erased)`.
    pub(super) fn erase_note(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.record.reached = Reached::Erased;
        self.save(s, w);
        w.at = At::Idle;
        Some(())
    }
}
