//! Claims: an e-mail address, a phone number or a user name belongs to one subject of a service, in
//! whichever region that one lives.
//!
//! A claim is kept as [`ClaimHash`], a keyed hash of its normal form ([`normal`]), beside the hash of its
//! subject: no personal datum. It names a subject and not a region, so a move does not touch it.
//!
//! # Life of a claim
//! `reserve` -> `commit` -> `release`. A reservation keeps others off for a limited time, so that a sign-up
//! whose caller died gives the name back; a commit is for good. Whoever reserves names its *attempt*, a text
//! that no other try has: the same call again, after a lost answer, is the same reservation, and what one
//! attempt gives back is never another one's.
//!
//! # Promises
//! - INVARIANT: a claim is one row, so it has one subject, whatever callers in all regions do at once.
//! - INVARIANT: a committed claim changes hands only after its subject has released it, or was removed.
//!   [`Directory::remove`](crate::Directory::remove) deletes the claims of those it removes in the same
//!   transaction; one that was committed at the same moment stays behind and counts as free, since its subject
//!   has no home: `reserve` and `import` take it over, `resolve` does not know it.
//! - A reservation is another's only after its time, by the store's clock. Its commit fails then, and only then.
//! - All calls may be repeated, and repeat themselves after a lost answer. One that comes late, after its
//!   attempt has released, may reserve the name again for its own subject until the time is over; it never
//!   takes anything from another attempt.

mod hold;
mod import;
mod normal;
mod resolve;

pub use hold::{Committed, RESERVATION_MAX, Reserved};
pub use import::{Imported, Taken};
pub use normal::Unclaimable;
pub use resolve::Claimed;

use domicile_stores::control::Value;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// Claims of one subject, so that a caller who goes astray fills nothing. A new one beyond is refused.
pub const CLAIMS_MAX: usize = 100;

/// What a claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A user name.
    UserName,
}

impl ClaimKind {
    /// All kinds, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::Email, Self::Phone, Self::UserName];

    /// Its name in configurations and calls. It goes into the hash.
    pub fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::UserName => "user-name",
        }
    }
}

impl fmt::Display for ClaimKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ClaimKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// A claim in its normal form. Personal: wiped when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    kind: ClaimKind,
    form: Zeroizing<String>,
}

impl Claim {
    /// The claim that was typed, in its normal form.
    ///
    /// # Errors
    /// [`Unclaimable`], which says why and not what.
    pub fn new(kind: ClaimKind, typed: &str) -> Result<Self, Unclaimable> {
        Ok(Self { kind, form: Zeroizing::new(normal::normal(kind, typed)?) })
    }

    /// What it is.
    pub fn kind(&self) -> ClaimKind {
        self.kind
    }

    pub(crate) fn form(&self) -> &str {
        &self.form
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({}, ..)", self.kind)
    }
}

/// A claim of a service as the control store knows it. May be published, as long as the key is not: whoever
/// has the key can try all phone numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimHash(pub [u8; 16]);

impl ClaimHash {
    fn value(&self) -> Value {
        Value::Bytes(self.0.to_vec())
    }
}

impl fmt::Display for ClaimHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The row is free for whoever asks: its time is over, or its subject was removed. `{now}` by the store's clock.
fn free(now: &str) -> String {
    format!(
        "((directory_claim.committed = 0 AND directory_claim.expires_ms <= {now}) \
          OR (directory_claim.committed = 1 AND EXISTS (SELECT 1 FROM directory_home h \
              WHERE h.service = directory_claim.service AND h.subject = directory_claim.subject \
                AND h.region IS NULL)))"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_does_not_show_itself() {
        let claim = Claim::new(ClaimKind::Email, "ann@example.com").unwrap();
        assert_eq!(format!("{claim:?}"), "Claim(email, ..)");
        let wrong = Claim::new(ClaimKind::Phone, "ann@example.com").unwrap_err();
        assert!(!wrong.to_string().contains("ann"), "{wrong}");
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for kind in ClaimKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        assert_eq!("Email".parse::<ClaimKind>(), Err(()));
    }
}
