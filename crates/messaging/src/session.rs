//! Sessions between two owners: Olm (double ratchet, crate vodozemac), padded, with the sender inside.
//!
//! A body is one byte (0: opens a session, 1: within one) and the Olm message. What is encrypted: length (4 bytes,
//! little-endian), the sender's mailbox (16), the message's id (16), the text, and zeros up to one of
//! [`PADDED_BYTES`]. So a relay sees neither who sends nor how long a text is, and cannot deliver a body
//! under another id.
//!
//! A body decrypts once: its key is gone afterwards. One that opened a session with the fallback key, which is used many
//! times, is known by its session. The device's inbox knows ids besides.
//!
//! Anybody can send anything to a mailbox, so what a body costs is bounded: by the sessions that it can be of (`held`), by
//! `STEPS_MAX`, and by who opens many ([`Keyring::take_steps`]).

mod held;
#[cfg(test)]
mod strangers;

use crate::wire::limits::{ONE_TIME_KEYS_MAX, PADDED_BYTES};
use crate::wire::{
    ClaimedKeys, IdentityKeys, Key, List, MailboxId, MessageBody, MessageId, OneTimeKey, PublishKeys,
};
use held::{Held, made_by};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use vodozemac::olm::{Account, AccountPickle, OlmMessage, SessionConfig};
use vodozemac::{Curve25519PublicKey, Ed25519PublicKey, Ed25519Signature};
use zeroize::Zeroizing;

/// Sessions kept with one owner: both may open one at once, and reinstall. The one used longest ago goes.
const SESSIONS_MAX: usize = 8;
/// Of a stranger: both may have opened one at once, while they were contacts.
const STRANGERS_SESSIONS_MAX: usize = 2;
/// What trying a body in a session costs, in steps of its chain: the agreement on a key (X25519).
const AGREEMENT_STEPS: u64 = 50;
/// Texts that may be missing before one in a session; vodozemac tries no further.
const GAP_MAX: u64 = 2_000;
/// So many texts that are missing at the beginning of what somebody writes are tried for, however many sessions there are to try.
const GAP_TRIED: u64 = 200;
/// And more than that as long as all sessions together take no more steps: ten sessions all that there can be.
const STEPS_MAX: u64 = 20_000;
/// Owners with whom sessions are kept: more than an address book has. A stranger beyond is not read.
const PEERS_MAX: usize = 10_000;
/// Length, sender and id, bytes.
const HEAD_BYTES: usize = 4 + 16 + 16;
/// The longest text, bytes.
pub const TEXT_BYTES_MAX: usize = PADDED_BYTES[PADDED_BYTES.len() - 1] - HEAD_BYTES;
/// What is signed with a one-time key begins so.
const DOMAIN: &[u8] = b"domicile-one-time-key-v1\n";

/// Why a body is not made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("a text has at most {TEXT_BYTES_MAX} bytes")]
    TooLong,
    /// The relay gave a key that this owner has not signed, or another owner's.
    #[error("the relay's key is not signed by the contact")]
    KeyForged,
    /// No session yet.
    #[error("no session with this contact yet")]
    NoSession,
    /// Not a message at all.
    #[error("not an Olm message")]
    NoMessage,
    /// Read before, changed, or not for these keys.
    #[error("the message was read before, was changed, or is for other keys")]
    Unreadable,
    /// It decrypts, and is of another form or for another id.
    #[error("what was encrypted has another form, or another id")]
    OtherForm,
    /// Sessions with too many owners.
    #[error("sessions with more than {PEERS_MAX} owners")]
    TooManyPeers,
}

/// What a body held.
#[derive(Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who says to have sent it.
    pub from: MailboxId,
    /// With which key: the caller compares it with the one it knows of that mailbox.
    pub identity: Key,
    /// The text.
    pub text: String,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opened(..)")
    }
}

