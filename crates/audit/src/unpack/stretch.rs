//! One run of bytes on its way past: what was consumed goes to the search, what comes is looked through for containers.

use super::{Inner, Opener, Search, Spot, magic, open};
use crate::{Gap, Step};
use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

/// Read at once from the source.
const CHUNK_BYTES: usize = 256 << 10;
/// Read first: most values of a database are shorter.
const CHUNK_BYTES_MIN: usize = 4 << 10;
/// The scan holds back less than this.
const TEXTS_BYTES_MAX: u64 = 1 << 20;
/// A container that broke is gone back behind for at most so much.
const REWIND_BYTES_MAX: u64 = 256 << 10;

/// A run: bytes of it that are in memory, which of them were searched, and the position.
// INVARIANT: start <= searched <= pos <= start + held.len(), but for bytes that a rewind put before `pos` again:
// those are searched once only, so `searched` may be beyond `pos`.
pub(crate) struct Stretch<'a, 's, S: Search> {
    opener: &'a Opener<'s, S>,
    depth: usize,
    spot: &'a Spot,
    source: &'a mut dyn Read,
    held: Vec<u8>,
    start: u64,
    pos: u64,
    searched: u64,
    marked: Option<u64>,
    ended: bool,
    failed: Option<io::Error>,
    run: Option<S::Run>,
    deep_said: bool,
    /// Where containers written as text were opened lately: the scan that decodes them too need not hand them on.
    texts: BTreeSet<u64>,
    /// Where the zip that the last member was of begins, and where its next member would stand.
    pub(super) zip: Option<(u64, u64)>,
}

impl<'a, 's, S: Search> Stretch<'a, 's, S> {
    pub(super) fn new(
        opener: &'a Opener<'s, S>,
        depth: usize,
        spot: &'a Spot,
        source: &'a mut dyn Read,
    ) -> Self {
        Self {
            opener,
            depth,
            spot,
            source,
            held: Vec::new(),
            start: 0,
            pos: 0,
            searched: 0,
            marked: None,
            ended: false,
            failed: None,
            run: None,
            deep_said: false,
            texts: BTreeSet::new(),
            zip: None,
        }
    }

    /// A run whose own bytes are searched elsewhere.
    pub(super) fn of_searched(
        opener: &'a Opener<'s, S>,
        depth: usize,
        spot: &'a Spot,
        source: &'a mut dyn Read,
    ) -> Self {
        Self { searched: u64::MAX, ..Self::new(opener, depth, spot, source) }
    }

    pub(crate) fn opener(&self) -> &'a Opener<'s, S> {
        self.opener
    }

