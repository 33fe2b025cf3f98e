//! A verified token's claim (RFC 7519, 7515, 7517, 8725).
//!
//! Keys are a JWK Set in a file, read again when the process is told to. A token's algorithm is its key's, never its own
//! word: `none`, and a public key used as an HMAC secret, are what RFC 8725 section 2.1 warns of. A token that verified is
//! remembered by its SHA-256 until it expires, since a signature costs more than the whole rest of a request.

use super::{Nobody, cookie};
use arc_swap::ArcSwap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A token is no longer than this.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// A JWK Set is no longer than this.
const KEYS_BYTES_MAX: u64 = 1024 * 1024;
/// Clocks differ by so much, seconds.
const LEEWAY_S: u64 = 30;
/// Parts of the memory, each with its own lock.
const SHARDS: usize = 64;

/// Which tokens are believed, and whose they are.
#[derive(Debug)]
pub struct JwtRule {
    keys: Arc<Keys>,
    /// The claim that names the subject: a text or a whole number.
    claim: String,
    issuer: Option<String>,
    audience: Option<String>,
    /// The cookie that holds the token where there is no `Authorization: Bearer`.
    cookie: Option<String>,
    verified: Verified,
}

impl JwtRule {
    /// Tokens signed by one of `keys`; `remembered` of them are kept in memory.
    pub fn new(keys: Arc<Keys>, claim: String, remembered: usize) -> Self {
        let verified = Verified::new(remembered);
        Self { keys, claim, issuer: None, audience: None, cookie: None, verified }
    }

    /// Only of this issuer.
    pub fn of_issuer(self, issuer: Option<String>) -> Self {
        Self { issuer, ..self }
    }

    /// Only for this audience.
    pub fn for_audience(self, audience: Option<String>) -> Self {
        Self { audience, ..self }
    }

    /// Also in this cookie.
    pub fn or_in_cookie(self, cookie: Option<String>) -> Self {
        Self { cookie, ..self }
    }

    /// The subject of the request's token; `None`: it has none.
    ///
    /// # Errors
    /// A token that does not verify: it names nobody, and no other rule is asked.
    pub(super) fn subject(&self, parts: &Parts) -> Result<Option<String>, Nobody> {
        let Some(token) = bearer(parts).or_else(|| cookie(parts, self.cookie.as_ref()?)) else {
            return Ok(None);
        };
        let now = jiff::Timestamp::now().as_second();
        let digest: [u8; 32] = Sha256::digest(token).into();
        let keys = self.keys.current.load();
        if let Some(subject) = self.verified.get(&digest, keys.generation, now) {
            return Ok(Some(subject));
        }
        let (subject, expires) = self.verify(token, &keys).map_err(Nobody::Token)?;
        self.verified
            .put(digest, Remembered { subject: subject.clone(), expires, generation: keys.generation });
        Ok(Some(subject))
    }

    fn verify(&self, token: &str, keys: &Current) -> Result<(String, i64), &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("it is too long");
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| "it is no signed JWT")?;
        let key = keys.of(header.kid.as_deref()).ok_or("its key is not one of ours")?;
        let mut validation = Validation::new(key.algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.validate_aud = self.audience.is_some();
        validation.set_required_spec_claims(&["exp"]);
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
            validation.required_spec_claims.insert("iss".into());
        }
        if let Some(audience) = &self.audience {
            validation.set_audience(&[audience]);
            validation.required_spec_claims.insert("aud".into());
        }
        let claims =
            jsonwebtoken::decode::<serde_json::Value>(token, &key.key, &validation).map_err(worded)?.claims;
        let subject = match claims.get(&self.claim) {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) if number.is_i64() || number.is_u64() => {
                number.to_string()
            }
            _ => return Err("it has no claim that names a subject"),
        };
        let expires = claims.get("exp").and_then(serde_json::Value::as_f64).unwrap_or(0.0);
        Ok((subject, (expires as i64).saturating_add(LEEWAY_S as i64)))
    }
}

fn worded(error: jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "its issuer is another",
        ErrorKind::InvalidAudience => "it is for another audience",
        ErrorKind::InvalidAlgorithm => "its algorithm is not its key's",
        ErrorKind::MissingRequiredClaim(_) => "it lacks a claim that it must have",
        _ => "its signature is not our key's",
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Why a file of keys can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct KeysError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// A JWK Set in a file.
pub struct Keys {
    path: PathBuf,
    current: ArcSwap<Current>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("path", &self.path).finish_non_exhaustive()
    }
}

