//! Neighbours: the other processes of this region's relay. What one keeps, takes out or sees, the others hear of within moments:
//! their long polls wake, their counts of full mailboxes agree, and a device is here at all of them.
//!
//! By PostgreSQL's LISTEN and NOTIFY, sealed ([`notices`](super::notices)), after the commit that it is about. Nothing depends on a notice:
//! a long poll looks by itself, too, what was counted is counted again, and presence ends by itself. So one that is lost costs time.
//! Nothing of it is in a table. A region on SQLite has one process.

use super::mail::Mail;
use super::notices::{Notice, Packet, Seal, TOGETHER};
use domicile_messaging::wire::MailboxId;
use domicile_stores::mailboxes::Channel;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Notices that wait for the database; beyond, the neighbours are told that something was missed.
const WAITING: usize = 65_536;
/// Neighbours that are known at once; what others say is not heard.
const KNOWN: usize = 64;
/// How far a neighbour's clock may be off, as a device's may.
const OFF_US: u64 = 120_000_000;
/// How long the database may take to say something.
const SAY: Duration = Duration::from_secs(10);
/// Between two tries to listen.
const AGAIN: Duration = Duration::from_secs(1);

/// What is told, and who was heard.
pub(super) struct Neighbours {
    seal: Seal,
    me: [u8; 16],
    waiting: Mutex<Waiting>,
    is_due: tokio::sync::Notify,
    heard: Mutex<Heard>,
    lease: Duration,
    /// Is somebody findable who was not, or no more?
    findable: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    notices: Vec<Notice>,
    /// Something was not told.
    missed: bool,
    last_us: u64,
}

struct Heard {
    /// The latest packet of each, and when it came.
    of: HashMap<[u8; 16], (u64, Instant)>,
    /// Until then there may be some that were not heard yet.
    doubt: Instant,
}

impl Neighbours {
    /// `lease`: for so long a process is there after it was heard. `None`: the system has no random numbers, or no key can be made.
    pub fn new(seal: Seal, lease: Duration) -> Option<Self> {
        let mut me = [0; 16];
        getrandom::fill(&mut me).ok()?;
        let heard = Mutex::new(Heard { of: HashMap::new(), doubt: Instant::now() + lease });
        let (waiting, is_due) = (Mutex::default(), tokio::sync::Notify::new());
        Some(Self { seal, me, waiting, is_due, heard, lease, findable: AtomicBool::new(false) })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the neighbours, if there may be any. Without waiting: a request is not slower for it.
    pub fn tell(&self, notice: Notice) {
        if self.has_any() {
            self.put([notice]);
        }
    }

    fn put(&self, notices: impl IntoIterator<Item = Notice>) {
        let mut waiting = self.waiting();
        waiting.notices.extend(notices);
        if waiting.notices.len() > WAITING {
            waiting.notices.clear();
            waiting.missed = true;
        }
        drop(waiting);
        self.is_due.notify_one();
    }

    /// Were others heard lately, or may there be some?
    fn has_any(&self) -> bool {
        let (mut heard, now) = (self.heard(), Instant::now());
        if now < heard.doubt {
            return true;
        }
        let lease = self.lease;
        heard.of.retain(|_, (_, at)| now.duration_since(*at) < lease);
        !heard.of.is_empty()
    }

    /// Until a lease is over it is not known who is there.
    fn doubt(&self) {
        self.heard().doubt = Instant::now() + self.lease;
    }

    /// Was somebody made findable, here or there, since this was asked last?
    pub fn found(&self) -> bool {
        self.findable.swap(false, Ordering::Relaxed)
    }

    /// What was found is to be looked for again.
    pub fn look_again(&self) {
        self.findable.store(true, Ordering::Relaxed);
    }

    /// What to say next; `None`: nothing.
    fn next(&self) -> Option<String> {
        let mut waiting = self.waiting();
        if std::mem::take(&mut waiting.missed) {
            waiting.notices.push(Notice::Look);
        }
        let count = waiting.notices.len().min(TOGETHER);
        if count == 0 {
            return None;
        }
        let notices = waiting.notices.drain(..count).collect();
        // A clock that is set back: this process' packets go on in their order.
        waiting.last_us = now_us().max(waiting.last_us + 1);
        self.seal.close(&Packet { from: self.me, at_us: waiting.last_us, notices })
    }

    /// What a neighbour says, and whether it is a new one. `None`: nobody of this region, ourselves, or something old.
    fn open(&self, text: &str) -> Option<(Vec<Notice>, bool)> {
        let packet = self.seal.open(text).filter(|packet| packet.from != self.me)?;
        if packet.at_us.abs_diff(now_us()) > OFF_US {
            return None;
        }
        let (mut heard, now) = (self.heard(), Instant::now());
        let lease = self.lease;
        heard.of.retain(|_, (_, at)| now.duration_since(*at) < lease);
        let before = heard.of.get(&packet.from).copied();
        let is_later = before.is_none_or(|(at_us, _)| at_us < packet.at_us);
        if !is_later || (before.is_none() && heard.of.len() >= KNOWN) {
            return None;
        }
        heard.of.insert(packet.from, (packet.at_us, now));
        Some((packet.notices, before.is_none()))
    }
}

impl Mail {
    /// A mailbox's message is kept, durably.
    pub(super) fn has_kept(&self, mailbox: MailboxId, bytes: usize) {
        let name = mailbox.to_string();
        self.fills.added(&name, bytes);
        self.moving.tell(&name);
        self.neighbours.tell(Notice::Kept(mailbox, u32::try_from(bytes).unwrap_or(u32::MAX)));
    }