    pub(crate) fn spot(&self) -> &'a Spot {
        self.spot
    }

    /// How deep what is inside of it lies.
    pub(crate) fn depth_inside(&self) -> usize {
        self.depth + 1
    }

    /// Bytes from the start of the run.
    pub(crate) fn pos(&self) -> u64 {
        self.pos
    }

    /// The spot of what begins here.
    pub(super) fn spot_inside(&self, step: Step) -> Spot {
        self.spot.inside(self.pos, step)
    }

    /// Notes that something at this place is not seen.
    pub(crate) fn unseen(&self, gap: Gap, why: String) {
        self.opener.unseen(self.spot.at(self.pos), gap, why);
    }

    /// Notes that a container written as text begins here.
    pub(super) fn text_opened(&mut self) {
        self.texts = self.texts.split_off(&self.searched.saturating_sub(TEXTS_BYTES_MAX));
        self.texts.insert(self.pos);
    }

    /// Whether what is inside would be too deep; said once a run.
    pub(super) fn too_deep(&mut self) -> bool {
        let deep = self.depth >= self.opener.limits.depth_max;
        if deep && !self.deep_said {
            self.deep_said = true;
            self.unseen(
                Gap::Limit,
                format!("a container lies more than {} deep in others", self.opener.limits.depth_max),
            );
        }
        deep
    }

    /// Bytes from the position on that are in memory.
    pub(crate) fn ahead(&self) -> &[u8] {
        &self.held[(self.pos - self.start) as usize..]
    }

    /// The next `bytes` of the run without consuming them; fewer only at its end.
    pub(crate) fn peek(&mut self, bytes: usize) -> &[u8] {
        while self.ahead().len() < bytes && self.fill() {}
        let ahead = self.ahead();
        &ahead[..bytes.min(ahead.len())]
    }

    /// Consumes bytes that are in memory; they are searched as they stand.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.pos = (self.pos + bytes as u64).min(self.start + self.held.len() as u64);
        if self.pos.saturating_sub(self.searched) >= CHUNK_BYTES as u64 {
            self.search_consumed();
        }
    }

    /// Consumes bytes wherever they are; they are searched as they stand. How many there were.
    pub(crate) fn skip(&mut self, bytes: u64) -> u64 {
        let from = self.pos;
        while self.pos - from < bytes {
            let ahead = self.peek(1).len().max(self.ahead().len());
            if ahead == 0 {
                break;
            }
            let left = usize::try_from(bytes - (self.pos - from)).unwrap_or(usize::MAX);
            self.advance(ahead.min(left));
        }
        self.pos - from
    }

    /// Consumes bytes that are in memory and are searched elsewhere, as a run of their own.
    pub(crate) fn pass_over(&mut self, bytes: usize) {
        self.search_consumed();
        if let Some(run) = self.run.take() {
            let inners = self.opener.search(|search| search.end(run, self.spot));
            self.open_inners(inners);
        }
        self.pos = (self.pos + bytes as u64).min(self.start + self.held.len() as u64);
        self.searched = self.searched.max(self.pos);
    }

    /// Remembers the position for [`Self::rewind`].
    pub(super) fn mark(&mut self) {
        self.marked = Some(self.pos);
    }

    /// Forgets it.
    pub(super) fn unmark(&mut self) {
        self.marked = None;
    }

    /// Goes back to the mark, if it is not too far behind.
    pub(super) fn rewind(&mut self) {
        if let Some(marked) = self.marked.take() {
            self.pos = marked;
        }
    }

    /// Goes on to the next container that may begin anywhere; None at the end of the run.
    pub(super) fn find(&mut self) -> Option<magic::Inside> {
        loop {
            match magic::find(self.ahead()) {
                Some((at, inside)) => {
                    self.advance(at);
                    if magic::plausible(inside, self.peek(magic::HEADER_BYTES)) {
                        return Some(inside);
                    }
                    self.advance(1);
                }
                None => {
                    let safe = self.ahead().len().saturating_sub(magic::OVERLAP_BYTES);
                    self.advance(safe);
                    if !self.fill() {
                        self.advance(usize::MAX >> 1);
                        return None;
                    }
                }
            }
        }
    }

    /// Searches what is left to be searched; the error is the source's.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.search_consumed();
        if let Some(run) = self.run.take() {
            let inners = self.opener.search(|search| search.end(run, self.spot));
            self.open_inners(inners);
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// The source's error, if it has ended by one.
    pub(crate) fn source_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Reads on; false at the end.
    fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.forget();
        let held = self.held.len();
        // A small value costs a small read.
        let so_far = usize::try_from(self.start + held as u64).unwrap_or(usize::MAX);
        let chunk = so_far.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES);
        self.held.resize(held + chunk, 0);
        let read = loop {
            match self.source.read(&mut self.held[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failed = Some(error);
                    break 0;
                }
                Ok(read) => break read,
            }
        };
        self.held.truncate(held + read);
        self.ended = read == 0;
        if self.depth == 0 {
            self.opener.count_read(read);
        }
        read > 0
    }

    /// Drops from memory what was searched and is not gone back to.
    fn forget(&mut self) {
        self.search_consumed();
        if self.marked.is_some_and(|marked| self.pos - marked > REWIND_BYTES_MAX) {
            self.marked = None;
        }
        let keep_from = self.marked.unwrap_or(self.pos).min(self.pos);
        self.held.drain(..(keep_from - self.start) as usize);
        self.start = keep_from;
    }

    fn search_consumed(&mut self) {
        if self.pos <= self.searched {
            return;
        }
        let bytes = &self.held[(self.searched - self.start) as usize..(self.pos - self.start) as usize];
        let from = self.searched;
        let inners = self.opener.search(|search| {
            let run = self.run.get_or_insert_with(|| search.begin(from));
            search.feed(run, self.spot, bytes)
        });
        self.searched = self.pos;
        self.open_inners(inners);
    }

    fn open_inners(&mut self, inners: Vec<Inner>) {
        for Inner { at, how, bytes } in inners {
            if self.texts.contains(&at) {
                continue;
            }
            if self.too_deep() {
                return;
            }
            let spot = self.spot.inside(at, Step::Unpacked(magic::name(how)));
            // Bytes in memory can't fail to be read.
            let _ = open(self.opener, self.depth_inside(), &spot, &mut &bytes[..]);
        }
    }
}

impl<S: Search> Read for Stretch<'_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let bytes = available.len().min(buffer.len());
        buffer[..bytes].copy_from_slice(&available[..bytes]);
        self.advance(bytes);
        Ok(bytes)
    }
}

impl<S: Search> BufRead for Stretch<'_, '_, S> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead().is_empty() {
            self.fill();
        }
        Ok(self.ahead())
    }

    fn consume(&mut self, bytes: usize) {
        self.advance(bytes);
    }
}

/// The next bytes of a stretch as a run of their own: the stretch does not search them too.
pub(crate) struct Portion<'b, 'a, 's, S: Search> {
    pub(crate) stretch: &'b mut Stretch<'a, 's, S>,
    pub(crate) left_bytes: u64,
}

impl<S: Search> Read for Portion<'_, '_, '_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let available = self.stretch.fill_buf()?;
        let bytes = available.len().min(wanted);
        buffer[..bytes].copy_from_slice(&available[..bytes]);
        self.stretch.pass_over(bytes);
        self.left_bytes -= bytes as u64;
        Ok(bytes)
    }
}
