//! What bounds the unpacking of one target: how much of it comes out, against how much went in.

use super::Search;
use crate::{Gap, Limits, Place};
use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use thiserror::Error;

/// A target may unpack to this much whatever its ratio: a small file that repeats itself is no bomb.
const RATIO_FREE_BYTES: u64 = 16 << 20;

/// A bound was reached.
#[derive(Debug, Error)]
pub(super) enum Reached {
    /// [`Limits::unpacked_bytes_max`].
    #[error("the target unpacks to more than the limit of {0} bytes")]
    Bytes(u64),
    /// [`Limits::ratio_max`].
    #[error("the target unpacks to more than {0} times what was read of it")]
    Ratio(u64),
}

/// One target being opened: the search that everything goes to, and how much of the bounds is used up.
pub(crate) struct Opener<'s, S> {
    search: RefCell<&'s mut S>,
    pub(crate) limits: Limits,
    read_bytes: Cell<u64>,
    unpacked_bytes: Cell<u64>,
}

impl<'s, S: Search> Opener<'s, S> {
    pub(crate) fn new(search: &'s mut S, limits: Limits) -> Self {
        Self { search: RefCell::new(search), limits, read_bytes: Cell::new(0), unpacked_bytes: Cell::new(0) }
    }

    /// Calls the search; nothing that it does comes back here, so the borrow is never held twice.
    pub(crate) fn search<T>(&self, call: impl FnOnce(&mut S) -> T) -> T {
        call(&mut self.search.borrow_mut())
    }

    /// Notes what can't be seen.
    pub(crate) fn unseen(&self, place: Place, gap: Gap, why: String) {
        self.search(|search| search.unseen(place, gap, why));
    }

    /// Counts bytes of the target itself.
    pub(crate) fn count_read(&self, bytes: usize) {
        self.read_bytes.set(self.read_bytes.get() + bytes as u64);
        self.search(|search| search.came(bytes));
    }

    /// Bytes read from the target, and bytes that came out of what is packed in it.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.read_bytes.get(), self.unpacked_bytes.get())
    }

    /// Counts unpacked bytes of any depth against both bounds.
    fn count_unpacked(&self, bytes: usize) -> Result<(), Reached> {
        let unpacked = self.unpacked_bytes.get() + bytes as u64;
        self.unpacked_bytes.set(unpacked);
        let Limits { unpacked_bytes_max, ratio_max, .. } = self.limits;
        if unpacked > unpacked_bytes_max {
            return Err(Reached::Bytes(unpacked_bytes_max));
        }
        if unpacked > RATIO_FREE_BYTES.max(self.read_bytes.get().saturating_mul(ratio_max)) {
            return Err(Reached::Ratio(ratio_max));
        }
        Ok(())
    }
}

/// Unpacked bytes on their way to the search, within the bounds.
pub(crate) struct Bounded<'a, 's, S, R> {
    pub(crate) opener: &'a Opener<'s, S>,
    pub(crate) unpacked: R,
    /// What came out of this stream.
    pub(crate) bytes: u64,
}

impl<S: Search, R: Read> Read for Bounded<'_, '_, S, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.unpacked.read(buffer)?;
        self.opener.count_unpacked(read).map_err(io::Error::other)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