/// An owner's keys and all sessions. vodozemac wipes its keys from memory when dropped.
#[derive(Serialize, Deserialize)]
pub struct Keyring {
    #[serde(serialize_with = "pickle_account", deserialize_with = "unpickle_account")]
    account: Account,
    fallback: OneTimeKey,
    sessions: BTreeMap<Text, Vec<Held>>,
    /// Counts sessions' uses.
    #[serde(default)]
    uses: u64,
    /// Steps since they were last asked for.
    #[serde(skip)]
    steps: u64,
}

/// A peer's key as text: JSON objects have no other keys.
type Text = String;

fn pickle_account<S: Serializer>(account: &Account, to: S) -> Result<S::Ok, S::Error> {
    account.pickle().serialize(to)
}

fn unpickle_account<'de, D: Deserializer<'de>>(from: D) -> Result<Account, D::Error> {
    Ok(Account::from_pickle(AccountPickle::deserialize(from)?))
}

impl Default for Keyring {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyring {
    /// New keys, no sessions.
    pub fn new() -> Self {
        let mut account = Account::new();
        account.generate_fallback_key();
        let fallback = account.fallback_key().into_values().next().expect("it was made just now");
        let fallback = signed(&account, fallback);
        Self { account, fallback, sessions: BTreeMap::new(), uses: 0, steps: 0 }
    }

    /// The public keys.
    pub fn identity(&self) -> IdentityKeys {
        identity(&self.account)
    }

    /// What to publish: all keys not published yet, filled up to `one_time`. The same again until
    /// [`Keyring::published`], so that a lost answer costs no key.
    pub fn to_publish(&mut self, one_time: usize) -> PublishKeys {
        let have = self.account.one_time_keys().len();
        self.account.generate_one_time_keys(one_time.min(ONE_TIME_KEYS_MAX).saturating_sub(have));
        let keys = self.account.one_time_keys().into_values().take(ONE_TIME_KEYS_MAX);
        let keys = keys.map(|key| signed(&self.account, key)).collect();
        let one_time = List::new(keys).expect("no more were taken");
        PublishKeys { identity: self.identity(), fallback: self.fallback, one_time }
    }

    /// How many one-time keys nobody has used yet, published or not.
    pub fn one_time_keys(&self) -> usize {
        self.account.stored_one_time_key_count()
    }

    /// The relay has them.
    pub fn published(&mut self) {
        self.account.mark_keys_as_published();
    }

    /// Whether messages can be encrypted to this owner without asking for a key.
    pub fn has_session(&self, peer: &Key) -> bool {
        self.sessions.contains_key(&peer.to_string())
    }

    /// Opens a session with a key that the relay gave for a contact whose keys are known from its entry.
    ///
    /// # Errors
    /// [`SessionFault::KeyForged`]: the relay put another key in its place.
    pub fn start(&mut self, contact: &IdentityKeys, claimed: &ClaimedKeys) -> Result<(), SessionFault> {
        if claimed.identity != *contact {
            return Err(SessionFault::KeyForged);
        }
        let one_time = check_signed(&claimed.one_time, contact).ok_or(SessionFault::KeyForged)?;
        let identity = Curve25519PublicKey::from_bytes(contact.curve25519.0);
        let session = self.account.create_outbound_session(SessionConfig::version_2(), identity, one_time);
        self.keep(&contact.curve25519, Held::new(session, None))
    }

    /// Encrypts a text. The caller keeps the changed keyring and the body before it sends.
    ///
    /// # Errors
    /// Too long, or no session yet.
    pub fn seal(
        &mut self,
        peer: &Key,
        from: MailboxId,
        id: MessageId,
        text: &str,
    ) -> Result<MessageBody, SessionFault> {
        let clear = padded(from, id, text)?;
        let sessions = self.sessions.get_mut(&peer.to_string()).ok_or(SessionFault::NoSession)?;
        let session = sessions.last_mut().ok_or(SessionFault::NoSession)?;
        self.uses += 1;
        session.used = self.uses;
        let (kind, bytes) = session.encrypt(&clear).to_parts();
        MessageBody::new([&[kind as u8][..], &bytes].concat()).ok_or(SessionFault::TooLong)
    }

