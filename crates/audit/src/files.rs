//! Files and directories as targets. Links inside of a directory are not followed, so a walk ends; what is no file is not
//! opened, since a pipe would wait and a device never end.

use crate::database::raw;
use crate::{Examiner, Gap, Place, Step, dump};
use rustix::fs::{Mode, OFlags, SeekFrom};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// A file with fewer blocks than this less than its length has holes: only what is stored of it is read.
const HOLES_BYTES_MIN: u64 = 64 << 20;
/// Threads that search files: each may need the memory of a capture or of a large zstd window.
const THREADS_MAX: usize = 4;
/// Files whose reports are held until they are put in order.
const TOGETHER_MAX: usize = 256;
/// A file that says it is empty (as those of the kernel do) is read so far.
const EMPTY_BYTES_MAX: u64 = 1 << 30;

impl Examiner<'_> {
    /// Searches a file, or every file in a directory and below, in the order of their names. The path itself may be a
    /// link; links below it are noted and not followed.
    pub fn files(&mut self, path: &Path) {
        match fs::metadata(path) {
            Ok(metadata) => self.walk(path.to_owned(), &metadata),
            Err(error) => {
                self.unseen(&place(path), Gap::Unread, format!("can't be opened: {}", words(&error)))
            }
        }
    }

    /// The same of what somebody named. Where there is nothing to read, it may be another place than was meant, a volume
    /// that is not mounted, or a dump that failed: a gap.
    pub fn named_files(&mut self, path: &Path) {
        let seen = |examiner: &Self| (examiner.read_bytes(), examiner.gaps());
        let before = seen(self);
        self.files(path);
        if seen(self) == before {
            self.unseen(&place(path), Gap::Empty, "there is nothing in it to read");
        }
    }

    fn walk(&mut self, root: PathBuf, metadata: &Metadata) {
        if !metadata.is_dir() {
            return self.one(&root, metadata, OFlags::empty());
        }
        // What can't be told where it is has no links into it.
        self.set_root(fs::canonicalize(&root).ok());
        let mut waiting = vec![root];
        while let Some(directory) = waiting.pop() {
            let (mut below, mut files) = (Vec::new(), Vec::new());
            raw::note_folder(&place(&directory), &directory, self);
            let dumped = self.dump_in(&directory);
            for path in self.list(&directory) {
                if path.file_name().is_some_and(|name| dumped.iter().any(|read| name == read.as_str())) {
                    continue;
                }
                match fs::symlink_metadata(&path) {
                    Ok(metadata) if metadata.is_dir() => below.push(path),
                    Ok(metadata) => files.push((path, metadata)),
                    Err(error) => self.unseen(
                        &place(&path),
                        gone(&error),
                        format!("can't be looked at: {}", words(&error)),
                    ),
                }
            }
            for some in files.chunks(TOGETHER_MAX) {
                self.together(some);
            }
            waiting.extend(below.into_iter().rev());
        }
    }

    /// Searches files on all cores; the report has them in their order.
    fn together(&mut self, files: &[(PathBuf, Metadata)]) {
        let threads =
            thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(files.len());
        let (next, this) = (AtomicUsize::new(0), &*self);
        let search = || {
            let mut reports = Vec::new();
            while let Some((number, (path, metadata))) = numbered(files, &next) {
                let mut examiner = this.another();
                examiner.one(path, metadata, OFlags::NOFOLLOW);
                reports.push((number, examiner.finish()));
            }
            reports
        };
        let mut reports = thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(search)).collect();
            let mut reports = search();
            for other in others {
                reports.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            }
            reports
        });
        reports.sort_by_key(|(number, _)| *number);
        for (_, report) in reports {
            self.absorb(report);
        }
    }

    /// The names of those files of a directory that were read as one dump.
    fn dump_in(&mut self, directory: &Path) -> Vec<String> {
        if !dump::is_folder(directory) {
            return Vec::new();
        }
        match dump::read_folder(&place(directory), directory, self) {
            Ok(read) => read,
            Err(error) => {
                let why = format!("the dump in it can't be read on: {}", words(&error));
                self.unseen(&place(directory), Gap::Damaged, why);
                Vec::new()
            }
        }
    }

    /// What is in a directory, sorted.
    fn list(&mut self, directory: &Path) -> Vec<PathBuf> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) => {
                let why = format!("the directory can't be read: {}", words(&error));
                self.unseen(&place(directory), Gap::Unread, why);
                return Vec::new();
            }
        };
        let mut paths = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => paths.push(entry.path()),
                Err(error) => {
                    self.unseen(
                        &place(directory),
                        Gap::Unread,
                        format!("the directory can't be read on: {}", words(&error)),
                    );
                }
            }
        }
        paths.sort();
        paths
    }

    /// Anything that is no directory.
    fn one(&mut self, path: &Path, metadata: &Metadata, flags: OFlags) {
        let kind = metadata.file_type();
        let (gap, why) = if kind.is_symlink() {
            self.link(path)
        } else if kind.is_fifo() {
            (Gap::Known, "a pipe: it is not opened")
        } else if kind.is_socket() {
            (Gap::Known, "a socket: it is not opened")
        } else if kind.is_block_device() || kind.is_char_device() {
            (Gap::Unread, "a device: it is not opened")
        } else {
            return self.file(path, flags);
        };
        self.unseen(&place(path), gap, why);
    }

    /// A link into what is searched anyway hides nothing; nor does one that leads nowhere.
    fn link(&self, path: &Path) -> (Gap, &'static str) {
        match fs::canonicalize(path) {
            Ok(to) if self.root().is_some_and(|root| to.starts_with(root)) => (
                Gap::Known,
                "a symbolic link: it is not followed; what it leads to is searched where it stands",
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (Gap::Known, "a symbolic link that leads nowhere: it is not followed")
            }
            _ => (Gap::Link, "a symbolic link out of what is searched: it is not followed"),
        }
    }

    fn file(&mut self, path: &Path, flags: OFlags) {
        let at = place(path);
        // Between looking and opening it may have become a link, or a pipe, which NONBLOCK does not wait for.
        let flags = flags | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map(File::from).map_err(io::Error::from);
        match opened {
            Ok(file) => self.opened(path, &file, Read::take),
            Err(error) => self.unseen(&at, gone(&error), format!("can't be opened: {}", words(&error))),
        }
    }

    /// Reads an open file, no further than it is long at first: `take` cuts it there.
    fn opened<'f, R: Read>(&mut self, path: &Path, file: &'f File, take: impl FnOnce(&'f File, u64) -> R) {
        let at = place(path);
        let before = match file.metadata() {
            Ok(before) if before.is_file() => before,
            Ok(_) => return self.unseen(&at, Gap::Changed, "it is no file any more: it is not read"),
            Err(error) => {
                let why = format!("can't be looked at: {}", words(&error));
                return self.unseen(&at, Gap::Unread, why);
            }
        };
        self.target();
        let read_before = self.read_bytes();
        let read = if before.blocks() * 512 + HOLES_BYTES_MIN < before.len() {
            self.pieces(&at, file, before.len())
        } else {
            let bytes_max = if before.len() == 0 { EMPTY_BYTES_MAX } else { before.len() };
            self.by_its_head(&at, file, take(file, bytes_max))
        };
        if let Err(error) = read {
            self.unseen(&at, Gap::Unread, format!("can't be read on: {}", words(&error)));
        }
        if before.len() == 0 && self.read_bytes() - read_before >= EMPTY_BYTES_MAX {
            let why = format!("it says that it is empty, and was read to {EMPTY_BYTES_MAX} bytes only");
            self.unseen(&at, Gap::Limit, why);
        }
        match file.metadata() {
            Ok(after) if changed(&before, &after) => {
                let (before, after) = (before.len(), after.len());
                self.unseen(
                    &at,
                    Gap::Changed,
                    format!("it changed while it was read ({before} bytes before, {after} after)"),
                );
            }
            Ok(_) => {}
            Err(error) => {
                self.unseen(&at, Gap::Unread, format!("can't be looked at again: {}", words(&error)))
            }
        }
    }

    /// A dump is taken apart; anything else is searched as what it begins as.
    fn by_its_head(&mut self, at: &Place, file: &File, source: impl Read) -> io::Result<()> {
        let mut head = [0; dump::HEAD_BYTES];
        let read = file.read_at(&mut head, 0).unwrap_or(0);
        match dump::begins(&head[..read]) {
            Some(dump) => dump::read(dump, at, source, self),
            None => self.read(at, source),
        }
    }

    /// What is stored of a file with holes.
    fn pieces(&mut self, at: &Place, file: &File, length: u64) -> io::Result<()> {
        self.unseen(
            at,
            Gap::Unopened,
            "a file with holes: what is stored of it is searched in pieces, and not opened across holes",
        );
        let mut from = 0;
        while from < length {
            let data = match rustix::fs::seek(file, SeekFrom::Data(from)) {
                Err(rustix::io::Errno::NXIO) => return Ok(()),
                other => other?,
            };
            let hole = rustix::fs::seek(file, SeekFrom::Hole(data))?.min(length);
            rustix::fs::seek(file, SeekFrom::Start(data))?;
            let piece = if data == 0 { at.clone() } else { at.then(Step::At(data)) };
            self.read(&piece, file.take(hole.saturating_sub(data)))?;
            from = hole.max(data + 1);
        }
        Ok(())
    }
}

fn numbered<'f, T>(files: &'f [T], next: &AtomicUsize) -> Option<(usize, &'f T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    files.get(number).map(|file| (number, file))
}

fn changed(before: &Metadata, after: &Metadata) -> bool {
    let stamp = |metadata: &Metadata| (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
    stamp(before) != stamp(after)
}

fn place(path: &Path) -> Place {
    Step::File(path.to_string_lossy().into_owned()).into()
}

/// What was listed a moment ago and is not there any more has changed.
fn gone(error: &io::Error) -> Gap {
    if error.kind() == io::ErrorKind::NotFound { Gap::Changed } else { Gap::Unread }
}

/// Without the path, which the place has.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied => "permission denied".into(),
        io::ErrorKind::NotFound => "it is not there".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
