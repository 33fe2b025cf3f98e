//! Errors of the directory, named by what the caller can do about them.

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the directory could not do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The control store failed. `Unreachable` from [`crate::Directory::cutover`] must be settled.
    #[error(transparent)]
    Store(#[from] domicile_stores::Error),
    /// The directory's key can't be read or made.
    #[error("directory key: {0}")]
    Key(String),
    /// The control store was filled under another key: every subject would look unknown.
    #[error("{store} was filled under another directory key")]
    OtherKey {
        /// The control store.
        store: String,
    },
    /// The control store has no directory yet: [`crate::Directory::migrate`] makes one.
    #[error("{store} holds no directory yet")]
    Absent {
        /// The control store.
        store: String,
    },
    /// A newer program has changed the directory's tables.
    #[error("{store} holds a directory of version {found}; this program knows {known}")]
    TooNew {
        /// The control store.
        store: String,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// An argument can't be.
    #[error("{0}")]
    Argument(String),
    /// A subject is neither where the swap would leave it nor where it began: somebody else moved or
    /// removed it. Never under a batch's own lease. `count` subjects of `service`.
    #[error("service `{service}`: {count} subject(s) were moved or removed by somebody else")]
    Elsewhere {
        /// The service.
        service: String,
        /// How many subjects.
        count: usize,
    },
    /// The subject has no home, so a claim would be nobody's.
    #[error("service `{service}`: the subject has no home in the directory")]
    Homeless {
        /// The service.
        service: String,
    },
    /// No such wave.
    #[error("there is no wave `{wave}`")]
    UnknownWave {
        /// The wave.
        wave: String,
    },
    /// Somebody else works on the wave.
    #[error("wave `{wave}` is held by {holder} for another {left_ms} ms unless renewed")]
    Held {
        /// The wave.
        wave: String,
        /// Who, in its own words.
        holder: String,
        /// Milliseconds until the lease ends.
        left_ms: i64,
    },
    /// Our lease on the wave ended and somebody else took it, or it was given back.
    #[error("the lease on wave `{wave}` was lost")]
    LeaseLost {
        /// The wave.
        wave: String,
    },
    /// Our lease on the batch ended and somebody else took it, or it was given back.
    #[error("the lease on batch `{batch}` was lost")]
    BatchLost {
        /// The batch.
        batch: String,
    },
    /// The wave isn't in a state from which it may go there.
    #[error("wave `{wave}` is {is} and cannot become {to}")]
    WrongState {
        /// The wave.
        wave: String,
        /// Its state.
        is: crate::WaveState,
        /// The state asked for.
        to: crate::WaveState,
    },
    /// A row of the control store can't be understood.
    #[error("{store}: {what}")]
    Corrupt {
        /// The control store.
        store: String,
        /// What.
        what: String,
    },
}

impl Error {
    /// Nothing was done and the same call may succeed later.
    pub fn is_again(&self) -> bool {
        matches!(self, Error::Store(e) if e.is_again())
    }

    /// Whether it was done is unknown, and it may still be done later.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Store(e) if e.is_unreachable())
    }
}
