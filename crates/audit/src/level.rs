//! Bytes as they were read or decoded, and the way back to where they stand in what was read.

use crate::Encoding;
use std::ops::Range;

/// Bytes, with what they were decoded from.
#[derive(Debug)]
pub(crate) struct Level<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) outer: Option<Outer<'a>>,
    /// Decodings so far.
    pub(crate) depth: usize,
}

/// What bytes were decoded from.
#[derive(Debug)]
pub(crate) struct Outer<'a> {
    pub(crate) level: &'a Level<'a>,
    pub(crate) map: Map<'a>,
    /// None: only line ends were left out.
    pub(crate) how: Option<Encoding>,
}

/// Where a decoded byte stands in what it was decoded from.
#[derive(Debug)]
pub(crate) enum Map<'a> {
    /// Two bytes for one, from here.
    Pairs(usize),
    /// Four characters for three bytes, from here.
    Sextets(usize),
    /// Eight characters for five bytes, from here.
    Quintets(usize),
    /// Each byte at a place of its own, up to the next one's; one place more at the end.
    Places(&'a [u32]),
    /// Each byte is one byte at a place of its own.
    Bytes(&'a [u32]),
}

impl Map<'_> {
    fn outward(&self, at: &Range<usize>) -> Range<usize> {
        match self {
            Self::Pairs(first) => first + 2 * at.start..first + 2 * at.end,
            Self::Sextets(first) => first + at.start * 8 / 6..first + (at.end * 8).div_ceil(6),
            Self::Quintets(first) => first + at.start * 8 / 5..first + (at.end * 8).div_ceil(5),
            Self::Places(places) => places[at.start] as usize..places[at.end] as usize,
            Self::Bytes(places) => places[at.start] as usize..places[at.end - 1] as usize + 1,
        }
    }
}

impl<'a> Level<'a> {
    /// Bytes as they were read.
    pub(crate) fn read(bytes: &'a [u8]) -> Self {
        Self { bytes, outer: None, depth: 0 }
    }

    /// Bytes decoded from these.
    pub(crate) fn decoded<'b>(&'b self, bytes: &'b [u8], map: Map<'b>, how: Option<Encoding>) -> Level<'b> {
        let depth = self.depth + usize::from(how.is_some());
        Level { bytes, outer: Some(Outer { level: self, map, how }), depth }
    }

    /// Was a mark of this writing there before, in what these bytes were decoded from, and is decoded there? Of marks that have
    /// nothing to do with one another those of one writing are decoded first, in one order: in every order a text of all sorts of
    /// marks would be decoded a hundred times. One that was made by decoding another is new here.
    pub(crate) fn had(&self, how: Encoding, mark: Range<usize>) -> bool {
        let Some(Outer { map: Map::Places(places), how: Some(last), .. }) = &self.outer else { return false };
        let earlier = matches!((rank(how), rank(*last)), (Some(mine), Some(last)) if mine < last);
        earlier && (places[mark.end] - places[mark.start]) as usize == mark.len()
    }

    /// Where a range of these bytes stands in what was read, and the decodings on the way, outermost first. `odd`:
    /// does what was read begin at an odd offset?
    pub(crate) fn outward(&self, at: Range<usize>, odd: bool) -> (Range<usize>, Vec<Encoding>) {
        let Some(outer) = &self.outer else { return (at, Vec::new()) };
        let there = outer.map.outward(&at);
        let how = match outer.how {
            Some(Encoding::Utf16Le) => Some(order(outer.level.bytes, &there, odd)),
            how => how,
        };
        let there = match how {
            // In big endian order the zero stands before its character.
            Some(Encoding::Utf16Be) => there.start - 1..there.end - 1,
            _ => there.start..there.end.min(outer.level.bytes.len()),
        };
        let own = how;
        let (there, mut how) = outer.level.outward(there, odd);
        how.extend(own);
        (there, how)
    }
}

/// The order in which marks are decoded.
fn rank(how: Encoding) -> Option<usize> {
    use Encoding::{Backslash, Html, Json, Percent, QuotedPrintable};
    [Percent, Json, QuotedPrintable, Html, Backslash].iter().position(|one| *one == how)
}

/// Which order UTF-16 has whose characters begin at `at.start` and end before `at.end - 1`, a zero byte after each: of a text
/// of zeros and others by turns, both orders can be read. What stands before or after decides, else the offset: units
/// begin at even ones.
fn order(bytes: &[u8], at: &Range<usize>, odd: bool) -> Encoding {
    let zero = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(|b| *b == 0);
    let (before, after) = (zero(at.start.checked_sub(1)), zero(Some(at.end - 1)));
    // INVARIANT: big endian only with a zero before: the range begins there.
    let little = !before || after && (at.start % 2 == 1) == odd;
    if little { Encoding::Utf16Le } else { Encoding::Utf16Be }
}
