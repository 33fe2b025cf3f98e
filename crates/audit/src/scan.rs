//! One run of bytes, searched as it comes: tokens are looked up, never patterns searched.
//!
//! Bytes are searched in blocks, together with some before and after: a hit counts in the block in which it begins, so what stands
//! across a border is found once, and how the bytes were cut when they came changes nothing.

use crate::level::Level;
use crate::search::{Raw, Search};
use crate::{Encoding, Hit, Wanted};
use std::collections::VecDeque;
use std::ops::Range;

/// Hears what a scan finds.
pub trait Found {
    /// An identifier.
    fn hit(&mut self, hit: Hit);
    /// Decoded bytes that begin like a container (gzip, zlib, zstd), to be opened by who can.
    fn inner(&mut self, at: u64, how: Encoding, bytes: &[u8]);
}

/// Bytes searched at once: they stay in the second level of a core's cache together with what is made of them.
const BLOCK_BYTES: usize = 128 << 10;
/// Bytes known before and after each place where a hit may begin. The longest identifier, every character escaped as in JSON
/// and that as base64, has 2 048.
pub(crate) const REACH_BYTES: usize = 4 << 10;

/// The search through one run of bytes, in chunks of any size.
#[derive(Debug)]
pub struct Scan<'w> {
    search: Search<'w>,
    block_bytes: usize,
    /// Bytes not yet searched, and some before them.
    held: Vec<u8>,
    /// Where `held` begins.
    offset: u64,
    /// How many of `held` were searched.
    searched: usize,
    /// Hits that others may stand within.
    recent: VecDeque<(Range<u64>, u32)>,
}

impl<'w> Scan<'w> {
    /// A search that has read nothing yet.
    pub fn new(wanted: &'w Wanted) -> Self {
        Self::with_block(wanted, BLOCK_BYTES)
    }

    fn with_block(wanted: &'w Wanted, block_bytes: usize) -> Self {
        Self {
            search: Search::new(wanted),
            block_bytes,
            held: Vec::new(),
            offset: 0,
            searched: 0,
            recent: VecDeque::new(),
        }
    }

    /// Searches the next chunk; what stands across its border is found with the chunk that completes it.
    pub fn feed(&mut self, chunk: &[u8], found: &mut dyn Found) {
        let mut chunk = chunk;
        while !chunk.is_empty() {
            let room =
                (self.searched + self.block_bytes + REACH_BYTES).saturating_sub(self.held.len()).max(1);
            let (now, later) = chunk.split_at(room.min(chunk.len()));
            self.held.extend_from_slice(now);
            chunk = later;
            if self.held.len() >= self.searched + self.block_bytes + REACH_BYTES {
                let until = self.held.len() - REACH_BYTES;
                self.block(until, found);
                let forget = self.searched.saturating_sub(REACH_BYTES);
                self.held.drain(..forget);
                self.searched -= forget;
                self.offset += forget as u64;
            }
        }
    }

    /// Searches what was held back for the next chunk: there is none.
    pub fn end(&mut self, found: &mut dyn Found) {
        self.block(self.held.len(), found);
        self.offset += self.held.len() as u64;
        self.held.clear();
        self.searched = 0;
        self.recent.clear();
    }

    /// Searches all that is held, and tells the hits that begin in the part not searched yet and before `until`.
    fn block(&mut self, until: usize, found: &mut dyn Found) {
        self.search.odd = self.offset % 2 == 1;
        self.search.level(&Level::read(&self.held));
        let part = self.searched..until;
        let mut hits = std::mem::take(&mut self.search.hits);
        hits.retain(|hit| part.contains(&hit.at.start));
        hits.sort_by(|a, b| order(a).cmp(&order(b)));
        for hit in hits.drain(..) {
            self.tell(hit, found);
        }
        self.search.hits = hits;
        self.searched = until;
    }

    /// Tells a hit unless it stands within another one of the same identifier: a number without its country code
    /// stands within the whole one.
    fn tell(&mut self, hit: Raw, found: &mut dyn Found) {
        let at = self.offset + hit.at.start as u64..self.offset + hit.at.end as u64;
        while self.recent.front().is_some_and(|(earlier, _)| earlier.end <= at.start) {
            self.recent.pop_front();
        }
        let within = |(earlier, identifier): &(Range<u64>, u32)| {
            *identifier == hit.identifier && earlier.start <= at.start && at.end <= earlier.end
        };
        if !self.recent.iter().any(within) {
            self.recent.push_back((at.clone(), hit.identifier));
            found.hit(Hit { identifier: hit.identifier, at, how: hit.how });
        }
    }
}

/// By where they begin, the longer first, then the one decoded less.
fn order(hit: &Raw) -> (usize, std::cmp::Reverse<usize>, u32, usize, &[Encoding]) {
    (hit.at.start, std::cmp::Reverse(hit.at.end), hit.identifier, hit.how.len(), &hit.how)
}

#[cfg(test)]
mod tests;