struct Current {
    keys: Vec<Key>,
    /// Grows at each reload: what an older set verified is verified again.
    generation: u64,
}

struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Current {
    /// The key of that id; of a token that names none, the only key.
    fn of(&self, id: Option<&str>) -> Option<&Key> {
        match (id, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
        }
    }
}

impl Keys {
    /// Reads the file.
    ///
    /// # Errors
    /// A file that is missing, too long, or holds no key for signatures that we know.
    pub fn read(path: &Path) -> Result<Arc<Self>, KeysError> {
        let current = ArcSwap::from_pointee(Current { keys: keys_of(path)?, generation: 0 });
        Ok(Arc::new(Self { path: path.to_owned(), current }))
    }

    /// The keys of a set that is in memory; there is nothing to reload.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Result<Arc<Self>, &'static str> {
        let current = ArcSwap::from_pointee(Current { keys: keys_in(bytes)?, generation: 0 });
        Ok(Arc::new(Self { path: PathBuf::new(), current }))
    }

    /// Reads it again. On an error the old keys stay.
    ///
    /// # Errors
    /// As [`Keys::read`].
    pub fn reload(&self) -> Result<(), KeysError> {
        let keys = keys_of(&self.path)?;
        let generation = self.current.load().generation + 1;
        self.current.store(Arc::new(Current { keys, generation }));
        Ok(())
    }
}

fn keys_of(path: &Path) -> Result<Vec<Key>, KeysError> {
    let wrong = |why: String| KeysError { path: path.to_owned(), why };
    let length = std::fs::metadata(path).map_err(|e| wrong(e.to_string()))?.len();
    if length > KEYS_BYTES_MAX {
        return Err(wrong(format!("it is longer than {KEYS_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|e| wrong(e.to_string()))?;
    keys_in(&bytes).map_err(|why| wrong(why.to_owned()))
}

fn keys_in(bytes: &[u8]) -> Result<Vec<Key>, &'static str> {
    let set: JwkSet = serde_json::from_slice(bytes).map_err(|_| "it is no JWK Set (RFC 7517)")?;
    let keys: Vec<Key> = set.keys.iter().filter_map(signing_key).collect();
    match keys.is_empty() {
        true => Err("it holds no public key for RS256, PS256, ES256, ES384 or EdDSA"),
        false => Ok(keys),
    }
}

/// A public key with its one algorithm. Secrets for HMAC are left out: whoever verifies could sign.
fn signing_key(jwk: &Jwk) -> Option<Key> {
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS384)) => Algorithm::RS384,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::RS512)) => Algorithm::RS512,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS256)) => Algorithm::PS256,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS384)) => Algorithm::PS384,
        (AlgorithmParameters::RSA(_), Some(KeyAlgorithm::PS512)) => Algorithm::PS512,
        (AlgorithmParameters::EllipticCurve(c), _) if c.curve == EllipticCurve::P256 => Algorithm::ES256,
        (AlgorithmParameters::EllipticCurve(c), _) if c.curve == EllipticCurve::P384 => Algorithm::ES384,
        (AlgorithmParameters::OctetKeyPair(_), _) => Algorithm::EdDSA,
        _ => return None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { id: jwk.common.key_id.clone(), algorithm, key })
}

/// A token that verified.
#[derive(Debug, Clone)]
struct Remembered {
    subject: String,
    /// Seconds since 1970.
    expires: i64,
    generation: u64,
}

/// Tokens that verified, by their SHA-256.
#[derive(Debug)]
struct Verified {
    shards: Vec<Mutex<HashMap<[u8; 32], Remembered>>>,
    each: usize,
}

impl Verified {
    fn new(remembered: usize) -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), each: remembered.div_ceil(SHARDS) }
    }

    fn shard(&self, digest: &[u8; 32]) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Remembered>> {
        let shard = usize::from(digest[0]) % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, digest: &[u8; 32], generation: u64, now: i64) -> Option<String> {
        let shard = self.shard(digest);
        let found = shard.get(digest)?;
        (found.generation == generation && now < found.expires).then(|| found.subject.clone())
    }

    fn put(&self, digest: [u8; 32], token: Remembered) {
        let mut shard = self.shard(&digest);
        if shard.len() >= self.each {
            // Any of them: to verify once more is all it costs.
            let some = shard.keys().next().copied();
            some.map(|some| shard.remove(&some));
        }
        shard.insert(digest, token);
    }
}

#[cfg(test)]
mod tests;
