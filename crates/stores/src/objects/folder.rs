//! A folder as an object store: a key is a path below it.

use super::{Meta, Reading, failure};
use crate::{Error, Result};
use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, Stream, StreamExt, TryStreamExt};
use object_store::Attributes;
use sha2::{Digest, Sha256};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Where objects are written before they get their name. On the folder's own file system, so that
/// renaming is atomic; never listed.
const STAGING: &str = ".domicile-staging";
/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;
/// Entries of a listing that wait to be taken.
const LISTED_MAX: usize = 1024;
/// Tries to publish while somebody removes the folders that became empty.
const PUBLISH_MAX: u32 = 16;

#[derive(Debug, Clone)]
pub(super) struct Folder {
    root: Arc<Path>,
}

impl Folder {
    pub(super) async fn open(root: PathBuf) -> Result<Self> {
        match tokio::fs::metadata(&root).await {
            Ok(found) if found.is_dir() => Ok(Self { root: root.into() }),
            // Not made here: a disk that isn't mounted must not look like a store without objects.
            _ => Err(Error::Setting {
                what: format!("objects: folder {0} does not exist: mkdir -p '{0}'", root.display()),
            }),
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn name(&self) -> String {
        format!("file:{}", self.root.display())
    }

    fn failed(&self, key: &str, what: &str, error: &io::Error) -> Error {
        failure::of_file(&self.name(), key, what, error)
    }

    /// INVARIANT: the path is below the folder: no absolute key, no `.` or `..`, no empty part.
    fn path(&self, key: &str) -> Result<PathBuf> {
        let part = |part: &str| !matches!(part, "" | "." | "..") && part.len() <= 255 && !part.contains('\0');
        let staging = key.split('/').next() == Some(STAGING);
        let windows = cfg!(windows) && key.contains(['\\', ':']);
        if staging || windows || !key.split('/').all(part) {
            let why = "a key is a path of parts of 1 to 255 bytes, none of them `.` or `..`".to_owned();
            return Err(Error::Failed { store: self.name(), what: "a key".to_owned(), why });
        }
        Ok(self.root.join(key))
    }

    pub(super) async fn head(&self, key: &str) -> Result<Option<Meta>> {
        match tokio::fs::symlink_metadata(self.path(key)?).await {
            Ok(found) if found.is_file() => Ok(Some(meta(key, &found))),
            Ok(_) => Ok(None),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(self.failed(key, "looking at a file", &e)),
        }
    }

    /// Regular files below the folder whose key begins with the prefix. Links are not followed.
    pub(super) fn list(&self, prefix: String) -> impl Stream<Item = Result<Meta>> + Send + use<> {
        let (send, receive) = tokio::sync::mpsc::channel(LISTED_MAX);
        let folder = self.clone();
        tokio::task::spawn_blocking(move || {
            // Who stops listening stops the walk.
            let tell = |found| send.blocking_send(found).is_ok();
            folder.walk("", &prefix, &tell);
        });
        futures::stream::unfold(receive, |mut receive| async { receive.recv().await.map(|m| (m, receive)) })
    }

    /// Walks the folder `at` (empty, or ends with `/`); false: stop.
    fn walk(&self, at: &str, prefix: &str, tell: &impl Fn(Result<Meta>) -> bool) -> bool {
        let failed = |e: &io::Error| tell(Err(self.failed(at, "listing a folder", e)));
        let entries = match fs::read_dir(self.root.join(at)) {
            Ok(entries) => entries,
            Err(e) if absent(&e) && !at.is_empty() => return true,
            Err(e) => return failed(&e),
        };
        for entry in entries {
            let found = entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?)));
            let (name, found) = match found {
                Ok(found) => found,
                Err(e) if absent(&e) => continue,
                Err(e) => return failed(&e),
            };
            let Some(name) = name.to_str() else {
                return failed(&io::Error::other("a file's name is not UTF-8, so it can't be a key"));
            };
            let key = format!("{at}{name}");
            let go_on = if found.is_dir() {
                let below = format!("{key}/");
                let wanted = below.starts_with(prefix) || prefix.starts_with(&below);
                !wanted || key == STAGING || self.walk(&below, prefix, tell)
            } else {
                !found.is_file() || !key.starts_with(prefix) || tell(Ok(meta(&key, &found)))
            };
            if !go_on {
                return false;
            }
        }
        true
    }

    pub(super) async fn read(&self, key: &str) -> Result<Reading<'_>> {
        let path = self.path(key)?;
        let failed = |e: io::Error| self.failed(key, "reading a file", &e);
        if self.head(key).await?.is_none() {
            return Err(Error::NotFound { store: self.name(), key: key.to_owned() });
        }
        let file = tokio::fs::File::open(&path).await.map_err(failed)?;
        let meta = meta(key, &file.metadata().await.map_err(failed)?);
        let bytes: BoxStream<'static, io::Result<Bytes>> = chunks(file).boxed();
        let (folder, owned) = (self.clone(), key.to_owned());
        let bytes = bytes.map_err(move |e| folder.failed(&owned, "reading a file", &e)).boxed();
        Ok(Reading { meta, attributes: Attributes::new(), bytes })
    }

    /// A new object that nobody sees before [`Staged::publish`].
    pub(super) async fn stage(&self, key: &str) -> Result<Staged> {
        let path = self.path(key)?;
        let failed = |e: io::Error| self.failed(key, "writing a file", &e);
        let staging = self.root.join(STAGING);
        tokio::fs::create_dir_all(&staging).await.map_err(failed)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| failed(io::Error::other(e.to_string())))?;
        let staged = staging.join(format!("{}-{}", staging_name(key), hex::encode(random)));
        let file = tokio::fs::File::create_new(&staged).await.map_err(failed)?;
        Ok(Staged { folder: self.clone(), key: key.to_owned(), path, staged, file, published: false })
    }

    pub(super) async fn delete(&self, key: &str) -> Result<bool> {
        let path = self.path(key)?;
        let there = match tokio::fs::remove_file(&path).await {
            Ok(()) => true,
            Err(e) if absent(&e) => false,
            // A folder is no object.
            Err(_) if self.head(key).await?.is_none() => false,
            Err(e) => return Err(self.failed(key, "removing a file", &e)),
        };
        let (folder, hash) = (self.clone(), staging_name(key));
        let clean = tokio::task::spawn_blocking(move || folder.clean(&path, &hash)).await;
        clean
            .map_err(io::Error::other)
            .and_then(|done| done)
            .map_err(|e| self.failed(key, "removing a file", &e))?;
        Ok(there)
    }

    /// Removes folders above a removed file that are empty now, and what a writer of the same key left
    /// unpublished when it died.
    fn clean(&self, path: &Path, hash: &str) -> io::Result<()> {
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != &*self.root) {
            // Not empty, or another was quicker.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        let staged = match fs::read_dir(self.root.join(STAGING)) {
            Err(e) if absent(&e) => return Ok(()),
            staged => staged?,
        };
        for entry in staged {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(hash) {
                fs::remove_file(entry.path()).or_else(|e| if absent(&e) { Ok(()) } else { Err(e) })?;
            }
        }
        Ok(())
    }
}

