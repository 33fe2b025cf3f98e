//! Proof of possession: each request is signed by the device's key, once.
//!
//! `Domicile-Proof: UNIXSECONDS.NONCE.SIGNATURE`, where NONCE is 16 random bytes and SIGNATURE the device's Ed25519 over
//! `domicile-proof-v2\n` REGION `\n` METHOD `\n` PATH?QUERY `\n` UNIXSECONDS `\n` NONCE `\n` hex(sha256(body)). REGION is the name of
//! the region whose relay is asked: what one relay was shown is of no use at another one. Seconds as decimal digits, nonce and
//! signature in base64url without padding.

use crate::wire::limits::{PATH_BYTES_MAX, PROOF_BYTES_MAX, PROOF_SKEW_S, PROOFS_REMEMBERED_MAX};
use crate::wire::{DeviceId, RecordId as Nonce, Signature};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::str::FromStr;

/// What a proof is for: changing any of it makes the proof another's.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Whose relay is asked.
    pub region: &'a str,
    /// `GET`, `PUT` or `POST`.
    pub method: &'a str,
    /// As in the request line.
    pub path_and_query: &'a str,
    /// All of it.
    pub body: &'a [u8],
}

impl Request<'_> {
    fn to_bytes(self, at: i64, nonce: &Nonce) -> Vec<u8> {
        let Self { region, method, path_and_query, body } = self;
        let body = Sha256::digest(body);
        format!("domicile-proof-v2\n{region}\n{method}\n{path_and_query}\n{at}\n{nonce}\n{body:x}")
            .into_bytes()
    }
}

/// A proof as it came, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    at: i64,
    nonce: Nonce,
    signature: Signature,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// Not of the form.
    #[error("not a proof: UNIXSECONDS.NONCE.SIGNATURE")]
    NoProof,
    /// Too far from the relay's clock.
    #[error("the proof's time is more than {PROOF_SKEW_S} s off")]
    Stale,
    /// Not signed by this device for this request.
    #[error("the proof is not this device's for this request")]
    Forged,
    /// Seen before.
    #[error("the proof was used before")]
    Replayed,
    /// The memory for proofs is full: nothing is forgotten early, so the request must wait.
    #[error("too many requests at once")]
    Busy,
}

impl Proof {
    /// Makes one, at `now` (seconds since 1970, by the relay's clock as far as the device knows it: [`Clock`]).
    pub fn make(key: &SigningKey, request: Request<'_>, now: i64) -> Self {
        let nonce = Nonce::random();
        let signature = Signature(key.sign(&request.to_bytes(now, &nonce)).to_bytes());
        Self { at: now, nonce, signature }
    }

    /// Time and signature. The caller then asks its [`Seen`] whether it is the first time: in this order, so that
    /// strangers cannot fill the memory.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, key: &VerifyingKey, request: Request<'_>, now: i64) -> Result<(), ProofFault> {
        if self.at.abs_diff(now) > PROOF_SKEW_S.unsigned_abs() {
            return Err(ProofFault::Stale);
        }
        if request.path_and_query.len() > PATH_BYTES_MAX {
            return Err(ProofFault::Forged);
        }
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature.0);
        key.verify_strict(&request.to_bytes(self.at, &self.nonce), &signature).map_err(|_| ProofFault::Forged)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.at, self.nonce, self.signature)
    }
}

impl FromStr for Proof {
    type Err = ProofFault;

    fn from_str(text: &str) -> Result<Self, ProofFault> {
        let parse = || {
            let (at, rest) = text.split_once('.')?;
            let (nonce, signature) = rest.split_once('.')?;
            let digits = (1..=12).contains(&at.len()) && at.bytes().all(|b| b.is_ascii_digit());
            let at = digits.then(|| at.parse().ok())??;
            Some(Self { at, nonce: nonce.parse().ok()?, signature: signature.parse().ok()? })
        };
        (text.len() <= PROOF_BYTES_MAX).then(parse).flatten().ok_or(ProofFault::NoProof)
    }
}

