//! `Batch::take`, `route::begin`, `route::give_up`.

use super::Taken;
use crate::broken::{Broken, Weakness};
use crate::disk::{Commit, skipped};
use crate::moves::{Event, Model, Way};
use crate::state::{At, Home, Reached, Round, SOURCE, State, TARGET, Worker, each, only};

impl Model {
    /// `take_lease` at the source; mended, the record is read (again) under it.
    pub(super) fn take_source(&self, s: &mut State, w: &mut Worker) -> Taken {
        s.store[SOURCE].commit(Commit::Durable, |db| db.token += 1);
        w.token[SOURCE] = s.db(SOURCE).token;
        w.at = At::TakeTarget;
        w.stale = false;
        if self.weakness != Some(Weakness::RecordBeforeLease) {
            w.record = s.db(SOURCE).record;
            if self.is_over(s) || (w.aborts && w.record.reached >= Reached::Activated) {
                w.at = At::Idle;
            }
        }
        Some(())
    }

    /// `take_lease` at the target. Its second statement waits for transactions that had read the old token,
    /// and ends them: `copy` and `round` hold one open there.
    pub(super) fn take_target(&self, s: &mut State, w: &mut Worker, other: usize) -> Taken {
        s.store[TARGET].commit(Commit::Durable, |db| db.token += 1);
        w.token[TARGET] = s.db(TARGET).token;
        let waits = !matches!(self.broken, Some(Broken::NoToken | Broken::TakeoverDoesNotWait));
        if waits && matches!(s.workers[other].at, At::CopyWrite | At::RoundWrite) {
            self.saw(Event::HolderEnded);
            s.workers[other] = Worker::default();
        }
        w.at = if w.record.reached >= Reached::Activated { At::EraseStandbys } else { At::ReadDirectory };
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
        let free = w.going & !skipped(s, SOURCE);
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
        // Mended: a copy is there only where the target says `arriving`, too.
        let arrives = |who: usize| s.db(TARGET).home[who] == Home::Arriving;
        let moving = moving && (self.weakness == Some(Weakness::CopiedForEver) || each(w.going).all(arrives));
        if w.going == 0 {
            w.at = At::Finish;
        } else if w.aborts {
            w.leaving = w.going;
            w.at = At::LeaveClear;
        } else if w.record.reached >= Reached::Copied && moving {
            self.copied(w);
        } else {
            if w.record.reached >= Reached::Copied && self.weakness != Some(Weakness::CopiedForEver) {
                w.record.reached = Reached::Planned;
                self.save(s, w);
            }
            w.at = At::MarkBegin;
        }
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
