//! What is true at one instant: two databases, the directory, two workers, two transactions.
//!
//! Everything is small and `Copy`: a run explores millions of these.

use crate::scope::Scope;

/// Subjects are bits: Ann and Ben. The batch is one or both of them.
pub type Subjects = u8;
/// Ann.
pub const ANN: Subjects = 1;
/// Ben.
pub const BEN: Subjects = 2;

/// The two databases.
pub const SOURCE: usize = 0;
/// The new home.
pub const TARGET: usize = 1;

/// Rows, as indices into [`Rows::version`]: an order, which belongs to a subject and can be given to the
/// other one.
pub const ORDER: usize = 0;
/// An item of that order: its subject is found over the order.
pub const ITEM: usize = 1;
/// A note of Ben's.
pub const NOTE: usize = 2;

/// The subjects in `set`, as indices.
pub fn each(set: Subjects) -> impl Iterator<Item = usize> {
    (0..2).filter(move |s| set & (1 << s) != 0)
}

/// The set that holds one subject.
pub fn only(subject: usize) -> Subjects {
    1 << subject
}

/// States of a subject's row in `domicile.home` (`stores::records::State`); `None`: no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(missing_docs, reason = "the words are those of the design")]
pub enum Home {
    #[default]
    None,
    Home,
    Marking,
    Moving,
    Fencing,
    Fenced,
    Sealed,
    Arriving,
    Away,
}

impl Home {
    /// The guard lets a write pass.
    pub fn open(self) -> bool {
        matches!(self, Home::Home | Home::Moving)
    }

    /// Ends by its deadline, in the next writer (`enter`).
    pub fn ends_by_itself(self) -> bool {
        matches!(self, Home::Marking | Home::Fencing | Home::Fenced)
    }
}

/// Rows of one database: a version that grows with each write (0: no such row), and whose the order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rows {
    /// By row.
    pub version: [u8; 3],
    /// The order's subject, 0 or 1.
    pub owner: u8,
}

impl Rows {
    /// The subject of a row, found over the order for the item; `None` where the row (or its way) is absent.
    pub fn owner(&self, row: usize) -> Option<usize> {
        if self.version[row] == 0 || (row == ITEM && self.version[ORDER] == 0) {
            return None;
        }
        Some(if row == NOTE { 1 } else { usize::from(self.owner) })
    }

    /// Rows that belong to one of `subjects`, as bits.
    pub fn of(&self, subjects: Subjects) -> u8 {
        (0..3).filter(|r| self.owner(*r).is_some_and(|s| subjects & only(s) != 0)).map(|r| 1 << r).sum()
    }

    /// Takes the rows `which` (bits) out.
    pub fn remove(&mut self, which: u8) {
        for row in (0..3).filter(|r| which & (1 << r) != 0) {
            self.version[row] = 0;
        }
        if self.version[ORDER] == 0 {
            self.owner = 0;
        }
    }

    /// Writes rows `which` as they are in `from`.
    pub fn put(&mut self, which: u8, from: &Rows) {
        for row in (0..3).filter(|r| which & (1 << r) != 0) {
            self.version[row] = from.version[row];
            if row == ORDER {
                self.owner = from.owner;
            }
        }
    }
}

/// How far a batch has come by the journal (`mover::record::Reached`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(missing_docs, reason = "the words are those of the code")]
pub enum Reached {
    #[default]
    Planned,
    Copied,
    Activated,
    Erased,
}

/// The journalled record: subjects whose outcome is not `Open` are in one of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Record {
    /// How far.
    pub reached: Reached,
    /// `Outcome::Moved`.
    pub moved: Subjects,
    /// `Outcome::Left`.
    pub left: Subjects,
}

/// A database's contents.
///
/// `domicile.changed` is a set of (subject, row, subtree) as bits, see [`entry`]: entries are only read and
/// removed by exact id, and [`Worker::ids`] loses a bit when a newer entry of the same key is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Db {
    /// `domicile.home`, by subject.
    pub home: [Home; 2],
    /// The application's tables.
    pub rows: Rows,
    /// `domicile.changed`.
    pub changed: u8,
    /// `domicile.lease`: the batch's token; numbered in the order in which they were drawn, see [`State::given`].
    pub token: u8,
    /// Its `timeline`: which server gave it, see [`Store::server`].
    pub given_by: u8,
    /// `domicile.batch`: the journal, at the source.
    pub record: Record,
    /// Nobody's: rows that the application wrote here, at a target that may fail over, as bits.
    pub written: u8,
}