/// A file that gets its key's name when it is whole.
#[derive(Debug)]
pub(super) struct Staged {
    folder: Folder,
    key: String,
    path: PathBuf,
    staged: PathBuf,
    file: tokio::fs::File,
    published: bool,
}

impl Staged {
    pub(super) async fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes).await;
        written.map_err(|e| self.folder.failed(&self.key, "writing a file", &e))
    }

    pub(super) async fn publish(mut self) -> Result<()> {
        let done = self.rename().await;
        done.map_err(|e| self.folder.failed(&self.key, "writing a file", &e))
    }

    async fn rename(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        let parent = self.path.parent().unwrap_or(&self.folder.root).to_owned();
        let mut tries = 0;
        loop {
            tokio::fs::create_dir_all(&parent).await?;
            // CRASH: before, the object is as it was and a staged file is left, which the next erase of
            // the key removes; after, it is the new one.
            match tokio::fs::rename(&self.staged, &self.path).await {
                Err(e) if absent(&e) && tries < PUBLISH_MAX => tries += 1,
                Err(e) => return Err(e),
                Ok(()) => break,
            }
        }
        self.published = true;
        sync_folder(parent).await
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: erase removes it, too.
            let _ = fs::remove_file(&self.staged);
        }
    }
}

/// The file's new name is on the disk once its folder is.
async fn sync_folder(folder: PathBuf) -> io::Result<()> {
    if cfg!(unix) {
        tokio::fs::File::open(folder).await?.sync_all().await?;
    }
    Ok(())
}

fn chunks(file: tokio::fs::File) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures::stream::try_unfold(file, |mut file| async {
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let read = file.read_buf(&mut buffer).await?;
        Ok((read > 0).then(|| (buffer.freeze(), file)))
    })
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Tells staged files of one key from those of others without the key.
fn staging_name(key: &str) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..16])
}

/// An object's ETag: inode, time of change to the nanosecond, size. A replaced file has another inode.
fn meta(key: &str, found: &Metadata) -> Meta {
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(found);
    #[cfg(not(unix))]
    let inode = 0;
    let changed = found.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    let etag = format!("\"{inode:x}-{:x}-{:x}\"", changed.unwrap_or_default().as_nanos(), found.len());
    Meta { key: key.to_owned(), size: found.len(), etag, version: None }
}
