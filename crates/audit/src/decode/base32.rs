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
/// Characters that are looked at at once, and how many further the next are: every run of the shortest length has such a window.
const WINDOW: usize = 8;
const STRIDE: usize = LENGTH_MIN - WINDOW + 1;
/// How packed streams begin: gzip, zlib by its four usual second bytes, Zstandard.
const PACKED: [&[u8]; 6] =
    [b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x28\xb5\x2f\xfd"];

/// Decodes the runs of all long words. One that is hexadecimal as a whole is no base32, but for one in 10^8.
#[inline(never)]
pub(crate) fn run(search: &mut Search, level: &Level, classes: &Classes) {
    let shortest = search.wanted.bounds.shortest;
    for word in classes.words.iter().filter(|word| !all(&classes.hex, word)) {
        runs(level.bytes, word, |run, case| {
            if run.len() * GROUP_BYTES / GROUP >= shortest {
                one(search, level, &run, case);
            }
        });
    }
}

/// Are all bits of a range set?
fn all(bits: &[u64], range: &Range<usize>) -> bool {
    let last = (range.end - 1) / 64;
    (range.start / 64..=last).all(|block| {
        let from = if block == range.start / 64 { u64::MAX << (range.start % 64) } else { u64::MAX };
        let to = if block == last { u64::MAX >> (63 - (range.end - 1) % 64) } else { u64::MAX };
        !bits[block] & from & to == 0
    })
}

/// The first letters of both cases.
const CASES: [u8; 2] = [b'A', b'a'];

/// Calls `each` for every run of so many characters in a word. Each has a whole window at one of every [`STRIDE`] places, so only
/// these are looked at first.
fn runs(bytes: &[u8], word: &Range<usize>, mut each: impl FnMut(Range<usize>, u8)) {
    let mut done = [word.start; 2];
    let mut at = word.start;
    while at + WINDOW <= word.end {
        let Some(window) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return };
        let may_be = cases(u64::from_ne_bytes(*window));
        if may_be != [false; 2] {
            for (n, case) in CASES.into_iter().enumerate() {
                if may_be[n] && at >= done[n] {
                    done[n] = around(bytes, word, at, case, &mut each);
                }
            }
        }
        at += STRIDE;
    }
}

/// Calls `each` for the run at a place, if it is long enough; gives where it ends.
#[inline(never)]
fn around(
    bytes: &[u8],
    word: &Range<usize>,
    at: usize,
    case: u8,
    each: &mut impl FnMut(Range<usize>, u8),
) -> usize {
    let of = |at: &usize| quintet(bytes[*at], case).is_some();
    let start = at - (word.start..at).rev().take_while(of).count();
    let end = at + (at..word.end).take_while(of).count();
    if end - start >= LENGTH_MIN {
        each(start..end, case);
    }
    end
}

/// Of eight characters of base64 at once: may all be base32 of upper, and of lower case? `_` is told apart later.
#[inline(always)]
fn cases(window: u64) -> [bool; 2] {
    const LETTERS: u64 = 0x4040_4040_4040_4040;
    let letter = window & LETTERS;
    let lower = window << 1 & letter;
    if lower != 0 && lower != letter {
        return [false; 2];
    }
    // 0, 1, 8 and 9 are none, nor are the other signs.
    let none = !window & (window << 3 | !(window << 5 | window << 4)) & LETTERS;
    [none | lower == 0, none | lower ^ letter == 0]
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

/// The other way, bit by bit, without padding.
#[cfg(test)]
pub(crate) fn encoded(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let value = |five: &[u8]| {
        five.iter().fold(0, |value, bit| value << 1 | usize::from(bit - b'0')) << (5 - five.len())
    };
    bits.as_bytes()
        .chunks(5)
        .map(|five| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value(five)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{all, decode, runs};

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
        let runs_of = |text: &str| {
            let mut found = Vec::new();
            runs(text.as_bytes(), &(0..text.len()), |run, case| found.push((run, case)));
            found
        };
        let word =
            format!("x1{}0{}8{}9{}_", "A".repeat(20), "B7".repeat(30), "C".repeat(19), "2d".repeat(11));
        for shift in 0..40 {
            let text = format!("{}{word}", "9".repeat(shift));
            let expected = [(2, 20, b'A'), (23, 60, b'A'), (104, 22, b'a')];
            let expected = expected.map(|(at, length, case)| (at + shift..at + shift + length, case));
            assert_eq!(runs_of(&text), expected, "{shift}");
        }
        for other in ["aB".repeat(30), "0A2B".repeat(9), "AAAAAAAAAA_".repeat(5), "A/".repeat(30)] {
            assert_eq!(runs_of(&other), []);
        }
        // Digits are of both cases, and of both runs that they stand between.
        assert_eq!(runs_of(&"234567".repeat(4)).len(), 2);
        for shift in 0..20 {
            let both = format!("{}{}{}{}", "9".repeat(shift), "A".repeat(8), "2".repeat(15), "b".repeat(5));
            assert_eq!(runs_of(&both), [(shift..shift + 23, b'A'), (shift + 8..shift + 28, b'a')]);
        }
    }

    #[test]
    fn ranges_of_bits() {
        let mut bits = vec![u64::MAX; 4];
        bits[1] &= !(1 << 5);
        for start in 0..200usize {
            for end in start + 1..=256 {
                assert_eq!(all(&bits, &(start..end)), !(start..end).contains(&69), "{start}..{end}");
            }
        }
    }
}
