//! Tokens whose signature was verified: a device shows the same one for ten minutes, and to verify is half of what a request costs.
//!
//! INVARIANT: a token is known by the digest of its whole text, signature and all, so none is believed that was not verified. Its
//! time is looked at each time; and it never was enough: the database is asked in each request.

use domicile_messaging::VerifyingKey;
use domicile_messaging::token::{Claims, TokenFault};
use domicile_messaging::wire::RegionName;
use domicile_messaging::wire::limits::TOKEN_BYTES_MAX;
use hashlink::LruCache;
use sha2::{Digest, Sha256};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tokens that are remembered: as many devices in ten minutes; of more, some are verified again.
const REMEMBERED: usize = 200_000;

/// What was verified for one region and one key.
pub(super) struct Verified(Mutex<LruCache<[u8; 32], Claims>>);

impl Default for Verified {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Verified {
    fn known(&self) -> MutexGuard<'_, LruCache<[u8; 32], Claims>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Claims::check`], always of the same key and region.
    ///
    /// # Errors
    /// As [`Claims::check`].
    pub fn check(
        &self,
        token: &str,
        key: &VerifyingKey,
        region: &RegionName,
        now: i64,
    ) -> Result<Claims, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Forged);
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.known().get(&digest).cloned();
        match known {
            Some(claims) if now < claims.exp => Ok(claims),
            Some(_) => {
                self.known().remove(&digest);
                Err(TokenFault::Expired)
            }
            None => {
                let claims = Claims::check(token, key, region, now)?;
                self.known().insert(digest, claims.clone());
                Ok(claims)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domicile_messaging::SigningKey;
    use domicile_messaging::consent::Purpose;
    use domicile_messaging::wire::DeviceId;

    #[test]
    fn known_or_not_the_answer_is_the_same() {
        let (key, verified, now) = (SigningKey::from_bytes(&[1; 32]), Verified::default(), 1_795_000_000);
        let region: RegionName = "beijing".parse().unwrap();
        let purposes = [Purpose::CloudMessaging].into_iter().collect();
        let claims = Claims::at(now, region.clone(), DeviceId([1; 16]), None, purposes);
        let token = claims.sign(&key);
        let check = |token: &str, now| verified.check(token, &key.verifying_key(), &region, now);
        for _ in 0..2 {
            assert_eq!(check(&token, now), Ok(claims.clone()));
        }
        let last = if token.ends_with('A') { "Q" } else { "A" };
        let forged = format!("{}{last}", &token[..token.len() - 1]);
        for _ in 0..2 {
            assert_eq!(check(&forged, now), Err(TokenFault::Forged));
        }
        for _ in 0..2 {
            assert_eq!(check(&token, claims.exp), Err(TokenFault::Expired));
        }
    }
}
