//! Lookups that wait for one another: a table does not fit a core's cache, and many misses at once take as long as one.

/// Lookups at once.
const TOGETHER: usize = 64;

/// What is to be looked up, with the values that a filter knows it by.
#[derive(Debug)]
pub(super) struct Batch<T> {
    mixed: Vec<u64>,
    waiting: Vec<T>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { mixed: Vec::new(), waiting: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// Adds one; true if it is time to look all up.
    #[inline]
    pub(super) fn add(&mut self, mixed: u64, one: T) -> bool {
        self.mixed.push(mixed);
        self.waiting.push(one);
        self.mixed.len() >= TOGETHER
    }

    /// What a filter knows them by.
    pub(super) fn mixed(&self) -> &[u64] {
        &self.mixed
    }

    /// Calls `pass` for those that passed the filter, as bits, and forgets all.
    pub(super) fn each(&mut self, mut passing: u64, mut pass: impl FnMut(&T)) {
        while passing != 0 {
            pass(&self.waiting[passing.trailing_zeros() as usize]);
            passing &= passing - 1;
        }
        self.mixed.clear();
        self.waiting.clear();
    }
}
