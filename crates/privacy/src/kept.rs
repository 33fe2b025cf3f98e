//! What the server keeps: its dump and its logs, searched for a number by the audit, and for the number's tag by whoever has
//! stolen the discovery key, too.

use crate::audit;
use crate::carried::Sought;
use crate::fault::Fault;
use crate::phone::Role;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use domicile_audit::Report;
use domicile_messaging::discovery::DiscoveryKey;
use domicile_messaging::number::Number;
use std::fs;
use std::path::PathBuf;

/// Faults of files that must show nobody's identifiers: not those of who is no user, and the owner's number only sealed.
///
/// # Errors
/// In words: a file can't be read.
pub fn numbers(files: &[PathBuf], sought: &Sought) -> Result<(Report, Vec<Fault>), String> {
    let report = audit::files(files, sought)?;
    let mut faults: Vec<Fault> = audit::proofs(&report);
    for finding in &report.findings {
        let whose = sought.role(finding).map_or("an identifier", Role::words);
        faults.push(Fault::Kept { what: format!("{whose} stands in {}", finding.place) });
    }
    Ok((report, faults))
}

/// Faults of files that show where the number would lie under this key: what a thief of both would look for.
///
/// # Errors
/// In words: a file can't be read, a key is none.
pub fn tags(files: &[PathBuf], keys: &[String], number: &str) -> Result<Vec<Fault>, String> {
    let number: Number = number.parse().map_err(|_| "the number is none")?;
    let mut faults = Vec::new();
    for key in keys {
        let key: DiscoveryKey = key.trim().parse().map_err(|_| "the discovery key is none")?;
        let locator = serde_json::to_value(key.tag(&number).locator()).map_err(|e| e.to_string())?;
        let locator =
            URL_SAFE_NO_PAD.decode(locator.as_str().unwrap_or_default()).map_err(|e| e.to_string())?;
        if locator.len() < 16 {
            return Err("a locator has 16 bytes".into());
        }
        for file in files {
            let bytes = fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
            for (how, form) in writings(&locator) {
                if bytes.windows(form.len()).any(|window| window == form) {
                    let what = format!("the number's locator stands in {} as {how}", file.display());
                    faults.push(Fault::Kept { what });
                }
            }
        }
    }
    Ok(faults)
}

fn writings(bytes: &[u8]) -> [(&'static str, Vec<u8>); 5] {
    [
        ("bytes", bytes.to_vec()),
        ("hex", hex::encode(bytes).into_bytes()),
        ("HEX", hex::encode_upper(bytes).into_bytes()),
        ("base64", STANDARD_NO_PAD.encode(bytes).into_bytes()),
        ("base64url", URL_SAFE_NO_PAD.encode(bytes).into_bytes()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::{MEMBER, STRANGER};

    #[test]
    fn a_locator_is_found_in_every_writing_and_only_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let key = DiscoveryKey::generate();
        let texts = [key.to_text().to_string()];
        let locator = serde_json::to_value(key.tag(&STRANGER.parse().expect("a number")).locator());
        let locator = locator.expect("a value").as_str().expect("a text").to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(&locator).expect("base64url");
        for (how, form) in writings(&bytes) {
            let file = dir.path().join(how);
            fs::write(&file, [b"x,", form.as_slice(), b",y"].concat()).expect("written");
            let files = [file];
            let (own, other) = (tags(&files, &texts, STRANGER), tags(&files, &texts, MEMBER));
            // Where it has no `-` or `_`, base64 and base64url are one.
            assert!(!own.expect("read").is_empty(), "{how}");
            assert_eq!(other.expect("read"), [], "{how}");
        }
    }
}