/// Proofs that a relay has seen, as long as they could be used again. Bounded: full, it refuses and forgets nothing.
#[derive(Debug)]
pub struct Seen {
    of: HashSet<(DeviceId, Nonce)>,
    in_order: VecDeque<(i64, DeviceId, Nonce)>,
    max: usize,
    /// What was made before may have been used: whoever remembered it is no more.
    since: i64,
}

impl Default for Seen {
    fn default() -> Self {
        Self::at_most(PROOFS_REMEMBERED_MAX)
    }
}

impl Seen {
    /// With room for `max`.
    pub fn at_most(max: usize) -> Self {
        Self { of: HashSet::new(), in_order: VecDeque::new(), max, since: i64::MIN }
    }

    /// The same for a relay that starts at `now`: proofs of before are stale, since what was remembered of them is gone.
    #[must_use]
    pub fn since(self, now: i64) -> Self {
        Self { since: now, ..self }
    }

    /// Remembers a proof of `device`, already checked at `now`.
    ///
    /// # Errors
    /// [`ProofFault::Replayed`] where it was seen before, [`ProofFault::Stale`] where that can't be known, [`ProofFault::Busy`] where
    /// there is no room.
    pub fn first_time(&mut self, device: DeviceId, proof: &Proof, now: i64) -> Result<(), ProofFault> {
        self.forget_before(now);
        if proof.at < self.since {
            return Err(ProofFault::Stale);
        }
        if self.of.contains(&(device, proof.nonce)) {
            return Err(ProofFault::Replayed);
        }
        if self.of.len() >= self.max {
            return Err(ProofFault::Busy);
        }
        self.of.insert((device, proof.nonce));
        // INVARIANT: kept for twice the skew from now, so at least until its own time is stale, whatever that time says.
        self.in_order.push_back((now.saturating_add(2 * PROOF_SKEW_S), device, proof.nonce));
        Ok(())
    }

    fn forget_before(&mut self, now: i64) {
        while let Some((until, device, nonce)) = self.in_order.front().copied() {
            // Above, not at: at the skew's last second the proof can still be used.
            if until >= now {
                break;
            }
            self.in_order.pop_front();
            self.of.remove(&(device, nonce));
        }
    }
}

/// The relay's clock as the device knows it: its own, and how far that is off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clock {
    offset_s: i64,
}

impl Clock {
    /// A clock with a known offset, seconds: what was learnt before.
    pub fn off_by(offset_s: i64) -> Self {
        Self { offset_s }
    }

    /// How far the relay's clock is ahead, seconds.
    pub fn offset_s(self) -> i64 {
        self.offset_s
    }

    /// The relay's time when the device's clock says `own` (seconds since 1970).
    pub fn relays(self, own: i64) -> i64 {
        own.saturating_add(self.offset_s)
    }

    /// Learns from the `Date` of a `proof-stale` answer, which is RFC 9110's form. False: that says nothing new, so it is
    /// of no use to ask again.
    pub fn learn(&mut self, date: &str, own: i64) -> bool {
        let Ok(theirs) = jiff::fmt::rfc2822::parse(date) else { return false };
        let offset_s = theirs.timestamp().as_second().saturating_sub(own);
        std::mem::replace(&mut self.offset_s, offset_s) != offset_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const REQUEST: Request<'_> = Request {
        region: "beijing",
        method: "POST",
        path_and_query: "/v1/messaging/messages?x=1",
        body: b"{}",
    };

