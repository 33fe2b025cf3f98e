//! Lookups that wait for one another: a table does not fit a core's cache, and many misses at once take as long as one.

use crate::filter::Probe;

/// Lookups at once.
const TOGETHER: usize = 64;

/// What is to be looked up, with what a filter knows it by.
#[derive(Debug)]
pub(super) struct Batch<T> {
    probes: [Probe; TOGETHER],
    waiting: [T; TOGETHER],
    count: usize,
}

impl<T: Copy + Default> Default for Batch<T> {
    fn default() -> Self {
        Self { probes: [Probe::default(); TOGETHER], waiting: [T::default(); TOGETHER], count: 0 }
    }
}

impl<T: Copy> Batch<T> {
    /// Adds one; true if it is time to look all up.
    #[inline(always)]
    pub(super) fn add(&mut self, probe: Probe, one: T) -> bool {
        let at = self.count % TOGETHER;
        self.probes[at] = probe;
        self.waiting[at] = one;
        self.count = at + 1;
        self.count == TOGETHER
    }

    /// What a filter knows them by.
    #[inline(always)]
    pub(super) fn probes(&self) -> &[Probe] {
        &self.probes[..self.count]
    }

    /// One of them.
    pub(super) fn at(&self, number: u32) -> T {
        self.waiting[number as usize]
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }
}
