//! The folder of keys: made by `init` with mode 0700, its files with mode 0600.
//!
//! `directory.key` turns subjects into hashes, `receipts.key` makes the salts of commitments, and each
//! region has `<region>.key` to sign with and `<region>.pub` to give away.

use crate::config::Config;
use crate::failure::{self, Failure, Result};
use domicile_directory::DirectoryKey;
use domicile_ledger::{ReceiptSecret, SigningKey, VerifyingKey};
use domicile_server::token::Tokens;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directory's key file.
const DIRECTORY: &str = "directory.key";
/// The receipts' secret.
const RECEIPTS: &str = "receipts.key";

/// Makes the keys that are missing: the folder, the directory's key, the receipts' secret, and a pair
/// for each region. Returns the files made.
pub fn make(folder: &Path, regions: &[&str]) -> Result<Vec<PathBuf>> {
    let builder = &mut fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.map_err(|e| failure::of_file("make the folder", folder, &e))?;
    let mut files = Vec::new();
    let mut write = |name: String, text: &str, mode: u32| {
        let path = folder.join(name);
        write_new(&path, text.as_bytes(), mode).map(|made| files.extend(made.then_some(path)))
    };
    if !folder.join(DIRECTORY).exists() {
        let key = DirectoryKey::generate().map_err(|e| failure::of_directory(&e))?;
        write(DIRECTORY.to_owned(), &key.to_file(), 0o600)?;
    }
    if !folder.join(RECEIPTS).exists() {
        write(RECEIPTS.to_owned(), &ReceiptSecret::generate().map_err(|e| of_ledger(&e))?.to_text(), 0o600)?;
    }
    for region in regions {
        // A pair is made only where neither half is: a new key under an old region's name could not
        // prove what the old one signed, and its public half must not be written over.
        if !folder.join(format!("{region}.key")).exists() && !folder.join(format!("{region}.pub")).exists() {
            let key = SigningKey::generate(region).map_err(|e| of_ledger(&e))?;
            // CRASH: a key without its public half, which is written again from it below.
            write(format!("{region}.key"), &key.to_text(), 0o600)?;
        }
        let (path, public) = (folder.join(format!("{region}.key")), folder.join(format!("{region}.pub")));
        if path.exists() && !public.exists() {
            let key = SigningKey::from_text(&secret_text(&path)?).map_err(|e| unusable(&path, &e))?;
            write(format!("{region}.pub"), &format!("{}\n", key.verifying_key()), 0o644)?;
        }
    }
    Ok(files)
}

/// Writes a file that must not exist yet.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(mode).create_new(true);
    let mut file = options.open(path).map_err(|e| failure::of_file("write the key", path, &e))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|e| failure::of_file("write the key", path, &e))?;
    Ok(true)
}

/// The directory's key.
pub fn directory(config: &Config) -> Result<DirectoryKey> {
    let path = config.keys.join(DIRECTORY);
    let bytes = fs::read(&path).map_err(|e| missing(&path, &e))?;
    check_mode(&path)?;
    DirectoryKey::from_file(&bytes).map_err(|e| failure::of_directory(&e))
}

/// The tokens that let somebody in at what `serve` serves under this name; the first is made where there is none.
pub fn tokens(config: &Config, name: &str) -> Result<Tokens> {
    let path = config.keys.join(format!("{name}.tokens"));
    if !path.exists() {
        let mut token = [0; 24];
        getrandom::fill(&mut token).map_err(|e| unusable(&path, &e))?;
        write_new(&path, format!("{}\n", hex::encode(token)).as_bytes(), 0o600)?;
    }
    let lines = secret_text(&path)?;
    Tokens::read(&lines).map_err(|e| unusable(&path, &e))
}

/// The receipts' secret.
pub fn receipts(config: &Config) -> Result<ReceiptSecret> {
    let text = secret_text(&config.keys.join(RECEIPTS))?;
    ReceiptSecret::from_text(&text).map_err(|e| unusable(&config.keys.join(RECEIPTS), &e))
}

/// The signing keys of these regions; one that has neither half of a pair yet gets one.
pub fn signing(config: &Config, regions: &[&str]) -> Result<BTreeMap<String, SigningKey>> {
    make(&config.keys, regions)?;
    let read = |region: &&str| Ok(((*region).to_owned(), one(&config.keys, region)?));
    regions.iter().map(read).collect()
}

/// Are the signing keys of these regions as they must be? Makes none: a region that has neither half gets
/// its pair when it is first needed.
pub fn check_signing(config: &Config, regions: &[&str]) -> Result<()> {
    for region in regions {
        let has = |half: &str| config.keys.join(format!("{region}.{half}")).exists();
        if has("key") || has("pub") {
            one(&config.keys, region)?;
        }
    }
    Ok(())
}

/// One region's signing key; its public half must be the one that was given away.
fn one(folder: &Path, region: &str) -> Result<SigningKey> {
    let path = folder.join(format!("{region}.key"));
    let text = fs::read_to_string(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => lost(&path, region),
        _ => missing(&path, &e),
    })?;
    check_mode(&path)?;
    let key = SigningKey::from_text(&text).map_err(|e| unusable(&path, &e))?;
    let public = folder.join(format!("{region}.pub"));
    let given = fs::read_to_string(&public).unwrap_or_default();
    if !given.is_empty() && given.trim() != key.verifying_key().to_string() {
        return Err(Failure::usage(
            "key-other",
            format!("{} and {} are not of one pair", path.display(), public.display()),
            "receipts are signed with the first, and whoever has the second could not verify them",
            "restore both from your backup of the keys folder",
        ));
    }
    Ok(key)
}