    #[test]
    fn a_proof_is_for_one_request_of_one_device() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let public = key.verifying_key();
        let proof: Proof = Proof::make(&key, REQUEST, NOW).to_string().parse().unwrap();
        assert_eq!(proof.check(&public, REQUEST, NOW), Ok(()));
        for other in [
            Request { region: "oregon", ..REQUEST },
            Request { method: "PUT", ..REQUEST },
            Request { path_and_query: "/v1/messaging/messages?x=2", ..REQUEST },
            Request { body: b"{ }", ..REQUEST },
        ] {
            assert_eq!(proof.check(&public, other, NOW), Err(ProofFault::Forged));
        }
        let other = SigningKey::from_bytes(&[2; 32]).verifying_key();
        assert_eq!(proof.check(&other, REQUEST, NOW), Err(ProofFault::Forged));
        let mut later = proof.clone();
        later.at += 1;
        assert_eq!(later.check(&public, REQUEST, NOW), Err(ProofFault::Forged));
    }

    #[test]
    fn an_hour_off_is_stale_until_the_clock_has_learnt() {
        let key = SigningKey::from_bytes(&[1; 32]);
        for hour in [3600, -3600] {
            let (own, mut clock) = (NOW + hour, Clock::default());
            let proof = Proof::make(&key, REQUEST, clock.relays(own));
            assert_eq!(proof.check(&key.verifying_key(), REQUEST, NOW), Err(ProofFault::Stale));
            let date =
                jiff::Timestamp::from_second(NOW).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            assert!(clock.learn(&date, own));
            assert_eq!(clock.offset_s(), -hour);
            assert!(!clock.learn(&date, own), "nothing new");
            let proof = Proof::make(&key, REQUEST, clock.relays(own));
            assert_eq!(proof.check(&key.verifying_key(), REQUEST, NOW), Ok(()));
        }
        assert!(!Clock::default().learn("yesterday", NOW));
    }

    #[test]
    fn two_minutes_are_allowed() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let proof = Proof::make(&key, REQUEST, NOW);
        assert_eq!(proof.check(&key.verifying_key(), REQUEST, NOW + PROOF_SKEW_S), Ok(()));
        assert_eq!(
            proof.check(&key.verifying_key(), REQUEST, NOW - PROOF_SKEW_S - 1),
            Err(ProofFault::Stale)
        );
    }

    #[test]
    fn a_replay_is_seen_as_long_as_it_could_be_used() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (device, mut seen) = (DeviceId([1; 16]), Seen::at_most(2));
        // Its clock is two minutes ahead: it can be used for four.
        let proof = Proof::make(&key, REQUEST, NOW + PROOF_SKEW_S);
        for now in NOW..=NOW + 2 * PROOF_SKEW_S {
            assert_eq!(proof.check(&key.verifying_key(), REQUEST, now), Ok(()));
            let wanted = if now == NOW { Ok(()) } else { Err(ProofFault::Replayed) };
            assert_eq!(seen.first_time(device, &proof, now), wanted);
        }
        let after = NOW + 2 * PROOF_SKEW_S + 1;
        assert_eq!(proof.check(&key.verifying_key(), REQUEST, after), Err(ProofFault::Stale));
    }

    #[test]
    fn what_was_used_before_a_restart_is_stale_after_it() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (device, used) = (DeviceId([1; 16]), Proof::make(&key, REQUEST, NOW));
        let mut seen = Seen::at_most(2).since(NOW + 1);
        assert_eq!(seen.first_time(device, &used, NOW + 2), Err(ProofFault::Stale));
        assert_eq!(seen.first_time(device, &Proof::make(&key, REQUEST, NOW + 1), NOW + 2), Ok(()));
    }

    #[test]
    fn a_full_memory_refuses_and_forgets_nothing() {
        let key = SigningKey::from_bytes(&[1; 32]);
        let (device, mut seen) = (DeviceId([1; 16]), Seen::at_most(1));
        let first = Proof::make(&key, REQUEST, NOW);
        assert_eq!(seen.first_time(device, &first, NOW), Ok(()));
        assert_eq!(seen.first_time(device, &Proof::make(&key, REQUEST, NOW), NOW), Err(ProofFault::Busy));
        assert_eq!(seen.first_time(device, &first, NOW), Err(ProofFault::Replayed));
        let later = NOW + 2 * PROOF_SKEW_S + 1;
        assert_eq!(seen.first_time(device, &Proof::make(&key, REQUEST, later), later), Ok(()));
    }

    #[test]
    fn what_is_no_proof_is_refused() {
        let good = Proof::make(&SigningKey::from_bytes(&[1; 32]), REQUEST, NOW).to_string();
        assert!(good.parse::<Proof>().is_ok());
        let (at, rest) = good.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        for text in [
            &format!("{at}..{signature}"),
            &format!("{at}.AAAA.{signature}"),
            "",
            "..",
            "1.2.3",
            &good[1..good.len() - 1],
            &format!("+{good}"),
            &"1".repeat(500),
        ] {
            assert!(text.parse::<Proof>().is_err(), "{text}");
        }
    }
}
