//! Receipts of moves: written, signed, and verified offline with this crate alone.
//!
//! Pure: bytes in, bytes out. The caller opens files, reads the clock and decides whom to trust.
//!
//! # A wave's receipts file
//!
//! UTF-8 text, every line ends with `\n`:
//!
//! ```text
//! {"format":"domicile-receipts","version":1,"wave":{...},...}     the header, one JSON object
//! {"commitment":"00af...",...}                                    one line a subject, JSON,
//! {"commitment":"3b12...",...}                                    ascending by commitment
//!                                                                 one empty line
//! — beijing <base64>                                              the source region's signature
//! — oregon <base64>                                               the target region's
//! ```
//!
//! The header holds the root of a Merkle tree (RFC 9162, section 2.1) over the subject lines, and the
//! signatures are over the header line with its `\n`. So line 1, the empty line and the signatures are
//! by themselves a [C2SP signed note](https://c2sp.org/signed-note) that other tools can check.
//! Decoding is strict: what does not print again to the same bytes is refused, so there is one
//! spelling of each file and changing any byte of it makes [`verify()`] fail.
//!
//! A **single receipt** ([`extract()`]) has the same header, the subject's own line, one line with the
//! opening of its commitment and its inclusion proof, and the same signatures.
//!
//! # What a reader of the file learns of the subjects
//!
//! Commitments, and per subject the counts, bytes and times; the digests of rows and objects are
//! blinded with the subject's salt, because a plain digest of a short row could be guessed
//! ([`secret`]). Lines are ordered by commitment, so their order says nothing of the ids. Counts and
//! times remain: who already knows that one subject alone has 10 231 rows can find that line.
//!
//! # The log (not built yet)
//!
//! The header's field `log` is always `null` today. It is the place for the origin, index and
//! checkpoint of this header in a C2SP tlog-tiles log with witnesses outside the company; the keys here
//! already have the form (vkey lines) that such a log uses. Until then nobody can show that a wave has
//! only one receipts file, and every receipt says so under "not proven".

mod amend;
mod digest;
mod doubts;
mod erasure;
mod error;
mod extract;
#[doc(hidden)]
pub mod fuzzed;
mod header;
mod keys;
mod lines;
mod manifest;
pub mod merkle;
mod record;
mod residue;
pub mod secret;
mod shown;
mod sorted;
mod subject;
mod summary;
mod totals;
mod verify;
mod write;

pub use amend::with_residue;
pub use digest::Digest;
pub use erasure::{Erasure, Gone, LogicallyErased, Pending, PhysicallyGone};
pub use error::{Error, Result};
pub use extract::extract;
pub use header::{FORMAT, Header, Signers, TreeHead, VERSION};
pub use keys::{SigningKey, VerifyingKey};
pub use manifest::{
    Endpoint, MANIFEST_BYTES_MAX, MANIFEST_DAYS_MAX, MANIFEST_FORMAT, MANIFEST_VERSION, Manifest,
    ManifestError, Seller, Shop, verify_manifest,
};
pub use record::{
    DroppedForeignKey, Law, Location, Policy, Region, Residue, Standbys, StoreNotMoved, TableLeft, Times,
    WaveRecord,
};
pub use residue::{RESIDUE_SEARCHES_MAX, ResidueSearch};
pub use secret::{ReceiptSecret, Salt};
pub use subject::{Objects, Outcome, SubjectMove, SubjectRecord, TableRows};
pub use totals::{Pause, Size, Totals};
pub use verify::{Opening, Role, SignerVerdict, SingleReceipt, Verified, verify, verify_each};
pub use write::{ReceiptWriter, Written};

/// The longest header line read or written, bytes: tables and reasons of a database with thousands of tables.
pub const HEADER_BYTES_MAX: usize = 8 << 20;
/// The longest opening of a single receipt read or written, bytes: a subject's id of a MiB, in escapes.
pub const OPENING_BYTES_MAX: usize = 8 << 20;
/// The longest other line read or written, bytes: a subject with rows in thousands of tables.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// The most subjects in one file.
pub const SUBJECTS_MAX: u64 = 100_000_000;
