//! What a commit leaves on the disk, and what a crash or a fail-over leaves of a database.

use crate::state::{At, Db, Phase, SOURCE, State, Store, TARGET};

/// How a commit waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commit {
    /// `synchronous_commit = on`: it, and all before it in the log, is on the disk.
    Durable,
    /// `off` (`Transition::may_be_forgotten`), and the log got to the disk all the same.
    Flushed,
    /// `off`, and a crash before the next durable commit forgets it.
    Forgettable,
}

impl Store {
    /// Commits a change.
    pub fn commit(&mut self, how: Commit, change: impl FnOnce(&mut Db)) {
        let before = self.now;
        change(&mut self.now);
        match how {
            Commit::Forgettable => self.disk = self.disk.or(Some(before)),
            Commit::Durable | Commit::Flushed => self.disk = None,
        }
        // Nothing to forget where nothing differs: fewer states.
        if self.disk == Some(self.now) {
            self.disk = None;
        }
        if self.standby == Some(self.now) {
            self.standby = None;
        }
    }

    /// `wait_until_flushed`: the listed standbys have all that was committed.
    pub fn standbys_have_all(&self) -> bool {
        self.standby.is_none()
    }
}

/// Which of a subject's rows a transaction that is not committed keeps from `change_state`, which skips
/// locked rows.
pub fn skipped(state: &State, at: usize) -> u8 {
    in_flight(state, at).fold(0, |all, t| all | t.alone | t.unfences)
}

/// Which of a subject's rows `change_state_waiting` has to wait for: any lock is in its way.
pub fn waited_for(state: &State, at: usize) -> u8 {
    in_flight(state, at).fold(0, |all, t| all | t.shares | t.alone | t.unfences)
}

fn in_flight(state: &State, at: usize) -> impl Iterator<Item = &crate::state::Txn> {
    state.txns.iter().filter(move |t| t.phase == Phase::Passed && usize::from(t.at) == at)
}

/// `gen = gen + 1` was committed for `subjects`: snapshots older than that are too old for them.
pub fn bump(state: &mut State, at: usize, subjects: u8) {
    for txn in state.txns.iter_mut().filter(|t| t.phase == Phase::Open && usize::from(t.at) == at) {
        let needs: u8 = (0..2).filter(|s| txn.seen[*s] != crate::state::Home::None).map(|s| 1u8 << s).sum();
        txn.bumped |= subjects & needs;
    }
}

/// The server stops at once and starts again: what is not on the disk never was, and every transaction
/// is rolled back. Workers whose connection was not in use notice nothing.
pub fn crash(state: &State, at: usize) -> Option<State> {
    let mut next = *state;
    next.left.db_crashes[at] = state.left.db_crashes[at].checked_sub(1)?;
    let store = &mut next.store[at];
    store.now = store.disk.take().unwrap_or(store.now);
    // The standby can't be ahead of what it was sent, and only what is on the disk is sent.
    cut(&mut next, at);
    Some(next)
}

/// From now on the standby does not follow.
pub fn stall(state: &State, at: usize) -> Option<State> {
    let mut next = *state;
    let store = &mut next.store[at];
    if state.left.fail_overs[at] == 0 || store.standby.is_some() {
        return None;
    }
    store.standby = Some(store.disk.unwrap_or(store.now));
    Some(next)
}

/// The standby has all again.
pub fn follow(state: &State, at: usize) -> Option<State> {
    let mut next = *state;
    next.store[at].standby.take()?;
    Some(next)
}

/// The standby takes over as it is, and the others follow it. What the application wrote meanwhile is lost by the fail-over,
/// with or without a move: it is not counted. Workers can tell the new primary from the old one, where they look.
pub fn fail_over(state: &State, at: usize) -> Option<State> {
    let mut next = *state;
    next.left.fail_overs[at] = state.left.fail_overs[at].checked_sub(1)?;
    let store = &mut next.store[at];
    let written = store.now.written;
    store.now = store.standby.take()?;
    store.disk = None;
    store.server += 1;
    forgive(&mut next, at, written);
    cut(&mut next, at);
    Some(next)
}

fn forgive(state: &mut State, at: usize, written: u8) {
    let (rows, kept) = (state.store[at].now.rows, state.store[at].now.written);
    if at == TARGET {
        // What the move brought here was acknowledged long before, at a database that had it safe. What was written
        // here since is not, and there is one write in such a scope.
        for row in (0..3).filter(|row| written & !kept & (1 << row) != 0) {
            state.truth.version[row] -= 1;
        }
        return;
    }
    for row in 0..3 {
        if state.truth.owner(row).is_some_and(|s| usize::from(state.directory.region[s]) == at) {
            state.truth.version[row] = rows.version[row];
            if row == crate::state::ORDER {
                state.truth.owner = rows.owner;
            }
        }
    }
}

/// Connections end: the application's transactions, the mover's snapshots and its write transactions.
fn cut(state: &mut State, at: usize) {
    for txn in state.txns.iter_mut().filter(|t| usize::from(t.at) == at) {
        *txn = crate::state::Txn::default();
    }
    for worker in &mut state.workers {
        let writes = matches!(worker.at, At::CopyWrite | At::RoundWrite);
        if at == TARGET && writes {
            *worker = crate::state::Worker::default();
        } else if at == SOURCE && (writes || matches!(worker.at, At::RoundForget | At::Compare | At::Check)) {
            worker.cut = true;
        }
    }
}
