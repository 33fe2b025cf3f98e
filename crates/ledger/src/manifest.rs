//! The manifest of what is genuine: a service's regional endpoints, its shops and its authorised sellers, with a
//! day on which it ends, signed. Served at `/.well-known/domicile.json`.
//!
//! UTF-8 JSON, printed in one way only: the fields below in their order, two spaces of indentation, one `\n` at the
//! end. What does not print again to the same bytes is refused, so a changed byte, an unknown or a repeated key
//! never verifies. Each signature is over the object `manifest` alone, printed on one line with a `\n`; the
//! signers are named inside what is signed, so that none can be taken away, exchanged or added.

use crate::shown::{shown, steers};
use crate::{SigningKey, VerifyingKey};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The format's name, first in every manifest: no receipt can be taken for one.
pub const MANIFEST_FORMAT: &str = "domicile-manifest";
/// The format's version.
pub const MANIFEST_VERSION: u32 = 1;
/// The longest manifest looked at, bytes.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// The longest time between issue and expiry: whoever has a stolen name must not live on an old manifest for years.
pub const MANIFEST_DAYS_MAX: i64 = 400;
/// Most shops, sellers or regions.
const ENTRIES_MAX: usize = 10_000;
/// Most signers: an old key and a new one while they change, and room.
const SIGNERS_MAX: usize = 8;
/// The longest text of a field, bytes.
const TEXT_BYTES_MAX: usize = 300;
/// How far another clock may be behind the issuer's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// What is said to be genuine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: String,
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Whose it is, as people know it.
    pub name: String,
    /// From when on it holds, UTC, whole seconds.
    pub issued: Timestamp,
    /// Until when, exclusive.
    pub expires: Timestamp,
    /// The regions and where applications reach them.
    pub endpoints: Vec<Endpoint>,
    /// Shops of the maker's own.
    pub shops: Vec<Shop>,
    /// Others who are authorised to sell.
    pub sellers: Vec<Seller>,
    /// Whose signatures end the file, in this order.
    pub signers: Vec<VerifyingKey>,
}

/// Where a region is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The region's id.
    pub region: String,
    /// The country it stands in, ISO 3166-1 alpha-2.
    pub country: String,
    /// The country whose law controls who runs it.
    pub operator: String,
    /// `https://...`
    pub url: String,
}

/// A shop of the maker's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shop {
    /// Its name.
    pub name: String,
    /// `https://...`
    pub url: String,
    /// The country it sells to, ISO 3166-1 alpha-2; `null`: several.
    pub country: Option<String>,
}

/// Somebody else who is authorised to sell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    /// The name.
    pub name: String,
    /// The country they sell in, ISO 3166-1 alpha-2.
    pub country: String,
    /// Where, if it is on the web: `https://...`
    pub url: Option<String>,
}

/// A manifest as it stands in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Signed {
    pub(crate) manifest: Manifest,
    signatures: Vec<String>,
}

/// Why a manifest was not signed or not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no manifest: no JSON, an unknown or repeated key, a value of another type.
    #[error("line {line}, column {column}: {what}")]
    Unreadable {
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// It reads, but is not printed as it was signed.
    #[error("it is not printed as a manifest is: its bytes were changed")]
    Reprinted,
    /// A value that can't be.
    #[error("{what}")]
    Wrong {
        /// What is wrong.
        what: String,
    },
    /// The signature of this signer is not over these bytes.
    #[error("the signature of `{name}` does not hold: something was changed after it was signed")]
    Signature {
        /// The signer's name.
        name: String,
    },
    /// Whole, but signed by nobody whose key was given.
    #[error("signed by {}, and no such key is among those trusted", names.join(", "))]
    Untrusted {
        /// The signers' names.
        names: Vec<String>,
    },
    /// A signer bears the name of a trusted key, but its key is another.
    #[error("a signer calls itself `{name}`, but its key is not the trusted key of that name")]
    Impostor {
        /// The name claimed.
        name: String,
    },
    /// Its time is over.
    #[error("it expired at {expires}")]
    Expired {
        /// When.
        expires: Timestamp,
    },
    /// Its time has not come.
    #[error("it holds from {issued} on, which has not come")]
    NotYet {
        /// From when on.
        issued: Timestamp,
    },
}

