//! The application: transactions of one write, at two isolation levels, and what the guard does with
//! them (`stores/src/postgres/guard/{function,enter}.rs`).
//!
//! A transaction takes a snapshot, meets the trigger, commits. READ COMMITTED: the row is locked first and
//! the snapshot is the trigger statement's; what changed since is looked at again (EvalPlanQual, then the
//! slow path). REPEATABLE READ and SERIALIZABLE: the snapshot is the transaction's, as old as it likes, and
//! what changed since fails it with 40001.
//!
//! One fact of PostgreSQL carries all of it: KEY SHARE may lock the version of a row that the snapshot shows,
//! although it was updated since, as long as no key column was (`heap_lock_tuple`). A non-key update of
//! `domicile.home` therefore turns away nobody whose snapshot is older, and `gen`, which is in a
//! unique index, is what does.

use crate::broken::Broken;
use crate::disk::{Commit, bump};
use crate::moves::{Event, Model};
use crate::state::{Home, ITEM, NOTE, ORDER, Phase, State, TARGET, Txn, Write, each, entry, only};

/// The row that a write locks.
pub fn row(write: Write) -> usize {
    match write {
        Write::Order | Write::Reown => ORDER,
        Write::Item => ITEM,
        Write::Note => NOTE,
    }
}

/// Subjects whose home row the trigger needs, by the rows in its snapshot.
fn needed(write: Write, owner: usize) -> u8 {
    match write {
        Write::Note => only(1),
        Write::Reown => 3,
        Write::Order | Write::Item => only(owner),
    }
}

impl Model {
    /// A transaction takes its snapshot at database `at`.
    pub(crate) fn open(&self, state: &State, write: Write, repeatable: bool, at: usize) -> Option<State> {
        let mut next = *state;
        let slot = state.txns.iter().position(|t| t.phase == Phase::None)?;
        next.left.writes = state.left.writes.checked_sub(1)?;
        if write == Write::Reown {
            next.left.reowns = state.left.reowns.checked_sub(1)?;
        }
        let db = state.db(at);
        // An UPDATE that finds no row commits happily, and nobody sees it (finding 9): nothing is acknowledged.
        let owner = db.rows.owner(row(write))?;
        if !repeatable && self.row_is_locked(state, at, row(write)) {
            return None;
        }
        let mut txn = Txn { phase: Phase::Open, write, repeatable, at: at as u8, ..Txn::default() };
        for subject in each(needed(write, owner)) {
            txn.seen[subject] = db.home[subject];
            // Refused whatever comes: not worth a state.
            if !db.home[subject].open() && !self.may_end(db.home[subject]) {
                return None;
            }
        }
        txn.owner = owner as u8;
        next.txns[slot] = txn;
        Some(next)
    }

    /// A fence that ends by itself, in the writer.
    fn may_end(&self, home: Home) -> bool {
        home.ends_by_itself() || (home == Home::Sealed && self.broken == Some(Broken::UnfenceAfterSeal))
    }

    /// READ COMMITTED locks the row with its first statement, REPEATABLE READ when it writes it.
    fn row_is_locked(&self, state: &State, at: usize, row_wanted: usize) -> bool {
        state.txns.iter().any(|t| {
            usize::from(t.at) == at
                && row(t.write) == row_wanted
                && (t.phase == Phase::Passed || (t.phase == Phase::Open && !t.repeatable))
        })
    }

    /// The write meets the trigger. `deadline_passed`: of every fence that it meets. A refused transaction
    /// is gone.
    pub(crate) fn meet_guard(&self, state: &State, slot: usize, deadline_passed: bool) -> Option<State> {
        let txn = state.txns[slot];
        if txn.phase != Phase::Open {
            return None;
        }
        let mut next = *state;
        let at = usize::from(txn.at);
        if txn.repeatable {
            if txn.row_changed {
                self.saw(Event::TooOld);
                next.txns[slot] = Txn::default();
                return (!deadline_passed).then_some(next);
            }
            if self.row_is_locked(state, at, row(txn.write)) {
                return None;
            }
        }
        // The path in the trigger's snapshot; READ COMMITTED looks again if it moved.
        let mut owner = usize::from(txn.owner);
        if !txn.repeatable && txn.bumped != 0 {
            let Some(now) = state.db(at).rows.owner(row(txn.write)) else {
                // Erased meanwhile: the subject is away, and so is the write.
                next.txns[slot] = Txn::default();
                return (!deadline_passed).then_some(next);
            };
            owner = now;
        }
        let mut passed = Txn { phase: Phase::Passed, owner: owner as u8, seen: [Home::None; 2], ..txn };
        passed.bumped = 0;
        let mut met_deadline = false;
        for subject in each(needed(txn.write, owner)) {
            let alone = txn.write == Write::Reown && subject == owner;
            match self.enter(state, slot, subject, alone, deadline_passed, &mut met_deadline)? {
                None => {
                    next.txns[slot] = Txn::default();
                    return (deadline_passed == met_deadline).then_some(next);
                }
                Some(home) => self.note(&mut passed, subject, home, alone),
            }
        }
        next.txns[slot] = passed;
        (deadline_passed == met_deadline).then_some(next)
    }