/// Entries of `domicile.changed`: four bits a subject (order, order with its subtree, item, note).
pub fn entry(subject: usize, row: usize, subtree: bool) -> u8 {
    let bit = match (row, subtree) {
        (ORDER, false) => 0,
        (ORDER, true) => 1,
        (ITEM, _) => 2,
        _ => 3,
    };
    1 << (4 * subject + bit)
}

/// All entries of these subjects.
pub fn entries(subjects: Subjects) -> u8 {
    each(subjects).map(|s| 0xf << (4 * s)).sum()
}

/// A database with what a crash or a fail-over would leave of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Store {
    /// As clients see it.
    pub now: Db,
    /// After a crash, where that differs: as of the last commit that reached the disk.
    pub disk: Option<Db>,
    /// A standby that stopped following, where one does.
    pub standby: Option<Db>,
    /// Which server it is, counted: one that takes its place is another.
    pub server: u8,
}

/// The directory: region and count of cancelled swaps by subject, and swaps that were sent without an
/// answer. Each may land at any later time, once or often, or never. The epoch is the region: one move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Directory {
    /// Where each subject lives.
    pub region: [u8; 2],
    /// Cancelled swaps.
    pub attempt: [u8; 2],
    /// Sent swaps as a bit set over (attempt for Ann + 1 or 0) + 8 * (the same for Ben).
    pub sent: u64,
}

/// Where a worker stands; the next step is named by it. The file that takes it is named by its stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(missing_docs, reason = "each is explained where it is taken")]
pub enum At {
    #[default]
    Idle,
    TakeSource,
    TakeTarget,
    LookAtSource,
    ReadRecord,
    ReadDirectory,
    ReadSource,
    Settle,
    BackToMoving,
    ActivateTarget,
    FlushTarget,
    ActivateKeeps,
    ActivateSource,
    SaveMoved,
    PutBack,
    CopyAgain,
    MarkBegin,
    MarkWait,
    MarkUndo,
    Unmarked,
    Arrive,
    CopyRead,
    CopyWrite,
    CopyDone,
    RoundRead,
    RoundWrite,
    RoundForget,
    Compare,
    FenceBegin,
    FenceWait,
    FenceUndo,
    Check,
    Unequal,
    Seal,
    SealLate,
    Standbys,
    Swap,
    LeaveClear,
    LeaveDrop,
    LeaveKeeps,
    LeaveHome,
    LeaveForget,
    Finish,
    EraseStandbys,
    EraseRows,
    EraseCheck,
    EraseDrop,
    EraseNote,
}

/// Which round of catch-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[allow(missing_docs, reason = "the words are those of the code")]
pub enum Round {
    #[default]
    CatchUp,
    Verify,
    BeforeFence,
    UnderFence,
}

/// One worker process, with what it keeps in memory. All of it is lost in a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Worker {
    /// The next step.
    pub at: At,
    /// It runs `abort`, not `move`.
    pub aborts: bool,
    /// It is in `begin` (or `give_up`), not past a cutover of its own.
    pub begins: bool,
    /// Its snapshot's connection to the source broke; it does not know yet.
    pub cut: bool,
    /// Which servers source and target were when it began (`Records::incarnation`).
    pub server: [u8; 2],
    /// It gives subjects up before they were marked.
    pub unmarked: bool,
    /// It gives subjects up because the sides differ.
    pub differs: bool,
    /// Lease tokens, at source and target.
    pub token: [u8; 2],
    /// The record as it read it under its lease, and what it has changed of it since.
    pub record: Record,
    /// `travellers`: still to be moved.
    pub going: Subjects,
    /// The group of the present step: marked, fenced, sealed or about to leave.
    pub group: Subjects,
    /// Members of the group whose second step is still to come.
    pub waits: Subjects,
    /// Members for which the step failed.
    pub failed: Subjects,
    /// Found or made moved, still to be activated.
    pub moved: Subjects,
    /// Cancelled swaps, still to be put back.
    pub back: Subjects,
    /// Subjects that leave the batch.
    pub leaving: Subjects,
    /// `Traveller::attempt`.
    pub attempt: [u8; 2],
    /// Failed fences (or marks).
    pub tries: [u8; 2],
    /// `Verified::dirty`, rows as bits.
    pub dirty: u8,
    /// Which round.
    pub round: Round,
    /// Entries read in this round.
    pub read: u8,
    /// Of these, where no newer entry of the same key came: what `forget` removes, by exact id.
    pub ids: u8,
    /// The source's rows in its snapshot.
    pub seen: Rows,
}

