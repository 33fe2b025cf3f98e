//! A path in words: one line a step, with what it changed.

use crate::moves::{Action, Way};
use crate::state::{At, Db, Home, Phase, Round, SOURCE, State, Subjects, Txn, Worker, Write, each};

/// What happened, in words, by the state before and the one after.
pub fn describe(before: &State, action: &Action, after: Option<&State>) -> String {
    let what = match *action {
        Action::Start { aborts: false } => "a worker reads the journal and begins".to_owned(),
        Action::Start { aborts: true } => "`abort` reads the journal and begins".to_owned(),
        Action::Step { slot, way } => step(&before.workers[slot], way),
        Action::Kill { slot } => format!("{} is killed", name(&before.workers[slot])),
        Action::Open { write, repeatable, at } => {
            format!(
                "a {} transaction at the {} takes its snapshot, to write {}",
                level(repeatable),
                db(at),
                row(write)
            )
        }
        Action::Meet { slot, deadline_passed } => meet(&before.txns[slot], deadline_passed, after),
        Action::Commit { slot } => format!("{} commits and is acknowledged", txn(&before.txns[slot])),
        Action::RollBack { slot } => format!("{} rolls back", txn(&before.txns[slot])),
        Action::Land { .. } => "the swap lands, late".to_owned(),
        Action::Crash { at } => format!("the {} crashes and starts again", db(at)),
        Action::Stall { at } => format!("the standby of the {} stops following", db(at)),
        Action::Follow { at } => format!("the standby of the {} has caught up", db(at)),
        Action::FailOver { at } => format!("the standby of the {} takes over as it is", db(at)),
    };
    let changes = after.map(|after| changes(before, after)).unwrap_or_default();
    if changes.is_empty() { what } else { format!("{what} ({changes})") }
}

/// A whole path, a line a step.
pub fn path(steps: &[(State, Option<Action>)]) -> Vec<String> {
    let after = steps.iter().skip(1).map(|(s, _)| Some(s)).chain([None]);
    steps
        .iter()
        .zip(after)
        .filter_map(|((before, action), after)| action.map(|a| describe(before, &a, after)))
        .collect()
}

fn level(repeatable: bool) -> &'static str {
    if repeatable { "REPEATABLE READ" } else { "READ COMMITTED" }
}

fn db(at: usize) -> &'static str {
    if at == SOURCE { "source" } else { "target" }
}

fn row(write: Write) -> &'static str {
    match write {
        Write::Order => "the order",
        Write::Item => "the order's item",
        Write::Note => "Ben's note",
        Write::Reown => "the order's owner",
    }
}

fn txn(txn: &Txn) -> String {
    format!("the {} write of {} at the {}", level(txn.repeatable), row(txn.write), db(usize::from(txn.at)))
}

fn meet(t: &Txn, deadline_passed: bool, after: Option<&State>) -> String {
    let passed = after.is_some_and(|s| {
        s.txns.iter().any(|n| {
            n.phase == Phase::Passed && (n.write, n.at, n.repeatable) == (t.write, t.at, t.repeatable)
        })
    });
    let how = match (passed, deadline_passed) {
        (true, true) => "passes the guard, ending a fence past its deadline",
        (true, false) => "passes the guard",
        (false, _) => "is turned away by the guard",
    };
    format!("{} {how}", txn(t))
}

/// Workers are told apart by the token of their lease.
fn name(worker: &Worker) -> String {
    match worker.token {
        [0, _] => "the new worker".to_owned(),
        [token, _] => format!("the worker with token {token}"),
    }
}

fn step(w: &Worker, way: Way) -> String {
    let how = match way {
        Way::Plain | Way::Second => "",
        Way::Forgettable => ", not on the disk yet",
        Way::TimesOut => ", and the limit passes",
        Way::Late(_) => ", and the deadline has passed",
        Way::Unanswered => ", and no answer comes",
    };
    format!("{} {}{how}", name(w), stage(w))
}

