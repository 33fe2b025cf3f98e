//! A number is proven by a one-time code, and tagged again without one.

use super::limits::CODE_DIGITS;
use super::{Attempt, Home, IdentityKeys, MailboxId, RegionName};
use crate::number::Number;
use crate::registration::NumberProof;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroize;

/// `POST /v1/messaging/register/start`: a code is sent to this number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRegistration {
    /// The owner's own number.
    pub number: Number,
}

/// The answer, 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationStarted {
    /// Names the attempt when it is finished.
    pub attempt: Attempt,
}

/// `POST /v1/messaging/register/finish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishRegistration {
    /// The attempt.
    pub attempt: Attempt,
    /// The number again: the relay kept only a keyed hash.
    pub number: Number,
    /// What came by SMS.
    pub code: Code,
    /// To which others encrypt.
    pub identity_keys: IdentityKeys,
}

/// The answer, 201.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The new mailbox, or the one that this number has.
    pub mailbox: MailboxId,
    /// Shows later that the number was proven.
    pub number_proof: NumberProof,
    /// Where the mailbox lives.
    pub home: Home,
}

/// `POST /v1/messaging/tag`: makes the number found under the region's current key, after a move or a new generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retag {
    /// The owner's own number.
    pub number: Number,
    /// That it was proven.
    pub number_proof: NumberProof,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// Where it is found now.
    pub region: RegionName,
    /// Under which key.
    pub generation: u32,
}

/// A one-time code: [`CODE_DIGITS`].
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Code(String);

impl Code {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A random one, all equally likely.
    pub fn random() -> Self {
        let all = 10_u64.pow(CODE_DIGITS as u32);
        // Of 64 bits the rest of the division favours some codes by less than 1 in 10^13.
        let code = u64::from_le_bytes(crate::random::bytes()) % all;
        Self(format!("{code:0width$}", width = CODE_DIGITS))
    }
}

impl FromStr for Code {
    type Err = NoCode;

    fn from_str(text: &str) -> Result<Self, NoCode> {
        let fits = text.len() == CODE_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| Self(text.to_owned())).ok_or(NoCode)
    }
}

/// Not so many digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a code has {CODE_DIGITS} digits")]
pub struct NoCode;

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(..)")
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        super::bytes::from_text(from, "a code of eight digits", |text| text.parse().ok())
    }
}
