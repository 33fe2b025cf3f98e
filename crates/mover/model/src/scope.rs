//! Scopes: which events a run explores, and how many of each. Every scope is finite and is explored whole.

use crate::state::{ANN, BEN, Left, Subjects};

/// What a run explores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Its name in the table.
    pub name: &'static str,
    /// What it is for, in words.
    pub about: &'static str,
    /// The subjects of the batch. The others stay at the source.
    pub batch: Subjects,
    /// Subjects fenced together (`Limits::fence_subjects`).
    pub group: u8,
    /// Failed fences or marks before a subject leaves (`Limits::fence_tries`).
    pub tries: u8,
    /// The order is Ben's at first.
    pub order_is_bens: bool,
    /// Ben has a note.
    pub note: bool,
    /// The application writes the order in place.
    pub writes_order: bool,
    /// It writes the item, whose subject is found over the order.
    pub writes_item: bool,
    /// READ COMMITTED transactions.
    pub committed: bool,
    /// REPEATABLE READ and SERIALIZABLE ones.
    pub repeatable: bool,
    /// Writes that run at once, at most 2.
    pub at_once: u8,
    /// The wave's erase follows, with no grace.
    pub erases: bool,
    /// The stage `catch_up` of its own before verify's round.
    pub catch_up: bool,
    /// What may happen, and how often.
    pub left: Left,
}

/// Nothing goes wrong, and nobody writes.
const QUIET: Scope = Scope {
    name: "quiet",
    about: "",
    batch: ANN | BEN,
    group: 2,
    tries: 2,
    order_is_bens: false,
    note: true,
    writes_order: false,
    writes_item: true,
    committed: true,
    repeatable: true,
    at_once: 1,
    erases: false,
    catch_up: false,
    left: Left {
        writes: 0,
        reowns: 0,
        crashes: 0,
        takeovers: 0,
        unanswered: 0,
        timeouts: 0,
        aborts: 0,
        db_crashes: [0, 0],
        fail_overs: [0, 0],
    },
};

/// The application at its worst: old snapshots, locks held, owner changes, fences that end by themselves.
pub const WRITERS: Scope = Scope {
    name: "writers",
    about: "one worker; three writes, two at once, at both isolation levels, one an owner change",
    at_once: 2,
    catch_up: true,
    left: Left { writes: 3, reowns: 1, ..QUIET.left },
    ..QUIET
};

/// One subject moves, the other stays: rows leave the batch and come into it.
pub const NEIGHBOUR: Scope = Scope {
    name: "neighbour",
    about: "the same where Ben moves and Ann stays: two owner changes, out of the batch and into it",
    batch: BEN,
    at_once: 2,
    left: Left { writes: 3, reowns: 2, ..QUIET.left },
    ..QUIET
};

/// One subject a fence.
pub const ONE_BY_ONE: Scope = Scope {
    name: "one by one",
    about: "a fence each, so that one is home there while the other is written here; a kill; an owner change",
    group: 1,
    left: Left { writes: 2, reowns: 1, crashes: 1, unanswered: 1, ..QUIET.left },
    ..QUIET
};

/// Workers that die, freeze, thaw, and swaps that are not answered.
pub const WORKERS: Scope = Scope {
    name: "workers",
    about: "two workers at once, the first killed, replaced or frozen anywhere; unanswered and late swaps; \
            a write or an owner change, at both isolation levels",
    tries: 1,
    left: Left { writes: 1, reowns: 1, crashes: 1, takeovers: 1, unanswered: 1, ..QUIET.left },
    ..QUIET
};

/// Somebody asks for an abort.
pub const ABORT: Scope = Scope {
    name: "abort",
    about: "the same with an abort at any time, while the other worker goes on; a write at READ COMMITTED",
    repeatable: false,
    left: Left { reowns: 0, aborts: 1, ..WORKERS.left },
    ..WORKERS
};

/// Databases that crash and forget.
pub const CRASHES: Scope = Scope {
    name: "crashes",
    about: "source and target crash once each and forget what was not on the disk; a kill; an old snapshot",
    tries: 1,
    left: Left { writes: 1, crashes: 1, unanswered: 1, db_crashes: [1, 1], ..QUIET.left },
    ..QUIET
};

/// A source that fails over.
pub const FAIL_OVER: Scope = Scope {
    name: "fail-over",
    about: "the source fails over to a standby that lags unless waited for; a kill; erase",
    repeatable: false,
    erases: true,
    tries: 1,
    left: Left { writes: 1, crashes: 1, unanswered: 1, timeouts: 1, fail_overs: [1, 0], ..QUIET.left },
    ..QUIET
};

/// A source that fails over while a worker is replaced.
pub const FROZEN: Scope = Scope {
    name: "frozen",
    about: "the source fails over while one worker is frozen and another, or an abort, takes its place",
    repeatable: false,
    tries: 1,
    batch: BEN,
    left: Left { writes: 1, takeovers: 1, aborts: 1, timeouts: 1, fail_overs: [1, 0], ..QUIET.left },
    ..QUIET
};

/// A target that fails over.
pub const NEW_HOME: Scope = Scope {
    name: "new home",
    about: "the target fails over to a standby that lags unless waited for; a kill; an abort; an unanswered swap; erase",
    batch: BEN,
    erases: true,
    tries: 1,
    left: Left {
        writes: 1,
        crashes: 1,
        aborts: 1,
        unanswered: 1,
        timeouts: 1,
        fail_overs: [0, 1],
        ..QUIET.left
    },
    ..QUIET
};

/// Everything at once, for one subject.
pub const TOGETHER: Scope = Scope {
    name: "together",
    about: "Ben alone moves: two workers, a kill, a crash of the source, an unanswered swap, a write or an owner \
            change at both isolation levels",
    batch: BEN,
    tries: 1,
    left: Left {
        writes: 1,
        reowns: 1,
        crashes: 1,
        takeovers: 1,
        unanswered: 1,
        db_crashes: [1, 0],
        ..QUIET.left
    },
    ..QUIET
};

/// All that are explored whole, in the order of the table.
pub const ALL: [Scope; 10] =
    [WRITERS, NEIGHBOUR, ONE_BY_ONE, WORKERS, ABORT, CRASHES, FAIL_OVER, FROZEN, NEW_HOME, TOGETHER];

/// Smaller ones of the same, some seconds in all: `cargo test` explores them whole.
pub const SMALL: [Scope; 8] = [
    Scope { left: Left { writes: 2, ..WRITERS.left }, ..WRITERS },
    Scope { left: Left { writes: 2, reowns: 1, ..NEIGHBOUR.left }, ..NEIGHBOUR },
    Scope { batch: BEN, ..WORKERS },
    Scope { batch: BEN, ..ABORT },
    Scope { batch: BEN, ..CRASHES },
    Scope { batch: BEN, ..FAIL_OVER },
    Scope { left: Left { aborts: 0, ..FROZEN.left }, ..FROZEN },
    NEW_HOME,
];

/// A mark that a crash forgets, and a second one: what the comparison is there for. Only for what is broken.
pub const FORGOTTEN: Scope = Scope {
    name: "forgotten",
    about: "",
    batch: BEN,
    tries: 1,
    left: Left { writes: 1, crashes: 2, db_crashes: [1, 0], ..QUIET.left },
    ..QUIET
};
