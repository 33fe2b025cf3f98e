//! Byte strings of the wire: base64url without padding (RFC 4648, section 5), one spelling each, of a known length.

use super::limits::MESSAGE_BYTES_MAX;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text is not the bytes it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not {bytes} bytes as base64url without padding")]
pub struct BytesFault {
    /// How many there should be.
    pub bytes: usize,
}

fn decode<const N: usize>(text: &str) -> Result<[u8; N], BytesFault> {
    // Decoded into one byte more than fits, so that a longer text is seen; its length is bounded first.
    let fault = BytesFault { bytes: N };
    if text.len() != N.div_ceil(3) * 4 - (3 - N % 3) % 3 {
        return Err(fault);
    }
    let decoded = URL_SAFE_NO_PAD.decode(text).map_err(|_| fault)?;
    decoded.try_into().map_err(|_| fault)
}

/// What a visitor reads text with: no copy of a text that is refused.
struct Reading<T>(&'static str, fn(&str) -> Option<T>);

impl<T> Visitor<'_> for Reading<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        let Self(words, read) = self;
        // The text itself is not quoted: it may be a secret.
        read(text).ok_or_else(|| E::invalid_value(Unexpected::Other("a text"), &words))
    }
}

/// Reads a text by `read`, for a type's `Deserialize`.
pub(crate) fn from_text<'de, T, D: Deserializer<'de>>(
    from: D,
    words: &'static str,
    read: fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    from.deserialize_str(Reading(words, read))
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident: $bytes:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $bytes]);

        impl $name {
            /// Its length, bytes.
            pub const BYTES: usize = $bytes;

            /// Random ones.
            pub fn random() -> Self {
                Self(crate::random::bytes())
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        // Not its value: what names a subject never gets into a log by `{:?}`.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }

        impl FromStr for $name {
            type Err = BytesFault;

            fn from_str(text: &str) -> Result<Self, BytesFault> {
                decode(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from_text(from, concat!(stringify!($bytes), " bytes as base64url"), |text| text.parse().ok())
            }
        }
    )*};
}

fixed! {
    /// A mailbox: random, and the subject of the messaging service.
    MailboxId: 16;
    /// A device: the first half of the SHA-256 of its Ed25519 public key, see [`crate::consent::device_of`].
    DeviceId: 16;
    /// A message: random, by the sender; once per mailbox.
    MessageId: 16;
    /// A consent record: random, by the device.
    RecordId: 16;
    /// An attempt to register.
    Attempt: 16;
    /// A public key: Ed25519, X25519 or a ristretto255 element.
    Key: 32;
    /// An Ed25519 signature.
    Signature: 64;
    /// A number, hashed to the group and blinded by the device. Not yet checked to be a point.
    Blinded: 32;
    /// The same after the region's key. Not yet checked to be a point.
    Evaluation: 32;
    /// The proof that a whole batch was evaluated under the published key (DLEQ, RFC 9497 section 2.2).
    Proof: 64;
    /// Where an entry lies: derived of a tag.
    Locator: 16;
    /// What lies there: nonce, sealed mailbox id and identity keys, tag of the cipher.
    Entry: 108;
    /// A one-time or fallback key (X25519, 32 bytes) with the signature by the owner's Olm Ed25519 key over it.
    OneTimeKey: 96;
}

/// A message as it lies in a mailbox: opaque to every server, 1 to [`MESSAGE_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageBody(Vec<u8>);

impl MessageBody {
    /// Bytes of a body, if it is neither empty nor too long.
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (1..=MESSAGE_BYTES_MAX).contains(&bytes.len()).then_some(Self(bytes))
    }

    /// The bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl AsRef<[u8]> for MessageBody {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageBody({} bytes)", self.0.len())
    }
}

impl Serialize for MessageBody {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for MessageBody {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from_text(from, "a body of at most 64 KiB as base64url", |text| {
            let fits = text.len() <= MESSAGE_BYTES_MAX.div_ceil(3) * 4;
            fits.then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten().and_then(Self::new)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_each() {
        let id = MailboxId(*b"0123456789abcdef");
        assert_eq!(id.to_string(), "MDEyMzQ1Njc4OWFiY2RlZg");
        assert_eq!("MDEyMzQ1Njc4OWFiY2RlZg".parse(), Ok(id));
        for other in ["MDEyMzQ1Njc4OWFiY2RlZh", "MDEyMzQ1Njc4OWFiY2RlZg==", "MDEyMzQ1Njc4OWFiY2RlZ", "", "-_"]
        {
            assert_eq!(other.parse::<MailboxId>(), Err(BytesFault { bytes: 16 }), "{other}");
        }
    }

    #[test]
    fn every_length_reads_its_own_text() {
        assert_eq!(Key::random().to_string().parse::<Key>().unwrap().0.len(), 32);
        let entry = Entry([7; 108]);
        assert_eq!(entry.to_string().parse(), Ok(entry));
        let key = OneTimeKey([9; 96]);
        assert_eq!(key.to_string().parse(), Ok(key));
        let signature = Signature([255; 64]);
        assert_eq!(signature.to_string().parse(), Ok(signature));
    }

    #[test]
    fn a_body_has_bounds() {
        assert!(MessageBody::new(Vec::new()).is_none());
        assert!(MessageBody::new(vec![0; MESSAGE_BYTES_MAX]).is_some());
        let long = serde_json::to_string(&URL_SAFE_NO_PAD.encode(vec![0; MESSAGE_BYTES_MAX + 1])).unwrap();
        assert!(serde_json::from_str::<MessageBody>(&long).is_err());
    }

    #[test]
    fn nothing_is_shown_by_accident() {
        assert_eq!(format!("{:?}", MailboxId([1; 16])), "MailboxId(..)");
    }
}
