//! Every bound of the route, with its unit and its reason.

use std::time::Duration;

/// Limits and pace of a wave. All have safe defaults; the user's `[limits]` overrides them.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Subjects in a batch: the unit of one copy. Larger shares round trips, smaller keeps the
    /// target's transactions (and SQLite's write lock) short.
    pub batch_subjects: usize,
    /// Subjects fenced together. Small, since a group's pause is its slowest member's.
    pub fence_subjects: usize,
    /// Batches under way at once.
    pub batches_in_flight: usize,
    /// How long marking and fencing wait for one subject's writers in flight.
    pub writer_wait: Duration,
    /// How long a mark or a fence waits for gateways in which the subjects' writes are under way.
    pub gateway_wait: Duration,
    /// A fence ends by itself after this, unless sealed.
    pub fence_deadline: Duration,
    /// Tries to fence a subject before it leaves its batch.
    pub fence_tries: u32,
    /// Recorded changes read in one catch-up round.
    pub catch_up_changes: u32,
    /// Catch-up goes on until a round saw at most this many changes.
    pub catch_up_enough: usize,
    /// Rounds of catch-up and comparison before the subjects that still differ leave the batch.
    pub verify_rounds: u32,
    /// Objects copied at once.
    pub objects_in_flight: usize,
    /// Bytes of objects that may still be copied under the fence; more un-fences first.
    pub fence_object_bytes: u64,
    /// Rows erased in one transaction.
    pub erase_rows: u32,
    /// Wait for the listed standbys before cutover and erase.
    pub standby_wait: Duration,
    /// Least time between activate and erase: at least the longest lease of any route to a region
    /// and the longest pre-signed URL (finding 9).
    pub grace: Duration,
    /// How long an unreachable directory is asked again before the wave stops with subjects sealed.
    pub settle_wait: Duration,
    /// A worker that is gone for so long has lost its turn to drive a wave.
    pub turn: Duration,
    /// Rows a second that this process brings over, all its batches together, if bounded.
    pub rows_per_s: Option<u64>,
    /// The same for bytes, of rows as they travel and of objects.
    pub bytes_per_s: Option<u64>,
    /// Nothing new is begun while a standby of the source or the target is further behind.
    pub replication_lag: Option<Duration>,
    /// The same in bytes of the write-ahead log.
    pub replication_lag_bytes: Option<u64>,
    /// Nothing new is begun while more sessions of others are at a statement at the source or the target.
    pub active_sessions: Option<u64>,
    /// Tries of a statement that has to be tried again, with back-off.
    pub tries: u32,
    /// Rounds over the subjects that had to leave their batch.
    pub straggler_rounds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_subjects: 100,
            fence_subjects: 10,
            batches_in_flight: 3,
            writer_wait: Duration::from_millis(300),
            gateway_wait: Duration::from_secs(1),
            fence_deadline: Duration::from_secs(2),
            fence_tries: 8,
            catch_up_changes: 10_000,
            catch_up_enough: 50,
            verify_rounds: 12,
            objects_in_flight: 16,
            fence_object_bytes: 4 << 20,
            erase_rows: 2_000,
            standby_wait: Duration::from_secs(10),
            grace: Duration::from_secs(24 * 60 * 60),
            settle_wait: Duration::from_secs(60),
            turn: Duration::from_secs(6),
            rows_per_s: None,
            bytes_per_s: None,
            replication_lag: None,
            replication_lag_bytes: None,
            active_sessions: None,
            tries: 12,
            straggler_rounds: 3,
        }
    }
}

impl Limits {
    /// Is there a ceiling on what the regions' servers are at besides?
    pub fn has_ceilings(&self) -> bool {
        self.replication_lag.is_some()
            || self.replication_lag_bytes.is_some()
            || self.active_sessions.is_some()
    }
}
