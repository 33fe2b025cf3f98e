//! The relays' keys: a service key, discovery keys by generation and a sealing key for each region, each with a public half in a file
//! of its own, so that a relay needs no other region's secrets.

use crate::config::RelayDoors;
use crate::failure::{self, Failure, Result};
use crate::keys::{secret_text, write_new};
use domicile_messaging::VerifyingKey;
use domicile_messaging::discovery::DiscoveryKey;
use domicile_messaging::sealing::OpeningKey;
use domicile_messaging::wire::Key;
use domicile_server::messaging::{RelayKeys, new_service_key, service_key};
use jiff::civil::Date;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The public half of a secret's file.
pub fn public_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".pub");
    path.with_file_name(name)
}

/// The secret keys of a relay.
pub fn read(relay: &RelayDoors) -> Result<RelayKeys> {
    let path = &relay.service_key_file;
    let service = service_key(&secret(path)?);
    let service = service.ok_or_else(|| unusable(path, "it is no service key"))?;
    let known = public_service_key(relay)?;
    if service.verifying_key() != known {
        return Err(unusable(path, "it is not the key of the public half beside it"));
    }
    let mut discovery = Vec::new();
    for generation in &relay.generations {
        let path = &generation.key_file;
        let text = secret(path)?;
        let key: DiscoveryKey = text.parse().map_err(|e| unusable(path, &e))?;
        if key.public_key() != public_key(path)? {
            return Err(unusable(path, "it is not the key of the public half beside it"));
        }
        discovery.push((generation.number, key));
    }
    let sealing = key_in(&relay.sealing_public_key_file)?;
    Ok(RelayKeys { service, sealing, discovery })
}

/// A secret of the relays, as text.
pub fn secret(path: &Path) -> Result<zeroize::Zeroizing<String>> {
    let text = secret_text(path).map_err(|mut failure| {
        if failure.code == "key-missing" {
            failure.why = "`domicile messaging init` makes the relays' keys, each once".to_owned();
            let fix = "domicile messaging init   # makes those that never were there; else restore it from your backup";
            failure = failure.fix(fix);
        }
        failure
    })?;
    Ok(zeroize::Zeroizing::new(text))
}

/// What a relay's tokens and records are verified with.
pub fn public_service_key(relay: &RelayDoors) -> Result<VerifyingKey> {
    let path = public_of(&relay.service_key_file);
    VerifyingKey::from_bytes(&key_in(&path)?.0).map_err(|_| unusable(&path, "it is no Ed25519 key"))
}

/// A relay's generations as everybody knows them.
pub fn public_generations(relay: &RelayDoors) -> Result<Vec<(u32, Key, Option<Date>)>> {
    let one = |g: &crate::config::Generation| Ok((g.number, public_key(&g.key_file)?, g.until));
    relay.generations.iter().map(one).collect()
}

/// Refuses regions or generations that have one key under several names.
pub fn are_distinct(relays: &[RelayDoors]) -> Result<()> {
    let mut seen: Vec<(Key, &Path)> = Vec::new();
    for relay in relays {
        let files = relay.generations.iter().map(|g| &g.key_file).chain([&relay.service_key_file]);
        for file in files {
            let key = public_key(file)?;
            if let Some((_, other)) = seen.iter().find(|(known, _)| *known == key) {
                return Err(unusable(file, &format!("it is the key of {} once more", other.display())));
            }
            seen.push((key, file));
        }
    }
    Ok(())
}

fn public_key(secret: &Path) -> Result<Key> {
    key_in(&public_of(secret))
}

/// A public key in a file: 32 bytes in base64url.
pub fn key_in(path: &Path) -> Result<Key> {
    let text = std::fs::read_to_string(path).map_err(|e| failure::of_file("read the key", path, &e))?;
    text.trim().parse().map_err(|e| unusable(path, &e))
}

/// Makes the keys of a region that are missing: a service key, the first discovery key, a pair of sealing keys. Returns the files made.
pub fn make(folder: &Path, region: &str) -> Result<Vec<PathBuf>> {
    make_folder(folder)?;
    let mut made = Vec::new();
    let service = folder.join(format!("{region}.service"));
    // A key whose public half was given away is not replaced in silence.
    if !service.exists() && !public_of(&service).exists() {
        let (secret, public) = new_service_key();
        pair(&service, &secret, &public, &mut made)?;
    }
    let first = folder.join(format!("{region}-1.oprf"));
    if !first.exists() && !public_of(&first).exists() {
        discovery_key(&first, &mut made)?;
    }
    let (opening, sealing) =
        (folder.join(format!("{region}.opening")), folder.join(format!("{region}.sealing")));
    if !sealing.exists() {
        let (secret, public) = OpeningKey::generate();
        // CRASH: an opening key without its public half, which sealed nothing: remove it and begin again.
        write_new(&opening, secret.to_text().as_bytes(), 0o600)?;
        write_new(&sealing, format!("{public}\n").as_bytes(), 0o644)?;
        made.extend([opening, sealing]);
    }
    Ok(made)
}

/// Makes the discovery key of a region's next generation: its number and its file.
pub fn make_next(folder: &Path, region: &str) -> Result<(u32, PathBuf)> {
    make_folder(folder)?;
    let path = |n: u32| folder.join(format!("{region}-{n}.oprf"));
    let next = (1..).find(|n| !path(*n).exists() && !public_of(&path(*n)).exists()).unwrap_or(1);
    let mut made = Vec::new();
    discovery_key(&path(next), &mut made)?;
    Ok((next, path(next)))
}

fn make_folder(folder: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| failure::of_file("make the folder", folder, &e))
}

fn discovery_key(path: &Path, made: &mut Vec<PathBuf>) -> Result<()> {
    let key = DiscoveryKey::generate();
    pair(path, &key.to_text(), &key.public_key(), made)
}

/// CRASH: a secret without its public half: what reads them names the file that is missing.
fn pair(path: &Path, secret: &str, public: &Key, made: &mut Vec<PathBuf>) -> Result<()> {
    write_new(path, secret.as_bytes(), 0o600)?;
    write_new(&public_of(path), format!("{public}\n").as_bytes(), 0o644)?;
    made.extend([path.to_owned(), public_of(path)]);
    Ok(())
}

fn unusable(path: &Path, error: &(impl std::fmt::Display + ?Sized)) -> Box<Failure> {
    Failure::usage(
        "key-unusable",
        format!("{}: {error}", path.display()),
        "the file is not what `domicile messaging init` wrote",
        format!("restore {} from your backup of the keys folder", path.display()),
    )
}
