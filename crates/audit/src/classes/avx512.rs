//! The classes by AVX-512: as by AVX2, but a comparison gives the 64 bits of a word itself.

use super::Block;
use super::avx2::{
    DIGIT, HEX_LETTER, JOINT, LATE_LETTER, LETTER, NO_BREAK, NO_BREAK_LEAD, PLUS, sets, sextets,
};
use pulp::x86::V4;
use std::arch::x86_64::__m512i;

const ROWS: [u8; 64] = sets(true);
const COLUMNS: [u8; 64] = sets(false);
const SEXTETS: [u8; 64] = sextets();

#[inline(always)]
pub(super) fn classify(v4: V4, bytes: &[u8; 64]) -> Block {
    let (avx512f, avx512bw) = (v4.avx512f, v4.avx512bw);
    let x: __m512i = pulp::cast(*bytes);
    let all = |byte: u8| avx512f._mm512_set1_epi8(byte as i8);
    let is = |byte: u8| avx512bw._mm512_cmpeq_epi8_mask(x, all(byte));
    let low = avx512f._mm512_and_si512(x, all(15));
    let row = avx512f._mm512_and_si512(avx512bw._mm512_srli_epi16::<4>(x), all(15));
    let by_row = avx512bw._mm512_shuffle_epi8(pulp::cast(ROWS), row);
    let set = avx512f._mm512_and_si512(by_row, avx512bw._mm512_shuffle_epi8(pulp::cast(COLUMNS), low));
    let any = |sets: u8| avx512bw._mm512_test_epi8_mask(set, all(sets));
    let alphanumeric = any(DIGIT | LETTER | LATE_LETTER);
    let sextet = avx512bw._mm512_add_epi8(x, avx512bw._mm512_shuffle_epi8(pulp::cast(SEXTETS), row));
    let clear = |bit: u8| alphanumeric & !avx512bw._mm512_test_epi8_mask(sextet, all(bit));
    let text = avx512bw._mm512_cmpgt_epi8_mask(x, all(31));
    let space = avx512bw._mm512_cmple_epu8_mask(avx512bw._mm512_sub_epi8(x, all(9)), all(4));
    let sign = any(PLUS) | is(b'_');
    Block {
        digit: any(DIGIT),
        joint: any(JOINT | NO_BREAK | NO_BREAK_LEAD),
        at: is(b'@'),
        zero: is(0),
        percent: is(b'%'),
        backslash: is(b'\\'),
        newline: is(b'\n'),
        hex: any(DIGIT | HEX_LETTER),
        word: alphanumeric | sign,
        sign,
        first: clear(32),
        second: clear(8),
        third: clear(2),
        odd: !(text | space) | is(127),
    }
}