    /// Decrypts a body that came with `id`. The caller keeps the changed keyring and the text before it shows anything.
    ///
    /// # Errors
    /// What it is not. Whoever is in this device's mailbox can send anything: none of it is a reason to stop.
    pub fn open(&mut self, id: MessageId, body: &MessageBody) -> Result<Opened, SessionFault> {
        let (kind, bytes) = body.as_ref().split_first().ok_or(SessionFault::NoMessage)?;
        let message = OlmMessage::from_parts((*kind).into(), bytes).map_err(|_| SessionFault::NoMessage)?;
        let (identity, clear) = match &message {
            OlmMessage::PreKey(opening) => {
                let identity = Key(opening.identity_key().to_bytes());
                match self.known(&identity, &opening.session_id()) {
                    Some(at) => (identity, self.decrypt_at(&identity, at, &message)?),
                    None => {
                        let (key, index) = made_by(&message);
                        self.steps += 3 * AGREEMENT_STEPS + index.min(GAP_MAX);
                        let created = self.account.create_inbound_session(opening.identity_key(), opening);
                        let created = created.map_err(|_| SessionFault::Unreadable)?;
                        self.keep(&identity, Held::new(created.session, Some(key)))?;
                        (identity, created.plaintext)
                    }
                }
            }
            OlmMessage::Normal(_) => self.decrypt_any(&message)?,
        };
        unpadded(id, identity, &Zeroizing::new(clear))
    }

    fn known(&self, peer: &Key, session: &str) -> Option<usize> {
        self.sessions.get(&peer.to_string())?.iter().position(|held| held.session.session_id() == session)
    }

    fn decrypt_at(&mut self, peer: &Key, at: usize, message: &OlmMessage) -> Result<Vec<u8>, SessionFault> {
        let sessions = self.sessions.get_mut(&peer.to_string()).ok_or(SessionFault::NoSession)?;
        self.steps += AGREEMENT_STEPS + made_by(message).1.min(GAP_MAX);
        let clear = sessions[at].decrypt(message)?;
        // The one that the other side uses is the one to answer in.
        let mut used = sessions.remove(at);
        self.uses += 1;
        used.used = self.uses;
        sessions.push(used);
        Ok(clear)
    }

    /// A message within a session does not say in which. Those that have heard its key before are tried, then those that
    /// may hear a new one, of each owner the latest first; a try that fails changes nothing.
    fn decrypt_any(&mut self, message: &OlmMessage) -> Result<(Key, Vec<u8>), SessionFault> {
        let (key, index) = made_by(message);
        let heard = self.places(|held| held.has_heard(&key));
        let new = self.places(|held| !held.has_heard(&key) && held.may_hear_new());
        let tried = [heard, new].into_iter().filter(|places| is_tried(places.len(), index));
        for (peer, at) in tried.flatten() {
            if let Ok(clear) = self.decrypt_at(&peer, at, message) {
                return Ok((peer, clear));
            }
        }
        Err(SessionFault::Unreadable)
    }

    fn places(&self, wanted: impl Fn(&Held) -> bool) -> Vec<(Key, usize)> {
        let mut places = Vec::new();
        for (peer, all) in &self.sessions {
            let of_it = (0..all.len()).rev().filter(|at| wanted(&all[*at]));
            places.extend(of_it.filter_map(|at| Some((peer.parse().ok()?, at))));
        }
        places
    }

    /// The steps that opening bodies took since this was last asked, about a microsecond each.
    pub fn take_steps(&mut self) -> u64 {
        std::mem::take(&mut self.steps)
    }

