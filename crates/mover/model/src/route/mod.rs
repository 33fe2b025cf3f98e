//! The route of a batch, a step a transaction. One file a stage, as in `mover/src`; [`Model::step`] is
//! `route::run` and holds the only match on where a worker stands.
//!
//! Every step is atomic: one transaction at one database, one call of the directory, or one snapshot. Where
//! the mover holds a write transaction open at the target while it reads the source (`copy`, `round`),
//! its beginning and its commit are two steps, since a takeover must not overlook it.

mod begin;
mod catch_up;
mod copy;
mod cutover;
mod erase;
mod fence;
mod leave;
mod verify;

use crate::broken::Broken;
use crate::disk::Commit;
use crate::moves::{Event, Model, Way};
use crate::state::{At, Home, Round, SOURCE, State, Subjects, TARGET, Worker, each, only};

/// A step: `None` where it can't be taken in this way.
type Taken = Option<()>;

impl Model {
    /// In which ways a worker's next step can go.
    pub(crate) fn ways(&self, state: &State, worker: &Worker) -> Vec<Way> {
        let mut ways = vec![Way::Plain];
        if self.forgettable(worker.at) && self.may_forget(state, place(worker.at)) {
            ways.push(Way::Forgettable);
        }
        match worker.at {
            At::MarkWait | At::FenceWait | At::Standbys => ways.push(Way::TimesOut),
            At::Seal => ways.extend([1, 2, 3].into_iter().filter(|m| m & !worker.group == 0).map(Way::Late)),
            At::Swap if state.left.unanswered > 0 => ways.push(Way::Unanswered),
            At::FenceBegin if worker.going.count_ones() > u32::from(self.scope.group) => {
                ways.push(Way::Second)
            }
            _ => {}
        }
        ways
    }

    /// `Transition::may_be_forgotten` and `forget`, and what is broken.
    fn forgettable(&self, at: At) -> bool {
        match at {
            At::PutBack | At::MarkBegin | At::MarkWait | At::MarkUndo | At::RoundForget => true,
            At::FenceBegin | At::FenceWait | At::FenceUndo | At::Unequal | At::SealLate => true,
            At::ActivateTarget => true,
            At::Seal => self.broken == Some(Broken::SealNotDurable),
            At::CopyWrite | At::RoundWrite => self.broken == Some(Broken::CopyNotDurable),
            _ => false,
        }
    }

    fn may_forget(&self, state: &State, at: usize) -> bool {
        state.left.db_crashes[at] > 0
    }

    /// How this step's commit waits for the disk.
    fn how(&self, at: At, way: Way) -> Commit {
        match way {
            Way::Forgettable => Commit::Forgettable,
            _ if self.forgettable(at) => Commit::Flushed,
            _ => Commit::Durable,
        }
    }

    /// Takes the next step of a worker.
    pub(crate) fn step(&self, state: &State, slot: usize, way: Way) -> Option<State> {
        let mut next = *state;
        let mut worker = state.workers[slot];
        if self.turned_away(state, &worker) {
            self.saw(Event::TurnedAway);
            next.workers[slot] = Worker::default();
            return (way == Way::Plain).then_some(next);
        }
        let (s, w) = (&mut next, &mut worker);
        match w.at {
            At::Idle => return None,
            At::TakeSource => self.take_source(s, w),
            At::TakeTarget => self.take_target(s, w, 1 - slot),
            At::LookAtSource => self.look_at_source(w),
            At::ReadRecord => self.read_record(s, w),
            At::ReadDirectory => self.read_directory(s, w),
            At::ReadSource => self.read_source(s, w),
            At::Settle => self.settle(s, w),
            At::BackToMoving => self.back_to_moving(s, w),
            At::ActivateTarget => self.activate_target(s, w, way),
            At::FlushTarget => self.flush_target(s, w),
            At::ActivateKeeps => self.activate_keeps(s, w),
            At::ActivateSource => self.activate_source(s, w),
            At::SaveMoved => self.save_moved(s, w),
            At::PutBack => self.put_back(s, w, way),
            At::CopyAgain => self.copy_again(s, w),
            At::MarkBegin => self.mark_begin(s, w, way),
            At::MarkWait => self.mark_wait(s, w, way),
            At::MarkUndo => self.mark_undo(s, w, way),
            At::Unmarked => self.unmarked(s, w),
            At::Arrive => self.arrive(s, w),
            At::CopyRead => self.copy_read(s, w),
            At::CopyWrite => self.copy_write(s, w, way),
            At::CopyDone => self.copy_done(s, w),
            At::RoundRead => self.round_read(s, w),
            At::RoundWrite => self.round_write(s, w, way),
            At::RoundForget => self.round_forget(s, w, way),
            At::Compare => self.compare(s, w),
            At::FenceBegin => self.fence_begin(s, w, way),
            At::FenceWait => self.fence_wait(s, w, way),
            At::FenceUndo => self.fence_undo(s, w, way),
            At::Check => self.check(s, w),
            At::Unequal => self.unequal(s, w, way),
            At::Seal => self.seal(s, w, way),
            At::SealLate => self.seal_late(s, w, way),
            At::Standbys => self.standbys(s, w, way),
            At::Swap => self.swap(s, w, way),
            At::LeaveClear => self.leave_clear(s, w),
            At::LeaveDrop => self.leave_drop(s, w),
            At::LeaveKeeps => self.leave_keeps(s, w),
            At::LeaveHome => self.leave_home(s, w),
            At::LeaveForget => self.leave_forget(s, w),
            At::Finish => self.finish(s, w),
            At::EraseStandbys => self.erase_standbys(s, w),
            At::EraseRows => self.erase_rows(s, w),
            At::EraseCheck => self.erase_check(s, w),
            At::EraseDrop => self.erase_drop(s, w),
            At::EraseNote => self.erase_note(s, w),
        }?;
        next.workers[slot] = if worker.at == At::Idle { Worker::default() } else { worker };
        Some(next)
    }

