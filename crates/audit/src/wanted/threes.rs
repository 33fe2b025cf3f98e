//! Which three bytes stand at a certain place of what is looked for: 8 KiB that say no from the first level of a core's cache.

/// One bit for every way in which three bytes may hash.
#[derive(Debug)]
pub(super) struct Threes(Box<[u64; 1 << 10]>);

impl Threes {
    pub(super) fn new() -> Self {
        Self(Box::new([0; 1 << 10]))
    }

    /// Remembers the three lowest bytes of a word.
    pub(super) fn insert(&mut self, three: u64) {
        let (word, bit) = place(three);
        self.0[word] |= 1 << bit;
    }

    /// May these have been remembered? One bit.
    #[inline(always)]
    pub(super) fn bit(&self, three: u64) -> u64 {
        let (word, bit) = place(three);
        self.0[word] >> bit & 1
    }
}

/// The word and the bit in it that stand for the three lowest bytes.
#[inline(always)]
fn place(three: u64) -> (usize, u32) {
    let mixed = (three & 0xFF_FFFF).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 54) as usize, (mixed >> 48) as u32 & 63)
}
