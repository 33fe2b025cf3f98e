//! From SQLite's error codes to what the caller can do about them.

use crate::Error;
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;
use rusqlite::ffi::{
    SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_ROWID,
    SQLITE_CONSTRAINT_UNIQUE,
};

/// What a closure on a blocking thread may fail with: SQLite's own error, or one of ours already.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite's.
    Sql(rusqlite::Error),
    /// Ours; passed on unchanged.
    Store(Error),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Store(error)
    }
}

impl Fault {
    /// The crate's error, with the store's name (also in one of ours that was made without) and what
    /// was tried.
    pub(crate) fn named(self, store: &str, what: &str) -> Error {
        match self {
            Fault::Store(mut error) => {
                if let Error::Schema { store: s, .. }
                | Error::Referred { store: s, .. }
                | Error::Taken { store: s, .. } = &mut error
                    && s.is_empty()
                {
                    store.clone_into(s);
                }
                error
            }
            Fault::Sql(error) => from_sqlite(store, what, error),
        }
    }
}

/// SQLite's messages name tables, columns and constraints but never a value, with one exception: a
/// trigger's own RAISE, which is the guard's (its words name no person) or the user's.
fn from_sqlite(store: &str, what: &str, error: rusqlite::Error) -> Error {
    let store = store.to_owned();
    let (code, why) = match &error {
        rusqlite::Error::SqliteFailure(code, message) => {
            (*code, message.clone().unwrap_or_else(|| code.to_string()))
        }
        other => return Error::Failed { store, what: what.to_owned(), why: other.to_string() },
    };
    if why.starts_with("RS001") || why.starts_with("RS002") {
        let (code, message) = why.split_at(5);
        return Error::Refused {
            store,
            code: code.into(),
            message: message.trim_start_matches([':', ' ']).into(),
        };
    }
    let what = what.to_owned();
    match code.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::SchemaChanged => {
            Error::Again { store, what, why }
        }
        ErrorCode::DiskFull => Error::Full { store },
        ErrorCode::SystemIoFailure if code.extended_code == SQLITE_IOERR_SHMSIZE => Error::Full { store },
        ErrorCode::SystemIoFailure | ErrorCode::CannotOpen => Error::Unreachable { store, why },
        ErrorCode::NotADatabase => Error::Setting { what: format!("{store} is not a SQLite database") },
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            let grant = "let this user write the file and its folder (chmod u+w)".into();
            Error::Denied { store, what, grant }
        }
        ErrorCode::ConstraintViolation
            if matches!(
                code.extended_code,
                SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_ROWID | SQLITE_CONSTRAINT_UNIQUE
            ) =>
        {
            taken(store, &why)
        }
        // SQLite names neither the table nor the key; a commit finds them out, see `writing`.
        ErrorCode::ConstraintViolation if code.extended_code == SQLITE_CONSTRAINT_FOREIGNKEY => {
            Error::Referred {
                store,
                table: "a table".into(),
                constraint: "which one SQLite does not say".into(),
            }
        }
        _ => Error::Failed { store, what, why },
    }
}

/// `UNIQUE constraint failed: users.email, users.shop` or `... failed: index 'users_lower'`.
fn taken(store: String, why: &str) -> Error {
    let detail = why.rsplit_once("failed: ").map_or(why, |(_, detail)| detail);
    match detail.split_once('.') {
        Some((table, _)) if !detail.starts_with("index ") => {
            let prefix = format!("{table}.");
            let columns: Vec<_> =
                detail.split(", ").map(|part| part.strip_prefix(&prefix).unwrap_or(part)).collect();
            Error::Taken {
                store,
                table: format!("main.{table}"),
                constraint: format!("({})", columns.join(", ")),
            }
        }
        _ => Error::Taken {
            store,
            table: "a table".into(),
            constraint: detail.trim_start_matches("index ").trim_matches('\'').into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;

    fn mapped(schema: &str, statement: &str) -> Error {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(schema).unwrap();
        Fault::from(conn.execute_batch(statement).unwrap_err()).named("sqlite:x", "write")
    }

    #[test]
    fn unique_and_primary_keys_are_named_without_values() {
        let schema = "create table users(id integer primary key, shop, email, unique(shop, email));
                      create unique index folded on users(lower(email));
                      insert into users values (1, 'a', 'secret@example')";
        let text = |e: Error| {
            let text = e.to_string();
            assert!(!text.contains("secret"), "{text}");
            text
        };
        let again = mapped(schema, "insert into users values (1, 'b', 'x')");
        assert_eq!(text(again), "sqlite:x: a row of main.users breaks unique constraint `(id)`");
        let both = mapped(schema, "drop index folded; insert into users values (2, 'a', 'secret@example')");
        assert_eq!(text(both), "sqlite:x: a row of main.users breaks unique constraint `(shop, email)`");
        let folded = mapped(schema, "insert into users values (3, 'c', 'SECRET@example')");
        assert_eq!(text(folded), "sqlite:x: a row of a table breaks unique constraint `folded`");
    }

    #[test]
    fn the_guards_words_become_refused() {
        let schema = "create table t(a); create trigger x after insert on t begin
                      select raise(rollback, 'RS001: not writable here now'); end";
        let Error::Refused { code, message, .. } = mapped(schema, "insert into t values (1)") else {
            panic!("not refused")
        };
        assert_eq!((code.as_str(), message.as_str()), ("RS001", "not writable here now"));
    }

    #[test]
    fn a_broken_check_is_only_failed() {
        assert!(matches!(
            mapped("create table t(a check (a > 0))", "insert into t values (-7)"),
            Error::Failed { why, .. } if !why.contains("-7")
        ));
    }

    #[test]
    fn full_is_full() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch("create table t(a); pragma max_page_count = 3").unwrap();
        let error = conn.execute_batch("insert into t values (zeroblob(100000))").unwrap_err();
        assert!(matches!(Fault::from(error).named("s", "w"), Error::Full { .. }));
    }
}
