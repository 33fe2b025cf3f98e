//! Small scopes are explored whole, and everything that is broken is caught.

use domicile_model::broken::Broken;
use domicile_model::moves::Event;
use domicile_model::properties::{ALL_MOVED, SOME_LEFT};
use domicile_model::run::Run;
use domicile_model::scope::SMALL;
use domicile_model::words;
use std::collections::BTreeSet;

#[test]
fn every_property_holds_in_every_state_of_the_small_scopes() {
    let mut events = BTreeSet::new();
    for scope in SMALL {
        let found = Run::whole(scope, 2).explore();
        if let Some((property, path)) = found.breaches.first() {
            panic!("{}: `{property}` does not hold:\n{}", scope.name, words::path(path).join("\n"));
        }
        assert!(found.reached.contains(&ALL_MOVED), "{}: no run moves everybody", scope.name);
        assert!(found.reached.contains(&SOME_LEFT), "{}: no run leaves somebody", scope.name);
        events.extend(found.events);
    }
    let missed: Vec<_> = Event::ALL.into_iter().filter(|e| !events.contains(e)).collect();
    // A model that never meets what it is about proves nothing. The sides are unequal under the fence where a target that
    // failed over forgot rows that were brought to it after the comparison.
    assert!(missed.is_empty(), "never met: {missed:?}");
}

fn caught(run: Run) {
    let property = run.until.expect("a case names its property");
    let found = run.explore();
    let path = found.breach(property).unwrap_or_else(|| {
        panic!("{:?} is not caught by `{property}` in {} states", run.broken, found.states)
    });
    assert_eq!(words::path(path).len(), path.len() - 1, "each step has a line of words");
}

macro_rules! broken {
    ($($name:ident $variant:ident;)*) => {
        $(#[test]
        fn $name() {
            caught(Run::broken(Broken::$variant));
        })*

        #[test]
        fn every_broken_variant_has_its_test() {
            assert_eq!([$(Broken::$variant),*], Broken::ALL);
        }
    };
}

broken! {
    a_fence_after_the_last_catch_up_is_caught FenceAfterLastCatchUp;
    a_cutover_before_verify_is_caught CutoverBeforeVerify;
    no_token_is_caught NoToken;
    a_takeover_that_does_not_wait_is_caught TakeoverDoesNotWait;
    activating_before_the_cutover_is_caught ActivateBeforeCutover;
    unfencing_by_the_clock_after_the_seal_is_caught UnfenceAfterSeal;
    settling_by_a_read_is_caught SettleByRead;
    removing_entries_before_the_commit_is_caught ForgetBeforeCommit;
    a_mark_without_gen_is_caught MarkWithoutGen;
    a_fence_without_gen_is_caught FenceWithoutGen;
    an_owner_change_without_a_bump_is_caught OwnerChangeWithoutBump;
    an_owner_change_without_its_subtree_is_caught OwnerChangeWithoutSubtree;
    a_seal_of_any_state_is_caught SealWithoutState;
    a_fence_of_somebody_at_home_is_caught FenceFromHome;
    a_seal_that_may_be_forgotten_is_caught SealNotDurable;
    a_copy_that_may_be_forgotten_is_caught CopyNotDurable;
    an_activation_that_may_be_forgotten_is_caught ActivateNotDurable;
    not_waiting_for_standbys_is_caught NoStandbyWait;
    skipping_held_rows_is_caught SkippedRows;
    leaving_the_copy_of_the_unmarked_is_caught UnmarkedKeepsCopy;
    a_record_read_before_the_lease_is_caught RecordBeforeLease;
    a_copy_that_is_taken_for_one_for_ever_is_caught CopiedForEver;
    a_fail_over_that_nobody_notices_is_caught FailOverUnnoticed;
    not_waiting_for_the_targets_standbys_is_caught TargetNotFlushed;
    an_abort_without_the_newest_lease_is_caught AbortWithoutLease;
    a_token_that_is_given_twice_is_caught TokenCounts;
    a_lease_that_outlives_its_server_is_caught LeaseOutlivesServer;
    a_fail_over_of_the_target_that_nobody_notices_is_caught TargetFailOverUnnoticed;
    a_target_that_may_forget_what_the_journal_says_is_caught TargetForgets;
    what_another_server_keeps_is_caught KeptByAnother;
    a_copy_that_was_cleared_before_is_caught ClearedBefore;
}
