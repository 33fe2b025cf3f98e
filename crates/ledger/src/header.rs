//! The first line of every receipts file: what is signed.

use crate::{Digest, Pause, Totals, VerifyingKey, WaveRecord};
use serde::{Deserialize, Serialize};

/// The format's name, first in every file.
pub const FORMAT: &str = "domicile-receipts";
/// The format's version, next to it.
pub const VERSION: u32 = 1;

/// The signed line. Written by [`crate::ReceiptWriter`], read by [`crate::verify()`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// What the mover says.
    pub wave: WaveRecord,
    /// Sums over the lines.
    pub totals: Totals,
    /// Pauses; `None`: no subject had one.
    pub pause: Option<Pause>,
    /// The Merkle tree over the lines.
    pub subjects: TreeHead,
    /// The place of the transparency log; nothing yet, always `null`.
    pub log: (),
    /// Whose signatures end the file, in this order. Named inside what is signed, so that no
    /// signature can be taken away, exchanged or added.
    pub signers: Signers,
}

/// Size and root of a Merkle tree over the subject lines (each without its `\n`), RFC 9162.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeHead {
    /// How many lines.
    pub size: u64,
    /// The root.
    pub root: Digest,
}

/// The two keys that sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signers {
    /// The source region's.
    pub source: VerifyingKey,
    /// The target region's.
    pub target: VerifyingKey,
}

impl Header {
    /// What is wrong with the header by itself, if anything.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.format != FORMAT || self.version != VERSION {
            return Err("another format or version".into());
        }
        self.wave.check()?;
        for (side, key, region) in [
            ("source", &self.signers.source, &self.wave.source.id),
            ("target", &self.signers.target, &self.wave.target.id),
        ] {
            if key.region() != region {
                return Err(format!("the {side} is `{region}`, but its signer is `{}`", key.name()));
            }
        }
        // Both regions sign; one key under two names would only look like it.
        if self.signers.source.to_bytes() == self.signers.target.to_bytes() {
            return Err("source and target sign with the same key".into());
        }
        if self.totals.subjects_moved.checked_add(self.totals.subjects_stayed) != Some(self.subjects.size) {
            return Err("subjects moved and stayed are not all subjects".into());
        }
        Ok(())
    }
}