    fn note(&self, txn: &mut Txn, subject: usize, home: Home, alone: bool) {
        // The first letter says that it was `h` or `m`, the second that this write ends a fence.
        let (home, unfenced) = match home {
            Home::Marking => (Home::Home, true),
            Home::Fencing | Home::Fenced | Home::Sealed => (Home::Moving, true),
            other => (other, false),
        };
        if unfenced {
            txn.unfences |= only(subject);
        }
        if alone && self.broken != Some(Broken::OwnerChangeWithoutBump) {
            txn.alone |= only(subject);
        } else {
            txn.shares |= only(subject);
        }
        if home == Home::Moving {
            let subtree = txn.write == Write::Reown && self.broken != Some(Broken::OwnerChangeWithoutSubtree);
            txn.notes |= entry(subject, row(txn.write), subtree);
        }
    }

    /// `enter` and `enter_alone` with the fast path before them. Outer `None`: it has to wait, or the
    /// choice of the deadline does not arise. `Some(None)`: refused, or failed with 40001. Else the state
    /// that it found: `Home`, `Moving`, or the one that it ends.
    #[allow(clippy::option_option, reason = "waits, refused, passes")]
    fn enter(
        &self,
        state: &State,
        slot: usize,
        subject: usize,
        alone: bool,
        deadline_passed: bool,
        met_deadline: &mut bool,
    ) -> Option<Option<Home>> {
        let txn = &state.txns[slot];
        let at = usize::from(txn.at);
        let others = || {
            state
                .txns
                .iter()
                .enumerate()
                .filter(move |(n, t)| *n != slot && t.phase == Phase::Passed && t.at == txn.at)
        };
        let in_the_way = others().any(|(_, t)| {
            t.alone & only(subject) != 0 || (alone && (t.shares | t.unfences) & only(subject) != 0)
        });
        let (seen, now) = (txn.seen[subject], state.db(at).home[subject]);
        let bumped = txn.bumped & only(subject) != 0;
        // Where the path moved, the new owner's row was not in the snapshot.
        let fresh = !txn.repeatable && (bumped || seen == Home::None || !seen.open() || alone);
        if txn.repeatable {
            // An owner change updates the row, so any newer version fails it; a share only a newer key.
            if bumped || ((alone || !seen.open()) && seen != now) {
                self.saw(Event::TooOld);
                return Some(None);
            }
        }
        let found = if fresh { now } else { seen };
        if found.open() {
            return if in_the_way { None } else { Some(Some(found)) };
        }
        if !self.may_end(found) {
            self.saw(Event::Refused);
            return Some(None);
        }
        // A fence that its worker left: past the deadline the writer ends it, before it is refused.
        *met_deadline = true;
        if !deadline_passed {
            // The two choices share this state; refusal is taken with the deadline not passed.
            *met_deadline = false;
            self.saw(Event::Refused);
            return Some(None);
        }
        let held = others().any(|(_, t)| (t.alone | t.unfences) & only(subject) != 0) || in_the_way;
        if held { None } else { Some(Some(found)) }
    }

    /// It commits and is acknowledged.
    pub(crate) fn commit_write(&self, state: &State, slot: usize) -> Option<State> {
        let txn = state.txns[slot];
        if txn.phase != Phase::Passed {
            return None;
        }
        let mut next = *state;
        let at = usize::from(txn.at);
        next.txns[slot] = Txn::default();
        let which = row(txn.write);
        next.store[at].commit(Commit::Durable, |db| {
            db.rows.version[which] += 1;
            if txn.write == Write::Reown {
                db.rows.owner = 1 - db.rows.owner;
            }
            db.changed |= txn.notes;
            if at == TARGET && self.fails_over(TARGET) {
                db.written |= 1 << which;
            }
            for subject in each(txn.unfences) {
                db.home[subject] = if db.home[subject] == Home::Marking { Home::Home } else { Home::Moving };
            }
        });
        let rows = next.db(at).rows;
        for other in next.txns.iter_mut().filter(|t| t.phase == Phase::Open && t.at == txn.at) {
            other.row_changed |= other.repeatable && row(other.write) == which;
        }
        bump(&mut next, at, txn.alone);
        for worker in &mut next.workers {
            // New entries of these keys have new ids: what was read before does not name them.
            worker.ids &= !txn.notes;
        }
        self.acknowledge(&mut next, at, which, rows);
        if txn.unfences != 0 {
            self.saw(Event::FenceEndedByWriter);
        }
        if txn.notes != 0 {
            self.saw(if txn.write == Write::Reown { Event::OwnerChangeRecorded } else { Event::Recorded });
        }
        Some(next)
    }

    fn acknowledge(&self, state: &mut State, at: usize, which: usize, rows: crate::state::Rows) {
        let before = state.truth.owner(which);
        state.truth.version[which] += 1;
        if which == ORDER {
            state.truth.owner = rows.owner;
        }
        let after = state.truth.owner(which);
        for subject in before.into_iter().chain(after) {
            if usize::from(state.directory.region[subject]) != at {
                state.accepted_elsewhere = true;
            }
        }
        if at == TARGET {
            self.saw(Event::WrittenAtTarget);
        }
    }

    /// It rolls back: only told apart where it held more than a share.
    pub(crate) fn roll_back(&self, state: &State, slot: usize) -> Option<State> {
        let txn = state.txns[slot];
        if txn.phase != Phase::Passed || (txn.alone | txn.unfences) == 0 {
            return None;
        }
        let mut next = *state;
        next.txns[slot] = Txn::default();
        Some(next)
    }
}
