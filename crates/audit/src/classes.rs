//! What each byte could be a part of, 64 bytes a word: most of a text is skipped by looking at these words only.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod runs;

pub(crate) use runs::{bits_from, ones, run_end, runs, runs_in};

use crate::cpu::Cpu;
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
    /// Digits and up to three joints after each.
    pub(crate) covered: Vec<u64>,
    /// Where so many of those in a row begin as the shortest row of digits has.
    pub(crate) rows: Vec<u64>,
    /// Where so many quanta in a row begin, four bytes apart, as make a text.
    pub(crate) texts: Vec<u64>,
    /// Where long runs begin, of whatever was looked at last.
    long: Vec<u64>,
    /// Where so many characters of base64 in a row ([`WORD_MIN`] at least) begin and end.
    pub(crate) words: Vec<Range<usize>>,
    /// The same of hexadecimal digits.
    pub(crate) hexes: Vec<Range<usize>>,
    /// Not of ASCII text: a control character, or 128 and more.
    pub(crate) odd: Vec<u64>,
}

/// How long runs must be to be of interest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shortest {
    /// Digits of a row.
    pub(crate) row: usize,
    /// Quanta of a text.
    pub(crate) quanta: usize,
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
    pub(crate) fn fill(&mut self, cpu: Cpu, bytes: &[u8], shortest: Shortest) {
        match cpu {
            #[cfg(target_arch = "x86_64")]
            Cpu::V4(v4) => v4.vectorize(
                #[inline(always)]
                || {
                    self.fill_by(
                        bytes,
                        shortest,
                        #[inline(always)]
                        |block| avx512::classify(v4, block),
                    );
                },
            ),
            #[cfg(target_arch = "x86_64")]
            Cpu::V3(v3) => v3.vectorize(
                #[inline(always)]
                || {
                    self.fill_by(
                        bytes,
                        shortest,
                        #[inline(always)]
                        |block| avx2::classify(v3, block),
                    );
                },
            ),
            Cpu::Plain => self.fill_by(bytes, shortest, classify),
        }
    }

    #[inline(always)]
    fn fill_by(&mut self, bytes: &[u8], shortest: Shortest, classify: impl Fn(&[u8; 64]) -> Block) {
        self.classify(bytes, classify);
        self.covered.resize(self.digit.len(), 0);
        runs::cover(&self.digit, &self.joint, &mut self.covered);
        self.rows.clone_from(&self.covered);
        runs::begin(&mut self.rows, shortest.row);
        self.texts.clone_from(&self.quantum);
        (1..shortest.quanta).for_each(|_| runs::and_later(&mut self.texts, 4));
        long_runs(&self.word, &mut self.long, &mut self.words);
        long_runs(&self.hex, &mut self.long, &mut self.hexes);
    }

    #[inline(always)]
    fn classify(&mut self, bytes: &[u8], classify: impl Fn(&[u8; 64]) -> Block) {
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

/// The runs of [`WORD_MIN`] bits and more.
#[inline(always)]
fn long_runs(words: &[u64], long: &mut Vec<u64>, into: &mut Vec<Range<usize>>) {
    long.clear();
    long.extend_from_slice(words);
    runs::begin(long, WORD_MIN);
    into.clear();
    let mut done = 0;
    for (block, begins) in long.iter().enumerate() {
        let mut begins = *begins;
        while begins != 0 {
            let at = block * 64 + begins.trailing_zeros() as usize;
            if at >= done {
                done = run_end(words, at);
                into.push(at..done);
            }
            // On to where this run ends, or the next block.
            begins = if done < block * 64 + 64 { begins & u64::MAX << (done - block * 64) } else { 0 };
        }
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

#[cfg(test)]
mod tests {
    use super::{Classes, Shortest, classify, plainly, run_end, runs};
    use crate::cpu::Cpu;

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
                #[cfg(target_arch = "x86_64")]
                if let Some(v4) = pulp::x86::V4::try_new() {
                    let fast = super::avx512::classify(v4, &bytes);
                    assert_eq!(format!("{fast:?}"), format!("{:?}", plainly(&bytes)));
                }
            }
        }
    }

    const SHORTEST: Shortest = Shortest { row: 10, quanta: 2 };

    #[test]
    fn every_processor_fills_the_same() {
        let mut state = 7u64;
        let mut text: Vec<u8> = (0..3_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                b"00123456789AbQ /+-(@"[(state >> 40) as usize % 20]
            })
            .collect();
        text[1_000..1_100].fill(b'7');
        text[1_500..1_800].fill(b'Q');
        for length in (0..400).chain([3_000]) {
            let of = |cpu| {
                let mut classes = Classes::default();
                classes.fill(cpu, &[b'1'; 500], SHORTEST);
                classes.fill(cpu, &text[..length], SHORTEST);
                classes
            };
            let plain = of(Cpu::Plain);
            assert_eq!(format!("{:?}", of(Cpu::here())), format!("{plain:?}"));
            #[cfg(target_arch = "x86_64")]
            if let Some(v3) = pulp::x86::V3::try_new() {
                assert_eq!(format!("{:?}", of(Cpu::V3(v3))), format!("{plain:?}"));
            }
            let set = |words: &[u64], at: usize| words.get(at / 64).is_some_and(|w| w >> (at % 64) & 1 == 1);
            let joint = |at: usize| at < length && b" /+-(".contains(&text[at]);
            for at in 0..length {
                let back = (0..=at.min(3)).find(|back| !joint(at - back));
                let covered = back.is_some_and(|back| text[at - back].is_ascii_digit());
                assert_eq!(set(&plain.covered, at), covered, "{at} of {length}");
                let all =
                    |words: &[u64], step: usize, count: usize| (0..count).all(|n| set(words, at + n * step));
                assert_eq!(set(&plain.rows, at), all(&plain.covered, 1, 10), "{at} of {length}");
                assert_eq!(set(&plain.texts, at), all(&plain.quantum, 4, 2), "{at} of {length}");
                let within = plain.words.iter().any(|word| word.contains(&at));
                let start = (0..=at).rev().take_while(|n| set(&plain.word, *n)).last();
                let long = start.is_some_and(|start| run_end(&plain.word, start) - start >= super::WORD_MIN);
                assert_eq!(within, long, "{at} of {length}");
            }
        }
    }

    #[test]
    fn runs_go_over_the_border_of_a_word() {
        let mut text = vec![b' '; 200];
        text[60..70].fill(b'7');
        let mut classes = Classes::default();
        classes.fill(Cpu::here(), &text, SHORTEST);
        assert_eq!(runs(&classes.digit, 0, 10), 1 << 60);
        assert_eq!(runs(&classes.digit, 0, 11), 0);
        assert_eq!(runs(&classes.digit, 1, 6), 1);
        assert_eq!(run_end(&classes.digit, 60), 70);
        assert_eq!(run_end(&classes.digit, 59), 59);
        text[..128].fill(b'7');
        classes.fill(Cpu::here(), &text, SHORTEST);
        assert_eq!(run_end(&classes.digit, 3), 128);
        assert_eq!(
            (1..=64).map(|n| runs(&classes.digit, 1, n).count_ones()).collect::<Vec<_>>(),
            (1..=64).rev().collect::<Vec<_>>()
        );
        assert_eq!(classes.digit.len(), 200usize.div_ceil(64) + 1);
    }
}
