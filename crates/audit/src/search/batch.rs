//! Lookups that wait for one another: a table does not fit a core's cache, and many misses at once take as long as one.

use crate::filter::Probe;

/// Lookups at once.
const TOGETHER: usize = 64;

/// What is to be looked up, with what a filter knows it by.
#[derive(Debug)]
pub(super) struct Batch<T> {
    probes: Vec<Probe>,
    waiting: Vec<T>,
}

impl<T> Default for Batch<T> {
    fn default() -> Self {
        Self { probes: Vec::new(), waiting: Vec::new() }
    }
}

impl<T> Batch<T> {
    /// Adds one; true if it is time to look all up.
    #[inline]
    pub(super) fn add(&mut self, probe: Probe, one: T) -> bool {
        self.probes.push(probe);
        self.waiting.push(one);
        self.probes.len() >= TOGETHER
    }

    /// What a filter knows them by.
    pub(super) fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// Calls `pass` for those that passed the filter, as bits, and forgets all.
    pub(super) fn each(&mut self, mut passing: u64, mut pass: impl FnMut(&T)) {
        while passing != 0 {
            pass(&self.waiting[passing.trailing_zeros() as usize]);
            passing &= passing - 1;
        }
        self.probes.clear();
        self.waiting.clear();
    }
}
