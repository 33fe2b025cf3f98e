//! What a device keeps.

use crate::consent::{Countersigned, DeviceSigned, EventState, Purpose};
use crate::discovery::Tags;
use crate::number::Number;
use crate::proof::Clock;
use crate::region::{RegionFault, SignedRegion, fingerprint};
use crate::registration::NumberProof;
use crate::session::Keyring;
use crate::wire::{
    Attempt, IdentityKeys, IfOffline, Key, MailboxId, MessageBody, MessageId, RegionName, Text,
};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Contacts of one device.
pub(super) const CONTACTS_MAX: usize = 5_000;
/// Messages that wait to be sent.
pub(super) const OUTBOX_MAX: usize = 1_000;
/// Messages kept to be read again; the oldest shown ones go.
pub(super) const INBOX_MAX: usize = 10_000;
/// Bytes of their texts: a file that is longer than a device reads would be none any more.
pub(super) const INBOX_BYTES_MAX: usize = 32 << 20;
/// Ids of messages that are remembered; the oldest ones go. The relay knows those that were acknowledged, too.
pub(super) const SEEN_MAX: usize = 20_000;
/// Owners who are no contacts and with whom sessions are kept; it takes nothing to be one, and each is in the file.
pub(super) const STRANGERS_MAX: usize = 200;

/// The secret of the device's key. Wiped from memory when dropped.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Seed(Key);

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.0.zeroize();
    }
}

/// Everything that is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    v: u8,
    /// How often it was saved: an older copy is known by it.
    #[serde(default)]
    pub(super) saves: u64,
    seed: Seed,
    pub(super) statement: SignedRegion,
    pub(super) home: HomeOf,
    clock_offset_s: i64,
    pub(super) consents: BTreeMap<Purpose, Kept>,
    pub(super) token: Option<Token>,
    pub(super) attempt: Option<Started>,
    pub(super) number: Option<Number>,
    pub(super) mailbox: Option<MailboxId>,
    pub(super) number_proof: Option<NumberProof>,
    pub(super) tagged: Option<(RegionName, u32)>,
    pub(super) keyring: Keyring,
    pub(super) keys_published_at: Option<RegionName>,
    pub(super) contacts: BTreeMap<Number, Contact>,
    pub(super) tags: Tags,
    pub(super) outbox: Vec<Outgoing>,
    /// Texts that are not encrypted yet.
    #[serde(default)]
    pub(super) drafts: Vec<Draft>,
    /// Texts that are on their way no more and that no relay has, and of which the owner was not told yet.
    #[serde(default)]
    pub(super) returned: Vec<Returned>,
    pub(super) inbox: Vec<Received>,
    /// Ids of messages that were kept or refused: a message comes again until its acknowledgement has come through.
    pub(super) seen: BTreeMap<String, Timestamp>,
    /// Messages that could not be decrypted, and of which the owner was not told yet.
    #[serde(default)]
    pub(super) unreadable: u64,
}

/// The home relay, as a signed statement had it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeOf {
    /// The region.
    pub region: RegionName,
    /// Where it answers.
    pub endpoint: Text,
    /// SHA-256 of its service key.
    pub service_key: Key,
    /// Counts the moves that this device has followed.
    pub epoch: u64,
}

/// A consent: signed here, and there.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    pub(super) signed: DeviceSigned,
    pub(super) countersigned: Option<Countersigned>,
    /// It does not hold: the relay has other terms by now, or another device has the number. Kept, so that the next record counts on from it.
    #[serde(default)]
    pub(super) refused: bool,
    /// A withdrawal that the relay has not heard of, after which the owner has agreed again. It goes first: without it the mailbox of
    /// before would stay open, with nobody who can read what is kept in it.
    #[serde(default)]
    pub(super) before: Option<DeviceSigned>,
}

impl Kept {
    pub(super) fn new(signed: DeviceSigned) -> Self {
        Self { signed, countersigned: None, refused: false, before: None }
    }

    /// The withdrawal that the relay has to hear of.
    pub(super) fn withdrawal(&self) -> Option<&DeviceSigned> {
        let is_latest = self.countersigned.is_none() && self.is_withdrawal();
        self.before.as_ref().or(is_latest.then_some(&self.signed))
    }

    pub(super) fn is_withdrawal(&self) -> bool {
        is_withdrawal(&self.signed)
    }
}

