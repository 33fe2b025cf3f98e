//! Quoted-printable, HTML's character references and the escapes of programming languages: a mark, and what it stands for. Most
//! marks of a text stand for nothing that an identifier has; only what lies around the others is decoded.

use super::{backslash, entities, quoted};
use crate::Encoding;
use crate::classes::Classes;
use crate::level::{Level, Map};
use crate::search::Search;
use std::ops::Range;

/// What a mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    /// Bytes of the mark.
    pub(super) length: usize,
    bytes: [u8; 4],
    count: usize,
}

impl Read {
    /// A mark for one byte.
    pub(super) fn byte(length: usize, byte: u8) -> Self {
        Self { length, bytes: [byte, 0, 0, 0], count: 1 }
    }

    /// A mark for a character, in UTF-8.
    pub(super) fn character(length: usize, character: char) -> Self {
        let mut bytes = [0; 4];
        let count = character.encode_utf8(&mut bytes).len();
        Self { length, bytes, count }
    }

    /// A mark for nothing: it only breaks a line.
    pub(super) fn nothing(length: usize) -> Self {
        Self { length, bytes: [0; 4], count: 0 }
    }

    /// What it stands for.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// One way to write, known by the byte that its marks begin with.
pub(super) struct Writing {
    how: Encoding,
    sign: u8,
    /// Reads the mark at the start of bytes.
    read: fn(&[u8]) -> Option<Read>,
    /// Whether the mark at a place may stand within an identifier, or hides a mark; the last says whether what it stands for may.
    counts: fn(&Level, usize, &Read, bool) -> bool,
}

const QUOTED: Writing =
    Writing { how: Encoding::QuotedPrintable, sign: b'=', read: quoted::read, counts: quoted::counts };
const ENTITY: Writing =
    Writing { how: Encoding::Html, sign: b'&', read: entities::read, counts: entities::counts };
const BACKSLASH: Writing =
    Writing { how: Encoding::Backslash, sign: b'\\', read: backslash::read, counts: backslash::counts };

/// Decodes the surroundings of all marks that may stand within an identifier.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let (mut quoted, mut entity, mut backslash) =
        (Around::new(&QUOTED), Around::new(&ENTITY), Around::new(&BACKSLASH));
    for at in memchr::memchr2_iter(QUOTED.sign, ENTITY.sign, level.bytes) {
        if level.bytes[at] == QUOTED.sign { &mut quoted } else { &mut entity }.mark(search, level, at);
    }
    for (eight, blocks) in classes.backslash.chunks(8).enumerate() {
        // Most texts have none, and so many are looked at at once.
        if blocks.iter().fold(0, |any, block| any | block) == 0 {
            continue;
        }
        for (block, word) in blocks.iter().enumerate() {
            let mut bits = *word;
            while bits != 0 {
                let at = (eight * 8 + block) * 64 + bits.trailing_zeros() as usize;
                bits &= bits - 1;
                backslash.mark(search, level, at);
            }
        }
    }
    [quoted, entity, backslash].into_iter().for_each(|around| around.end(search, level));
}

/// What lies within reach of the marks so far; surroundings that touch are decoded together.
struct Around {
    writing: &'static Writing,
    open: Option<Range<usize>>,
}

impl Around {
    fn new(writing: &'static Writing) -> Self {
        Self { writing, open: None }
    }

    #[inline]
    fn mark(&mut self, search: &mut Search, level: &Level, at: usize) {
        let Some(read) = (self.writing.read)(&level.bytes[at..]) else { return };
        let stands = read.bytes().iter().all(|byte| search.wanted.bounds.stands_in_form(*byte));
        let mark = at..at + read.length;
        if !(self.writing.counts)(level, at, &read, stands) || level.had(self.writing.how, mark) {
            return;
        }
        // An identifier that begins or ends further away has another mark nearer to there.
        let reach = search.wanted.bounds.longest + MARK_BYTES_MAX;
        let here = at.saturating_sub(reach)..(at + read.length + reach).min(level.bytes.len());
        match &mut self.open {
            Some(range) if here.start <= range.end => range.end = here.end,
            _ => {
                if let Some(range) = self.open.replace(here) {
                    decode(search, level, range, self.writing);
                }
            }
        }
    }

    fn end(self, search: &mut Search, level: &Level) {
        if let Some(range) = self.open {
            decode(search, level, range, self.writing);
        }
    }
}

/// The longest mark.
const MARK_BYTES_MAX: usize = 16;

fn decode(search: &mut Search, level: &Level, range: Range<usize>, writing: &Writing) {
    let (mut decoded, mut places) = search.take();
    let bytes = &level.bytes[..range.end];
    let mut at = range.start;
    while at < bytes.len() {
        let read = if bytes[at] == writing.sign { (writing.read)(&bytes[at..]) } else { None };
        let (length, stands_for) = match &read {
            Some(read) => (read.length, read.bytes()),
            None => (1, &bytes[at..=at]),
        };
        decoded.extend_from_slice(stands_for);
        places.resize(decoded.len(), at as u32);
        at += length;
    }
    places.push(at as u32);
    search.level(&level.decoded(&decoded, Map::Places(&places), Some(writing.how)));
    search.leave(decoded, places);
}

/// The number that digits of this base stand for; None where one is none, or it is no character's.
pub(super) fn character(digits: &[u8], base: u32) -> Option<char> {
    let number = digits.iter().try_fold(0u32, |number, digit| {
        number.checked_mul(base)?.checked_add(char::from(*digit).to_digit(base)?)
    });
    number.and_then(char::from_u32)
}

#[cfg(test)]
pub(super) fn whole(read: fn(&[u8]) -> Option<Read>, text: &str) -> String {
    let (mut bytes, mut left) = (Vec::new(), text.as_bytes());
    while let Some((first, rest)) = left.split_first() {
        match read(left) {
            Some(mark) => {
                bytes.extend_from_slice(mark.bytes());
                left = &left[mark.length..];
            }
            None => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