    /// Every transaction that the mover writes with has read its lease's token first (`HELD`,
    /// `begin_with_lease`), and that it was given by the server that answers. Else it is an error, and it begins again.
    fn turned_away(&self, state: &State, w: &Worker) -> bool {
        let Some(at) = self.checks_token(state, w) else { return false };
        !self.holds(state, w, at)
    }

    /// Whose token a step reads. A write transaction at the target read it when it began.
    fn checks_token(&self, state: &State, w: &Worker) -> Option<usize> {
        match w.at {
            At::Idle | At::TakeSource | At::TakeTarget | At::ReadRecord => None,
            At::ReadDirectory | At::ReadSource => None,
            At::Settle | At::Swap | At::Check | At::CopyWrite | At::RoundWrite | At::Standbys => None,
            At::FlushTarget | At::ActivateKeeps | At::LeaveKeeps => None,
            At::EraseStandbys | At::EraseCheck => None,
            // `give_up` asks for no lease before it empties the target, and not even there where nothing is to be emptied.
            At::PutBack if w.aborts => None,
            At::LeaveClear if !self.is(Broken::CopiedForEver) => {
                each(w.leaving).any(|who| state.db(TARGET).home[who] == Home::Arriving).then_some(TARGET)
            }
            At::RoundRead => (state.db(SOURCE).changed & w.entries_wanted() != 0).then_some(TARGET),
            at => Some(place(at)),
        }
    }

    /// It holds the lease at that side.
    fn holds(&self, state: &State, w: &Worker, at: usize) -> bool {
        if self.broken == Some(Broken::NoToken) {
            return true;
        }
        let (db, server) = (state.db(at), state.store[at].server);
        w.token[at] == db.token && (db.given_by == server || self.is(Broken::LeaseOutlivesServer))
    }

    /// `Batch::save`: the record as the worker has it.
    fn save(&self, s: &mut State, w: &Worker) {
        s.store[SOURCE].commit(Commit::Durable, |db| db.record = w.record);
    }

    /// `CutOver` goes to `fence` again with what is left, or the batch is at its end.
    fn next_fence(&self, w: &mut Worker) {
        w.group = 0;
        if w.going == 0 { w.at = At::Finish } else { self.next_round(w, Round::BeforeFence) }
    }

    fn next_round(&self, w: &mut Worker, round: Round) {
        w.round = round;
        w.at = At::RoundRead;
    }

    /// Who has failed once more, and who of them too often (`count_failures`).
    fn count_failures(&self, w: &mut Worker, failed: Subjects) -> Subjects {
        let mut out = 0;
        for who in each(failed) {
            w.tries[who] += 1;
            if w.tries[who] >= self.scope.tries {
                out |= only(who);
                w.tries[who] = 0;
            }
        }
        out
    }

    /// Is there something to wait for before the journal says what was done at the target?
    fn waits_to_keep(&self) -> bool {
        self.fails_over(TARGET) && !self.is(Broken::TargetForgets)
    }

    /// `Batch::target_keeps`: the target's standbys have all, and it is the server that the batch began at. `None`: they have
    /// not yet; `Some(false)`: another server has taken its place.
    fn target_keeps(&self, s: &State, w: &Worker) -> Option<bool> {
        let same = !is_another(s, w, TARGET) || self.is(Broken::KeptByAnother);
        s.store[TARGET].standbys_have_all().then_some(same)
    }

    /// `batch.reached(Activated)`.
    fn finish(&self, s: &mut State, w: &mut Worker) -> Taken {
        w.record.reached = crate::state::Reached::Activated;
        self.save(s, w);
        w.at = At::Idle;
        Some(())
    }
}

/// Another server has taken the place of the one at which the worker began (`batch::same_server`).
fn is_another(s: &State, w: &Worker, at: usize) -> bool {
    w.server[at] != s.store[at].server
}

/// The database that a step writes to.
fn place(at: At) -> usize {
    match at {
        At::Arrive | At::CopyRead | At::CopyWrite | At::RoundWrite => TARGET,
        At::ActivateTarget | At::FlushTarget | At::LeaveClear | At::LeaveDrop => TARGET,
        _ => SOURCE,
    }
}

impl Worker {
    /// Entries of the round's subjects.
    fn entries_wanted(&self) -> u8 {
        let whose = if self.round == Round::UnderFence { self.group } else { self.going };
        crate::state::entries(whose)
    }
}
