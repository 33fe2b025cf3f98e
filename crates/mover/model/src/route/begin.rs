//! `Batch::take`, `route::begin`, `route::give_up`.

use super::Taken;
use crate::broken::Broken;
use crate::disk::{Commit, skipped};
use crate::moves::{Event, Model, Way};
use crate::state::{At, Home, Reached, Round, SOURCE, State, TARGET, Worker, each, only};

impl Model {
    /// `take_lease` at the source.
    pub(super) fn take_source(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.token[SOURCE] = self.take_lease(s, SOURCE);
        w.at = At::TakeTarget;
        Some(())
    }

    /// A token is drawn, so that none is given twice.
    fn take_lease(&self, s: &mut State, at: usize) -> u8 {
        s.given[at] += 1;
        let token = if self.is(Broken::TokenCounts) { s.db(at).token + 1 } else { s.given[at] };
        let server = s.store[at].server;
        s.store[at].commit(Commit::Durable, |db| (db.token, db.given_by) = (token, server));
        token
    }

    /// `take_lease` at the target. The lease's second statement waits for transactions that had read
    /// the old token, and ends them: `copy` and `round` hold one open there.
    pub(super) fn take_target(&self, s: &mut State, w: &mut Worker, other: usize) -> Taken {
        w.token[TARGET] = self.take_lease(s, TARGET);
        let waits = !matches!(self.broken, Some(Broken::NoToken | Broken::TakeoverDoesNotWait));
        if waits && matches!(s.workers[other].at, At::CopyWrite | At::RoundWrite) {
            self.saw(Event::HolderEnded);
            s.workers[other] = Worker::default();
        }
        w.at = if self.is(Broken::AbortWithoutLease) { At::ReadRecord } else { At::LookAtSource };
        Some(())
    }

    /// `batch::leases`, at its end: is the lease at the source still the newest? Who finds another one is turned away.
    pub(super) fn look_at_source(&self, w: &mut Worker) -> Taken {
        w.at = At::ReadRecord;
        Some(())
    }

    /// `journal::record`.
    pub(super) fn read_record(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.at = At::ReadDirectory;
        if !self.is(Broken::RecordBeforeLease) {
            w.record = s.db(SOURCE).record;
            if self.is_over(s) || (w.aborts && w.record.reached >= Reached::Activated) {
                w.at = At::Idle;
                return Some(());
            }
        }
        if w.record.reached >= Reached::Activated {
            w.at = At::EraseStandbys;
        }
        Some(())
    }

    /// `stand`, its first half: where the open subjects of the record live, and the attempt to name.
    pub(super) fn read_directory(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.begins = true;
        w.going = 0;
        for who in each(self.scope.batch & !w.record.moved & !w.record.left) {
            w.attempt[who] = s.directory.attempt[who];
            if usize::from(s.directory.region[who]) == TARGET {
                w.moved |= only(who);
            } else {
                w.going |= only(who);
            }
        }
        w.at = At::ReadSource;
        Some(())
    }

    /// `stand`, its second half: who is sealed, and who is not there at all (`LeftCode::Gone`).
    pub(super) fn read_source(&self, s: &mut State, w: &mut Worker) -> Taken {
        for who in each(w.going) {
            match s.db(SOURCE).home[who] {
                Home::Sealed => w.group |= only(who),
                Home::None => w.record.left |= only(who),
                _ => {}
            }
        }
        w.going &= !(w.group | w.record.left);
        w.at = if w.moved != 0 { At::ActivateTarget } else { after_moved(w) };
        Some(())
    }

    /// `finish_moved` saves what `activate` noted.
    pub(super) fn save_moved(&self, s: &mut State, w: &mut Worker) -> Taken {
        self.save(s, w);
        w.moved = 0;
        w.at = after_moved(w);
        Some(())
    }

    /// Half-done states back to one from which the loop goes on, and which stage that is.
    pub(super) fn put_back(&self, s: &mut State, w: &mut Worker, way: Way) -> Taken {
        if w.aborts {
            // `give_up` leaves that to `go_back`, which takes them as they are.
            w.begins = false;
            w.leaving = w.going;
            w.at = if w.going == 0 { At::Finish } else { At::LeaveClear };
            return Some(());
        }
        let held = skipped(s, SOURCE);
        if !self.is(Broken::SkippedRows)
            && each(w.going & held).any(|who| s.db(SOURCE).home[who].ends_by_itself())
        {
            // `settle_states` tries again until nobody holds them.
            return None;
        }
        let free = w.going & !held;
        s.store[SOURCE].commit(self.how(w.at, way), |db| {
            for who in each(free) {
                db.home[who] = match db.home[who] {
                    Home::Fencing | Home::Fenced => Home::Moving,
                    Home::Marking => Home::Home,
                    other => other,
                };
            }
        });
        let moving = each(w.going).all(|who| s.db(SOURCE).home[who] == Home::Moving);
        w.begins = false;
        // A copy is there only where the target says `arriving`, too.
        let arrives = |who: usize| s.db(TARGET).home[who] == Home::Arriving;
        let moving = moving && (self.is(Broken::CopiedForEver) || each(w.going).all(arrives));
        if w.going == 0 {
            w.at = At::Finish;
        } else if w.record.reached >= Reached::Copied && moving {
            self.copied(w);
        } else if w.record.reached >= Reached::Copied && !self.is(Broken::CopiedForEver) {
            w.at = At::CopyAgain;
        } else {
            w.at = At::MarkBegin;
        }
        Some(())
    }

    /// `copy`, first of all: a copy that is made again is none until it is done.
    pub(super) fn copy_again(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.record.reached = Reached::Planned;
        self.save(s, w);
        w.at = At::MarkBegin;
        Some(())
    }

    /// `Stage::Copied`.
    pub(super) fn copied(&self, w: &mut Worker) {
        let round = match self.broken {
            Some(Broken::CutoverBeforeVerify) => Round::BeforeFence,
            _ if self.scope.catch_up => Round::CatchUp,
            // The stage's rounds and verify's own are alike; most scopes leave the first ones out.
            _ => Round::Verify,
        };
        self.next_round(w, round);
    }
}

fn after_moved(w: &Worker) -> At {
    if w.group != 0 { At::Settle } else { At::PutBack }
}
