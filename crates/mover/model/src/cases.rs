//! Which scope shows what is broken, and by which property it is caught.

use crate::broken::Broken;
use crate::properties as p;
use crate::scope::{self, Scope};

/// The scope "workers" with one subject: what is broken in taking over shows there, too, and sooner.
const BEN_ALONE: Scope = Scope { name: "workers, Ben alone", batch: crate::state::BEN, ..scope::WORKERS };

/// The same of "abort".
const ABORT_OF_BEN: Scope = Scope { name: "abort, Ben alone", batch: crate::state::BEN, ..scope::ABORT };

/// Where a broken variant is looked at, and what has to break.
///
/// [`Broken::CutoverBeforeVerify`] is run with [`Broken::CopiedForEver`]: with nothing else wrong the comparison
/// never finds anything, and leaving it out breaks nothing. It is a net, and that is what falls into it.
pub fn of_broken(broken: Broken) -> (Scope, &'static str) {
    match broken {
        Broken::FenceAfterLastCatchUp => (scope::WRITERS, p::NOTHING_LOST),
        Broken::CutoverBeforeVerify => (scope::FORGOTTEN, p::NOTHING_LOST),
        Broken::NoToken => (BEN_ALONE, p::NOTHING_LOST),
        Broken::TakeoverDoesNotWait => (BEN_ALONE, p::NOTHING_LOST),
        Broken::ActivateBeforeCutover => (BEN_ALONE, p::NOTHING_LOST),
        Broken::UnfenceAfterSeal => (BEN_ALONE, p::NOTHING_LOST),
        Broken::SettleByRead => (BEN_ALONE, p::NOTHING_LOST),
        Broken::ForgetBeforeCommit => (BEN_ALONE, p::NO_DIFFERENCE),
        Broken::MarkWithoutGen => (scope::WRITERS, p::NOTHING_LOST),
        Broken::FenceWithoutGen => (scope::WRITERS, p::NOTHING_LOST),
        Broken::OwnerChangeWithoutBump => (scope::WRITERS, p::NOTHING_LOST),
        Broken::OwnerChangeWithoutSubtree => (scope::NEIGHBOUR, p::NO_DIFFERENCE),
        Broken::SealWithoutState => (scope::WRITERS, p::NOTHING_LOST),
        Broken::FenceFromHome => (scope::CRASHES, p::NOTHING_LOST),
        Broken::SealNotDurable => (scope::CRASHES, p::NOTHING_LOST),
        Broken::CopyNotDurable => (scope::CRASHES, p::NOTHING_LOST),
        Broken::ActivateNotDurable => (scope::CRASHES, p::MOVED_IS_SETTLED),
        Broken::NoStandbyWait => (scope::FAIL_OVER, p::NOTHING_LOST),
        Broken::SkippedRows => (scope::WRITERS, p::STAYS_AT_HOME),
        Broken::UnmarkedKeepsCopy => (scope::CRASHES, p::TARGET_IS_EMPTY),
        Broken::RecordBeforeLease => (scope::ABORT, p::STAYS_AT_HOME),
        Broken::CopiedForEver => (scope::WORKERS, p::NO_DIFFERENCE),
        Broken::FailOverUnnoticed => (scope::FROZEN, p::NOTHING_LOST),
        Broken::TargetNotFlushed => (scope::NEW_HOME, p::NOTHING_LOST),
        Broken::AbortWithoutLease => (ABORT_OF_BEN, p::NOTHING_LOST),
        Broken::TokenCounts => (scope::FROZEN, p::NOTHING_LOST),
        Broken::LeaseOutlivesServer => (scope::FAIL_OVER, p::STAYS_AT_HOME),
        Broken::TargetFailOverUnnoticed => (scope::NEW_HOME, p::NOTHING_LOST),
        Broken::TargetForgets => (scope::NEW_HOME, p::MOVED_IS_SETTLED),
        Broken::KeptByAnother => (scope::NEW_HOME, p::MOVED_IS_SETTLED),
        Broken::ClearedBefore => (scope::NEW_HOME, p::TARGET_IS_EMPTY),
    }
}

/// What else is broken in that run.
pub fn also(broken: Broken) -> Option<Broken> {
    (broken == Broken::CutoverBeforeVerify).then_some(Broken::CopiedForEver)
}