    /// Messages were taken out of a mailbox, durably.
    pub(super) fn has_gone(&self, mailbox: &str, messages: usize) {
        self.fills.removed(mailbox, messages);
        if let (Ok(mailbox), true) = (mailbox.parse(), messages > 0) {
            self.neighbours.tell(Notice::Gone(mailbox, u32::try_from(messages).unwrap_or(u32::MAX)));
        }
    }

    /// Forgets what is remembered of a mailbox, at all processes of the region: to be called after its consent has changed.
    pub fn forget(&self, mailbox: &str) {
        self.forget_here(mailbox);
        if let Ok(mailbox) = mailbox.parse() {
            self.neighbours.tell(Notice::Changed(mailbox));
        }
    }

    fn forget_here(&self, mailbox: &str) {
        self.fills.forget(mailbox);
        self.moving.tell(mailbox);
    }

    /// Somebody was made findable, or is no more: all processes of the region build their filter anew.
    pub(super) fn is_findable(&self) {
        self.neighbours.look_again();
        self.neighbours.tell(Notice::Findable);
    }

    fn hears(&self, text: &str) {
        let Some((notices, is_new)) = self.neighbours.open(text) else { return };
        if is_new {
            // It knows nothing of us, nor of who is here.
            self.presences.tell_anew();
            self.says_who_is_here();
        }
        for notice in notices {
            match notice {
                Notice::Hello => {}
                Notice::Look => self.looks(),
                Notice::Findable => self.neighbours.look_again(),
                Notice::Kept(mailbox, bytes) => {
                    let name = mailbox.to_string();
                    self.fills.added(&name, usize::try_from(bytes).unwrap_or(usize::MAX));
                    self.moving.tell(&name);
                }
                Notice::Gone(mailbox, messages) => {
                    let messages = usize::try_from(messages).unwrap_or(usize::MAX);
                    self.fills.removed(&mailbox.to_string(), messages);
                }
                Notice::Changed(mailbox) => self.forget_here(&mailbox.to_string()),
                Notice::Here(mailbox) => self.presences.is_elsewhere(mailbox.to_string()),
            }
        }
    }

    /// Something may have been missed.
    fn looks(&self) {
        self.fills.forget_all();
        self.moving.tell_all();
        self.neighbours.look_again();
    }

