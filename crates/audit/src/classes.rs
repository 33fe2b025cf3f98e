//! What each byte could be a part of, 64 bytes a word: most of a text is skipped by looking at these words only.

#[cfg(target_arch = "x86_64")]
mod avx2;

use std::ops::Range;
use wide::u8x16;

/// Characters of the shortest word that digests and packed streams are looked for in.
pub(crate) const WORD_MIN: usize = 20;

/// One bit a byte, for each thing that a byte may be.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    /// 0-9.
    pub(crate) digit: Vec<u64>,
    /// May stand between the digits of a number.
    pub(crate) joint: Vec<u64>,
    /// `@`.
    pub(crate) at: Vec<u64>,
    /// A zero byte.
    pub(crate) zero: Vec<u64>,
    /// `%`.
    pub(crate) percent: Vec<u64>,
    /// `\`.
    pub(crate) backslash: Vec<u64>,
    /// The end of a line.
    pub(crate) newline: Vec<u64>,
    /// A hexadecimal digit.
    pub(crate) hex: Vec<u64>,
    /// A character of base64 or base64url.
    pub(crate) word: Vec<u64>,
    /// One of those that is neither letter nor digit.
    pub(crate) sign: Vec<u64>,
    /// Here and at the next three bytes stand characters of base64 that decode to three bytes under 128.
    pub(crate) quantum: Vec<u64>,
    /// Where so many characters of base64 in a row ([`WORD_MIN`] at least) begin and end.
    pub(crate) words: Vec<Range<usize>>,
    /// Not of ASCII text: a control character, or 128 and more.
    pub(crate) odd: Vec<u64>,
}

/// One block's words.
#[derive(Debug, Default, Clone, Copy)]
struct Block {
    digit: u64,
    joint: u64,
    at: u64,
    zero: u64,
    percent: u64,
    backslash: u64,
    newline: u64,
    hex: u64,
    word: u64,
    sign: u64,
    /// Bits 5, 3 and 1 of the sextet are zero.
    first: u64,
    second: u64,
    third: u64,
    odd: u64,
}

impl Classes {
    /// Classifies `bytes`; every word vector gets one word more than there are blocks, zero, to look ahead.
    #[inline(never)]
    pub(crate) fn fill(&mut self, bytes: &[u8]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(v3) = pulp::x86::V3::try_new() {
            v3.vectorize(avx2::Fill { v3, classes: self, bytes });
            return self.long_words();
        }
        self.fill_by(bytes, classify);
        self.long_words();
    }

    fn long_words(&mut self) {
        self.words.clear();
        let mut done = 0;
        for block in 0..self.word.len() {
            let mut begins = runs(&self.word, block, WORD_MIN);
            while begins != 0 {
                let at = block * 64 + begins.trailing_zeros() as usize;
                begins &= begins - 1;
                if at >= done {
                    done = run_end(&self.word, at);
                    self.words.push(at..done);
                }
            }
        }
    }

    #[inline(always)]
    fn fill_by(&mut self, bytes: &[u8], classify: impl Fn(&[u8; 64]) -> Block) {
        let words = bytes.len().div_ceil(64) + 1;
        let mut into = self.vectors().map(|vector| {
            vector.resize(words, 0);
            &mut vector[..words]
        });
        let (blocks, rest) = bytes.as_chunks::<64>();
        // Bytes that are in no class.
        let mut last = [b'~'; 64];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(&last);
        let mut held = None;
        let mut at = 0;
        for block in blocks.iter().chain(last) {
            let next = classify(block);
            if let Some(held) = held.replace(next) {
                put(&mut into, at, &held, &next);
                at += 1;
            }
        }
        if let Some(held) = held {
            put(&mut into, at, &held, &Block::default());
            at += 1;
        }
        put(&mut into, at, &Block::default(), &Block::default());
    }

    fn vectors(&mut self) -> [&mut Vec<u64>; 12] {
        [
            &mut self.digit,
            &mut self.joint,
            &mut self.at,
            &mut self.zero,
            &mut self.percent,
            &mut self.backslash,
            &mut self.newline,
            &mut self.hex,
            &mut self.word,
            &mut self.sign,
            &mut self.quantum,
            &mut self.odd,
        ]
    }
}

/// Writes a block's words; its last bytes are looked at together with the next block's.
#[inline(always)]
fn put(into: &mut [&mut [u64]; 12], at: usize, block: &Block, next: &Block) {
    let ahead = |this: u64, next: u64, by: u32| this >> by | next << (64 - by);
    let quantum = block.first
        & ahead(block.second, next.second, 1)
        & ahead(block.third, next.third, 2)
        & ahead(block.word, next.word, 3);
    let words = [
        block.digit,
        block.joint,
        block.at,
        block.zero,
        block.percent,
        block.backslash,
        block.newline,
        block.hex,
        block.word,
        block.sign,
        quantum,
        block.odd,
    ];
    for (vector, word) in into.iter_mut().zip(words) {
        vector[at] = word;
    }
}

