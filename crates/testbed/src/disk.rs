//! A disk that is soon full: a small tmpfs of its own.

use crate::{Watchdog, folder, run};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tmpfs; unmounted when dropped or when the process ends.
#[derive(Debug)]
pub struct SmallDisk {
    dir: PathBuf,
    _watchdog: Watchdog,
}

impl SmallDisk {
    /// Mounts one of so many MiB; `None` where this process may not mount.
    pub fn mount(mib: u32) -> Option<Self> {
        let dir = folder("disk");
        let mode = format!("size={mib}m,mode=0777");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &mode, "tmpfs"]).arg(&dir);
        mount.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if !mount.status().is_ok_and(|status| status.success()) {
            let _ = fs::remove_dir(&dir);
            return None;
        }
        let on_end = format!("umount -l '{0}' 2>/dev/null; rmdir '{0}'", dir.display());
        Some(Self { dir, _watchdog: Watchdog::new(&on_end) })
    }

    /// Where it is mounted; everybody may write.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A folder on it that the servers' user owns.
    pub fn folder(&self, name: &str) -> PathBuf {
        let dir = self.dir.join(name);
        fs::create_dir(&dir).expect("a folder on the small disk");
        if crate::is_root() {
            run(Command::new("chown").arg(crate::unprivileged_user()).arg(&dir));
        }
        dir
    }

    /// Fills it up to `spare_kib` KiB that stay free.
    pub fn fill(&self, spare_kib: usize) {
        let ballast = self.dir.join("ballast");
        let mut file = File::options().create(true).append(true).open(&ballast).expect("ballast");
        let kib = [7; 1024];
        let mut written = file.metadata().expect("its length").len();
        while file.write_all(&kib).is_ok() {
            written += 1024;
        }
        file.set_len(written.saturating_sub(spare_kib as u64 * 1024)).expect("a shorter ballast");
    }

    /// Makes space again.
    pub fn ease(&self) {
        let _ = fs::remove_file(self.dir.join("ballast"));
    }
}
