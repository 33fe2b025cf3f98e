//! From an SQLSTATE to what the caller can do about it.
//!
//! INVARIANT: no value of a user's row gets into a message. PostgreSQL puts values into DETAIL (never
//! read here) and, for classes 22 and P0 and for codes it does not own, into MESSAGE: those are
//! replaced by the code and the names of the objects.

use crate::error::{Error, StoreName};
use std::error::Error as _;
use tokio_postgres::error::{DbError, SqlState};

/// Whose connection it was: the store's name and the role, for messages.
#[derive(Debug, Clone)]
pub(super) struct Whose {
    pub(super) store: StoreName,
    pub(super) role: String,
}

/// Maps a driver's error. `what` says what was tried, without values.
pub(super) fn map(whose: &Whose, what: &str, error: &tokio_postgres::Error) -> Error {
    let store = whose.store.0.clone();
    match error.as_db_error() {
        Some(db) => from_server(whose, what, db),
        None if chain(error).contains("password missing") => {
            Error::Login { store, why: "the server asks for a password, and none was given".to_owned() }
        }
        None if lost(error) => Error::Unreachable { store, why: chain(error) },
        None => Error::Failed { store, what: what.to_owned(), why: chain(error) },
    }
}

fn from_server(whose: &Whose, what: &str, db: &DbError) -> Error {
    let store = whose.store.0.clone();
    let code = db.code().code();
    let (what, why) = (what.to_owned(), words(db));
    match code {
        "RS001" | "RS002" => {
            Error::Refused { store, code: code.to_owned(), message: db.message().to_owned() }
        }
        "40001" | "40P01" | "55P03" | "57014" | "53300" => Error::Again { store, what, why },
        "23505" | "23P01" => {
            Error::Taken { store, table: table(db), constraint: db.constraint().unwrap_or("?").to_owned() }
        }
        "23503" => {
            Error::Referred { store, table: table(db), constraint: db.constraint().unwrap_or("?").to_owned() }
        }
        "42501" => denied(whose, db),
        "53100" | "53200" => Error::Full { store },
        "57P01" | "57P02" | "57P03" | "25P03" => Error::Unreachable { store, why },
        "28P01" | "28000" => Error::Login { store, why },
        "3D000" => Error::Setting { what: format!("{store}: {why}") },
        _ if code.starts_with("08") => Error::Unreachable { store, why },
        _ => match users_function(db.where_().unwrap_or_default()) {
            Some(function) => {
                let unresolved = UNRESOLVED.contains(&code);
                Error::Function { store, what, function: function.into(), why: why.into(), unresolved }
            }
            None if UNRESOLVED.contains(&code) || code == "42703" => {
                Error::Schema { store, what: format!("{what}: {why}") }
            }
            None => Error::Failed { store, what, why },
        },
    }
}

/// No table, type, function or schema of that name.
const UNRESOLVED: [&str; 4] = ["42P01", "42704", "42883", "3F000"];

/// The function in which an error was raised, from the innermost line of CONTEXT, where it is not one of
/// the guard's. Of the other lines nothing is read: they may quote statements with values.
fn users_function(context: &str) -> Option<String> {
    let first = context.lines().find(|line| line.contains(" function "))?;
    let (_, after) = first.split_once(" function ")?;
    let name = match after.strip_prefix('"').filter(|_| first.starts_with("SQL")) {
        Some(quoted) => quoted.split_once('"')?.0,
        None => after.split_once(" line ").map_or(after, |(name, _)| name),
    };
    let known = !name.is_empty() && !name.starts_with("domicile.") && name.len() < 200;
    known.then(|| name.trim().to_owned())
}

/// The server's words where they can't hold a row's value, else the code and the names it gives.
fn words(db: &DbError) -> String {
    let code = db.code();
    let own = ["P0", "22", "RS"].iter().any(|class| code.code().starts_with(class));
    let silent = own || !matches!(code.code().as_bytes().first(), Some(b'0'..=b'5' | b'F' | b'H' | b'X'));
    if !silent {
        return match db.constraint() {
            Some(constraint) if code.code().starts_with("23") => {
                format!("constraint `{constraint}` of {} does not hold ({})", table(db), code.code())
            }
            _ => format!("{} ({})", db.message(), code.code()),
        };
    }
    let mut text = match code {
        c if *c == SqlState::RAISE_EXCEPTION => "a function of the database raised an exception".to_owned(),
        c if c.code().starts_with("22") => "a value does not fit its type or expression".to_owned(),
        _ => "the database refused".to_owned(),
    };
    for (kind, name) in [("table", db.table()), ("column", db.column()), ("type", db.datatype())] {
        if let Some(name) = name {
            text.push_str(&format!(", {kind} {name}"));
        }
    }
    format!("{text} ({})", code.code())
}

fn table(db: &DbError) -> String {
    match (db.schema(), db.table()) {
        (Some(schema), Some(table)) => format!("{schema}.{table}"),
        (_, Some(table)) => table.to_owned(),
        _ => "an unnamed table".to_owned(),
    }
}

/// 42501: the object stands in the server's message only, so the GRANT is made from there.
fn denied(whose: &Whose, db: &DbError) -> Error {
    let role = super::quote::ident(&whose.role);
    let message = db.message();
    let what = message.strip_prefix("permission denied for ").unwrap_or(message).to_owned();
    let object = what.split_once(' ').map(|(kind, name)| (kind, name.trim_matches('"')));
    let name = |n: &str| super::quote::ident(n);
    let grant = match object {
        Some(("table" | "view", t)) => {
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role}", name(t))
        }
        Some(("sequence", s)) => format!("GRANT USAGE, SELECT, UPDATE ON SEQUENCE {} TO {role}", name(s)),
        Some(("schema", s)) => format!("GRANT USAGE ON SCHEMA {} TO {role}", name(s)),
        Some(("database", d)) => {
            format!("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {} TO {role}", name(d))
        }
        Some(("function", f)) => format!("GRANT EXECUTE ON FUNCTION {} TO {role}", name(f)),
        _ if message.contains("row-level security") => format!("ALTER ROLE {role} BYPASSRLS"),
        _ if message.starts_with("must be owner of") => {
            format!("GRANT <the owner of what is named> TO {role}")
        }
        _ => format!("GRANT pg_monitor TO {role}"),
    };
    Error::Denied { store: whose.store.0.clone(), what, grant }
}

/// Did the connection break (or never come about)?
fn lost(error: &tokio_postgres::Error) -> bool {
    let io = error.source().is_some_and(|s| s.downcast_ref::<std::io::Error>().is_some());
    let text = error.to_string();
    error.is_closed()
        || io
        || ["error connecting", "error communicating", "timeout waiting", "error performing TLS", "no server"]
            .iter()
            .any(|t| text.starts_with(t))
}

/// An error with its causes. Conversion errors name types and columns, never values.
fn chain(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(c) = cause {
        let words = c.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = c.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::users_function;

    #[test]
    fn a_users_function_is_known_by_the_context() {
        let context = "SQL statement \"insert into audit_log(what) values ('secret')\"\n\
            PL/pgSQL function public.log_user() line 1 at SQL statement\nCOPY user, line 1";
        assert_eq!(users_function(context).as_deref(), Some("public.log_user()"));
        let ours = "PL/pgSQL function domicile.g_1() line 3 at RAISE";
        assert_eq!(users_function(ours), None);
        assert_eq!(users_function("SQL function \"twice\" statement 1").as_deref(), Some("twice"));
        assert_eq!(users_function("COPY customer, line 1, column id: \"x\""), None);
    }
}