fn wrong(what: impl Into<String>) -> ManifestError {
    ManifestError::Wrong { what: shown(&what.into()) }
}

impl Manifest {
    /// Signs it: the text of the file. `signers` is set to the keys'.
    ///
    /// # Errors
    /// A value that can't be, or no key.
    pub fn sign(mut self, keys: &[&SigningKey]) -> Result<String, ManifestError> {
        self.signers = keys.iter().map(|k| k.verifying_key().clone()).collect();
        self.check()?;
        let message = self.message()?;
        let signatures = keys.iter().map(|k| k.sign(&message)).collect();
        Signed { manifest: self, signatures }.print()
    }

    /// What is signed.
    fn message(&self) -> Result<Vec<u8>, ManifestError> {
        let mut line = serde_json::to_vec(self).map_err(|e| wrong(e.to_string()))?;
        line.push(b'\n');
        Ok(line)
    }

    /// Is it whole by itself, whoever signed it?
    fn check(&self) -> Result<(), ManifestError> {
        if self.format != MANIFEST_FORMAT || self.version != MANIFEST_VERSION {
            return Err(wrong("another format or version"));
        }
        text(&self.name, "the name")?;
        self.check_times()?;
        let lists = [self.endpoints.len(), self.shops.len(), self.sellers.len()];
        if lists.iter().any(|n| *n > ENTRIES_MAX) {
            return Err(wrong(format!("more than {ENTRIES_MAX} entries of a kind")));
        }
        let mut regions = BTreeSet::new();
        for endpoint in &self.endpoints {
            text(&endpoint.region, "a region's id")?;
            country(&endpoint.country)?;
            country(&endpoint.operator)?;
            url(&endpoint.url)?;
            if !regions.insert(&endpoint.region) {
                return Err(wrong(format!("region `{}` stands there twice", endpoint.region)));
            }
        }
        for shop in &self.shops {
            text(&shop.name, "a shop's name")?;
            url(&shop.url)?;
            shop.country.as_deref().map_or(Ok(()), country)?;
        }
        for seller in &self.sellers {
            text(&seller.name, "a seller's name")?;
            country(&seller.country)?;
            seller.url.as_deref().map_or(Ok(()), url)?;
        }
        self.check_signers()
    }

    fn check_times(&self) -> Result<(), ManifestError> {
        let whole = |t: Timestamp| t.subsec_nanosecond() == 0;
        if !whole(self.issued) || !whole(self.expires) {
            return Err(wrong("times are whole seconds"));
        }
        let length = self.expires.duration_since(self.issued);
        if length <= SignedDuration::ZERO {
            return Err(wrong("it expires before it was issued"));
        }
        if length > SignedDuration::from_hours(24 * MANIFEST_DAYS_MAX) {
            return Err(wrong(format!("it would hold for more than {MANIFEST_DAYS_MAX} days")));
        }
        Ok(())
    }

    fn check_signers(&self) -> Result<(), ManifestError> {
        let keys: BTreeSet<[u8; 32]> = self.signers.iter().map(VerifyingKey::to_bytes).collect();
        if self.signers.is_empty() || self.signers.len() > SIGNERS_MAX || keys.len() != self.signers.len() {
            return Err(wrong(format!(
                "it must have 1 to {SIGNERS_MAX} signers, each with a key of its own"
            )));
        }
        Ok(())
    }
}

impl Signed {
    fn print(&self) -> Result<String, ManifestError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|e| wrong(e.to_string()))?;
        text.push('\n');
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(wrong(format!("it is longer than {MANIFEST_BYTES_MAX} bytes")));
        }
        Ok(text)
    }
}

