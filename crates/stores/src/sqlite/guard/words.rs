//! Refusals, in words.
//!
//! `RAISE` takes only a literal before SQLite 3.47, and the trigger runs in the application's SQLite,
//! which may be 3.38: so each text is a literal, the state is chosen by CASE, and the rules of admission
//! become one branch each. A text never names a person.
//!
//! Always `ROLLBACK`, never `ABORT`: an application that goes on after an aborted statement would
//! commit the other half of its transaction (ATTACKS, S5).

use super::super::quote::literal;
use crate::planted::Bug;

/// Seconds since 1970 in milliseconds, by the clock of the machine that runs the statement.
/// (`unixepoch('subsec')` is younger than 3.38.)
pub(crate) const NOW_MS: &str = "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)";

/// The guard's mode; a guard without its own row refuses.
pub(crate) const MODE: &str = "coalesce((SELECT mode FROM domicile_region), 'enforce')";

/// Raises with a literal text.
pub(crate) fn raise(text: &str) -> String {
    format!("RAISE(ROLLBACK, {})", literal(text))
}

/// What to do about a refusal that passes.
const RETRY: &str = "nothing was written; look its home up and retry there";

/// The letters of `domicile_home.state` at which nothing may be written, and their words.
const CLOSED: [(&str, &str); 6] = [
    ("k", "marking: its move begins"),
    ("g", "fencing: its move ends"),
    ("f", "fenced: its move ends"),
    ("s", "sealed: its move ends"),
    ("a", "arriving: it is not at home here yet"),
    ("w", "away: its home is elsewhere by now"),
];

/// A CASE over the state in `state` that raises RS001 unless it is `h` or `m`; `missing` is the
/// expression for a subject without a row.
pub(crate) fn refuse_unless_open(state: &str, table: &str, what: &str, missing: &str) -> String {
    let arms: Vec<_> = CLOSED
        .iter()
        .map(|(letter, words)| {
            let text =
                format!("RS001: {table}: the subject of {what} is not writable here now ({words}); {RETRY}");
            format!(" WHEN '{letter}' THEN {}", raise(&text))
        })
        .collect();
    format!("CASE {state} WHEN 'h' THEN NULL WHEN 'm' THEN NULL{} ELSE {missing} END", arms.concat())
}

/// RS001 for a subject the guard has no row for.
pub(crate) fn no_home(table: &str, what: &str) -> String {
    raise(&format!(
        "RS001: {table}: the subject of {what} has no home here; {RETRY} (a new one is claimed in the directory, then inserted into domicile_signup)"
    ))
}

/// RS002 for a row nobody owns. Not RS001: a retry cannot mend a parent that is not there.
pub(crate) fn no_owner(table: &str) -> String {
    raise(&format!(
        "RS002: {table}: the row would belong to nobody, since the row it refers to is not here; nothing was written; insert the parent first (also where the foreign key is deferred)"
    ))
}

/// RS002 for a key that is NULL.
pub(crate) fn no_key(table: &str) -> String {
    raise(&format!(
        "RS002: {table}: a row without a complete primary key cannot be kept at its home; nothing was written"
    ))
}

/// RS002 for a subject whose key changes.
pub(crate) fn subject_key(table: &str) -> String {
    raise(&format!(
        "RS002: {table}: the key of a subject cannot change while the guard enforces; nothing was written"
    ))
}

/// States in words, for the view people read.
pub(crate) fn state_words(state: &str) -> String {
    format!(
        "CASE {state} WHEN 'h' THEN 'home' WHEN 'k' THEN 'marking' WHEN 'm' THEN 'moving' WHEN 'g' THEN 'fencing' \
         WHEN 'f' THEN 'fenced' WHEN 's' THEN 'sealed' WHEN 'a' THEN 'arriving' WHEN 'w' THEN 'away' END"
    )
}

/// Ends marks and fences whose worker left them past their deadline (ARCHITECTURE): a mark goes back to
/// `home`, a fence to `moving`. `sealed` never ends by a clock. `whose` is a list for IN.
pub(crate) fn expire(whose: &str) -> String {
    let ends = if Bug::SealEnds.is_planted() { "'k', 'g', 'f', 's'" } else { "'k', 'g', 'f'" };
    format!(
        "UPDATE domicile_home SET batch = CASE state WHEN 'k' THEN NULL ELSE batch END, \
         state = CASE state WHEN 'k' THEN 'h' ELSE 'm' END, gen = gen + 1, deadline = NULL \
         WHERE subject IN ({whose}) AND state IN ({ends}) AND deadline < {NOW_MS}"
    )
}

/// Counts one would-be refusal in mode `observe`, where `condition` holds: two statements. Not an
/// upsert: inside a trigger the application's own conflict clause (INSERT OR IGNORE) takes precedence.
pub(crate) fn observe(table: &str, reason: &str, condition: &str) -> [String; 2] {
    let (table, reason) = (literal(table), literal(reason));
    let when = format!("{MODE} = 'observe' AND {condition}");
    let row = format!("tbl = {table} AND reason = {reason}");
    [
        format!(
            "INSERT INTO domicile_observed(tbl, reason, n) SELECT {table}, {reason}, 0 WHERE {when} \
                 AND NOT EXISTS (SELECT 1 FROM domicile_observed WHERE {row})"
        ),
        format!("UPDATE domicile_observed SET n = n + 1, at = datetime('now') WHERE {row} AND {when}"),
    ]
}