    /// Ends sessions with owners whom `is_known` does not know, those used longest ago first, until there are `most` of them
    /// with few sessions each; `latest` stays.
    pub fn limit_strangers(&mut self, most: usize, latest: &Key, is_known: impl Fn(&Key) -> bool) {
        let is_stranger = |peer: &Text| peer.parse().is_ok_and(|peer| !is_known(&peer));
        let latest = latest.to_string();
        if let Some(all) = self.sessions.get_mut(&latest).filter(|_| is_stranger(&latest)) {
            all.drain(..all.len().saturating_sub(STRANGERS_SESSIONS_MAX));
        }
        if self.sessions.len() <= most {
            return;
        }
        let last_used = |all: &[Held]| all.iter().map(|held| held.used).max();
        let of = self.sessions.iter().filter(|(peer, _)| is_stranger(peer));
        let mut strangers: Vec<_> = of.map(|(peer, all)| (last_used(all), peer.clone())).collect();
        strangers.sort_unstable();
        let beyond = strangers.len().saturating_sub(most);
        for (_, stranger) in strangers.into_iter().filter(|(_, peer)| *peer != latest).take(beyond) {
            self.sessions.remove(&stranger);
        }
    }

    fn keep(&mut self, peer: &Key, mut session: Held) -> Result<(), SessionFault> {
        let peer = peer.to_string();
        if !self.sessions.contains_key(&peer) && self.sessions.len() >= PEERS_MAX {
            return Err(SessionFault::TooManyPeers);
        }
        let all = self.sessions.entry(peer).or_default();
        if all.len() >= SESSIONS_MAX {
            all.remove(0);
        }
        self.uses += 1;
        session.used = self.uses;
        all.push(session);
        Ok(())
    }
}

/// Is the `index`-th text by a key worth a try in so many sessions?
fn is_tried(sessions: usize, index: u64) -> bool {
    index <= GAP_TRIED || sessions as u64 * index.min(GAP_MAX) <= STEPS_MAX
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(sessions with {})", self.sessions.len())
    }
}

fn identity(account: &Account) -> IdentityKeys {
    let keys = account.identity_keys();
    IdentityKeys { curve25519: Key(keys.curve25519.to_bytes()), ed25519: Key(*keys.ed25519.as_bytes()) }
}

fn signed(account: &Account, key: Curve25519PublicKey) -> OneTimeKey {
    let key = key.to_bytes();
    let signature = account.sign(of_identity(&identity(account), &key));
    let mut whole = OneTimeKey([0; OneTimeKey::BYTES]);
    whole.0[..32].copy_from_slice(&key);
    whole.0[32..].copy_from_slice(&signature.to_bytes());
    whole
}

fn check_signed(whole: &OneTimeKey, by: &IdentityKeys) -> Option<Curve25519PublicKey> {
    let (key, signature) = whole.0.split_at(32);
    let signature = Ed25519Signature::from_slice(signature).ok()?;
    let verifying = Ed25519PublicKey::from_slice(&by.ed25519.0).ok()?;
    verifying.verify(&of_identity(by, key), &signature).ok()?;
    Some(Curve25519PublicKey::from_bytes(key.try_into().ok()?))
}

/// What is signed with a one-time key. Both identity keys are in it: else the one that signs could be shown beside
/// another one's X25519 key.
fn of_identity(identity: &IdentityKeys, key: &[u8]) -> Vec<u8> {
    [DOMAIN, &identity.to_bytes(), key].concat()
}

/// Whether each key of what a device publishes is signed by its own identity: for the relay, which keeps no others.
pub fn keys_are_signed(keys: &PublishKeys) -> bool {
    keys.one_time.iter().chain([&keys.fallback]).all(|key| check_signed(key, &keys.identity).is_some())
}

fn padded(from: MailboxId, id: MessageId, text: &str) -> Result<Zeroizing<Vec<u8>>, SessionFault> {
    let whole = HEAD_BYTES + text.len();
    let size = PADDED_BYTES.into_iter().find(|size| whole <= *size).ok_or(SessionFault::TooLong)?;
    let mut clear = Zeroizing::new(Vec::with_capacity(size));
    clear.extend_from_slice(&(text.len() as u32).to_le_bytes());
    clear.extend_from_slice(&from.0);
    clear.extend_from_slice(&id.0);
    clear.extend_from_slice(text.as_bytes());
    clear.resize(size, 0);
    Ok(clear)
}

