//! Errors of stores, named by what the caller can do about them.

use std::fmt;
use std::time::Duration;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a store could not do. Holds data, never a value of a user's row: a constraint is named, the
/// value that broke it is not.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store can't be reached, or the connection broke. Whether the last statement was done is unknown.
    #[error("{store} cannot be reached: {why}")]
    Unreachable {
        /// Which store, without its password.
        store: String,
        /// The reason in the driver's words.
        why: String,
    },
    /// A privilege is missing; `grant` is the statement that gives it.
    #[error("{store}: permission denied for {what}")]
    Denied {
        /// Which store.
        store: String,
        /// The object and the privilege.
        what: String,
        /// A GRANT to paste.
        grant: String,
    },
    /// The lease token read at the start of the transaction is no longer ours: somebody took over.
    #[error("lease on batch `{batch}` was taken over")]
    LeaseLost {
        /// The batch.
        batch: String,
    },
    /// Somebody else changed the same thing first (40001, 40P01, SQLITE_BUSY, statement timeout): nothing was done, try again.
    #[error("{store}: {what} has to be tried again: {why}")]
    Again {
        /// Which store.
        store: String,
        /// What was tried.
        what: String,
        /// The engine's words.
        why: String,
    },
    /// A unique or primary key is taken at the target.
    #[error("{store}: a row of {table} breaks unique constraint `{constraint}`")]
    Taken {
        /// Which store.
        store: String,
        /// The table.
        table: String,
        /// The constraint.
        constraint: String,
    },
    /// A row that would go is still referred to, or a row that comes refers to none (23503): the other
    /// side's order of changes is needed, see [`Writing::delete`](crate::Writing::delete).
    #[error("{store}: foreign key `{constraint}` of {table} does not hold")]
    Referred {
        /// Which store.
        store: String,
        /// The table the constraint stands on.
        table: String,
        /// The foreign key.
        constraint: String,
    },
    /// The store has no space left.
    #[error("{store} is full")]
    Full {
        /// Which store.
        store: String,
    },
    /// Standbys named in the store's settings have not flushed what was committed: whoever waits for
    /// them must not go on, since a fail-over could forget it.
    #[error("{store}: waited {waited:?} in vain for standby {}", .standbys.join(", "))]
    Behind {
        /// Which store.
        store: String,
        /// Those that are behind or gone.
        standbys: Vec<String>,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The guard refused (RS001 or RS002).
    #[error("{store}: {code}: {message}")]
    Refused {
        /// Which store.
        store: String,
        /// `RS001` or `RS002`.
        code: String,
        /// The guard's words.
        message: String,
    },
    /// The schema is not what the data map or the other region says.
    #[error("{store}: {what}")]
    Schema {
        /// Which store.
        store: String,
        /// What differs, a line each.
        what: String,
    },
    /// A function of the user's own, a trigger's most likely, failed inside a statement of ours.
    #[error("{store}: {what}: the user's function {function} failed: {why}")]
    Function {
        /// Which store.
        store: String,
        /// What was tried; names the table.
        what: String,
        /// The function with its schema and argument types, as the server prints it.
        function: Box<str>,
        /// The engine's words.
        why: Box<str>,
        /// It found no table, function or type of a name without a schema: our sessions pin search_path.
        unresolved: bool,
    },
    /// The server knows the user not, or refused the password (28P01, 28000).
    #[error("{store}: {why}")]
    Login {
        /// Which store.
        store: String,
        /// The server's words.
        why: String,
    },
    /// An object isn't there.
    #[error("{store}: object `{key}` does not exist")]
    NotFound {
        /// Which store.
        store: String,
        /// The key.
        key: String,
    },
    /// An object changed while it was read or copied.
    #[error("{store}: object `{key}` changed while it was copied")]
    Changed {
        /// Which store.
        store: String,
        /// The key.
        key: String,
    },
    /// The URL or another setting can't work.
    #[error("{what}")]
    Setting {
        /// What is wrong, and where.
        what: String,
    },
    /// Anything else, in the engine's words.
    #[error("{store}: {what}: {why}")]
    Failed {
        /// Which store.
        store: String,
        /// What was tried.
        what: String,
        /// The engine's words.
        why: String,
    },
}

impl Error {
    /// Nothing was done and the same call may succeed later.
    pub fn is_again(&self) -> bool {
        matches!(self, Error::Again { .. })
    }

    /// The connection broke: the outcome of the last statement is unknown.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Unreachable { .. })
    }
}

/// A store's URL with everything secret left out, for messages: `postgres://user@host:5432/db`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreName(pub String);

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