/// What a transaction of the application writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Write {
    /// The order, in place.
    #[default]
    Order,
    /// The order's item.
    Item,
    /// Ben's note.
    Note,
    /// The order is given to the other subject.
    Reown,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Phase {
    /// No transaction.
    #[default]
    None,
    /// It has its snapshot: the statement's (READ COMMITTED, the row is locked), or its own.
    Open,
    /// The guard let it pass; nothing is committed.
    Passed,
}

/// One transaction of the application: one write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Txn {
    /// Where it stands.
    pub phase: Phase,
    /// What it writes.
    pub write: Write,
    /// REPEATABLE READ or SERIALIZABLE: the snapshot is the transaction's.
    pub repeatable: bool,
    /// At which database.
    pub at: u8,
    /// States in its snapshot, of the subjects that it needs.
    pub seen: [Home; 2],
    /// The order's subject in its snapshot.
    pub owner: u8,
    /// `gen` of these subjects was bumped since the snapshot.
    pub bumped: Subjects,
    /// The row was changed since the snapshot.
    pub row_changed: bool,
    /// Holds KEY SHARE on these subjects.
    pub shares: Subjects,
    /// Has bumped `gen` of these, not committed: nobody else gets near.
    pub alone: Subjects,
    /// Ends the fence or the mark of these, whose deadline has passed.
    pub unfences: Subjects,
    /// Entries it records.
    pub notes: u8,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Left {
    /// Writes of the application.
    pub writes: u8,
    /// Of these, owner changes.
    pub reowns: u8,
    /// Crashes of a worker.
    pub crashes: u8,
    /// Takeovers from a worker that is not dead.
    pub takeovers: u8,
    /// Swaps without an answer.
    pub unanswered: u8,
    /// Waits for standbys that time out.
    pub timeouts: u8,
    /// Commands to abort.
    pub aborts: u8,
    /// Crashes, by database.
    pub db_crashes: [u8; 2],
    /// Fail-overs, by database.
    pub fail_overs: [u8; 2],
}

/// One instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    /// Source and target.
    pub store: [Store; 2],
    /// The directory.
    pub directory: Directory,
    /// Worker processes, sorted: which is which does not matter.
    pub workers: [Worker; 2],
    /// The application's transactions, sorted.
    pub txns: [Txn; 2],
    /// What may still happen.
    pub left: Left,
    /// Nobody's: how many tokens were drawn at source and target; none is drawn twice, whatever a database forgets.
    pub given: [u8; 2],
    /// Nobody's: the rows as acknowledged to the application.
    pub truth: Rows,
    /// Nobody's: a write was committed at a database that was not its subject's home.
    pub accepted_elsewhere: bool,
    /// Nobody's: a subject was given up because the sides differed.
    pub gave_up: bool,
}

impl State {
    /// Everybody at home at the source.
    pub fn first(scope: &Scope) -> Self {
        let mut rows = Rows { version: [1, 1, 1], owner: 0 };
        if scope.order_is_bens {
            rows.owner = 1;
        }
        if !scope.note {
            rows.version[NOTE] = 0;
        }
        let source = Db { home: [Home::Home; 2], rows, ..Db::default() };
        Self {
            store: [Store { now: source, ..Store::default() }, Store::default()],
            directory: Directory::default(),
            workers: [Worker::default(); 2],
            txns: [Txn::default(); 2],
            left: scope.left,
            given: [0, 0],
            truth: rows,
            accepted_elsewhere: false,
            gave_up: false,
        }
    }

    /// Which of two equal workers or transactions is first does not matter.
    pub fn sorted(mut self) -> Self {
        self.workers.sort_unstable_by(|a, b| b.cmp(a));
        self.txns.sort_unstable_by(|a, b| b.cmp(a));
        self
    }

    /// The database `at`, as clients see it.
    pub fn db(&self, at: usize) -> &Db {
        &self.store[at].now
    }

    /// Nothing that a worker or the application began is unfinished.
    pub fn quiet(&self) -> bool {
        self.workers.iter().all(|w| w.at == At::Idle) && self.txns.iter().all(|t| t.phase == Phase::None)
    }
}
