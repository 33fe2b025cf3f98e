//! The handset's clock, which runs faster than the wall's: its idle minutes are its own.

use std::time::Duration;

/// How often idle time is told to the client, in the handset's seconds: finer than any alarm of a phone at rest.
pub const TICK_S: u64 = 10;

/// Time since the first start.
#[derive(Debug)]
pub struct Clock {
    now_s: u64,
    times_as_fast: u64,
}

impl Clock {
    /// A clock that runs so many times as fast as the wall's.
    pub fn new(times_as_fast: u64) -> Self {
        Self { now_s: 0, times_as_fast: times_as_fast.max(1) }
    }

    /// The handset's seconds since its first start.
    pub fn now_s(&self) -> u64 {
        self.now_s
    }

    /// Lets one tick pass.
    pub fn pass(&mut self) {
        std::thread::sleep(
            Duration::from_secs(TICK_S) / u32::try_from(self.times_as_fast).unwrap_or(u32::MAX),
        );
        self.now_s += TICK_S;
    }
}