    fn says_who_is_here(&self) {
        let mut notices = vec![Notice::Hello];
        if self.neighbours.has_any() {
            let due = self.presences.due();
            notices.extend(due.iter().filter_map(|mailbox| mailbox.parse().ok()).map(Notice::Here));
        }
        self.neighbours.put(notices);
    }
}

/// Listens and tells until the relay stops; begins anew where the connection ends.
pub(super) async fn run(mail: Arc<Mail>, first: Option<Channel>) {
    let Some(first) = first else { return };
    let stop = mail.stop.clone();
    let talk = async {
        converse(&mail, first).await;
        loop {
            tokio::time::sleep(AGAIN).await;
            let Ok(Some(channel)) = mail.mailboxes.channel().await else { continue };
            mail.neighbours.waiting().missed = true;
            converse(&mail, channel).await;
        }
    };
    tokio::select! {
        () = talk => {}
        () = stop.stopped() => {}
    }
}

/// On one connection, until it ends.
async fn converse(mail: &Mail, mut channel: Channel) {
    let neighbours = &mail.neighbours;
    // From here on nothing that is said is missed; what was missed until now is looked for.
    neighbours.doubt();
    mail.presences.tell_anew();
    mail.looks();
    let mut again = tokio::time::interval(mail.presences.again() / 2);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            heard = channel.heard() => match heard {
                Some(text) => mail.hears(&text),
                None => return,
            },
            () = neighbours.is_due.notified() => {
                while let Some(packet) = neighbours.next() {
                    let said = tokio::time::timeout(SAY, channel.say(&packet)).await;
                    if !matches!(said, Ok(Ok(()))) {
                        return;
                    }
                }
            }
            _ = again.tick() => mail.says_who_is_here(),
        }
    }
}

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neighbours(lease: Duration) -> Neighbours {
        Neighbours::new(Seal::new(&"token".to_owned().into(), "messages", "beijing").unwrap(), lease).unwrap()
    }

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn what_is_told_is_heard_once_and_by_others_only() {
        let (ann, bob) = (neighbours(LONG), neighbours(LONG));
        ann.tell(Notice::Look);
        let said = ann.next().unwrap();
        assert_eq!(ann.next(), None);
        assert_eq!(ann.open(&said), None, "its own");
        assert_eq!(bob.open(&said), Some((vec![Notice::Look], true)));
        assert_eq!(bob.open(&said), None, "said again by somebody who listened");
        ann.tell(Notice::Findable);
        assert_eq!(bob.open(&ann.next().unwrap()), Some((vec![Notice::Findable], false)));
        let old = Packet { from: [1; 16], at_us: now_us() - 2 * OFF_US, notices: vec![Notice::Look] };
        assert_eq!(bob.open(&ann.seal.close(&old).unwrap()), None, "kept by somebody, and said long after");
    }

    #[test]
    fn alone_nothing_is_told() {
        let (ann, bob) = (neighbours(Duration::ZERO), neighbours(LONG));
        ann.tell(Notice::Look);
        assert_eq!(ann.next(), None);
        bob.tell(Notice::Hello);
        assert_eq!(ann.open(&bob.next().unwrap()), Some((vec![Notice::Hello], true)));
        assert!(!ann.has_any(), "its lease is over");
    }

    #[test]
    fn what_waits_is_bounded_and_what_was_dropped_is_said() {
        let ann = neighbours(LONG);
        for _ in 0..=WAITING {
            ann.tell(Notice::Kept(MailboxId([1; 16]), 1));
        }
        assert!(ann.waiting().notices.len() <= WAITING);
        let packet = ann.seal.open(&ann.next().unwrap()).unwrap();
        assert_eq!(packet.notices, [Notice::Look]);
        for _ in 0..TOGETHER + 1 {
            ann.tell(Notice::Kept(MailboxId([1; 16]), 1));
        }
        let parts = [ann.next(), ann.next()].map(|said| ann.seal.open(&said.unwrap()).unwrap());
        assert_eq!(parts.each_ref().map(|packet| packet.notices.len()), [TOGETHER, 1]);
        assert!(parts[0].at_us < parts[1].at_us);
    }

    #[test]
    fn only_so_many_neighbours_are_known() {
        let ann = neighbours(LONG);
        let says = |n: usize| {
            let from = [u8::try_from(n).unwrap(); 16];
            ann.open(&ann.seal.close(&Packet { from, at_us: now_us(), notices: vec![] }).unwrap())
        };
        assert!((1..=KNOWN).all(|n| says(n).is_some()));
        assert_eq!(says(KNOWN + 1), None);
        assert!(says(1).is_some(), "who was known is heard");
    }
}
