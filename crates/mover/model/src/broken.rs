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
    /// Nobody waits until `home` at the target is on the disk before `away` is said at the source.
    ActivateNotDurable,
    /// The swap does not wait for the listed standbys.
    NoStandbyWait,
    /// Where states are put back, rows that a transaction of the application holds are skipped and nobody looks which;
    /// who leaves is put back from `moving` alone.
    SkippedRows,
    /// Who could not be marked leaves without a look at the target; of a mark that a crash forgot a copy may be there.
    UnmarkedKeepsCopy,
    /// The record is read before the lease is taken: what the holder before wrote meanwhile is never learnt.
    RecordBeforeLease,
    /// Rows and home of a copy go in two transactions, nobody looks whether the target is `arriving`, and a second
    /// copy leaves the journal's `copied` standing.
    CopiedForEver,
    /// Nobody looks whether the source is still the server that the batch began at.
    FailOverUnnoticed,
    /// Nobody waits for the target's standbys, neither before the swap nor before the erase.
    TargetNotFlushed,
    /// Who has taken both leases does not look at the one at the source again: a worker that froze between the two has the
    /// newest lease at the target alone, and an abort empties the target under the one that came after it.
    AbortWithoutLease,
    /// A token is the one before plus one. A fail-over may forget a lease, and then its number is given again: two workers hold
    /// it, and none is turned away.
    TokenCounts,
    /// A lease that the server knows holds also where another server gave it: its holder writes down what that one has forgotten.
    LeaseOutlivesServer,
    /// Nobody looks whether the target is still the server that the batch began at: one that has taken its place passes
    /// the wait for its standbys without the rows.
    TargetFailOverUnnoticed,
    /// What the journal says of the target, that somebody is `home` there or that it was emptied of somebody, is written down
    /// before the target's standbys have it.
    TargetForgets,
    /// They are waited for, and nobody looks whether the target is another server by then.
    KeptByAnother,
    /// They are waited for only by who emptied the target, not by who finds it empty after that one died.
    ClearedBefore,
}

impl Broken {
    /// All, in the order of the table.
    pub const ALL: [Broken; 31] = [
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
        Broken::SkippedRows,
        Broken::UnmarkedKeepsCopy,
        Broken::RecordBeforeLease,
        Broken::CopiedForEver,
        Broken::FailOverUnnoticed,
        Broken::TargetNotFlushed,
        Broken::AbortWithoutLease,
        Broken::TokenCounts,
        Broken::LeaseOutlivesServer,
        Broken::TargetFailOverUnnoticed,
        Broken::TargetForgets,
        Broken::KeptByAnother,
        Broken::ClearedBefore,
    ];
}
