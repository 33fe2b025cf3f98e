//! Base32 (RFC 4648, 6), of either case, at every alignment.

use crate::Encoding;
use crate::classes::Classes;
use crate::level::{Level, Map};
use crate::search::Search;
use std::ops::Range;

/// Characters of a group, and the bytes that it stands for.
const GROUP: usize = 8;
const GROUP_BYTES: usize = 5;
/// The shortest run that is decoded: [`crate::classes::WORD_MIN`] says where words are long enough to be looked at at all.
const LENGTH_MIN: usize = crate::classes::WORD_MIN;
/// How packed streams begin: gzip, zlib by its four usual second bytes, Zstandard.
const PACKED: [&[u8]; 6] =
    [b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd"];

/// Decodes the runs of all long words.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let shortest = search.wanted.bounds.shortest;
    for word in &classes.words {
        for case in [b'A', b'a'] {
            runs(level.bytes, word, case, |run| {
                if run.len() * GROUP_BYTES / GROUP >= shortest {
                    one(search, level, &run, case);
                }
            });
        }
    }
}

/// Calls `each` for every run of so many characters in a word. Each has one at one of every [`LENGTH_MIN`] places, so only these
/// are looked at first.
fn runs(bytes: &[u8], word: &Range<usize>, case: u8, mut each: impl FnMut(Range<usize>)) {
    let of = |at: &usize| quintet(bytes[*at], case).is_some();
    let mut at = word.start + LENGTH_MIN - 1;
    while at < word.end {
        if !of(&at) {
            at += LENGTH_MIN;
            continue;
        }
        let start = at + 1 - (at + 1 - LENGTH_MIN..=at).rev().take_while(of).count();
        let end = at + (at..word.end).take_while(of).count();
        if end - start >= LENGTH_MIN {
            each(start..end);
        }
        at = end + LENGTH_MIN;
    }
}

fn one(search: &mut Search, level: &Level, run: &Range<usize>, case: u8) {
    for start in run.start..(run.start + GROUP).min(run.end) {
        let (mut decoded, places) = search.take();
        decode(&level.bytes[start..run.end], case, &mut decoded);
        if start == run.start && PACKED.iter().any(|magic| decoded.starts_with(magic)) {
            search.packed(level, run.clone(), Encoding::Base32, &decoded);
        }
        super::texts(search, &decoded, |search, text| {
            // From the start of a group on.
            let group = text.start / GROUP_BYTES;
            let map = Map::Quintets(start + GROUP * group);
            let text = &decoded[GROUP_BYTES * group..text.end];
            search.level(&level.decoded(text, map, Some(Encoding::Base32)));
        });
        search.leave(decoded, places);
    }
}

fn decode(characters: &[u8], case: u8, into: &mut Vec<u8>) {
    for group in characters.chunks(GROUP) {
        let word = (0..GROUP).fold(0u64, |word, n| {
            word << 5 | group.get(n).and_then(|b| quintet(*b, case)).map_or(0, u64::from)
        });
        into.extend_from_slice(&word.to_be_bytes()[3..3 + group.len() * GROUP_BYTES / GROUP]);
    }
}

/// The value of a character, of one case.
#[inline]
fn quintet(byte: u8, case: u8) -> Option<u8> {
    match byte {
        b'2'..=b'7' => Some(byte - b'2' + 26),
        _ => Some(byte.wrapping_sub(case)).filter(|value| *value < 26),
    }
}

#[cfg(test)]
mod tests {
    use super::{decode, runs};

    /// RFC 4648, section 10.
    #[test]
    fn the_vectors_of_the_rfc() {
        for (text, written) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            for (case, written) in [(b'A', written.to_owned()), (b'a', written.to_lowercase())] {
                let mut decoded = Vec::new();
                decode(written.as_bytes(), case, &mut decoded);
                assert_eq!(decoded, text.as_bytes());
            }
        }
    }

    #[test]
    fn every_run_is_found_once() {
        let word = format!("x1{}0{}8{}", "A".repeat(20), "B7".repeat(30), "C".repeat(19));
        for shift in 0..25 {
            let text = format!("{}{word}", "9".repeat(shift));
            let mut found = Vec::new();
            runs(text.as_bytes(), &(0..text.len()), b'A', |run| found.push((run.start - shift, run.len())));
            assert_eq!(found, [(2, 20), (23, 60)], "{shift}");
        }
    }
}
