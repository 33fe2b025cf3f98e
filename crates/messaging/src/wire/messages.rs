//! Messages and presence.

use super::limits::{PAGE_MESSAGES_MAX, VIEWERS_MAX};
use super::{Key, List, MailboxId, MessageBody, MessageId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/messaging/messages`. The same (to, id) again is the same message, also after it was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Send {
    /// The receiver.
    pub to: MailboxId,
    /// By the sender, random, kept over retries.
    pub id: MessageId,
    /// Encrypted, padded.
    pub body: MessageBody,
    /// Kept no longer, seconds: 1 to [`MESSAGE_EXPIRES_S_MAX`](super::limits::MESSAGE_EXPIRES_S_MAX).
    pub expires_in_s: u32,
    /// What to do if the receiver is away.
    pub if_offline: IfOffline,
    /// The receiver's key (X25519) to which the body is encrypted: where that is not the receiver's any more, nobody could read it, and
    /// it is refused with `keys-other`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed_to: Option<Key>,
}

/// What to do with a message for who is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IfOffline {
    /// Keep it.
    Keep,
    /// Say that SMS is the way, and keep nothing; only where the receiver lets the sender see its presence.
    Sms,
}

/// The answer: 202 where kept, 200 where SMS is the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What became of it.
    pub state: SentState,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentState {
    /// Durable at the receiver's home, or already delivered.
    Kept,
    /// Stored nowhere.
    UseSms,
}

/// The answer of `GET /v1/messaging/messages`: what waits, oldest first, until acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Not everything, if that is more than a page.
    pub messages: List<Message, PAGE_MESSAGES_MAX>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// By its sender.
    pub id: MessageId,
    /// As sent.
    pub body: MessageBody,
    /// When the home had it.
    pub received_at: Timestamp,
}

/// `POST /v1/messaging/messages/ack`: these are durable at the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// Unknown ones do no harm.
    pub ids: List<MessageId, PAGE_MESSAGES_MAX>,
}

/// `PUT /v1/messaging/presence`: who may see whether this mailbox's device is connected. Nobody at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShowPresence {
    /// All of them; who is not listed no longer sees it.
    pub visible_to: List<MailboxId, VIEWERS_MAX>,
}

/// The answer of `GET /v1/messaging/presence/{mailbox}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceOf {
    /// As far as the asker may know.
    pub presence: Presence,
}

/// Whether a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// A long poll is open.
    Here,
    /// None is.
    Away,
    /// Not for this asker, or no such mailbox: the two look alike.
    NotShared,
}
