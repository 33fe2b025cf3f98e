//! The classes by AVX2, four times as fast as by what every x86-64 core has.
//!
//! Two lookups in tables of sixteen, one by each half of a byte, tell eight sets of bytes apart at once.

use super::Block;
use pulp::x86::V3;
use std::arch::x86_64::__m256i;

pub(super) const PLUS: u8 = 1;
pub(super) const DIGIT: u8 = 2;
pub(super) const LETTER: u8 = 4;
pub(super) const LATE_LETTER: u8 = 8;
pub(super) const HEX_LETTER: u8 = 16;
pub(super) const JOINT: u8 = 32;
pub(super) const NO_BREAK: u8 = 64;
pub(super) const NO_BREAK_LEAD: u8 = 128;

/// Each set: its bit, its rows (the high half of a byte) and its columns (the low half), as bits.
const SETS: [(u8, u16, u16); 8] = [
    // + - /
    (PLUS, 1 << 2, 1 << 0xB | 1 << 0xD | 1 << 0xF),
    (DIGIT, 1 << 3, 0x03FF),
    // A to O, a to o.
    (LETTER, 1 << 4 | 1 << 6, 0xFFFE),
    (LATE_LETTER, 1 << 5 | 1 << 7, 0x07FF),
    (HEX_LETTER, 1 << 4 | 1 << 6, 0x007E),
    // Space ( ) + - . /
    (JOINT, 1 << 2, 1 | 1 << 8 | 1 << 9 | 1 << 0xB | 1 << 0xD | 1 << 0xE | 1 << 0xF),
    (NO_BREAK, 1 << 0xA, 1),
    (NO_BREAK_LEAD, 1 << 0xC, 1 << 2),
];

/// The table by one half of a byte, over and over: a lookup works on each sixteen bytes of a register.
pub(super) const fn sets<const N: usize>(rows: bool) -> [u8; N] {
    let mut table = [0; N];
    let mut at = 0;
    while at < N * SETS.len() {
        let (bit, row, column) = SETS[at / N];
        if (if rows { row } else { column }) >> (at % 16) & 1 == 1 {
            table[at % N] |= bit;
        }
        at += 1;
    }
    table
}

/// What makes a letter or digit its value in base64, by its row.
pub(super) const fn sextets<const N: usize>() -> [u8; N] {
    let mut table = [0; N];
    let mut at = 0;
    while at < N {
        table[at] = match at % 16 {
            3 => 4,
            4 | 5 => 191,
            6 | 7 => 185,
            _ => 0,
        };
        at += 1;
    }
    table
}

const ROWS: [u8; 32] = sets(true);
const COLUMNS: [u8; 32] = sets(false);
const SEXTETS: [u8; 32] = sextets();

#[inline(always)]
pub(super) fn classify(v3: V3, bytes: &[u8; 64]) -> Block {
    let (halves, _) = bytes.as_chunks::<32>();
    let [low, high] = [half(v3, halves[0]), half(v3, halves[1])];
    let word = |n: usize| u64::from(low[n]) | u64::from(high[n]) << 32;
    Block {
        digit: word(0),
        joint: word(1),
        at: word(2),
        zero: word(3),
        percent: word(4),
        backslash: word(5),
        newline: word(6),
        hex: word(7),
        word: word(8),
        sign: word(13),
        first: !word(9),
        second: !word(10),
        third: !word(11),
        odd: word(12),
    }
}

#[inline(always)]
fn half(v3: V3, bytes: [u8; 32]) -> [u32; 14] {
    let (avx, avx2) = (v3.avx, v3.avx2);
    let x: __m256i = pulp::cast(bytes);
    let all = |byte: u8| avx._mm256_set1_epi8(byte as i8);
    let is = |byte: u8| avx2._mm256_cmpeq_epi8(x, all(byte));
    let mask = |which: __m256i| avx2._mm256_movemask_epi8(which) as u32;
    let low = avx2._mm256_and_si256(x, all(15));
    let row = avx2._mm256_and_si256(avx2._mm256_srli_epi16::<4>(x), all(15));
    let by_row = avx2._mm256_shuffle_epi8(pulp::cast(ROWS), row);
    let set = avx2._mm256_and_si256(by_row, avx2._mm256_shuffle_epi8(pulp::cast(COLUMNS), low));
    let none = |sets: u8| avx2._mm256_cmpeq_epi8(avx2._mm256_and_si256(set, all(sets)), all(0));
    let no_letter = none(DIGIT | LETTER | LATE_LETTER);
    // All bits of what is neither letter nor digit are set, as the three are of 62 and 63.
    let sextet = avx2._mm256_add_epi8(x, avx2._mm256_shuffle_epi8(pulp::cast(SEXTETS), row));
    let sextet = avx2._mm256_or_si256(sextet, no_letter);
    let text = avx2._mm256_cmpgt_epi8(x, all(31));
    let from_tab = avx2._mm256_sub_epi8(x, all(9));
    let space = avx2._mm256_cmpeq_epi8(avx2._mm256_min_epu8(from_tab, all(4)), from_tab);
    let odd = !mask(avx2._mm256_or_si256(text, space)) | mask(is(127));
    let word = !mask(none(DIGIT | LETTER | LATE_LETTER | PLUS)) | mask(is(b'_'));
    [
        !mask(none(DIGIT)),
        !mask(none(JOINT | NO_BREAK | NO_BREAK_LEAD)),
        mask(is(b'@')),
        mask(is(0)),
        mask(is(b'%')),
        mask(is(b'\\')),
        mask(is(b'\n')),
        !mask(none(DIGIT | HEX_LETTER)),
        word,
        mask(avx2._mm256_slli_epi16::<2>(sextet)),
        mask(avx2._mm256_slli_epi16::<4>(sextet)),
        mask(avx2._mm256_slli_epi16::<6>(sextet)),
        odd,
        word & mask(no_letter),
    ]
}
