//! The mail's side of a relay, below whoever says who asks: messages, keys and presence of one region's mailboxes.
//!
//! A call is about a mailbox and is done at its home. [`Mail::at_home`] is the way there: here, where the guard lets it pass; after
//! a bounded wait, where the mailbox is fenced; or at another relay ([`Peers`]), which sends it no further.

use super::fills::Fills;
use super::moving::Moving;
use super::neighbours::{self, Neighbours};
use super::notices::Seal;
use super::parks::Parks;
use super::presence::Presences;
use super::rates::Rates;
use super::refusals::{AGAIN, BUSY, MAIL_FORBIDDEN, MAILBOX_MOVES, MAILBOX_UNKNOWN, STORE_AWAY};
use super::relays::Peers;
use crate::Problem;
use crate::gateway::home::Known;
use crate::listen::Stop;
use crate::token::Tokens;
use domicile_directory::Directory;
use domicile_messaging::wire::limits as wire;
use domicile_stores::mailboxes::{Mailboxes, Refusal};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Semaphore;

/// Between two tries of a write that the guard refused, at first; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(4);
/// Between two tries, at most.
const PAUSE_MAX: Duration = Duration::from_millis(64);

/// Messages of one sender to one mailbox, added each second to what it may send at once.
const PAIR_PER_S: f64 = 1.0 / 60.0;
/// Claims of one mailbox's keys by one sender, added each second.
const PAIR_CLAIMS_PER_S: f64 = 1.0 / 7_200.0;

/// What a relay's mail is told.
#[derive(Debug)]
pub struct MailSettings {
    /// The messaging service's name.
    pub service: String,
    /// This relay's region.
    pub region: String,
    /// All of the service's regions, each with its relay's address (`https://HOST[:PORT]`), ours among them.
    pub relays: BTreeMap<String, Option<String>>,
    /// What this relay shows others.
    pub token: SecretString,
    /// What others show this relay.
    pub tokens: Tokens,
    /// Bounds.
    pub limits: MailLimits,
}

/// Bounds of a relay's mail. What devices know of stands in the protocol (`wire::limits`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLimits {
    /// Bytes of a message's body.
    pub message_bytes: usize,
    /// How long a message may wait for its receiver, seconds.
    pub expires_s: u64,
    /// Messages of a mailbox that wait.
    pub mailbox_messages: u64,
    /// Their bytes.
    pub mailbox_bytes: u64,
    /// Messages that one sender may send at once ...
    pub sender_burst: u32,
    /// ... and that are added to it each second.
    pub sender_per_s: u32,
    /// Messages that one sender may send to one mailbox at once, and one a minute, of what is beyond half of what may wait there.
    pub pair_burst: u32,
    /// One-time keys of a mailbox.
    pub one_time_keys: u64,
    /// Claims of keys that one sender may make at once; one a second is added to it.
    pub claims_burst: u32,
    /// Claims of keys of one mailbox that one sender may make at once; one every two hours is added to it.
    pub pair_claims_burst: u32,
    /// Mailboxes that may see one's presence.
    pub viewers: usize,
    /// Long polls that are held at once.
    pub waiters: usize,
    /// A long poll, seconds.
    pub wait_s: u64,
    /// How long a long poll waits until it looks again by itself: what another process of this region took it hears of, unless
    /// that one ended before it could say so.
    pub reread: Duration,
    /// How long a write waits for a mailbox that moves, or for a relay that does not answer.
    pub patience: Duration,
    /// Writes that wait so.
    pub parked: usize,
    /// Requests of other relays at once.
    pub relay_requests: usize,
    /// Homes, senders, fills and presences that are remembered, of each so many.
    pub remembered: usize,
    /// How long a device is here after its last long poll.
    pub present: Duration,
    /// Between two sweeps of what is expired.
    pub sweep: Duration,
}

impl Default for MailLimits {
    fn default() -> Self {
        Self {
            message_bytes: wire::MESSAGE_BYTES_MAX,
            expires_s: u64::from(wire::MESSAGE_EXPIRES_S_MAX),
            mailbox_messages: wire::MAILBOX_MESSAGES_MAX as u64,
            mailbox_bytes: wire::MAILBOX_BYTES_MAX as u64,
            sender_burst: 600,
            sender_per_s: 20,
            pair_burst: 100,
            one_time_keys: wire::ONE_TIME_KEYS_KEPT_MAX as u64,
            claims_burst: 300,
            pair_claims_burst: 10,
            viewers: wire::VIEWERS_MAX,
            waiters: 50_000,
            wait_s: u64::from(wire::WAIT_S_MAX),
            reread: Duration::from_secs(5),
            patience: Duration::from_secs(15),
            parked: 10_000,
            relay_requests: 4_096,
            remembered: 500_000,
            present: Duration::from_secs(30),
            sweep: Duration::from_secs(30),
        }
    }
}

/// A relay's mail.
pub struct Mail {
    pub(super) mailboxes: Arc<Mailboxes>,
    pub(super) moving: Arc<Moving>,
    pub(super) parks: Parks,
    pub(super) peers: Peers,
    pub(super) presences: Presences,
    pub(super) neighbours: Neighbours,
    pub(super) senders: Rates,
    pub(super) claims: Rates,
    pub(super) pairs: Rates,
    pub(super) pair_claims: Rates,
    pub(super) fills: Fills,
    pub(super) waiters: Arc<Semaphore>,
    pub(super) relay_requests: Arc<Semaphore>,
    pub(super) tokens: Tokens,
    pub(super) limits: MailLimits,
    pub(super) stop: Stop,
}

impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("store", &self.mailboxes.name()).finish_non_exhaustive()
    }
}

