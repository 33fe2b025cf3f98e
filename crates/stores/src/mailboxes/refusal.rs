//! Why a region's database did not do it.

/// A refusal. Holds no value of a row: neither a mailbox nor what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// RS001: the mailbox moves, is elsewhere, or is not signed up. Nothing was done: look its home up, try there.
    #[error("not writable in this region now")]
    NotWritableHere {
        /// The epoch this region knows of the mailbox, where the engine says it.
        epoch: Option<u64>,
    },
    /// The mailbox's own row is not here, or no more. Nothing was done.
    #[error("no such mailbox in this region")]
    NotHere,
    /// RS002: policy forbids it. Nothing was done.
    #[error("policy forbids it")]
    Forbidden,
    /// Such a row is there already. Nothing was done.
    #[error("taken")]
    Taken,
    /// The mailbox is another device's, or nobody's, by now; or the device agreed to something else. Nothing was done: who asks is
    /// told why where it asks again.
    #[error("changed in between")]
    Changed,
    /// Another transaction was in the way, or a limit of time. Nothing was done, and the same may succeed now.
    #[error("to be tried again: {0}")]
    Again(String),
    /// The connection broke: it was done or not.
    #[error("unknown whether it was done: {0}")]
    Unknown(String),
    /// Anything else; a code, never a value. Nothing was done.
    #[error("the database failed: {0}")]
    Broken(String),
}

impl Refusal {
    /// Is it about one mailbox's row, so that others of the same batch may pass?
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self, Self::NotWritableHere { .. } | Self::NotHere | Self::Forbidden | Self::Taken)
    }

    /// Is the mailbox not writable here, so that its home has to be looked up?
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::NotWritableHere { .. } | Self::NotHere)
    }
}
