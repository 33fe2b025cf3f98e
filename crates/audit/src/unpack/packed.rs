//! Streams of one packed thing: gzip, zlib, zstd.

use super::bound::{self, Bounded};
use super::{Opener, Search, Spot, Stretch, open};
use crate::Gap;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder, StreamingDecoder};
use std::io::{self, Read};

/// The largest window that a zstd stream may ask for, in memory: what `zstd --ultra -22 --long` makes is refused only
/// inside of other containers, where every level may have a quarter of the one around it.
const WINDOW_BYTES_MAX: u64 = 128 << 20;
/// What any level may have: the window of `zstd -19`.
const WINDOW_BYTES_MIN: u64 = 8 << 20;

/// A stream that could be unpacked to some point only.
#[derive(Debug)]
pub(super) struct Broken {
    /// What came out of it.
    pub(super) after_bytes: u64,
    /// Of what sort that is.
    pub(super) gap: Gap,
    /// What was wrong then.
    pub(super) why: String,
}

/// gzip, of any number of members (RFC 1952, 2.2).
pub(super) fn gzip<S: Search>(stretch: &mut Stretch<'_, '_, S>, spot: &Spot) -> Result<(), Broken> {
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    hand_on(opener, depth, spot, Members(Some(GzDecoder::new(stretch))))
}

/// zlib (RFC 1950).
pub(super) fn zlib<S: Search>(stretch: &mut Stretch<'_, '_, S>, spot: &Spot) -> Result<(), Broken> {
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    hand_on(opener, depth, spot, ZlibDecoder::new(stretch))
}

/// deflate without a frame (RFC 1951), as zip and some HTTP servers write it.
pub(super) fn deflate<S: Search>(stretch: &mut Stretch<'_, '_, S>, spot: &Spot) -> Result<(), Broken> {
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    hand_on(opener, depth, spot, DeflateDecoder::new(stretch))
}

/// Zstandard, of any number of frames, with skippable ones among them (RFC 8878, 3.1).
pub(super) fn zstd<S: Search>(stretch: &mut Stretch<'_, '_, S>, spot: &Spot) -> Result<(), Broken> {
    let (opener, depth) = (stretch.opener(), stretch.depth_inside());
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(
        (WINDOW_BYTES_MAX >> (2 * depth.min(16).saturating_sub(1))).max(WINDOW_BYTES_MIN),
    );
    hand_on(opener, depth, spot, Frames { between: Some((stretch, decoder)), frame: None, broken: None })
}

/// Searches what comes out.
fn hand_on<S: Search>(
    opener: &Opener<'_, S>,
    depth: usize,
    spot: &Spot,
    unpacked: impl Read,
) -> Result<(), Broken> {
    let mut bounded = Bounded { opener, unpacked, bytes: 0 };
    open(opener, depth, spot, &mut bounded).map_err(|error| Broken {
        after_bytes: bounded.bytes,
        gap: gap(&error),
        why: words(&error),
    })
}

/// Only the bounds are told apart from damage.
fn gap(error: &io::Error) -> Gap {
    let reached = error.get_ref().is_some_and(|inner| inner.is::<bound::Reached>());
    if reached { Gap::Limit } else { Gap::Damaged }
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "is truncated".into(),
        io::ErrorKind::Other => error.to_string(),
        _ => format!("is corrupt ({error})"),
    }
}

/// The members of a gzip stream as the one stream that they are.
struct Members<R>(Option<GzDecoder<R>>);

impl<S: Search> Read for Members<&mut Stretch<'_, '_, S>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(member) = &mut self.0 else { return Ok(0) };
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let ended = self.0.take().map(GzDecoder::into_inner);
            self.0 = ended.and_then(|stretch| {
                let more = stretch.peek(3) == b"\x1f\x8b\x08";
                more.then(|| GzDecoder::new(stretch))
            });
        }
    }
}

/// The frames of a zstd stream as the one stream that they are.
struct Frames<R: Read> {
    between: Option<(R, FrameDecoder)>,
    frame: Option<StreamingDecoder<R, FrameDecoder>>,
    /// Why the frame can't be read on: told once all of it that was unpacked has come out.
    broken: Option<io::Error>,
}

/// An empty last block, and a checksum where one follows: it ends a broken frame, so that the decoder gives out the window
/// that it would need for more (RFC 8878, 3.1.1.2).
const LAST_BLOCK: &[u8] = &[1, 0, 0, 0, 0, 0, 0];

impl<S: Search> Read for Frames<&mut Stretch<'_, '_, S>> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((stretch, decoder)) = self.between.take() {
                if !next_frame(stretch) {
                    return Ok(0);
                }
                self.frame =
                    Some(StreamingDecoder::new_with_decoder(stretch, decoder).map_err(io::Error::other)?);
            }
            let Some(frame) = &mut self.frame else { return Ok(0) };
            let read = match frame.read(buffer) {
                Err(error) if self.broken.is_none() => {
                    self.broken = Some(error);
                    let ended = frame.decoder.decode_blocks(LAST_BLOCK, BlockDecodingStrategy::All);
                    ended.map_err(io::Error::other)?;
                    continue;
                }
                other => other?,
            };
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            if let Some(error) = self.broken.take() {
                return Err(error);
            }
            self.between = self.frame.take().map(StreamingDecoder::into_parts);
            if let Some((_, decoder)) = &self.between {
                checked(decoder)?;
            }
        }
    }
}

/// Whether a frame follows; skippable ones are passed by, and searched as they stand.
fn next_frame<S: Search>(stretch: &mut Stretch<'_, '_, S>) -> bool {
    loop {
        match stretch.peek(8) {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => return true,
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d] => {
                let size = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
                stretch.skip(8 + size);
            }
            _ => return false,
        }
    }
}

fn checked(decoder: &FrameDecoder) -> io::Result<()> {
    match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
        (Some(said), Some(is)) if said != is => Err(io::Error::other("is corrupt (its checksum differs)")),
        _ => Ok(()),
    }
}