fn classify(bytes: &[u8; 64]) -> Block {
    let mut all = Block::default();
    let (quarters, _) = bytes.as_chunks::<16>();
    for (n, quarter) in quarters.iter().enumerate() {
        sixteen(u8x16::new(*quarter), &mut all, 16 * n);
    }
    all
}

#[inline(always)]
fn all(byte: u8) -> u8x16 {
    u8x16::splat(byte)
}

/// Which bytes are `first` or one of the `count - 1` after it.
#[inline(always)]
fn range(x: u8x16, first: u8, count: u8) -> u8x16 {
    let from = x - all(first);
    from.min(all(count - 1)).simd_eq(from)
}

#[inline(always)]
fn is(x: u8x16, byte: u8) -> u8x16 {
    x.simd_eq(all(byte))
}

/// Sixteen bytes at once.
#[inline(always)]
fn sixteen(x: u8x16, into: &mut Block, at: usize) {
    let put = |word: &mut u64, mask: u8x16| *word |= u64::from(mask.to_bitmask()) << at;
    let lower = x | all(0x20);
    let digit = range(x, b'0', 10);
    let alphanumeric = digit | range(lower, b'a', 26);
    put(&mut into.digit, digit);
    // ( ) + - . / and with them * and the comma.
    let marks = range(x, b'(', 8) & !(is(x, b',') | is(x, b'*'));
    put(&mut into.joint, marks | is(x, b' ') | is(x, 0xA0) | is(x, 0xC2));
    put(&mut into.at, is(x, b'@'));
    put(&mut into.zero, is(x, 0));
    put(&mut into.percent, is(x, b'%'));
    put(&mut into.backslash, is(x, b'\\'));
    put(&mut into.newline, is(x, b'\n'));
    put(&mut into.hex, digit | range(lower, b'a', 6));
    let sign = is(x, b'+') | is(x, b'/') | is(x, b'-') | is(x, b'_');
    put(&mut into.word, alphanumeric | sign);
    put(&mut into.sign, sign);
    // RFC 4648: A-Z are 0-25, a-z 26-51, 0-9 52-61. The other two have all three bits set.
    let small = range(x, b'a', 26) & all(6);
    let sextet = x - all(65) - small + (digit & all(69));
    let clear = |bit: u8| (sextet & all(bit)).simd_eq(all(0)) & alphanumeric;
    put(&mut into.first, clear(32));
    put(&mut into.second, clear(8));
    put(&mut into.third, clear(2));
    put(&mut into.odd, !(range(x, b' ', 95) | range(x, b'\t', 5)));
}

/// In UTF-8 (RFC 3629): which bytes are 128 and more, which follow another one, and which lead two, three and four.
pub(crate) fn unicode(bytes: &[u8; 64]) -> [u64; 5] {
    let (quarters, _) = bytes.as_chunks::<16>();
    let mut words = [0; 5];
    for (n, quarter) in quarters.iter().enumerate() {
        let x = u8x16::new(*quarter);
        let sorts = [(0x80, 128), (0x80, 64), (0xC2, 30), (0xE0, 16), (0xF0, 5)];
        for (word, (first, count)) in words.iter_mut().zip(sorts) {
            *word |= u64::from(range(x, first, count).to_bitmask()) << (16 * n);
        }
    }
    words
}

