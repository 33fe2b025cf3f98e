//! What devices may take.

use std::time::Duration;

/// Elements that one evaluation may have: a device pads to the next of them, so that the number of its contacts is not told.
pub(super) const BATCHES: [usize; 6] = [16, 64, 128, 256, 512, 1024];
/// Locators of one look-up, for the same reason.
pub(super) const LOOKUPS: [usize; 3] = [8, 32, 128];
/// How far a device's clock may be from ours, either way.
pub(super) const CLOCK: Duration = Duration::from_secs(120);
/// How long a consent token holds.
pub(super) const TOKEN: Duration = Duration::from_secs(600);

/// Bounds of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagingLimits {
    /// Requests that are answered at once, long polls apart; beyond: 503 with `Retry-After`.
    pub requests: usize,
    /// Bytes of a request's body: the largest batch of an evaluation fits.
    pub body_bytes: usize,
    /// From a body's first byte that is waited for to its last.
    pub body: Duration,
    /// From a whole request to its answer, long polls apart.
    pub answer: Duration,
    /// Proofs that are remembered so that none is used twice; beyond: 503, for at most four minutes.
    pub nonces: usize,
    /// How long a code is good.
    pub code: Duration,
    /// Wrong codes after which an attempt is over.
    pub code_tries: u32,
    /// Codes that are sent to one number in `starts_per`.
    pub starts_per_number: u32,
    /// Codes that one device may ask for in `starts_per`.
    pub starts_per_device: u32,
    /// See above.
    pub starts_per: Duration,
    /// Codes that are sent by this relay in an hour, to whomever: text messages cost money.
    pub starts_an_hour: u32,
    /// Elements that an account may have evaluated at once in a generation.
    pub discovery_allowance: u32,
    /// What is added to it each day.
    pub discovery_a_day: u32,
    /// Devices that agreed and have not registered; beyond: 503.
    pub waiting: u64,
    /// How long they may take.
    pub waiting_time: Duration,
    /// Between two looks whether a filter is to be built again.
    pub filter_every: Duration,
    /// Bytes of a filter that another relay may send.
    pub filter_bytes: usize,
}

impl Default for MessagingLimits {
    fn default() -> Self {
        Self {
            requests: 1_024,
            body_bytes: 256 * 1024,
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            nonces: 2_000_000,
            code: Duration::from_secs(600),
            code_tries: 5,
            starts_per_number: 3,
            starts_per_device: 5,
            starts_per: Duration::from_secs(3_600),
            starts_an_hour: 10_000,
            discovery_allowance: 5_000,
            discovery_a_day: 200,
            waiting: 100_000,
            waiting_time: Duration::from_secs(24 * 3_600),
            filter_every: Duration::from_secs(30),
            filter_bytes: 64 * 1024 * 1024,
        }
    }
}
