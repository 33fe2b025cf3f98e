//! What must hold in every state (DESIGN section 12), and what some run must reach.

use crate::moves::Model;
use crate::state::{Home, Phase, SOURCE, State, TARGET, each, only};
use stateright::Property;

/// The promise.
pub const NOTHING_LOST: &str = "no acknowledged write is lost";
/// A write is acknowledged only at its subject's home.
pub const ACCEPTED_AT_HOME: &str = "no write is accepted away from home";
/// The guards never both say yes.
pub const NOT_AT_TWO_HOMES: &str = "nobody is writable at two homes";
/// The guards say what the directory says.
pub const ONE_HOME: &str = "one home by the directory";
/// A row lives once.
pub const NOT_DOUBLED: &str = "no row is doubled";
/// Only what has moved is erased.
pub const ERASED_ONLY_MOVED: &str = "nothing is erased that has not moved";
/// At the end those who moved are whole and writable there, and nowhere else.
pub const MOVED_IS_SETTLED: &str = "who moved is writable there alone, with equal rows";
/// Those who left the batch are as they were.
pub const STAYS_AT_HOME: &str = "who left is home as before";
/// And nothing of them is at the target.
pub const TARGET_IS_EMPTY: &str = "the target is empty of who left";
/// The batch comes to its end.
pub const NOBODY_IS_STUCK: &str = "the batch comes to its end";
/// The comparison is a net: with nothing broken and no mark forgotten, nothing falls into it.
pub const NO_DIFFERENCE: &str = "the sides never differ so that a subject is given up";
/// No run stops short of the end: there is always something that can still happen until then.
pub const RUNS_END: &str = "every run comes to the batch's end";
/// Some run moves everybody.
pub const ALL_MOVED: &str = "sometimes all move";
/// Some run leaves somebody at home.
pub const SOME_LEFT: &str = "sometimes somebody stays";

/// All, in the order of the table.
pub fn all() -> Vec<Property<Model>> {
    vec![
        Property::always(NOTHING_LOST, |_, s: &State| nothing_lost(s)),
        Property::always(ACCEPTED_AT_HOME, |_, s: &State| !s.accepted_elsewhere),
        Property::always(NOT_AT_TWO_HOMES, |_, s: &State| {
            (0..2).all(|who| !(writable(s, SOURCE, who) && writable(s, TARGET, who)))
        }),
        Property::always(ONE_HOME, |_, s: &State| (0..2).all(|who| one_home(s, who))),
        Property::always(NOT_DOUBLED, |_, s: &State| (0..3).all(|row| not_doubled(s, row))),
        Property::always(ERASED_ONLY_MOVED, |_, s: &State| (0..3).all(|row| erased_only_moved(s, row))),
        Property::always(MOVED_IS_SETTLED, |m: &Model, s: &State| {
            !ended(m, s) || each(s.db(SOURCE).record.moved).all(|who| moved_is_settled(m, s, who))
        }),
        Property::always(STAYS_AT_HOME, |m: &Model, s: &State| {
            left_for_good(m, s).all(|who| {
                s.db(SOURCE).home[who] == Home::Home && usize::from(s.directory.region[who]) == SOURCE
            })
        }),
        Property::always(TARGET_IS_EMPTY, |m: &Model, s: &State| {
            left_for_good(m, s)
                .all(|who| s.db(TARGET).home[who] == Home::None && s.db(TARGET).rows.of(only(who)) == 0)
        }),
        Property::always(NOBODY_IS_STUCK, |m: &Model, s: &State| !m.is_stuck(s)),
        Property::always(NO_DIFFERENCE, |m: &Model, s: &State| {
            // A source that forgets its mark makes differences, and a target that forgets rows; the comparison is there
            // to find them.
            let forgets = m.scope.left.db_crashes[SOURCE] > 0 || m.fails_over(SOURCE) || m.fails_over(TARGET);
            forgets || !s.gave_up
        }),
        Property::eventually(RUNS_END, ended),
        Property::sometimes(ALL_MOVED, |m: &Model, s: &State| {
            ended(m, s) && s.db(SOURCE).record.moved == m.scope.batch
        }),
        Property::sometimes(SOME_LEFT, |m: &Model, s: &State| ended(m, s) && s.db(SOURCE).record.left != 0),
    ]
}

/// The batch is at its end, and nobody is in the middle of anything.
fn ended(model: &Model, state: &State) -> bool {
    state.quiet() && model.is_over(state)
}

/// Where the directory says a row's subject lives, the row is as it was acknowledged last.
fn nothing_lost(state: &State) -> bool {
    (0..3).all(|row| {
        let Some(owner) = state.truth.owner(row) else { return true };
        let there = &state.db(usize::from(state.directory.region[owner])).rows;
        there.version[row] == state.truth.version[row] && there.owner(row) == Some(owner)
    })
}

/// A write passes, now or when a deadline has passed.
fn writable(state: &State, at: usize, who: usize) -> bool {
    let home = state.db(at).home[who];
    home.open() || home.ends_by_itself()
}

fn one_home(state: &State, who: usize) -> bool {
    let moved = usize::from(state.directory.region[who]) == TARGET;
    let (here, there) = (state.db(SOURCE).home[who], state.db(TARGET).home[who]);
    // From the swap on nobody writes at the source; before it nobody does at the target, or was sent away.
    if moved { !writable(state, SOURCE, who) } else { there != Home::Home && here != Home::Away }
}

/// A row stands at one place among the rows of a subject that is writable there.
fn not_doubled(state: &State, row: usize) -> bool {
    let lives = |at: usize| state.db(at).rows.owner(row).is_some_and(|who| writable(state, at, who));
    !(lives(SOURCE) && lives(TARGET))
}

fn erased_only_moved(state: &State, row: usize) -> bool {
    let Some(who) = state.truth.owner(row) else { return true };
    state.db(SOURCE).rows.version[row] > 0
        || (usize::from(state.directory.region[who]) == TARGET && state.db(TARGET).home[who] == Home::Home)
}

fn moved_is_settled(model: &Model, state: &State, who: usize) -> bool {
    let (here, there) = (state.db(SOURCE), state.db(TARGET));
    let gone = here.rows.of(only(who)) == 0 && here.home[who] == Home::None;
    usize::from(state.directory.region[who]) == TARGET
        && there.home[who] == Home::Home
        && there.rows.of(only(who)) == state.truth.of(only(who))
        && (here.home[who] == Home::Away || gone)
        && (!model.scope.erases || gone)
}

/// Those of whom the journal says, for good, that they have not moved: nobody touches them any more, whatever
/// other workers are still at.
fn left_for_good(model: &Model, state: &State) -> impl Iterator<Item = usize> {
    let record = state.db(SOURCE).record;
    let over = record.reached >= crate::state::Reached::Activated;
    each(if over { model.scope.batch & !record.moved } else { 0 })
}

impl Model {
    /// No worker is left, none can begin, and the batch is not at its end.
    pub(crate) fn is_stuck(&self, state: &State) -> bool {
        let tried = state.given[SOURCE] >= Self::TOKENS_MAX;
        state.quiet() && state.txns.iter().all(|t| t.phase == Phase::None) && !self.is_over(state) && tried
    }
}
