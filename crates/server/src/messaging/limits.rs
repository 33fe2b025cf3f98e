//! What devices may take. What is the same everywhere stands in the protocol (`wire::limits`).

use domicile_messaging::wire::limits as wire;
use std::time::Duration;

/// Bounds of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessagingLimits {
    /// Requests that are answered at once, long polls apart; beyond: 503 with `Retry-After`.
    pub requests: usize,
    /// From a body's first byte that is waited for to its last.
    pub body: Duration,
    /// From a whole request to its answer, long polls apart.
    pub answer: Duration,
    /// Proofs that are remembered so that none is used twice; beyond: 503, for at most four minutes.
    pub nonces: usize,
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
    /// Devices that agreed and have not registered; beyond, those that have waited longest are forgotten.
    pub waiting: u64,
    /// Between two looks whether a filter is to be built or read again, at most.
    pub filter_every: Duration,
}

impl Default for MessagingLimits {
    fn default() -> Self {
        Self {
            requests: 1_024,
            body: Duration::from_secs(10),
            answer: Duration::from_secs(30),
            nonces: wire::PROOFS_REMEMBERED_MAX,
            starts_per_number: 3,
            starts_per_device: 5,
            starts_per: Duration::from_secs(3_600),
            starts_an_hour: 10_000,
            discovery_allowance: wire::BUDGET_PER_GENERATION as u32,
            discovery_a_day: wire::BUDGET_PER_DAY as u32,
            waiting: 100_000,
            filter_every: Duration::from_secs(30),
        }
    }
}
