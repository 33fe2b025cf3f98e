//! The directory: which region is a subject's home, with an epoch that grows by one at each move; the
//! compare-and-swap that is a move's point of no return; a feed of what changed; the journal of waves
//! and the leases on them and on their batches.
//!
//! It holds no personal data. A subject appears as [`SubjectHash`], a keyed hash: whoever reads the
//! control store without the key learns how many subjects live where, and nothing of who they are. Lists
//! of real ids and the journal of batches live in the source region's own database.
//!
//! # Promises
//! - INVARIANT: a subject has at most one home per service: one row, whatever callers do at once.
//! - INVARIANT: `(epoch, attempt)` of a subject only grows, the epoch by one at a time, and a row is never
//!   deleted: a removed subject keeps its row without a region, so that an old epoch can't come back.
//!   Written in every statement's WHERE; on SQLite and PostgreSQL triggers refuse anything else.
//! - INVARIANT: the writers of a service are ordered by the lock on its row in `directory_feed`, which
//!   every one takes first. So sequence numbers become visible in their order (a reader of the feed
//!   never misses one), writers can't deadlock, and [`Directory::settle`] waits for every swap that is
//!   under way before it decides.
//! - Every call but [`Directory::cutover`] may be repeated after an unknown outcome, and these calls
//!   repeat themselves. A lost answer to `cutover` is settled by [`Directory::settle`], which writes.
//!
//! Claims ([`Claim`]: unique names of subjects) are a table of their own, keyed by the same HMAC; moves do not
//! touch them.

mod claims;
mod cutover;
mod error;
mod feed;
mod gateway;
mod homes;
mod key;
mod lease;
mod presence;
mod read;
mod schema;
mod share;
mod waits;
mod wave;

pub use claims::{
    CLAIMS_MAX, Claim, ClaimHash, ClaimKind, Claimed, Committed, Imported, RESERVATION_MAX, Reserved, Taken,
    Unclaimable,
};
pub use cutover::{Settled, Swap};
pub use error::{Error, Result};
pub use feed::{Changed, Cursor, Page};
pub use gateway::{GatewaySeen, Heads, NO_GATEWAY_FOR, Park};
pub use homes::{Home, Registered};
pub use key::{DirectoryKey, SubjectHash};
pub use lease::WaveLease;
pub use presence::WorkerSeen;
pub use share::{BatchInHand, BatchLease};
pub use wave::{Asked, NewWave, Wave, WaveFilter, WaveState};

use domicile_stores::control::{Control, Dialect, Rows, Statement};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// Subjects in one transaction of a bulk call: 4 parameters each stay below both engines' limits
/// (SQLite 32 766, PostgreSQL 65 535).
const CHUNK: usize = 500;
/// Tries of a transaction that another one got in the way of.
const AGAIN_MAX: u32 = 12;
/// Tries of a repeatable call whose outcome is unknown.
const UNKNOWN_MAX: u32 = 3;
/// Longest pause between two tries; the first is 1/64 of it.
const PAUSE_MAX: Duration = Duration::from_millis(320);

/// The directory in its control store. Cheap to share behind an `Arc`.
pub struct Directory {
    store: Arc<dyn Control>,
    key: DirectoryKey,
    prepared: OnceCell<Dialect>,
    /// When a service was last found to have no gateway.
    no_gateway: Mutex<BTreeMap<String, Instant>>,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("store", &self.store.name()).finish_non_exhaustive()
    }
}

/// May the call be repeated when its outcome is unknown?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// Yes: done twice is the same as done once.
    Safe,
    /// No: somebody has to settle it.
    Never,
}

impl Directory {
    /// A directory over a control store. Nothing is asked before the first call.
    pub fn open(store: impl Control + 'static, key: DirectoryKey) -> Self {
        Self { store: Arc::new(store), key, prepared: OnceCell::new(), no_gateway: Mutex::default() }
    }

    /// The same directory over connections of its own: what is asked by it does not queue behind what is asked by this one.
    ///
    /// # Errors
    /// The store's.
    pub async fn apart(&self) -> Result<Self> {
        let store = self.store.apart().await?.unwrap_or_else(|| self.store.clone());
        let (key, prepared) = (self.key.clone(), OnceCell::new());
        Ok(Self { store, key, prepared, no_gateway: Mutex::default() })
    }

    /// The control store's name for messages.
    pub fn name(&self) -> String {
        self.store.name()
    }

    /// How a subject appears in the control store.
    pub fn hash(&self, service: &str, subject: &domicile_stores::records::SubjectId) -> SubjectHash {
        self.key.hash(service, subject)
    }

    /// How a claim appears in the control store.
    pub fn hash_of_claim(&self, service: &str, claim: &Claim) -> ClaimHash {
        self.key.claim(service, claim)
    }

    /// Which SQL the store speaks, once it is known that its tables and our key belong together.
    async fn ready(&self) -> Result<Dialect> {
        self.prepared.get_or_try_init(|| schema::check(self)).await.copied()
    }

    /// Runs one transaction; tries again what was certainly not done, and, where that is safe, what
    /// may have been.
    async fn run(&self, repeat: Repeat, statements: Vec<Statement>) -> Result<Vec<Rows>> {
        let (mut again, mut unknown) = (0, 0);
        loop {
            let error = match self.store.run(statements.clone()).await {
                Ok(rows) => return Ok(rows),
                Err(error) => error,
            };
            if error.is_again() && again < AGAIN_MAX {
                again += 1;
            } else if error.is_unreachable() && repeat == Repeat::Safe && unknown < UNKNOWN_MAX {
                unknown += 1;
            } else {
                return Err(error.into());
            }
            tokio::time::sleep(pause(again + unknown)).await;
        }
    }

    /// Runs one repeatable statement.
    async fn ask(&self, statement: Statement) -> Result<Rows> {
        Ok(self.run(Repeat::Safe, vec![statement]).await?.pop().unwrap_or_default())
    }
}

/// Grows to [`PAUSE_MAX`], with half of it left to chance so that two callers part.
fn pause(tries: u32) -> Duration {
    let full = PAUSE_MAX / (64 >> tries.min(6));
    full.mul_f64(f64::from(getrandom::u32().unwrap_or(0)) / f64::from(u32::MAX) / 2.0 + 0.5)
}
