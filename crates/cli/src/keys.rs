//! The folder of keys: made by `init` with mode 0700, its files with mode 0600.
//!
//! `directory.key` turns subjects into hashes, `receipts.key` makes the salts of commitments, and each
//! region has `<region>.key` to sign with and `<region>.pub` to give away.

use crate::config::Config;
use crate::failure::{self, Failure, Result};
use domicile_directory::DirectoryKey;
use domicile_ledger::{ReceiptSecret, SigningKey, VerifyingKey};
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
        if !folder.join(format!("{region}.key")).exists() {
            let key = SigningKey::generate(region).map_err(|e| of_ledger(&e))?;
            // The public half first: a region with a `.key` has its `.pub`, too.
            write(format!("{region}.pub"), &format!("{}\n", key.verifying_key()), 0o644)?;
            write(format!("{region}.key"), &key.to_text(), 0o600)?;
        }
    }
    Ok(files)
}

/// Writes a file that must not exist yet. A public key without its private one is replaced.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
    let mut options = fs::OpenOptions::new();
    options.write(true).mode(mode);
    if path.extension().is_some_and(|e| e == "pub") {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
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

/// The receipts' secret.
pub fn receipts(config: &Config) -> Result<ReceiptSecret> {
    let text = secret_text(&config.keys.join(RECEIPTS))?;
    ReceiptSecret::from_text(&text).map_err(|e| unusable(&config.keys.join(RECEIPTS), &e))
}

/// The signing keys of these regions; one that has none yet gets a pair.
pub fn signing(config: &Config, regions: &[&str]) -> Result<BTreeMap<String, SigningKey>> {
    make(&config.keys, regions)?;
    let read = |region: &&str| {
        let path = config.keys.join(format!("{region}.key"));
        let key = SigningKey::from_text(&secret_text(&path)?).map_err(|e| unusable(&path, &e))?;
        Ok(((*region).to_owned(), key))
    };
    regions.iter().map(read).collect()
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

fn secret_text(path: &Path) -> Result<String> {
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

fn unusable(path: &Path, error: &domicile_ledger::Error) -> Box<Failure> {
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
        assert_eq!(fs::read(folder.join("oregon.key")).unwrap(), before);
        assert_eq!(public(std::slice::from_ref(&folder)).unwrap()[0].region(), "oregon");
        fs::set_permissions(folder.join("oregon.key"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(check_mode(&folder.join("oregon.key")).unwrap_err().code, "key-readable");
    }
}
