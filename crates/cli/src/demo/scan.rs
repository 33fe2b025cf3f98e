//! The last question: do the old region's files, byte for byte, still hold a number of anybody who left?
//!
//! Not a query: databases, write-ahead logs and objects are read as bytes. A number that was planted
//! there beforehand must be found; if it is not, the scan is worth nothing and fails.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A number of a country code that nobody was given.
pub const PLANTED: &str = "+9990005550199";
/// The file in the old region that holds it.
pub const PLANTED_FILE: &str = "planted-control.bin";

/// What the scan saw.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Scan {
    pub files: u64,
    pub bytes: u64,
    /// Numbers looked for.
    pub numbers: u64,
    /// Of these, found: must be 0.
    pub found: u64,
    /// The planted number was found: must be true.
    pub control: bool,
    /// Numbers of people who stay that were found, and how many were looked for: the scan can see rows.
    pub stayers: (u64, u64),
    /// Files in which something was found that must not be there.
    pub places: Vec<PathBuf>,
}

impl Scan {
    /// The scan can be trusted, and found nothing.
    pub fn is_clean(&self) -> bool {
        self.is_trusted() && self.found == 0
    }

    /// Did it find what is certainly there?
    pub fn is_trusted(&self) -> bool {
        self.control && self.stayers.0 == self.stayers.1
    }
}

/// Plants the control among the region's files, between bytes that are no text.
pub fn plant(region: &Path) -> io::Result<()> {
    let mut bytes: Vec<u8> = (0..=255u8).rev().collect();
    bytes.extend_from_slice(PLANTED.as_bytes());
    bytes.extend(0..=255u8);
    fs::write(region.join(PLANTED_FILE), bytes)
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{0}")]
    Build(#[from] BuildError),
}

/// Reads every file under `region` and looks for `gone`, which must be absent, and `stay`, which must not.
pub fn scan(region: &Path, gone: &[&str], stay: &[&str]) -> Result<Scan, ScanError> {
    let mut patterns: Vec<&str> = gone.to_vec();
    patterns.extend_from_slice(stay);
    patterns.push(PLANTED);
    // A table over the few byte classes of digits: one step a byte, however many numbers.
    let search = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(&patterns)?;
    let mut seen = vec![false; patterns.len()];
    let mut result = Scan { numbers: gone.len() as u64, ..Scan::default() };
    for path in files(region)? {
        let bytes = fs::read(&path)?;
        result.files += 1;
        result.bytes += bytes.len() as u64;
        let mut guilty = false;
        // Overlapping: a number that is the beginning of another must not hide it.
        for hit in search.find_overlapping_iter(&bytes) {
            let at = hit.pattern().as_usize();
            seen[at] = true;
            guilty |= at < gone.len();
        }
        if guilty {
            result.places.push(path);
        }
    }
    let count = |from: usize, to: usize| seen[from..to].iter().filter(|s| **s).count() as u64;
    result.found = count(0, gone.len());
    result.stayers = (count(gone.len(), patterns.len() - 1), stay.len() as u64);
    result.control = seen[patterns.len() - 1];
    Ok(result)
}

/// Every file below a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut all, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => waiting.push(entry.path()),
                _ => all.push(entry.path()),
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("objects/a")).unwrap();
        fs::write(dir.path().join("cloud.db"), b"\x00\x01+8613800000001Wei\x39+8615900000002").unwrap();
        dir
    }

    const STAY: &[&str] = &["+8613800000001", "+8615900000002"];

    #[test]
    fn a_number_in_any_file_is_found() {
        let dir = region();
        plant(dir.path()).unwrap();
        let gone = ["+919812345678", "+6591234567"];
        assert!(scan(dir.path(), &gone, STAY).unwrap().is_clean());
        for file in ["cloud.db-wal", "cloud.db-shm", "objects/a/1.jpg"] {
            let path = dir.path().join(file);
            fs::write(&path, b"\xff\x00\x17+919812345678\x00").unwrap();
            let said = scan(dir.path(), &gone, STAY).unwrap();
            assert_eq!((said.found, said.is_clean(), said.places.len()), (1, false, 1), "{file}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn without_the_planted_control_the_scan_fails() {
        let dir = region();
        let said = scan(dir.path(), &["+919812345678"], STAY).unwrap();
        assert!(said.found == 0 && !said.control && !said.is_clean());
    }

    #[test]
    fn a_scan_that_misses_those_who_stay_fails() {
        let dir = region();
        plant(dir.path()).unwrap();
        let said = scan(dir.path(), &[], &["+8613800000001", "+8613999999999"]).unwrap();
        assert_eq!((said.stayers, said.is_clean()), ((1, 2), false));
    }
}