/// Byte by byte, to test the fast one.
#[cfg(test)]
fn plainly(bytes: &[u8; 64]) -> Block {
    let of = |class: fn(u8) -> bool| bytes.iter().rev().fold(0, |bits, b| bits << 1 | u64::from(class(*b)));
    let clear = |bit: u8| {
        bytes.iter().rev().fold(0, |bits, b| {
            let sextet = crate::decode::sextet(*b).filter(|_| b.is_ascii_alphanumeric());
            bits << 1 | u64::from(sextet.is_some_and(|s| s >> bit & 1 == 0))
        })
    };
    Block {
        digit: of(|b| b.is_ascii_digit()),
        joint: of(|b| matches!(b, b' ' | b'(' | b')' | b'+' | b'-' | b'.' | b'/' | 0xA0 | 0xC2)),
        at: of(|b| b == b'@'),
        zero: of(|b| b == 0),
        percent: of(|b| b == b'%'),
        backslash: of(|b| b == b'\\'),
        newline: of(|b| b == b'\n'),
        hex: of(|b| b.is_ascii_hexdigit()),
        word: of(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_')),
        sign: of(|b| matches!(b, b'+' | b'/' | b'-' | b'_')),
        first: clear(5),
        second: clear(3),
        third: clear(1),
        odd: of(|b| !matches!(b, b'\t'..=b'\r' | b' '..=b'~')),
    }
}

/// Positions at which `length` bits in a row begin, for at most 64; the last word looks at nothing after it.
#[inline(always)]
pub(crate) fn runs(words: &[u64], block: usize, length: usize) -> u64 {
    let this = words[block];
    let next = words.get(block + 1).copied().unwrap_or(0);
    // Most blocks have no run so long: said with few instructions.
    if length >= ALIGNED_MIN {
        if has_full_byte(this) | has_full_byte(next) == 0 {
            return 0;
        }
    } else if few(this, length) == 0 {
        return 0;
    }
    exact_runs(this, next, length)
}

/// A run of so many bits fills one of the bytes that a word consists of.
const ALIGNED_MIN: usize = 15;

/// Not zero if one of the bytes of a word is 255.
#[inline(always)]
fn has_full_byte(word: u64) -> u64 {
    const LOWEST: u64 = u64::MAX / 255;
    (!word).wrapping_sub(LOWEST) & word & LOWEST << 7
}

/// Where runs of `length` may begin that go on into the next word as far as need be.
#[inline(always)]
fn few(word: u64, length: usize) -> u64 {
    let mut few = word;
    for by in [1, 2, 4] {
        if length >= 2 * by {
            few &= few >> by | !(u64::MAX >> by);
        }
    }
    few
}

fn exact_runs(this: u64, next: u64, length: usize) -> u64 {
    let mut bits = u128::from(this) | u128::from(next) << 64;
    let mut have = 1;
    while have < length.min(64) {
        let by = have.min(length.min(64) - have);
        bits &= bits >> by;
        have += by;
    }
    bits as u64
}

/// Calls `each` for every run of at least `length` bits, from its start to its end, of those that begin in a range.
pub(crate) fn runs_in(
    words: &[u64],
    within: &Range<usize>,
    length: usize,
    mut each: impl FnMut(Range<usize>),
) {
    let mut done = within.start;
    for block in within.start / 64..within.end.div_ceil(64) {
        let mut begins = runs(words, block, length);
        while begins != 0 {
            let at = block * 64 + begins.trailing_zeros() as usize;
            begins &= begins - 1;
            if at >= done && at < within.end {
                done = run_end(words, at);
                each(at..done);
            }
        }
    }
}

/// Where the run of bits ends that `at` stands in.
pub(crate) fn run_end(words: &[u64], at: usize) -> usize {
    let mut end = at;
    while let Some(word) = words.get(end / 64) {
        let ones = (!(word >> (end % 64))).trailing_zeros() as usize;
        end += ones.min(64 - end % 64);
        if !end.is_multiple_of(64) || ones == 0 {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::{Classes, classify, plainly, run_end, runs};

    #[test]
    fn the_fast_classes_are_the_plain_ones() {
        for shift in 0..64u8 {
            for part in 0..4u8 {
                let bytes: [u8; 64] = std::array::from_fn(|at| (at as u8 ^ shift).wrapping_add(part * 64));
                assert_eq!(format!("{:?}", classify(&bytes)), format!("{:?}", plainly(&bytes)));
                #[cfg(target_arch = "x86_64")]
                if let Some(v3) = pulp::x86::V3::try_new() {
                    let fast = super::avx2::classify(v3, &bytes);
                    assert_eq!(format!("{fast:?}"), format!("{:?}", plainly(&bytes)));
                }
            }
        }
    }

    #[test]
    fn runs_go_over_the_border_of_a_word() {
        let mut text = vec![b' '; 200];
        text[60..70].fill(b'7');
        let mut classes = Classes::default();
        classes.fill(&text);
        assert_eq!(runs(&classes.digit, 0, 10), 1 << 60);
        assert_eq!(runs(&classes.digit, 0, 11), 0);
        assert_eq!(runs(&classes.digit, 1, 6), 1);
        assert_eq!(run_end(&classes.digit, 60), 70);
        assert_eq!(run_end(&classes.digit, 59), 59);
        text[..128].fill(b'7');
        classes.fill(&text);
        assert_eq!(run_end(&classes.digit, 3), 128);
        assert_eq!(
            (1..=64).map(|n| runs(&classes.digit, 1, n).count_ones()).collect::<Vec<_>>(),
            (1..=64).rev().collect::<Vec<_>>()
        );
        assert_eq!(classes.digit.len(), 200usize.div_ceil(64) + 1);
    }
}
