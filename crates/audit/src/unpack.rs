//! Containers, recognised by what they hold and never by their name: everything in them is searched, and so are
//! their own bytes. Nothing is ever wholly in memory, and what can't be opened is said.
//!
//! A run of bytes is one [`Stretch`]. Its beginning may be any container; gzip, zstd and zip are found anywhere in
//! it, since a database page or a log may hold a packed value. What comes out is a run again, one level deeper.

mod bound;
mod magic;
mod packed;
mod spot;
mod stretch;
mod tar;
#[cfg(test)]
pub(crate) mod tests;
mod text;
mod zip;

pub(crate) use bound::Opener;
pub(crate) use magic::encoding;
pub(crate) use spot::Spot;
pub(crate) use stretch::Stretch;

use crate::{Encoding, Gap, Place, Step, capture, har};
use magic::{Begins, Inside};
use std::io::{self, Read};

/// What every byte that comes to light is handed to.
pub(crate) trait Search {
    /// The search through one run.
    type Run;
    /// A search that begins `base` bytes into the run at `spot`.
    fn begin(&mut self, base: u64) -> Self::Run;
    /// Searches the next bytes; returns what was decoded in them and may be a container.
    fn feed(&mut self, run: &mut Self::Run, spot: &Spot, bytes: &[u8]) -> Vec<Inner>;
    /// Searches what was held back.
    fn end(&mut self, run: Self::Run, spot: &Spot) -> Vec<Inner>;
    /// Something that can't be read, or not wholly.
    fn unseen(&mut self, place: Place, gap: Gap, why: String);
    /// What a capture was made of.
    fn flows(&mut self, captured: crate::Captured);
    /// So many bytes more were read of the target itself.
    fn came(&mut self, bytes: usize) {
        let _ = bytes;
    }
}

/// Decoded bytes that may be a container.
#[derive(Debug)]
pub(crate) struct Inner {
    /// Where in the run the encoded bytes begin.
    pub(crate) at: u64,
    /// How they were encoded.
    pub(crate) how: Encoding,
    /// What they decode to.
    pub(crate) bytes: Vec<u8>,
}

/// Searches `source` to its end, and everything in it. The error is the source's own; whatever is wrong with
/// containers inside is said as unseen.
pub(crate) fn open<S: Search>(
    opener: &Opener<'_, S>,
    depth: usize,
    spot: &Spot,
    source: &mut dyn Read,
) -> io::Result<()> {
    let mut stretch = Stretch::new(opener, depth, spot, source);
    beginning(&mut stretch);
    while let Some(inside) = stretch.find() {
        embedded(&mut stretch, inside);
    }
    stretch.finish()
}

/// What only counts at the beginning of a run.
fn beginning<S: Search>(stretch: &mut Stretch<'_, '_, S>) {
    let begins = magic::begins(stretch.peek(magic::BEGINNING_BYTES));
    if !matches!(begins, Begins::Other) && stretch.too_deep() {
        return;
    }
    match begins {
        Begins::Tar => tar::members(stretch),
        Begins::Zlib => zlib(stretch),
        Begins::Capture => capture::read(stretch),
        Begins::Har => har::read(stretch),
        Begins::Foreign(gap, what) => {
            stretch.unseen(gap, format!("{what}: it was searched as it stands, not opened"));
        }
        Begins::Sqlite => stretch.unseen(Gap::Raw, magic::SQLITE_WHY.into()),
        Begins::Other => {}
    }
}

/// A container at the position of the stretch. What fails soon may be no container at all: the search for the next
/// one goes on right behind its first byte then, else behind what was read of it.
fn embedded<S: Search>(stretch: &mut Stretch<'_, '_, S>, inside: Inside) {
    let at = stretch.pos();
    if stretch.too_deep() {
        stretch.advance(1);
        return;
    }
    stretch.mark();
    let unpacked_bytes = match inside {
        Inside::Gzip => packed(stretch, "gzip", packed::gzip),
        Inside::Zstd => packed(stretch, "zstd", packed::zstd),
        Inside::Zip => zip::member(stretch),
        Inside::Base64 => written(stretch, "base64"),
        Inside::Hex => written(stretch, "hex"),
    };
    if unpacked_bytes.is_none_or(|bytes| bytes >= NOT_BY_CHANCE_BYTES) && stretch.pos() > at {
        stretch.unmark();
    } else {
        stretch.rewind();
        stretch.advance(1);
    }
}

fn written<S: Search>(stretch: &mut Stretch<'_, '_, S>, how: &'static str) -> Option<u64> {
    text::written(stretch, how);
    None
}

/// A broken stream that gave so much before it broke was no accident of other data.
const NOT_BY_CHANCE_BYTES: u64 = 4 << 10;

/// A zlib stream is recognised by two bytes only, so one that gives nothing was none and is not spoken of.
fn zlib<S: Search>(stretch: &mut Stretch<'_, '_, S>) {
    stretch.mark();
    if packed(stretch, "zlib", packed::zlib).is_some_and(|bytes| bytes < NOT_BY_CHANCE_BYTES) {
        stretch.rewind();
    }
    stretch.unmark();
}

/// Opens one packed stream; None if it was whole, else how much it gave before it broke.
fn packed<S: Search>(
    stretch: &mut Stretch<'_, '_, S>,
    name: &'static str,
    unpack: impl FnOnce(&mut Stretch<'_, '_, S>, &Spot) -> Result<(), packed::Broken>,
) -> Option<u64> {
    let spot = stretch.spot_inside(Step::Unpacked(name));
    match unpack(stretch, &spot) {
        Ok(()) => None,
        Err(packed::Broken { after_bytes, gap, why }) => {
            if name != "zlib" || after_bytes > 0 {
                let why = format!(
                    "{name} stream: {why}; searched as far as it could be unpacked: {after_bytes} bytes"
                );
                stretch.opener().unseen(spot.place(), gap, why);
            }
            Some(after_bytes)
        }
    }
}

/// Bytes that are said to be deflated without a frame: nothing in them shows it.
pub(crate) fn deflate<S: Search>(opener: &Opener<'_, S>, depth: usize, spot: &Spot, mut bytes: &[u8]) {
    let outer = Spot::from(spot.place());
    let mut stretch = Stretch::of_searched(opener, depth, &outer, &mut bytes);
    if let Err(packed::Broken { after_bytes, gap, why }) = packed::deflate(&mut stretch, spot) {
        opener.unseen(
            spot.place(),
            gap,
            format!("deflate stream: {why}; searched as far as it could be unpacked: {after_bytes} bytes"),
        );
    }
}
