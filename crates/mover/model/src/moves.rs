//! The model itself: what can happen in a state, and what it does.

use crate::broken::Broken;
use crate::disk;
use crate::scope::Scope;
use crate::state::{At, Home, NOTE, Phase, SOURCE, State, TARGET, Worker, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// The move within a scope, whole or with one thing broken.
#[derive(Debug)]
pub struct Model {
    /// What may happen.
    pub scope: Scope,
    /// What is broken.
    pub broken: Option<Broken>,
    /// What else is broken.
    pub also: Option<Broken>,
    /// Which of [`Event`] a run came across, as bits: a run that never met what it is about proves nothing.
    seen: AtomicU64,
}

/// What a run came across at least once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// The guard refused a write.
    Refused,
    /// A write failed with 40001: its snapshot was too old.
    TooOld,
    /// A write was recorded for the mover.
    Recorded,
    /// An owner change was.
    OwnerChangeRecorded,
    /// A writer ended a fence or a mark whose deadline had passed.
    FenceEndedByWriter,
    /// A write was accepted at the new home.
    WrittenAtTarget,
    /// A worker's token was not the batch's any more.
    TurnedAway,
    /// A takeover ended another worker's transaction.
    HolderEnded,
    /// A swap landed after its worker had stopped waiting for the answer.
    LateSwap,
    /// Settling found that a swap had landed.
    SettledMoved,
    /// Settling made sure that a swap never lands.
    SettledCancelled,
    /// A mark or a fence was forgotten by a crash.
    Forgotten,
    /// Sealing found a fence gone or past its deadline.
    TooLate,
    /// A subject could not be fenced or marked in time.
    Straggled,
    /// Under the fence the sides were not equal.
    UnequalUnderFence,
    /// A subject left the batch after its mark.
    GaveBack,
    /// A subject left the batch unmarked.
    Unmarked,
    /// A subject was activated.
    Activated,
    /// A subject was erased at the source.
    Erased,
    /// Waiting for the listed standbys timed out.
    StandbysTooSlow,
    /// A standby took over that did not have all.
    FailedOver,
}

impl Event {
    /// All.
    pub const ALL: [Event; 21] = [
        Event::Refused,
        Event::TooOld,
        Event::Recorded,
        Event::OwnerChangeRecorded,
        Event::FenceEndedByWriter,
        Event::WrittenAtTarget,
        Event::TurnedAway,
        Event::HolderEnded,
        Event::LateSwap,
        Event::SettledMoved,
        Event::SettledCancelled,
        Event::Forgotten,
        Event::TooLate,
        Event::Straggled,
        Event::UnequalUnderFence,
        Event::GaveBack,
        Event::Unmarked,
        Event::Activated,
        Event::Erased,
        Event::StandbysTooSlow,
        Event::FailedOver,
    ];
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A worker process starts (or the same one begins again after an error).
    Start {
        /// It runs `abort`.
        aborts: bool,
    },
    /// The worker `slot` takes its next step, in this way.
    Step {
        /// Which.
        slot: usize,
        /// How.
        way: Way,
    },
    /// The worker dies.
    Kill {
        /// Which.
        slot: usize,
    },
    /// A transaction takes its snapshot.
    Open {
        /// What it will write.
        write: Write,
        /// Its isolation level.
        repeatable: bool,
        /// Where.
        at: usize,
    },
    /// Its write meets the guard.
    Meet {
        /// Which transaction.
        slot: usize,
        /// Of the fences that it meets.
        deadline_passed: bool,
    },
    /// It commits.
    Commit {
        /// Which transaction.
        slot: usize,
    },
    /// It rolls back.
    RollBack {
        /// Which transaction.
        slot: usize,
    },
    /// A swap lands for which nobody waits any more.
    Land {
        /// Which of [`crate::state::Directory::sent`].
        swap: u8,
    },
    /// A database stops and starts again.
    Crash {
        /// Which.
        at: usize,
    },
    /// A standby stops following.
    Stall {
        /// Whose.
        at: usize,
    },
    /// It follows again and has all.
    Follow {
        /// Whose.
        at: usize,
    },
    /// It takes over.
    FailOver {
        /// Whose.
        at: usize,
    },
}

