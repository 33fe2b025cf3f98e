//! One session, and whose turn it is in it.
//!
//! A body within a session does not say in which: that would tell the relay who writes to whom. It does say by which of its
//! sender's ratchet keys it was made. The other side makes a new one only after it has read what was written to it since
//! its last one. So a key that was heard before names its session, and a new one can be only of sessions in which this
//! side has written: none of a stranger's, who is not written to, costs anything.

use super::SessionFault;
use crate::wire::Key;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use vodozemac::olm::{OlmMessage, Session, SessionPickle};

/// The other side's ratchet keys that a session knows; vodozemac keeps as many of their chains.
const CHAINS_MAX: usize = 5;

/// A session as it is kept.
pub(super) struct Held {
    pub(super) session: Session,
    /// `None`: of a file that did not keep it. Any body may be of this session.
    turn: Option<Turn>,
    /// Counts what the keyring has done: which of two was used last.
    pub(super) used: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Turn {
    /// The other side's ratchet keys, last one last.
    heard: Vec<Key>,
    /// Was something written since that the other side may have read?
    has_written: bool,
}

/// By which of its sender's keys a body was made, and as which of that key.
pub(super) fn made_by(message: &OlmMessage) -> (Key, u64) {
    let inner = match message {
        OlmMessage::Normal(inner) => inner,
        OlmMessage::PreKey(opening) => opening.message(),
    };
    (Key(inner.ratchet_key().to_bytes()), inner.chain_index())
}

impl Held {
    /// A new session: opened here, or by a body that was made by the key `heard`.
    pub(super) fn new(session: Session, heard: Option<Key>) -> Self {
        let turn = Turn { heard: heard.into_iter().collect(), has_written: false };
        Self { session, turn: Some(turn), used: 0 }
    }

    /// Was something read before that was made by this key?
    pub(super) fn has_heard(&self, key: &Key) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.heard.contains(key))
    }

    /// Can the other side have made a new key?
    pub(super) fn may_hear_new(&self) -> bool {
        self.turn.as_ref().is_none_or(|turn| turn.has_written)
    }

    pub(super) fn encrypt(&mut self, clear: &[u8]) -> OlmMessage {
        if let Some(turn) = &mut self.turn {
            turn.has_written = true;
        }
        self.session.encrypt(clear)
    }

    /// Decrypts; what does not decrypt changes nothing.
    // INVARIANT: never by a new key where this side has not written since the last one, for vodozemac would take a new key
    // of its own for that.
    pub(super) fn decrypt(&mut self, message: &OlmMessage) -> Result<Vec<u8>, SessionFault> {
        let (key, _) = made_by(message);
        if !self.has_heard(&key) && !self.may_hear_new() {
            return Err(SessionFault::Unreadable);
        }
        let clear = self.session.decrypt(message).map_err(|_| SessionFault::Unreadable)?;
        if let Some(turn) = self.turn.as_mut().filter(|turn| !turn.heard.contains(&key)) {
            let beyond = (turn.heard.len() + 1).saturating_sub(CHAINS_MAX);
            turn.heard.drain(..beyond);
            turn.heard.push(key);
            turn.has_written = false;
        }
        Ok(clear)
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut all = to.serialize_tuple(3)?;
        all.serialize_element(&self.session.pickle())?;
        all.serialize_element(&self.turn)?;
        all.serialize_element(&self.used)?;
        all.end()
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Either)
    }
}

/// As it is kept now, or the session alone, as older files have it.
struct Either;

impl<'de> Visitor<'de> for Either {
    type Value = Held;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Held, A::Error> {
        let ends = || A::Error::custom("a session that ends too early");
        let pickle: SessionPickle = all.next_element()?.ok_or_else(ends)?;
        let turn = all.next_element()?.ok_or_else(ends)?;
        let used = all.next_element()?.ok_or_else(ends)?;
        Ok(Held { session: Session::from_pickle(pickle), turn, used })
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Held, A::Error> {
        let pickle = SessionPickle::deserialize(MapAccessDeserializer::new(fields))?;
        Ok(Held { session: Session::from_pickle(pickle), turn: None, used: 0 })
    }
}
