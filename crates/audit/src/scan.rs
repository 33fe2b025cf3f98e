//! One run of bytes, searched as it comes: tokens are looked up, never patterns searched.
//!
//! Bytes are searched in blocks, together with some before and after: a hit counts in the block in which it begins, so what stands
//! across a border is found once, and how the bytes were cut when they came changes nothing. Of a long run, many blocks are
//! searched at once, on all cores, and told in their order.

use crate::level::Level;
use crate::search::{Packed, Raw, Search};
use crate::{Encoding, Hit, Wanted};
use std::collections::VecDeque;
use std::ops::Range;
use std::panic::resume_unwind;

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

/// From so many bytes on, a run is searched by all cores.
const TOGETHER_FROM_BYTES: u64 = 32 << 20;
/// Blocks that are searched together then.
const TOGETHER_BLOCKS: usize = 32;
/// Threads that search one run, at most.
const THREADS_MAX: usize = 4;

/// The search through one run of bytes, in chunks of any size.
#[derive(Debug)]
pub struct Scan<'w> {
    /// One for each thread; only the first until the run is long.
    searches: Vec<Search<'w>>,
    block_bytes: usize,
    together_from_bytes: u64,
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
        Self::with_block(wanted, BLOCK_BYTES, TOGETHER_FROM_BYTES)
    }

    /// A search on the caller's thread alone, however long the run is.
    pub fn alone(wanted: &'w Wanted) -> Self {
        Self::with_block(wanted, BLOCK_BYTES, u64::MAX)
    }

    fn with_block(wanted: &'w Wanted, block_bytes: usize, together_from_bytes: u64) -> Self {
        Self {
            searches: vec![Search::new(wanted)],
            block_bytes,
            together_from_bytes,
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
            let long = self.offset >= self.together_from_bytes;
            let blocks = if long { TOGETHER_BLOCKS } else { 1 };
            let full = self.searched + blocks * self.block_bytes + REACH_BYTES;
            let (now, later) = chunk.split_at(full.saturating_sub(self.held.len()).clamp(1, chunk.len()));
            self.held.extend_from_slice(now);
            chunk = later;
            if self.held.len() >= full {
                self.blocks(self.held.len() - REACH_BYTES, found);
                let forget = self.searched.saturating_sub(REACH_BYTES);
                self.held.drain(..forget);
                self.searched -= forget;
                self.offset += forget as u64;
            }
        }
    }

    /// Searches what was held back for the next chunk: there is none.
    pub fn end(&mut self, found: &mut dyn Found) {
        self.blocks(self.held.len(), found);
        self.offset += self.held.len() as u64;
        self.held.clear();
        self.searched = 0;
        self.recent.clear();
    }

    /// Searches what was not searched yet and stands before `until`, block by block, and tells it in its order.
    fn blocks(&mut self, until: usize, found: &mut dyn Found) {
        let starts = (self.searched..until).step_by(self.block_bytes);
        let parts: Vec<_> = starts.map(|from| from..until.min(from + self.block_bytes)).collect();
        let (held, offset) = (&self.held[..], self.offset);
        let searched: Vec<Block> = if parts.len() < 2 {
            parts.into_iter().map(|part| Block::search(&mut self.searches[0], held, offset, part)).collect()
        } else {
            let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
            let wanted = self.searches[0].wanted;
            self.searches.resize_with(threads, || Search::new(wanted));
            together(&mut self.searches, &parts, |search, part| Block::search(search, held, offset, part))
        };
        for block in searched {
            block.hits.into_iter().for_each(|hit| self.tell(hit, found));
            for stream in block.packed {
                found.inner(self.offset + stream.at.start as u64, stream.how, &stream.bytes);
            }
        }
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

/// What begins in one block, in its order; places are those in what is held.
struct Block {
    hits: Vec<Raw>,
    packed: Vec<Packed>,
}

impl Block {
    /// Searches a part of what is held, which begins at `offset`, with what stands before and after it.
    fn search(search: &mut Search, held: &[u8], offset: u64, part: Range<usize>) -> Self {
        let from = part.start.saturating_sub(REACH_BYTES);
        let until = held.len().min(part.end + REACH_BYTES);
        search.odd = (offset + from as u64) % 2 == 1;
        search.level(&Level::read(&held[from..until]));
        let mut hits = std::mem::take(&mut search.hits);
        let mut packed = std::mem::take(&mut search.packed);
        let shift = |at: &mut Range<usize>| {
            *at = at.start + from..at.end + from;
            part.contains(&at.start)
        };
        hits.retain_mut(|hit| shift(&mut hit.at));
        hits.sort_by(|a, b| order(a).cmp(&order(b)));
        packed.retain_mut(|stream| shift(&mut stream.at));
        packed.sort_by_key(|stream| (stream.at.start, stream.at.end));
        packed.dedup_by(|a, b| a.at == b.at);
        Self { hits, packed }
    }
}

/// Does something with each part, on a thread for each search; the results in their order.
fn together<'w, T: Send>(
    searches: &mut [Search<'w>],
    parts: &[Range<usize>],
    each: impl Fn(&mut Search<'w>, Range<usize>) -> T + Sync,
) -> Vec<T> {
    let share = parts.len().div_ceil(searches.len());
    let some = |search: &mut Search<'w>, parts: &[Range<usize>]| -> Vec<T> {
        parts.iter().map(|part| each(search, part.clone())).collect()
    };
    std::thread::scope(|scope| {
        let shares: Vec<_> = searches
            .iter_mut()
            .zip(parts.chunks(share))
            .map(|(search, parts)| scope.spawn(|| some(search, parts)))
            .collect();
        let results =
            shares.into_iter().map(|share| share.join().unwrap_or_else(|panic| resume_unwind(panic)));
        results.flatten().collect()
    })
}

/// By where they begin, the longer first, then the one decoded less.
fn order(hit: &Raw) -> (usize, std::cmp::Reverse<usize>, u32, usize, &[Encoding]) {
    (hit.at.start, std::cmp::Reverse(hit.at.end), hit.identifier, hit.how.len(), &hit.how)
}

#[cfg(test)]
mod tests;