fn unpadded(wanted: MessageId, identity: Key, clear: &[u8]) -> Result<Opened, SessionFault> {
    let parse = || {
        PADDED_BYTES.contains(&clear.len()).then_some(())?;
        let (length, rest) = clear.split_first_chunk::<4>()?;
        let (from, rest) = rest.split_first_chunk::<16>()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (text, padding) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        (MessageId(*id) == wanted && padding.iter().all(|b| *b == 0)).then_some(())?;
        Some(Opened { from: MailboxId(*from), identity, text: std::str::from_utf8(text).ok()?.to_owned() })
    };
    parse().ok_or(SessionFault::OtherForm)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Alice knows Bob's identity and has claimed one of his keys.
    pub(super) fn pair() -> (Keyring, Keyring) {
        let (mut alice, mut bob) = (Keyring::new(), Keyring::new());
        let keys = bob.to_publish(5);
        bob.published();
        let claimed = ClaimedKeys { identity: keys.identity, one_time: keys.one_time[0] };
        alice.start(&bob.identity(), &claimed).unwrap();
        (alice, bob)
    }

    pub(super) fn send(from: &mut Keyring, to: &Keyring, text: &str) -> (MessageId, MessageBody) {
        let id = MessageId::random();
        (id, from.seal(&to.identity().curve25519, MailboxId([1; 16]), id, text).unwrap())
    }

    /// As a device does between two runs.
    pub(super) fn stored(keys: &Keyring) -> Keyring {
        serde_json::from_slice(&serde_json::to_vec(keys).unwrap()).unwrap()
    }

    #[test]
    fn both_ways_over_restarts() {
        let (mut alice, mut bob) = pair();
        for round in 0..3 {
            let (id, body) = send(&mut alice, &bob, &format!("question {round}"));
            let opened = bob.open(id, &body).unwrap();
            assert_eq!(
                (opened.text.as_str(), opened.from),
                (&*format!("question {round}"), MailboxId([1; 16]))
            );
            assert_eq!(opened.identity, alice.identity().curve25519);
            bob = stored(&bob);
            let (id, body) = send(&mut bob, &alice, "answer");
            assert_eq!(alice.open(id, &body).unwrap().text, "answer");
            alice = stored(&alice);
        }
    }

    #[test]
    fn out_of_order_is_read_and_twice_is_refused() {
        let (mut alice, mut bob) = pair();
        let sent: Vec<_> = (0..5).map(|i| send(&mut alice, &bob, &i.to_string())).collect();
        for (id, body) in sent.iter().rev() {
            assert!(bob.open(*id, body).is_ok());
        }
        let mut bob = stored(&bob);
        for (id, body) in &sent {
            assert_eq!(bob.open(*id, body), Err(SessionFault::Unreadable));
        }
    }

    #[test]
    fn a_replay_under_the_fallback_key_is_refused() {
        let (mut alice, mut bob) = (Keyring::new(), Keyring::new());
        let keys = bob.to_publish(0);
        bob.published();
        assert!(keys.one_time.is_empty() && keys_are_signed(&keys));
        alice
            .start(&keys.identity, &ClaimedKeys { identity: keys.identity, one_time: keys.fallback })
            .unwrap();
        let (id, body) = send(&mut alice, &bob, "first");
        assert!(bob.open(id, &body).is_ok());
        assert_eq!(stored(&bob).open(id, &body), Err(SessionFault::Unreadable));
    }

    #[test]
    fn strangers_do_not_take_the_places_of_contacts() {
        let (mut alice, mut bob) = pair();
        let (id, body) = send(&mut alice, &bob, "a contact");
        bob.open(id, &body).unwrap();
        let contact = alice.identity().curve25519;
        let keys = bob.to_publish(0);
        let mut last = contact;
        for _ in 0..6 {
            let mut stranger = Keyring::new();
            let claimed = ClaimedKeys { identity: keys.identity, one_time: keys.fallback };
            stranger.start(&bob.identity(), &claimed).unwrap();
            let (id, body) = send(&mut stranger, &bob, "a stranger");
            last = bob.open(id, &body).unwrap().identity;
            bob.limit_strangers(3, &last, |peer| *peer == contact);
        }
        assert_eq!(bob.sessions.len(), 4);
        assert!(bob.has_session(&contact) && bob.has_session(&last));
    }

    #[test]
    fn a_relay_can_deliver_a_body_under_its_own_id_only() {
        let (mut alice, mut bob) = pair();
        let (_, body) = send(&mut alice, &bob, "first");
        assert_eq!(bob.open(MessageId::random(), &body), Err(SessionFault::OtherForm));
    }

    #[test]
    fn a_relay_cannot_put_its_own_key_in_the_place_of_a_contacts() {
        let (mut alice, mut bob, mut mallory) = (Keyring::new(), Keyring::new(), Keyring::new());
        let (of_bob, of_mallory) = (bob.to_publish(1), mallory.to_publish(1));
        for forged in [
            ClaimedKeys { identity: of_mallory.identity, one_time: of_mallory.one_time[0] },
            ClaimedKeys { identity: of_bob.identity, one_time: of_mallory.one_time[0] },
        ] {
            assert_eq!(alice.start(&bob.identity(), &forged), Err(SessionFault::KeyForged));
        }
        assert!(!alice.has_session(&bob.identity().curve25519));
        let mut mixed = of_bob.clone();
        mixed.fallback = of_mallory.fallback;
        assert!(keys_are_signed(&of_bob) && !keys_are_signed(&mixed));
        let mut beside = of_bob.clone();
        beside.identity.curve25519 = of_mallory.identity.curve25519;
        assert!(!keys_are_signed(&beside));
        let claimed = ClaimedKeys { identity: beside.identity, one_time: of_bob.one_time[0] };
        assert_eq!(alice.start(&beside.identity, &claimed), Err(SessionFault::KeyForged));
    }

    #[test]
    fn bodies_have_few_sizes_and_an_end() {
        let (mut alice, mut bob) = pair();
        let first = send(&mut alice, &bob, "x");
        bob.open(first.0, &first.1).unwrap();
        let answer = send(&mut bob, &alice, "y");
        alice.open(answer.0, &answer.1).unwrap();
        let mut size = |n: usize| send(&mut alice, &bob, &"x".repeat(n)).1.as_ref().len();
        assert_eq!(size(0), size(256 - HEAD_BYTES));
        assert!(size(257 - HEAD_BYTES) > size(256 - HEAD_BYTES));
        assert!(size(TEXT_BYTES_MAX) <= crate::wire::limits::MESSAGE_BYTES_MAX);
        let long = alice.seal(
            &bob.identity().curve25519,
            MailboxId([1; 16]),
            MessageId::random(),
            &"x".repeat(TEXT_BYTES_MAX + 1),
        );
        assert_eq!(long, Err(SessionFault::TooLong));
    }

    #[test]
    fn keys_are_the_same_until_the_relay_has_them() {
        let mut bob = Keyring::new();
        let sorted = |keys: PublishKeys| {
            let mut all = keys.one_time.into_vec();
            all.sort_unstable();
            all
        };
        let first = sorted(bob.to_publish(3));
        assert_eq!(sorted(stored(&bob).to_publish(3)), first);
        bob.published();
        assert!(sorted(bob.to_publish(3)).iter().all(|key| !first.contains(key)));
    }

    #[test]
    fn garbage_is_refused() {
        let (mut alice, mut bob) = pair();
        let (id, body) = send(&mut alice, &bob, "first");
        let bytes = body.as_ref();
        for at in (0..bytes.len()).step_by(7) {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let refused = bob.open(id, &MessageBody::new(changed).unwrap());
            assert!(refused.is_err(), "{at}");
        }
        assert!(bob.open(id, &body).is_ok(), "none of it harmed the message itself");
    }
}
