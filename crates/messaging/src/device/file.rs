//! The device's one file: replaced as a whole, readable by its owner only, used by one process at a time.
//!
//! It is not encrypted: mode 0600 protects it, as it protects an SSH key. A handset with a keystore would put the key to
//! it there.
//!
//! The lock beside it holds how often the file was saved, so that an older copy that is put in its place is refused: its sessions
//! would use keys again that were used already.

use super::DeviceFault;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest file that is read, bytes: contacts, tags and messages at their limits.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// The longest count beside it, bytes.
const COUNT_BYTES_MAX: u64 = 21;

/// An open device file. The lock goes with it.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    lock: File,
    #[cfg(test)]
    pub(super) crash: Option<std::sync::Arc<super::tests::Crash>>,
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

impl StateFile {
    fn lock(path: &Path) -> Result<Self, DeviceFault> {
        let lock = private().read(true).create(true).truncate(false).open(beside(path, ".lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(DeviceFault::InUse),
            Err(std::fs::TryLockError::Error(error)) => return Err(error.into()),
        }
        Ok(Self {
            path: path.to_owned(),
            lock,
            #[cfg(test)]
            crash: None,
        })
    }

    pub(super) fn create(path: &Path) -> Result<Self, DeviceFault> {
        let file = Self::lock(path)?;
        if path.try_exists()? { Err(DeviceFault::Exists) } else { Ok(file) }
    }

    pub(super) fn open(path: &Path) -> Result<(Self, Zeroizing<Vec<u8>>), DeviceFault> {
        // Asked first, so that a wrong path leaves no lock file behind.
        if !path.try_exists()? {
            return Err(std::io::Error::from(ErrorKind::NotFound).into());
        }
        let file = Self::lock(path)?;
        let mut bytes = Zeroizing::new(Vec::new());
        File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok((file, bytes))
    }

    /// Is it what was saved last? A copy of before would use keys of its sessions again.
    pub(super) fn check_newest(&self, saves: u64) -> Result<(), DeviceFault> {
        let mut text = String::new();
        (&self.lock).take(COUNT_BYTES_MAX).read_to_string(&mut text)?;
        let last = text.trim().parse().unwrap_or(0);
        if saves < last { Err(DeviceFault::OlderCopy) } else { Ok(()) }
    }

    /// Where the filters of the last sync are: nobody's secret, and got again where they are missing.
    pub(super) fn filters(&self) -> PathBuf {
        beside(&self.path, ".filters")
    }

    /// Replaces the content, which is saved for the `saves`-th time.
    // CRASH: a temporary file may stay behind; the next call removes it. The rename is whole or not there. The count
    // comes last: it may be behind the file, and is never ahead of it.
    pub(super) fn replace(&mut self, bytes: &[u8], saves: u64) -> Result<(), DeviceFault> {
        let new = beside(&self.path, ".new");
        // Not opened but made: what lies there may be another's, with a mode of its own, or lead elsewhere.
        match std::fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut to = private().create_new(true).open(&new)?;
        to.write_all(bytes)?;
        to.sync_all()?;
        self.crash_here()?;
        std::fs::rename(&new, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
        self.lock.write_all_at(format!("{saves:020}\n").as_bytes(), 0)?;
        self.crash_here()
    }

    /// A place where tests let the process die.
    #[cfg(test)]
    fn crash_here(&self) -> Result<(), DeviceFault> {
        self.crash.as_ref().map_or(Ok(()), |crash| crash.step())
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps)] // the same shape as the one for tests
    fn crash_here(&self) -> Result<(), DeviceFault> {
        Ok(())
    }
}
