//! What can go wrong, by who must act. No message holds a subject's id or key material.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a receipt was not written, extracted or believed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader, the writer or the scratch file failed.
    #[error("can't read or write receipts: {0}")]
    Io(#[from] std::io::Error),
    /// The file is not a receipt, or not as it was signed.
    #[error("line {line}: {what}")]
    Line {
        /// Line number, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The file is whole, but nobody whose key was given has signed it.
    #[error("signed by `{source_key}` and `{target_key}`, and neither key is among those trusted")]
    Untrusted {
        /// The source region's key, as the file names it.
        source_key: String,
        /// The target region's key, as the file names it.
        target_key: String,
    },
    /// A signer bears the name of a trusted key, but its key is another.
    #[error("line {line}: the signer calls itself `{name}`, but its key is not the trusted key of that name")]
    Impostor {
        /// Line number, from 1.
        line: u64,
        /// The name claimed.
        name: String,
    },
    /// A key or secret in text form can't be used. Never says what stood there.
    #[error("the {kind} is not usable: {what}")]
    Key {
        /// `signing key`, `verifying key` or `receipt secret`.
        kind: &'static str,
        /// What is wrong.
        what: &'static str,
    },
    /// What was handed in to be written can't stand on a receipt.
    #[error("this can't stand on a receipt: {what}")]
    Record {
        /// What is wrong.
        what: String,
    },
    /// The subject has no line in this file, or the secret is another one.
    #[error("no line of this file belongs to that subject (with this receipt secret)")]
    NoSuchSubject,
    /// The operating system gave no random bytes.
    #[error("the operating system gives no random bytes: {0}")]
    Entropy(getrandom::Error),
}

impl Error {
    /// A line that is wrong.
    pub(crate) fn line(line: u64, what: impl Into<String>) -> Self {
        Self::Line { line, what: what.into() }
    }

    /// Input that can't be written.
    pub(crate) fn record(what: impl Into<String>) -> Self {
        Self::Record { what: what.into() }
    }
}
