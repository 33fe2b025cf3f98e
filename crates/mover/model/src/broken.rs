//! Variants of the move with one thing broken. Each must be caught, or the model says nothing.

/// One thing broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// The last catch-up and its comparison are done before the fence.
    FenceAfterLastCatchUp,
    /// The copy is fenced, sealed and swapped without having been compared.
    CutoverBeforeVerify,
    /// Nobody looks at the lease's token, and a takeover waits for nobody.
    NoToken,
    /// A takeover bumps the token, but does not wait for (or end) the transactions that had read the old one.
    TakeoverDoesNotWait,
    /// `home` at the target before the directory was asked.
    ActivateBeforeCutover,
    /// A writer whose clock says so ends `sealed`, too.
    UnfenceAfterSeal,
    /// An unknown swap is settled by reading the directory.
    SettleByRead,
    /// The entries of a round are removed before the target has committed it.
    ForgetBeforeCommit,
    /// Step 2 of the mark is a plain update: no new `gen`, so it waits for nobody.
    MarkWithoutGen,
    /// The same of the fence.
    FenceWithoutGen,
    /// An owner change shares the old owner's row like any write, and does not bump its `gen`.
    OwnerChangeWithoutBump,
    /// An owner change records its row, not the subtree.
    OwnerChangeWithoutSubtree,
    /// The seal does not ask for `fenced`, nor for the deadline: any state that is not `home` will do.
    SealWithoutState,
    /// The fence takes a subject that is not `moving`.
    FenceFromHome,
    /// The seal's commit does not wait for the disk.
    SealNotDurable,
    /// The target's commits of rows do not wait for the disk.
    CopyNotDurable,
    /// The commit that makes a subject `home` at the target does not wait for the disk.
    ActivateNotDurable,
    /// The swap does not wait for the listed standbys.
    NoStandbyWait,
}

impl Broken {
    /// All, in the order of the table.
    pub const ALL: [Broken; 18] = [
        Broken::FenceAfterLastCatchUp,
        Broken::CutoverBeforeVerify,
        Broken::NoToken,
        Broken::TakeoverDoesNotWait,
        Broken::ActivateBeforeCutover,
        Broken::UnfenceAfterSeal,
        Broken::SettleByRead,
        Broken::ForgetBeforeCommit,
        Broken::MarkWithoutGen,
        Broken::FenceWithoutGen,
        Broken::OwnerChangeWithoutBump,
        Broken::OwnerChangeWithoutSubtree,
        Broken::SealWithoutState,
        Broken::FenceFromHome,
        Broken::SealNotDurable,
        Broken::CopyNotDurable,
        Broken::ActivateNotDurable,
        Broken::NoStandbyWait,
    ];
}

/// Weaknesses of the code as it is, found by this model. The runs of the table explore the code with each
/// mended; a run with one of them shows its path. When the code is mended, the entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weakness {
    /// `change_state` skips rows that a transaction of the application holds, and where it puts states back
    /// nobody looks which rows it changed; `leave::moving` then takes `moving` alone.
    SkippedRows,
    /// `leave::unmarked` takes it that nothing was copied; after a crash something may have been.
    UnmarkedKeepsCopy,
    /// `run_batch` reads the record before it takes the lease: what the holder before it wrote meanwhile, that the
    /// batch was given up or is done, it never learns.
    RecordBeforeLease,
    /// `leave::moving` empties the target in one transaction and drops its homes in the next, `begin` does not look
    /// at the target, and a second copy leaves the journal's `copied` standing: what was killed in between is taken
    /// for copied, and given up as different.
    CopiedForEver,
    /// A worker does not notice that the source failed over under it: what it has seen (that the sides were equal,
    /// that the seal was committed, that it holds the lease) may not be so there any more.
    FailOverUnnoticed,
    /// Nobody waits for the target's standbys: a fail-over there loses what the move brought. (No run mends this
    /// one: the target does not fail over in the others.)
    TargetNotFlushed,
}

impl Weakness {
    /// All.
    pub const ALL: [Weakness; 6] = [
        Weakness::SkippedRows,
        Weakness::UnmarkedKeepsCopy,
        Weakness::RecordBeforeLease,
        Weakness::CopiedForEver,
        Weakness::FailOverUnnoticed,
        Weakness::TargetNotFlushed,
    ];
}
