//! Errors of stores, in words for somebody who is nervous.

use super::Failure;
use crate::screen::Exit;
use domicile_stores::Error;

/// An error of the store of `place` (`region oregon`, `the control store`).
pub fn of_store(place: &str, error: &Error) -> Box<Failure> {
    let what = format!("{place}: {error}");
    match error {
        Error::Unreachable { why, .. } => Failure::new(
            "store-unreachable",
            format!("{place} can't be reached"),
            why,
            "domicile check   # once the server answers again",
        ),
        Error::Denied { what, grant, .. } => Failure::new(
            "store-denied",
            format!("{place}: the role has no privilege for {what}"),
            "Domicile works as a plain role and asks only for the documented GRANTs",
            format!("as the database's owner: {grant}"),
        )
        .exit(Exit::No),
        Error::LeaseLost { batch } => Failure::new(
            "lease-lost",
            format!("another worker took over batch {batch}"),
            "one worker at a time moves a batch, and the database holds the older one back",
            "domicile status",
        ),
        Error::Again { why, .. } => Failure::new(
            "store-busy",
            what,
            format!("others kept changing the same rows for longer than Domicile waits: {why}"),
            "domicile status   # then run the same command again",
        ),
        Error::Taken { table, constraint, .. } => Failure::new(
            "unique-taken",
            format!("{place}: a value of `{constraint}` on {table} is taken by a row of somebody else"),
            "a row can't stand at the new home while another one has its unique value",
            format!("find the two rows by the columns of `{constraint}` and change one of them"),
        ),
        Error::Referred { table, constraint, .. } => Failure::new(
            "foreign-key",
            format!("{place}: foreign key `{constraint}` of {table} does not hold"),
            "a row refers to one that is not at the same region",
            "domicile check   # does the data map say how these tables belong together?",
        ),
        Error::Full { .. } => Failure::new(
            "store-full",
            format!("{place} has no space left"),
            "nothing more can be written there",
            "make space, then: domicile status",
        ),
        Error::Behind { standbys, waited, .. } => Failure::new(
            "standby-behind",
            format!("{place}: standby {} has not flushed what was committed", standbys.join(", ")),
            format!(
                "a fail-over to it could forget a fence, so nothing goes on without it; waited {waited:?}"
            ),
            "start the standby, or take it out of `standbys` in domicile.toml, then:\n\
             domicile resume   # a move\ndomicile erase    # an erase",
        ),
        Error::Refused { code, message, .. } => Failure::new(
            "guard-refused",
            format!("{place}: the guard refused with {code}"),
            message,
            "domicile guard status",
        ),
        Error::Schema { what, .. } => Failure::new(
            "schema-differs",
            format!("{place}: {what}"),
            "the database is not what the data map or the other region says",
            "domicile check",
        )
        .exit(Exit::No),
        Error::NotFound { key, .. } => Failure::new(
            "object-missing",
            format!("{place}: object {key} does not exist"),
            "a row names it, or it was deleted a moment ago",
            "domicile check",
        ),
        Error::Changed { key, .. } => Failure::new(
            "object-changed",
            format!("{place}: object {key} changed while it was copied"),
            "what was read is neither its old nor its new content",
            "domicile resume",
        ),
        Error::Function { what, function, why, unresolved, .. } => {
            of_function(place, what, function, why, *unresolved)
        }
        Error::Login { why, .. } => Failure::usage(
            "store-login",
            format!("{place}: the server refused the user or the password"),
            why,
            "is the password the right one, and has the role LOGIN? then: domicile check",
        ),
        Error::Setting { what } => Failure::usage(
            "config-store",
            format!("{place}: {what}"),
            "the address in the configuration can't work",
            "correct the address in domicile.toml, then: domicile check",
        ),
        other => Failure::new(
            "store-failed",
            what_of(place, other),
            "the store's own words stand above",
            "domicile check",
        ),
    }
}

/// A trigger of the user's fires while rows are loaded, changed and erased.
fn of_function(place: &str, what: &str, function: &str, why: &str, unresolved: bool) -> Box<Failure> {
    let schema = function.split_once('.').map_or("public", |(schema, _)| schema);
    let (because, fix) = if unresolved {
        let fix =
            format!("ALTER FUNCTION {function} SET search_path = {schema}, pg_temp;   -- at every region");
        ("it names something without its schema, and our sessions pin search_path to pg_catalog", fix)
    } else {
        let fix = format!(
            "let it pass our role: IF session_user = 'ROLE' THEN RETURN NEW; in {function}, at every region"
        );
        ("triggers listed as safe run while rows are loaded, and must not fail then", fix)
    };
    Failure::new(
        "trigger-failed",
        format!("{place}: {what}: a trigger's function {function} failed: {why}"),
        because,
        format!("{fix}\nor drop the trigger there, then: domicile resume"),
    )
}

fn what_of(place: &str, error: &Error) -> String {
    format!("{place}: {error}")
}