pub(super) fn is_withdrawal(signed: &DeviceSigned) -> bool {
    signed.record.event.event_state == EventState::Withdrawn
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) text: String,
    /// When to ask for the next one, by the relay's clock, seconds since 1970.
    pub(super) renew_at: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Started {
    pub(super) attempt: Attempt,
    pub(super) number: Number,
}

/// A contact: on the device only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// What the owner calls it.
    pub name: Text,
    /// Where it was found, if it is a user.
    pub found: Option<Reached>,
    /// The identity that was found first, or accepted: another one is not written to.
    #[serde(default)]
    known: Option<IdentityKeys>,
    /// Where the last look-up found it with another identity: a new telephone, a number with a new owner, a stolen SIM card, or a
    /// relay that lies. Nothing is sent before the owner has accepted it.
    #[serde(default)]
    pub changed: Option<Reached>,
}

impl Contact {
    /// One that was not looked for yet.
    pub(super) fn new(name: Text) -> Self {
        Self { name, found: None, known: None, changed: None }
    }

    /// The identity that it is known by.
    pub fn identity(&self) -> Option<IdentityKeys> {
        self.known.or(self.found.map(|at| at.identity))
    }

    /// What a look-up found: of several, the one that is known.
    // INVARIANT: `found` has the identity that is known, whatever relays say.
    pub(super) fn is_found(&mut self, all: &[Reached]) {
        self.known = self.identity();
        let known = all.iter().find(|at| self.known.is_none_or(|known| known == at.identity));
        match (known, all.last()) {
            (None, Some(other)) => self.changed = Some(*other),
            (found, _) => {
                self.known = self.known.or(found.map(|at| at.identity));
                (self.found, self.changed) = (found.copied(), None);
            }
        }
    }

    /// The owner has made sure of the other identity. False: there is none.
    pub(super) fn accept(&mut self) -> bool {
        let Some(accepted) = self.changed.take() else { return false };
        (self.found, self.known) = (Some(accepted), Some(accepted.identity));
        true
    }

    /// Knows nothing of it any more but its name.
    pub(super) fn forget(&mut self) {
        (self.found, self.known, self.changed) = (None, None, None);
    }
}

/// How a contact is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reached {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// To which one encrypts.
    pub identity: IdentityKeys,
}

/// A text before it is encrypted, which may need keys that only a relay has.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Draft {
    pub(super) to: Reached,
    pub(super) id: MessageId,
    pub(super) text: String,
    pub(super) expires_in_s: u32,
    pub(super) if_offline: IfOffline,
}

/// A message on its way out: kept until the relay has it, so that it is sent again under the same id.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outgoing {
    pub(super) to: MailboxId,
    pub(super) id: MessageId,
    pub(super) body: MessageBody,
    pub(super) expires_in_s: u32,
    pub(super) if_offline: IfOffline,
    #[serde(default)]
    pub(super) sealed_to: Option<Key>,
    /// As it was typed: to be given back where the relay does not keep it. Older files have none.
    #[serde(default)]
    pub(super) text: Option<String>,
}

/// A text that came back: nobody has it but its owner, who sends it in another way or again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Returned {
    /// Its id.
    pub id: MessageId,
    /// Whose mailbox it was for.
    pub to: MailboxId,
    /// The contact whose mailbox that is.
    pub contact: Option<Text>,
    /// The text; `None`: it was encrypted by an older version of this device.
    pub text: Option<String>,
    /// `use-sms`: the receiver is away, and nothing was stored. Else the code of the fault for which it was given up.
    pub why: String,
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Returned(..)")
    }
}

/// A message that came.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Received {
    /// Its id.
    pub id: MessageId,
    /// The sender's mailbox, as it says.
    pub from: MailboxId,
    /// The contact whose mailbox and key these are. `None`: a stranger, or somebody who claims another's mailbox.
    pub contact: Option<Text>,
    /// The text.
    pub text: String,
    /// When the home had it.
    pub received_at: Timestamp,
    pub(super) shown: bool,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Received(..)")
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State(..)")
    }
}

