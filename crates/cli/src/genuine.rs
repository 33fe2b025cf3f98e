//! The manifest of what is genuine: believed, or refused in the five parts of every message.

use crate::failure::{Failure, Result};
use crate::screen::Exit;
use domicile_ledger::{Manifest, ManifestError, VerifyingKey, verify_manifest};
use jiff::Timestamp;

/// The name of the manifest's key, and of its files in the folder of keys.
pub const KEY: &str = "manifest";

/// A manifest that verifies now.
///
/// # Errors
/// Why it must not be believed.
pub fn believed(shown: &str, bytes: &[u8], trusted: &[VerifyingKey]) -> Result<Manifest> {
    verify_manifest(bytes, trusted, Timestamp::now()).map_err(|e| refused(shown, &e))
}

fn refused(shown: &str, error: &ManifestError) -> Box<Failure> {
    let (code, why, fix): (_, _, String) = match error {
        ManifestError::Unreadable { .. } | ManifestError::Wrong { .. } => (
            "manifest-wrong",
            "a manifest has exactly the keys and values of its format, each once",
            "get it again from where it was issued".into(),
        ),
        ManifestError::Reprinted | ManifestError::Signature { .. } => (
            "manifest-changed",
            "a manifest holds only as it was signed: every byte of it counts",
            "get it again from where it was issued; if it is still refused, warn them".into(),
        ),
        ManifestError::Untrusted { .. } => (
            "manifest-untrusted",
            "it is whole, but who signed it is unknown here",
            format!("domicile manifest verify {shown} --key FILE   # a key you got from somebody you trust"),
        ),
        ManifestError::Impostor { .. } => (
            "manifest-impostor",
            "somebody signed in the name of a key that you have, with another one",
            "do not use the addresses in it; ask whose it is whether their key was changed".into(),
        ),
        ManifestError::Expired { .. } => (
            "manifest-expired",
            "what was genuine then need not be now",
            "get the new one; whoever issues it: domicile manifest sign".into(),
        ),
        ManifestError::NotYet { .. } => {
            ("manifest-not-yet", "it was issued in the future, or this clock is wrong", "date -u".into())
        }
    };
    Failure::new(code, format!("{shown}: {error}"), why, fix).exit(Exit::No)
}
