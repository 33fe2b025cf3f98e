//! Runs of bits: where many in a row begin and end. Strings of bits are shifted whole, so that a compiler makes vectors of it.

use std::ops::Range;

/// Leaves those bits behind which, `by` places on, another one stands.
#[inline(always)]
pub(super) fn and_later(bits: &mut [u64], by: u32) {
    let last = bits.len().saturating_sub(1);
    for at in 0..last {
        bits[at] &= bits[at] >> by | bits[at + 1] << (64 - by);
    }
    if let Some(bits) = bits.last_mut() {
        *bits &= *bits >> by;
    }
}

/// Leaves of every run the bits at which `length` in a row begin.
#[inline(always)]
pub(super) fn begin(bits: &mut [u64], length: usize) {
    let mut have = 1;
    while have < length {
        // As many again as are known to be there.
        let by = have.min(length - have).min(63);
        and_later(bits, by as u32);
        have += by;
    }
}

/// Digits, and up to three joints after each.
#[inline(always)]
pub(super) fn cover(digits: &[u64], joints: &[u64], into: &mut [u64]) {
    let words = digits.len().min(joints.len()).min(into.len());
    let (digits, joints, into) = (&digits[..words], &joints[..words], &mut into[..words]);
    // Of the word before, only its last two bits reach so far.
    let step = |digit: u64, joint: u64, digit_before: u64, joint_before: u64| {
        let (mut last, mut last_before, mut all) = (digit, digit_before, digit);
        for _ in 0..3 {
            let next = joint & (last << 1 | last_before >> 63);
            last_before = joint_before & last_before << 1;
            last = next;
            all |= next;
        }
        all
    };
    if words > 0 {
        into[0] = step(digits[0], joints[0], 0, 0);
    }
    for at in 1..words {
        into[at] = step(digits[at], joints[at], digits[at - 1], joints[at - 1]);
    }
}

/// The 64 bits from one on.
#[inline(always)]
pub(crate) fn bits_from(words: &[u64], at: usize) -> u64 {
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    word(at / 64) >> (at % 64) | word(at / 64 + 1) << 1 << (63 - at % 64)
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

/// The places of the bits that are set.
#[inline(always)]
pub(crate) fn ones(mut bits: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let at = bits.trailing_zeros();
        (bits != 0).then(|| {
            bits &= bits - 1;
            at
        })
    })
}