impl State {
    /// A new device of the service that has signed `statement`: its key is what this device believes from now on.
    pub(super) fn new(statement: SignedRegion) -> Result<Self, RegionFault> {
        let service_key = fingerprint(&statement.statement.service_key);
        statement.clone().believe(&service_key)?;
        let own =
            statement.statement.listed(&statement.statement.region).ok_or(RegionFault::Contradiction)?;
        let home =
            HomeOf { region: own.region.clone(), endpoint: own.endpoint.clone(), service_key, epoch: 0 };
        Ok(Self {
            v: 1,
            saves: 0,
            seed: Seed(Key::random()),
            statement,
            home,
            clock_offset_s: 0,
            consents: BTreeMap::new(),
            token: None,
            attempt: None,
            number: None,
            mailbox: None,
            number_proof: None,
            tagged: None,
            keyring: Keyring::new(),
            keys_published_at: None,
            contacts: BTreeMap::new(),
            tags: Tags::default(),
            outbox: Vec::new(),
            drafts: Vec::new(),
            returned: Vec::new(),
            inbox: Vec::new(),
            seen: BTreeMap::new(),
            unreadable: 0,
        })
    }

    pub(super) fn key(&self) -> SigningKey {
        let seed = Zeroizing::new(self.seed.0.0);
        SigningKey::from_bytes(&seed)
    }

    pub(super) fn clock(&self) -> Clock {
        Clock::off_by(self.clock_offset_s)
    }

    pub(super) fn set_clock(&mut self, clock: Clock) {
        self.clock_offset_s = clock.offset_s();
    }

    /// Whether the owner agrees to `purpose` at the present home. With a mailbox a consent goes where the mailbox goes;
    /// without one it holds for the region whose terms were shown.
    pub(super) fn agrees(&self, purpose: Purpose) -> bool {
        self.consents.get(&purpose).is_some_and(|kept| {
            let here = self.mailbox.is_some() || kept.signed.record.processing.region == self.home.region;
            here && !kept.refused && !kept.is_withdrawal()
        })
    }

    /// Is there a withdrawal of which the relay has not heard? Whose owner never agreed to messaging has never sent anything:
    /// nobody needs to be told.
    pub(super) fn has_to_tell(&self) -> bool {
        self.consents.contains_key(&Purpose::CloudMessaging)
            && self.consents.values().any(|kept| kept.withdrawal().is_some())
    }

    /// A record that the relay does not have yet: a withdrawal that must still reach it, or of what was agreed to.
    pub(super) fn undelivered(&self) -> Option<(Purpose, DeviceSigned)> {
        // Messaging first: the others mean nothing to a relay without it.
        self.consents.iter().find_map(|(purpose, kept)| {
            let is_given = kept.countersigned.is_none() && self.agrees(*purpose);
            let signed = kept.withdrawal().or(is_given.then_some(&kept.signed))?;
            Some((*purpose, signed.clone()))
        })
    }

    /// Was something agreed to that the relay has not heard of, for a region that is not the home?
    pub(super) fn agreed_elsewhere(&self) -> bool {
        let is_new = |kept: &Kept| kept.countersigned.is_none() && !kept.refused && !kept.is_withdrawal();
        self.consents.iter().any(|(purpose, kept)| is_new(kept) && !self.agrees(*purpose))
    }

    /// Takes a text off its way and keeps it for its owner. `why` as in [`Returned::why`].
    // INVARIANT: a text leaves drafts and outbox because a relay keeps it, or through here: none vanishes.
    pub(super) fn comes_back(&mut self, id: MessageId, why: &str) {
        let draft = self.drafts.iter().position(|each| each.id == id).map(|at| self.drafts.remove(at));
        let sealed = self.outbox.iter().position(|each| each.id == id).map(|at| self.outbox.remove(at));
        let came = match (draft, sealed) {
            (Some(draft), _) => (draft.to.mailbox, Some(draft.text)),
            (None, Some(sealed)) => (sealed.to, sealed.text),
            (None, None) => return,
        };
        let (to, text) = came;
        let is = |contact: &&Contact| contact.found.is_some_and(|at| at.mailbox == to);
        let contact = self.contacts.values().find(is).map(|contact| contact.name.clone());
        self.returned.push(Returned { id, to, contact, text, why: why.to_owned() });
    }

    /// The same of all of them, in their order.
    pub(super) fn all_come_back(&mut self, why: &str) {
        let sealed = self.outbox.iter().map(|each| each.id);
        let ids: Vec<_> = sealed.chain(self.drafts.iter().map(|each| each.id)).collect();
        ids.into_iter().for_each(|id| self.comes_back(id, why));
    }

    /// The contact whose mailbox and key these are.
    pub(super) fn who(&self, mailbox: &MailboxId, identity: &Key) -> Option<&Contact> {
        self.contacts.values().find(|contact| {
            contact.found.is_some_and(|at| at.mailbox == *mailbox && at.identity.curve25519 == *identity)
        })
    }
}