fn stage(w: &Worker) -> String {
    let (group, going) = (people(w.group), people(w.going));
    match w.at {
        At::Idle => "rests".into(),
        At::TakeSource => "takes the lease at the source".into(),
        At::TakeTarget => "takes the lease at the target".into(),
        At::LookAtSource => "looks whether its lease at the source is still the newest".into(),
        At::ReadRecord => "reads the record".into(),
        At::ReadDirectory => "reads the homes in the directory".into(),
        At::ReadSource => "reads the states at the source".into(),
        At::Settle => format!("settles the swap of one of {group} with the directory"),
        At::BackToMoving => format!("puts {} back to moving", people(w.back)),
        At::ActivateTarget if w.moved == 0 => format!("activates {group} at the target"),
        At::ActivateTarget => format!("activates {} at the target", people(w.moved)),
        At::FlushTarget => "flushes the target's log and looks who is home there".into(),
        At::ActivateKeeps => {
            "waits for the target's standbys, and looks whether it is the same server".into()
        }
        At::ActivateSource => format!("sends {} away at the source", people(w.moved)),
        At::SaveMoved => "saves the record".into(),
        At::PutBack if w.aborts => format!("gives up {going}"),
        At::PutBack => format!("puts half-done states of {going} back"),
        At::CopyAgain => "notes in the journal that the copy is none".into(),
        At::MarkBegin => format!("marks {going}, step 1"),
        At::MarkWait => format!("marks, step 2, one of {}", people(w.waits)),
        At::MarkUndo => format!("takes the mark of {} back", people(w.failed)),
        At::Unmarked => "gives up who could not be marked".into(),
        At::Arrive => format!("opens homes for {going} at the target"),
        At::CopyRead => "takes a snapshot of the source and begins the copy".into(),
        At::CopyWrite => "commits the copy at the target".into(),
        At::CopyDone => "notes in the journal that it is copied".into(),
        At::RoundRead => format!("takes a snapshot to catch up{}", round(w)),
        At::RoundWrite => format!("commits the round{} at the target", round(w)),
        At::RoundForget => "removes the round's entries at the source".into(),
        At::Compare => "compares both sides".into(),
        At::FenceBegin => format!("fences, step 1, of {going}"),
        At::FenceWait => format!("fences, step 2, one of {}", people(w.waits)),
        At::FenceUndo => format!("un-fences {}", people(w.back)),
        At::Check => format!("compares what changed of {group}, under the fence"),
        At::Unequal => format!("un-fences {group}: the sides are not equal"),
        At::Seal => format!("seals {group}"),
        At::SealLate => format!("un-fences {}, too late to be sealed", people(w.back)),
        At::Standbys => "waits for the listed standbys, and looks whether the servers are the same".into(),
        At::Swap => format!("sends the swap of {group} to the directory"),
        At::LeaveClear => format!("empties the target of {}, rows and homes", people(w.leaving)),
        At::LeaveDrop => format!("drops the homes of {} at the target", people(w.leaving)),
        At::LeaveKeeps => "waits for the target's standbys, and looks whether it is the same server".into(),
        At::LeaveHome => format!("puts {} back to home", people(w.leaving)),
        At::LeaveForget => format!("notes that {} left the batch", people(w.leaving)),
        At::Finish => "notes in the journal that the batch is done".into(),
        At::EraseStandbys => "waits for the listed standbys before the erase".into(),
        At::EraseRows => "erases the rows at the source".into(),
        At::EraseCheck => "reads back that nothing is left".into(),
        At::EraseDrop => "drops the homes at the source".into(),
        At::EraseNote => "notes in the journal that all is erased".into(),
    }
}

fn round(w: &Worker) -> &'static str {
    match w.round {
        Round::CatchUp => "",
        Round::Verify => " and compare",
        Round::BeforeFence => " before the fence",
        Round::UnderFence => " under the fence",
    }
}

fn people(who: Subjects) -> String {
    let names: Vec<_> = each(who).map(|s| ["Ann", "Ben"][s]).collect();
    if names.is_empty() { "nobody".into() } else { names.join(" and ") }
}

/// What differs between two states, for the eye.
fn changes(before: &State, after: &State) -> String {
    let mut all = Vec::new();
    for at in 0..2 {
        let (old, new) = (before.db(at), after.db(at));
        for who in 0..2 {
            if old.home[who] != new.home[who] {
                all.push(format!("{} {} at the {}", ["Ann", "Ben"][who], home(new.home[who]), db(at)));
            }
        }
        if old.rows != new.rows {
            all.push(format!("{} {}", db(at), rows(new)));
        }
    }
    for who in 0..2 {
        if before.directory.region[who] != after.directory.region[who] {
            all.push(format!("the directory: {} lives at the target", ["Ann", "Ben"][who]));
        }
    }
    all.join("; ")
}

fn rows(at: &Db) -> String {
    let versions = ["order", "item", "note"].iter().zip(at.rows.version).filter(|(_, v)| *v > 0);
    let versions: Vec<_> = versions.map(|(n, v)| format!("{n} v{v}")).collect();
    let whose = if at.rows.version[0] == 0 { "" } else { [", Ann's", ", Ben's"][usize::from(at.rows.owner)] };
    format!("holds {}{whose}", if versions.is_empty() { "nothing".into() } else { versions.join(", ") })
}

fn home(state: Home) -> &'static str {
    match state {
        Home::None => "has no row",
        Home::Home => "is home",
        Home::Marking => "is marking",
        Home::Moving => "is moving",
        Home::Fencing => "is fencing",
        Home::Fenced => "is fenced",
        Home::Sealed => "is sealed",
        Home::Arriving => "is arriving",
        Home::Away => "is away",
    }
}
