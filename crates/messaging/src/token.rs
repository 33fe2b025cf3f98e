//! Consent tokens: for ten minutes a region says which device may use it for what.
//!
//! `base64url(claims as JSON).base64url(Ed25519 signature)`, the signature over `domicile-token-v1\n` and the first part.
//! A token alone is never enough: each request also proves the device's key ([`crate::proof`]), and the relay asks its
//! database whether the consent still stands.

use crate::consent::Purposes;
use crate::wire::limits::{TOKEN_BYTES_MAX, TOKEN_S};
use crate::wire::{DeviceId, MailboxId, RegionName, Signature};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

const DOMAIN: &[u8] = b"domicile-token-v1\n";

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The form: 1.
    pub v: u8,
    /// Who signed, and where it holds.
    pub region: RegionName,
    /// Who may use it.
    pub device: DeviceId,
    /// Its mailbox, if it has registered.
    pub mailbox: Option<MailboxId>,
    /// What for.
    pub purposes: Purposes,
    /// Until when, seconds since 1970.
    pub exp: i64,
}

/// Why a token does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not signed by this region, changed, or no token at all.
    #[error("not a consent token of this region")]
    Forged,
    /// Its time is over.
    #[error("the consent token has expired")]
    Expired,
}

impl Claims {
    /// What a token issued at `now` (seconds since 1970) says.
    pub fn at(
        now: i64,
        region: RegionName,
        device: DeviceId,
        mailbox: Option<MailboxId>,
        purposes: Purposes,
    ) -> Self {
        Self { v: 1, region, device, mailbox, purposes, exp: now.saturating_add(TOKEN_S) }
    }

    /// As a token signed by the region's service key.
    pub fn sign(&self, key: &SigningKey) -> String {
        let json = serde_json::to_vec(self).expect("it has only texts and integers");
        let claims = URL_SAFE_NO_PAD.encode(json);
        let signature = key.sign(&[DOMAIN, claims.as_bytes()].concat());
        format!("{claims}.{}", Signature(signature.to_bytes()))
    }

    /// What `token` says, if `region`'s key has signed it and it holds at `now` (seconds since 1970).
    ///
    /// # Errors
    /// Why it does not hold. A token that would hold for longer than one may is forged, whoever signed it.
    pub fn check(token: &str, key: &VerifyingKey, region: &RegionName, now: i64) -> Result<Self, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Forged);
        }
        let (claims, signature) = token.split_once('.').ok_or(TokenFault::Forged)?;
        let signature: Signature = signature.parse().map_err(|_| TokenFault::Forged)?;
        // The signature comes first: nothing of a stranger's claims is parsed.
        key.verify_strict(
            &[DOMAIN, claims.as_bytes()].concat(),
            &ed25519_dalek::Signature::from_bytes(&signature.0),
        )
        .map_err(|_| TokenFault::Forged)?;
        let json = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenFault::Forged)?;
        let claims: Self = serde_json::from_slice(&json).map_err(|_| TokenFault::Forged)?;
        if claims.v != 1 || claims.region != *region || claims.exp > now.saturating_add(2 * TOKEN_S) {
            return Err(TokenFault::Forged);
        }
        if now >= claims.exp { Err(TokenFault::Expired) } else { Ok(claims) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::Purpose;

    const NOW: i64 = 1_795_000_000;

    fn claims() -> Claims {
        let purposes = [Purpose::CloudMessaging, Purpose::Presence].into_iter().collect();
        Claims::at(NOW, "beijing".parse().unwrap(), DeviceId([1; 16]), Some(MailboxId([2; 16])), purposes)
    }

    #[test]
    fn a_token_holds_ten_minutes_in_its_region() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (public, beijing) = (key.verifying_key(), "beijing".parse().unwrap());
        let token = claims().sign(&key);
        assert_eq!(Claims::check(&token, &public, &beijing, NOW + TOKEN_S - 1), Ok(claims()));
        assert_eq!(Claims::check(&token, &public, &beijing, NOW + TOKEN_S), Err(TokenFault::Expired));
        let oregon = "oregon".parse().unwrap();
        assert_eq!(Claims::check(&token, &public, &oregon, NOW), Err(TokenFault::Forged));
        let long_ago = Claims::check(&token, &public, &beijing, NOW - 2 * TOKEN_S);
        assert_eq!(long_ago, Err(TokenFault::Forged));
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let (public, beijing) = (key.verifying_key(), "beijing".parse().unwrap());
        let token = claims().sign(&key);
        for at in 0..token.len() {
            for to in [b'A', b'_', b'.', b'z'] {
                let mut bytes = token.clone().into_bytes();
                if bytes[at] == to {
                    continue;
                }
                bytes[at] = to;
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(
                    Claims::check(&changed, &public, &beijing, NOW),
                    Err(TokenFault::Forged),
                    "{at} {to}"
                );
            }
        }
        let other = SigningKey::from_bytes(&[8; 32]);
        assert_eq!(Claims::check(&claims().sign(&other), &public, &beijing, NOW), Err(TokenFault::Forged));
        for text in ["", ".", "a.b", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(Claims::check(text, &public, &beijing, NOW), Err(TokenFault::Forged));
        }
    }
}
