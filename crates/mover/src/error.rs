//! What can end a wave, a batch or a plan, named by who must act.

use domicile_stores as stores;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the mover stopped. Words are made here once; the command adds the state and the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A region's store.
    #[error("region {region}: {source}")]
    Region {
        /// The region.
        region: String,
        /// What it said.
        source: stores::Error,
    },
    /// The directory or its control store.
    #[error("directory: {0}")]
    Directory(#[from] domicile_directory::Error),
    /// The plan no longer describes the world.
    #[error("the plan is stale: {0}")]
    Stale(String),
    /// Preflight found reasons not to start; nothing was moved.
    #[error("preflight found {} reason(s) not to start:\n  {}", .0.len(), .0.join("\n  "))]
    Preflight(Vec<String>),
    /// Source and target differ where they must be equal.
    #[error("source and target differ: {0}")]
    Differs(String),
    /// A mapped table, its columns, triggers or partitions changed while a wave was open.
    #[error("the schema changed in the middle of the wave: {0}")]
    SchemaChanged(String),
    /// Stopped on request before a fence; `resume` goes on.
    #[error("stopped on request")]
    Stopped,
    /// Stopped before a fence, since somebody asked for the wave's abort; `abort` or `resume` ends it.
    #[error("stopped: the abort of wave {wave} was asked for")]
    AbortAsked {
        /// The wave.
        wave: String,
    },
    /// Another worker drives the wave by now: this one stood still for longer than its turn lasts.
    #[error("another worker has taken over wave {wave}: this one stood still for longer than its turn lasts")]
    TurnLost {
        /// The wave.
        wave: String,
    },
    /// Another worker has the batch by now. Never a wave's end: whoever meets it goes on with others.
    #[error("another worker has taken over batch {batch}")]
    TakenOver {
        /// The batch.
        batch: String,
    },
    /// Paused, and a worker that has other waves does not wait.
    #[error("wave {wave} is paused")]
    Paused {
        /// The wave.
        wave: String,
    },
    /// The wave can't do what was asked in the state it is in.
    #[error("wave {wave}: {why}")]
    Wave {
        /// The wave.
        wave: String,
        /// What is in the way.
        why: String,
    },
    /// An erase that was done as far as it may be: old copies are kept.
    #[error("wave {wave}: {why}")]
    Kept {
        /// The wave.
        wave: String,
        /// How many, where, and why.
        why: String,
        /// Some may be the last ones: their home does not know their subjects.
        last: bool,
    },
    /// The guard at a region is absent: nothing there can be shut.
    #[error("region {region}: the guard is not installed")]
    NoGuard {
        /// The region.
        region: String,
    },
    /// The configuration names something that isn't there.
    #[error("{0}")]
    Setting(String),
    /// Receipts could not be written, signed or read.
    #[error("receipts: {0}")]
    Evidence(String),
}

/// Says which region an error comes from.
pub(crate) trait At<T> {
    fn at(self, region: &crate::Region) -> Result<T>;
}

impl<T> At<T> for stores::Result<T> {
    fn at(self, region: &crate::Region) -> Result<T> {
        self.map_err(|source| Error::Region { region: region.id.clone(), source })
    }
}

impl Error {
    /// Nothing was done and the same step may succeed later.
    pub fn is_again(&self) -> bool {
        matches!(self, Error::Region { source, .. } if source.is_again())
    }

    /// The world may be better in a moment: a connection broke, or somebody was in the way.
    pub fn may_pass(&self) -> bool {
        match self {
            Error::Region { source, .. } => source.is_again() || source.is_unreachable(),
            Error::Directory(error) => error.is_again() || error.is_unreachable(),
            _ => false,
        }
    }

    /// Why a step is tried again, as a code.
    pub(crate) fn again_code(&self) -> &'static str {
        match self {
            Error::Directory(_) => "control-store",
            error if error.is_lease_lost() => "lease-lost",
            error if error.in_the_way().is_some() => "in-the-way",
            Error::Region { source, .. } if source.is_unreachable() => "unreachable",
            _ => "busy",
        }
    }

    /// A region's lease on the batch was taken over.
    pub(crate) fn is_lease_lost(&self) -> bool {
        matches!(self, Error::Region { source: stores::Error::LeaseLost { .. }, .. })
    }

    /// A row at the target can't go, since others refer to it.
    pub(crate) fn is_referred(&self) -> bool {
        matches!(self, Error::Region { source: stores::Error::Referred { .. }, .. })
    }

    /// A row at the target is in the way: a unique value is taken, or a row is still referred to. The
    /// constraint's table and name.
    pub fn in_the_way(&self) -> Option<(&str, &str)> {
        match self {
            Error::Region {
                source:
                    stores::Error::Taken { table, constraint, .. }
                    | stores::Error::Referred { table, constraint, .. },
                ..
            } => Some((table, constraint)),
            _ => None,
        }
    }
}