/// Verifies a manifest offline: these bytes, the keys one trusts, and what time it is. All its signatures must
/// hold, and one of them at least be of a trusted key.
///
/// # Errors
/// Why it must not be believed.
pub fn verify_manifest(
    bytes: &[u8],
    trusted: &[VerifyingKey],
    now: Timestamp,
) -> Result<Manifest, ManifestError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(wrong(format!("it is longer than {MANIFEST_BYTES_MAX} bytes")));
    }
    let signed: Signed = serde_json::from_slice(bytes).map_err(|e| unreadable(&e))?;
    if signed.print()?.as_bytes() != bytes {
        return Err(ManifestError::Reprinted);
    }
    signed.manifest.check()?;
    signatures_hold(&signed)?;
    is_trusted(&signed.manifest, trusted)?;
    let (issued, expires) = (signed.manifest.issued, signed.manifest.expires);
    if now.duration_since(issued) < -CLOCK_SKEW {
        return Err(ManifestError::NotYet { issued });
    }
    if now >= expires {
        return Err(ManifestError::Expired { expires });
    }
    Ok(signed.manifest)
}

fn signatures_hold(signed: &Signed) -> Result<(), ManifestError> {
    let signers = &signed.manifest.signers;
    if signers.len() != signed.signatures.len() {
        return Err(wrong("it has not one signature for each signer"));
    }
    let message = signed.manifest.message()?;
    match signers.iter().zip(&signed.signatures).find(|(key, line)| !key.signed(line, &message)) {
        Some((key, _)) => Err(ManifestError::Signature { name: key.name().to_owned() }),
        None => Ok(()),
    }
}

fn is_trusted(manifest: &Manifest, trusted: &[VerifyingKey]) -> Result<(), ManifestError> {
    let impostor = |key: &&VerifyingKey| {
        let mut same = trusted.iter().filter(|t| t.name() == key.name()).peekable();
        same.peek().is_some() && !same.any(|t| t == *key)
    };
    if let Some(key) = manifest.signers.iter().find(impostor) {
        return Err(ManifestError::Impostor { name: key.name().to_owned() });
    }
    if manifest.signers.iter().any(|key| trusted.contains(key)) {
        return Ok(());
    }
    Err(ManifestError::Untrusted { names: manifest.signers.iter().map(|k| k.name().to_owned()).collect() })
}

/// The parser's words without its place, which is said apart.
fn unreadable(error: &serde_json::Error) -> ManifestError {
    let text = error.to_string();
    // The parser repeats what it did not expect, and nobody has signed that.
    let what = shown(text.split(" at line ").next().unwrap_or(&text));
    ManifestError::Unreadable { line: error.line(), column: error.column(), what }
}

fn text(text: &str, what: &str) -> Result<(), ManifestError> {
    // Letters that turn the reading direction could make one address look like another.
    if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(steers) {
        return Err(wrong(format!(
            "{what} must have 1 to {TEXT_BYTES_MAX} bytes, and no control characters"
        )));
    }
    Ok(())
}

fn country(code: &str) -> Result<(), ManifestError> {
    if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(wrong(format!("`{code}` is not the ISO 3166-1 code of a country")))
}

/// An address that people can compare letter by letter: https, ASCII (names in other letters as `xn--`), no user.
fn url(url: &str) -> Result<(), ManifestError> {
    let bad = |why: &str| Err(wrong(format!("`{url}` can't stand in a manifest: {why}")));
    let loopback = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let is_loopback = |begin: &&str| {
        url.strip_prefix(*begin).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
    };
    let rest = match url.strip_prefix("https://") {
        Some(rest) => rest,
        None if loopback.iter().any(is_loopback) => &url["http://".len()..],
        None => return bad("it must begin with https://"),
    };
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    if url.len() > TEXT_BYTES_MAX || !url.bytes().all(fine) {
        return bad("it must be short and plain ASCII");
    }
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || host.contains('@') || host.bytes().any(|b| b.is_ascii_uppercase()) {
        return bad("its host must be in small letters, without a user before it");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