/// Where a call was done, or is to be.
pub(super) enum Place<T> {
    /// Here.
    Done(T),
    /// At this home, which is not here.
    Elsewhere(Known),
}

impl Mail {
    /// Begins to follow the directory and to sweep what is expired, until `stop`.
    ///
    /// # Errors
    /// The directory's, or in words where TLS can't be set up.
    pub async fn start(
        directory: Arc<Directory>,
        mailboxes: Arc<Mailboxes>,
        settings: MailSettings,
        stop: Stop,
    ) -> Result<Arc<Self>, domicile_directory::Error> {
        let MailSettings { service, region, relays, token, tokens, limits } = settings;
        let kept = limits.remembered;
        let unfit = domicile_directory::Error::Argument;
        let channel = mailboxes.channel().await.map_err(|e| unfit(e.to_string()))?;
        let presences = Presences::new(kept, limits.present);
        let neighbours = Seal::new(&token, &service, &region);
        let neighbours = neighbours.and_then(|seal| Neighbours::new(seal, presences.lease()));
        let neighbours = neighbours.ok_or_else(|| unfit("there are no random numbers".to_owned()))?;
        let moving = Moving::start(directory, &service, &region, relays, kept, stop.clone()).await?;
        let peers = Peers::new(token).map_err(|e| unfit(e.to_string()))?;
        let mail = Arc::new(Self {
            mailboxes,
            moving,
            parks: Parks::new(limits.parked),
            peers,
            presences,
            neighbours,
            senders: Rates::new(kept, limits.sender_burst, f64::from(limits.sender_per_s.max(1))),
            claims: Rates::new(kept, limits.claims_burst, 1.0),
            pairs: Rates::new(kept, limits.pair_burst, PAIR_PER_S),
            pair_claims: Rates::new(kept, limits.pair_claims_burst, PAIR_CLAIMS_PER_S),
            fills: Fills::new(kept),
            waiters: Arc::new(Semaphore::new(limits.waiters)),
            relay_requests: Arc::new(Semaphore::new(limits.relay_requests)),
            tokens,
            limits,
            stop,
        });
        tokio::spawn(super::sweep::run(mail.clone()));
        tokio::spawn(neighbours::run(mail.clone(), channel));
        Ok(mail)
    }

    /// Does `write` here, as soon as the guard lets it pass, or says which home the mailbox has instead. `write` may be repeated:
    /// a refusal means that nothing was done.
    pub(super) async fn at_home<T, W: Future<Output = Result<T, Refusal>>>(
        &self,
        mailbox: &str,
        write: impl Fn() -> W,
    ) -> Result<Place<T>, Problem> {
        if !self.parks.has(mailbox) {
            let home = self.moving.of(mailbox).await?.ok_or(MAILBOX_UNKNOWN)?;
            if !self.moving.is_here(home) {
                return Ok(Place::Elsewhere(home));
            }
            match write().await {
                Err(refused) if refused.is_elsewhere() => {}
                done => return done.map(Place::Done).map_err(|e| of_store(&e)),
            }
        }
        self.after_a_park(mailbox, write).await
    }

    async fn after_a_park<T, W: Future<Output = Result<T, Refusal>>>(
        &self,
        mailbox: &str,
        write: impl Fn() -> W,
    ) -> Result<Place<T>, Problem> {
        let until = Instant::now() + self.limits.patience;
        let late = || MAILBOX_MOVES.retry_after(AGAIN);
        // Twice at most behind others: then it has its own turn for the rest.
        for _ in 0..2 {
            let turn = tokio::time::timeout_at(until.into(), self.parks.turn(mailbox)).await;
            let (turn, is_parked) = turn.map_err(|_| late())?.ok_or_else(late)?;
            if is_parked {
                let done = self.tries(mailbox, &write, until).await;
                drop(turn);
                return done;
            }
            drop(turn);
            let home = self.moving.asked(mailbox).await?.ok_or(MAILBOX_UNKNOWN)?;
            if !self.moving.is_here(home) {
                return Ok(Place::Elsewhere(home));
            }
            match write().await {
                Err(refused) if refused.is_elsewhere() => {}
                done => return done.map(Place::Done).map_err(|e| of_store(&e)),
            }
        }
        Err(late())
    }

    /// Tries until it is done, the home is another, or it takes too long.
    async fn tries<T, W: Future<Output = Result<T, Refusal>>>(
        &self,
        mailbox: &str,
        write: &impl Fn() -> W,
        until: Instant,
    ) -> Result<Place<T>, Problem> {
        let mut pause = PAUSE_MIN;
        let mut news = self.moving.wait_for(mailbox);
        loop {
            // Not from memory: the feed may be a moment behind what the guard knows already.
            let home = self.moving.asked(mailbox).await?.ok_or(MAILBOX_UNKNOWN)?;
            if !self.moving.is_here(home) {
                return Ok(Place::Elsewhere(home));
            }
            match write().await {
                Err(refused) if refused.is_elsewhere() => {}
                done => return done.map(Place::Done).map_err(|e| of_store(&e)),
            }
            if Instant::now() + pause > until {
                return Err(MAILBOX_MOVES.retry_after(AGAIN));
            }
            news.heard(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

/// What a database's refusal is to a device.
pub(super) fn of_store(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::NotWritableHere { .. } | Refusal::NotHere => MAILBOX_MOVES.retry_after(AGAIN),
        // Whose it is has changed since the request was let in: the same again is told.
        Refusal::Changed => BUSY.retry_after(AGAIN),
        Refusal::Forbidden => MAIL_FORBIDDEN,
        Refusal::Taken | Refusal::Again(_) | Refusal::Unknown(_) | Refusal::Broken(_) => {
            STORE_AWAY.retry_after(AGAIN)
        }
    }
}

/// Now, ms since 1970.
pub(super) fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
