//! One run of bytes, searched as it comes: tokens are looked up, never patterns searched.

use crate::{Encoding, Hit, Wanted};

/// Hears what a scan finds.
pub trait Found {
    /// An identifier.
    fn hit(&mut self, hit: Hit);
    /// Decoded bytes that begin like a container (gzip, zlib, zstd), to be opened by who can.
    fn inner(&mut self, at: u64, how: Encoding, bytes: &[u8]);
}

/// The search through one run of bytes, in chunks of any size.
#[derive(Debug)]
pub struct Scan<'w> {
    wanted: &'w Wanted,
    read_bytes: u64,
}

impl<'w> Scan<'w> {
    /// A search that has read nothing yet.
    pub fn new(wanted: &'w Wanted) -> Self {
        Self { wanted, read_bytes: 0 }
    }

    /// Searches the next chunk; what stands across its border is found with the chunk that completes it.
    pub fn feed(&mut self, chunk: &[u8], _found: &mut dyn Found) {
        let _ = self.wanted;
        self.read_bytes += chunk.len() as u64;
    }

    /// Searches what was held back for the next chunk: there is none.
    pub fn end(&mut self, _found: &mut dyn Found) {}
}