/// How a worker's step goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// As meant.
    Plain,
    /// As meant, and a crash forgets it.
    Forgettable,
    /// The limit of the wait passes.
    TimesOut,
    /// The deadline of these subjects has passed (`Seal`).
    Late(u8),
    /// The answer does not come (`Swap`).
    Unanswered,
    /// Of a queue, the second (`FenceBegin` where fewer are fenced than go).
    Second,
}

impl Model {
    /// A model to explore.
    pub fn new(scope: Scope, [broken, also]: [Option<Broken>; 2]) -> Self {
        Self { scope, broken, also, seen: AtomicU64::new(0) }
    }

    /// Is it broken here?
    pub(crate) fn is(&self, broken: Broken) -> bool {
        self.broken == Some(broken) || self.also == Some(broken)
    }

    /// May a database fail over in this scope? Else its standbys and what it might forget are no matter.
    pub(crate) fn fails_over(&self, at: usize) -> bool {
        self.scope.left.fail_overs[at] > 0
    }

    /// Notes that a run came across something.
    pub(crate) fn saw(&self, event: Event) {
        let bit = 1 << event as u64;
        if self.seen.load(Ordering::Relaxed) & bit == 0 {
            self.seen.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Did the run come across it?
    pub fn has_seen(&self, event: Event) -> bool {
        self.seen.load(Ordering::Relaxed) & (1 << event as u64) != 0
    }

    /// Tokens given out, at most: a worker that fails again and again must not make the run endless. It is
    /// never reached, or the property that nobody is stuck fails.
    pub(crate) const TOKENS_MAX: u8 = 9;

    /// A worker reads the journal (`run_batches`, before it takes the lease), looks which servers source and target are
    /// (`Batch::take`) and begins.
    fn start(&self, state: &State, aborts: bool) -> Option<State> {
        let slot = state.workers.iter().position(|w| w.at == At::Idle)?;
        let mut next = *state;
        let record = state.db(SOURCE).record;
        if self.is_over(state) || state.given[SOURCE] >= Self::TOKENS_MAX {
            return None;
        }
        if state.workers.iter().any(|w| w.at != At::Idle) {
            next.left.takeovers = state.left.takeovers.checked_sub(1)?;
        }
        if aborts {
            next.left.aborts = state.left.aborts.checked_sub(1)?;
            if record.reached >= crate::state::Reached::Activated {
                return None;
            }
        }
        let record = if self.is(Broken::RecordBeforeLease) { record } else { Default::default() };
        let server = [SOURCE, TARGET].map(|at| state.store[at].server);
        next.workers[slot] = Worker { at: At::TakeSource, aborts, record, server, ..Worker::default() };
        Some(next)
    }

    /// The batch is at its end by the journal.
    pub fn is_over(&self, state: &State) -> bool {
        use crate::state::Reached;
        let end = if self.scope.erases { Reached::Erased } else { Reached::Activated };
        state.db(SOURCE).record.reached >= end
    }

    fn kill(&self, state: &State, slot: usize) -> Option<State> {
        let mut next = *state;
        next.left.crashes = state.left.crashes.checked_sub(1)?;
        next.workers[slot] = Worker::default();
        Some(next)
    }

    fn land(&self, state: &State, swap: u8) -> Option<State> {
        let mut next = *state;
        let landed = next.directory.land(swap);
        if landed == 0 {
            return None;
        }
        self.saw(Event::LateSwap);
        Some(next)
    }

    fn application(&self, state: &State, actions: &mut Vec<Action>) {
        let begun = state.txns.iter().filter(|t| t.phase != Phase::None).count();
        if state.left.writes > 0 && begun < usize::from(self.scope.at_once) {
            let writes = [
                (Write::Order, self.scope.writes_order),
                (Write::Item, self.scope.writes_item),
                (Write::Note, self.scope.note),
                (Write::Reown, state.left.reowns > 0),
            ];
            for (write, _) in writes.into_iter().filter(|(w, on)| *on && self.is_there(state, *w)) {
                for (repeatable, _) in
                    [(false, self.scope.committed), (true, self.scope.repeatable)].into_iter().filter(|l| l.1)
                {
                    actions.extend([SOURCE, TARGET].map(|at| Action::Open { write, repeatable, at }));
                }
            }
        }
        for (slot, txn) in state.txns.iter().enumerate() {
            match txn.phase {
                Phase::None => {}
                Phase::Open => actions
                    .extend([false, true].map(|deadline_passed| Action::Meet { slot, deadline_passed })),
                Phase::Passed => actions.extend([Action::Commit { slot }, Action::RollBack { slot }]),
            }
        }
    }

    fn is_there(&self, state: &State, write: Write) -> bool {
        write != Write::Note || state.truth.version[NOTE] > 0
    }

    fn trouble(&self, state: &State, actions: &mut Vec<Action>) {
        for at in [SOURCE, TARGET] {
            if state.left.db_crashes[at] > 0 {
                actions.push(Action::Crash { at });
            }
            if state.left.fail_overs[at] > 0 {
                actions.extend([Action::Stall { at }, Action::Follow { at }, Action::FailOver { at }]);
            }
        }
        let sent = state.directory.sent;
        actions.extend((0..64u8).filter(|n| sent & (1 << n) != 0).map(|swap| Action::Land { swap }));
    }

    fn crash(&self, state: &State, at: usize) -> Option<State> {
        if let Some(disk) = state.store[at].disk
            && disk.home != state.store[at].now.home
            && state.store[at].now.home.iter().any(|h| matches!(h, Home::Moving | Home::Fenced))
        {
            self.saw(Event::Forgotten);
        }
        disk::crash(state, at)
    }
}

impl stateright::Model for Model {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(&self.scope)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.push(Action::Start { aborts: false });
        if state.left.aborts > 0 {
            actions.push(Action::Start { aborts: true });
        }
        for (slot, worker) in state.workers.iter().enumerate().filter(|(_, w)| w.at != At::Idle) {
            actions.extend(self.ways(state, worker).into_iter().map(|way| Action::Step { slot, way }));
            if state.left.crashes > 0 {
                actions.push(Action::Kill { slot });
            }
        }
        self.application(state, actions);
        self.trouble(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = match action {
            Action::Start { aborts } => self.start(state, aborts),
            Action::Step { slot, way } => self.step(state, slot, way),
            Action::Kill { slot } => self.kill(state, slot),
            Action::Open { write, repeatable, at } => self.open(state, write, repeatable, at),
            Action::Meet { slot, deadline_passed } => self.meet_guard(state, slot, deadline_passed),
            Action::Commit { slot } => self.commit_write(state, slot),
            Action::RollBack { slot } => self.roll_back(state, slot),
            Action::Land { swap } => self.land(state, swap),
            Action::Crash { at } => self.crash(state, at),
            Action::Stall { at } => disk::stall(state, at),
            Action::Follow { at } => disk::follow(state, at),
            Action::FailOver { at } => {
                let next = disk::fail_over(state, at)?;
                self.saw(Event::FailedOver);
                Some(next)
            }
        };
        next.map(|s| self.spent(s).sorted())
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        crate::properties::all()
    }
}

impl Model {
    /// What can't matter any more is forgotten: fewer states.
    fn spent(&self, mut state: State) -> State {
        for at in [SOURCE, TARGET] {
            if state.left.db_crashes[at] == 0 && state.left.fail_overs[at] == 0 {
                state.store[at].disk = None;
            }
            if state.left.fail_overs[at] == 0 {
                state.store[at].standby = None;
            }
        }
        state.directory.drop_void();
        state
    }
}