/// The public half is there, so receipts may have been signed: no other key can take its place.
fn lost(path: &Path, region: &str) -> Box<Failure> {
    Failure::usage(
        "key-missing",
        format!("there is no key at {}", path.display()),
        format!(
            "{region}.pub beside it is its public half: receipts of {region} are signed with this key, and a new one could not verify them"
        ),
        format!(
            "restore {} from your backup of the keys folder\n\
             # lost for good? keep {region}.pub by another name: old receipts verify by it\n\
             mv {1}/{region}.pub {1}/{region}-old.pub   # the next move makes a new pair",
            path.display(),
            path.parent().unwrap_or(path).display()
        ),
    )
}

/// Public keys of files and of folders' `*.pub`.
pub fn public(paths: &[PathBuf]) -> Result<Vec<VerifyingKey>> {
    let mut keys = Vec::new();
    for path in paths {
        for file in public_files(path)? {
            let text =
                fs::read_to_string(&file).map_err(|e| failure::of_file("read the public key", &file, &e))?;
            keys.push(text.parse::<VerifyingKey>().map_err(|e| unusable(&file, &e))?);
        }
    }
    Ok(keys)
}

fn public_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|e| failure::of_file("read the folder of keys", path, &e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok())
        .map(|entry| entry.path())
        .filter(|p| p.extension().is_some_and(|e| e == "pub"))
        .collect();
    files.sort();
    Ok(files)
}

pub fn secret_text(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).map_err(|e| missing(path, &e))?;
    check_mode(path)?;
    Ok(text)
}

/// A key that others can read is no secret.
fn check_mode(path: &Path) -> Result<()> {
    let mode = fs::metadata(path).map_err(|e| missing(path, &e))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(Failure::usage(
        "key-readable",
        format!("{} can be read by others (mode {:03o})", path.display(), mode & 0o777),
        "who has the directory's key can find everybody; who has a region's can sign in its name",
        format!("chmod 600 {}", path.display()),
    ))
}

fn missing(path: &Path, error: &std::io::Error) -> Box<Failure> {
    if error.kind() != std::io::ErrorKind::NotFound {
        return failure::of_file("read the key", path, error);
    }
    Failure::usage(
        "key-missing",
        format!("there is no key at {}", path.display()),
        "`domicile init` made it; without it homes can't be found and receipts can't be opened",
        format!("restore {} from your backup of the keys folder", path.display()),
    )
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> Box<Failure> {
    Failure::usage(
        "key-unusable",
        format!("{}: {error}", path.display()),
        "the file is not what `domicile init` wrote",
        format!("restore {} from your backup of the keys folder", path.display()),
    )
}

fn of_ledger(error: &domicile_ledger::Error) -> Box<Failure> {
    Failure::new(
        "key-unusable",
        error.to_string(),
        "keys are made of the system's random numbers",
        "domicile init --help",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_to_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("keys");
        let made = make(&folder, &["oregon"]).unwrap();
        assert_eq!(made.len(), 4);
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder), 0o700);
        for file in &made {
            let wanted = if file.extension().is_some_and(|e| e == "pub") { 0o644 } else { 0o600 };
            assert_eq!(mode(file), wanted, "{}", file.display());
        }
        let before = fs::read(folder.join("oregon.key")).unwrap();
        assert_eq!(make(&folder, &["oregon"]).unwrap().len(), 0);
        // A key that is lost is not replaced in silence, and what was given away is not written over.
        let public_half = fs::read(folder.join("oregon.pub")).unwrap();
        fs::remove_file(folder.join("oregon.key")).unwrap();
        assert_eq!(make(&folder, &["oregon"]).unwrap().len(), 0);
        assert_eq!(one(&folder, "oregon").unwrap_err().code, "key-missing");
        assert_eq!(fs::read(folder.join("oregon.pub")).unwrap(), public_half);
        // A public half alone is made again from the key.
        write_new(&folder.join("oregon.key"), &before, 0o600).unwrap();
        fs::remove_file(folder.join("oregon.pub")).unwrap();
        assert_eq!(make(&folder, &["oregon"]).unwrap().len(), 1);
        assert_eq!(fs::read(folder.join("oregon.pub")).unwrap(), public_half);
        // Two halves of two pairs.
        make(&folder, &["mumbai"]).unwrap();
        fs::copy(folder.join("mumbai.pub"), folder.join("oregon.pub")).unwrap();
        assert_eq!(one(&folder, "oregon").unwrap_err().code, "key-other");
        fs::write(folder.join("oregon.pub"), &public_half).unwrap();
        for half in ["key", "pub"] {
            fs::remove_file(folder.join(format!("mumbai.{half}"))).unwrap();
        }
        assert_eq!(fs::read(folder.join("oregon.key")).unwrap(), before);
        assert_eq!(public(std::slice::from_ref(&folder)).unwrap()[0].region(), "oregon");
        fs::set_permissions(folder.join("oregon.key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(check_mode(&folder.join("oregon.key")).unwrap_err().code, "key-readable");
    }
}
