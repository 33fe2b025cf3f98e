//! Filters, kept beside the device's file: one that has not changed since the last sync is not downloaded again.
//!
//! A filter's file is its `ETag`, a line break, the SHA-256 of its bytes in base64url, a line break, and the bytes.

use super::{Agreed, Device, DeviceFault, Relay};
use crate::discovery::Filter;
use crate::wire::limits::FILTER_BYTES_MAX;
use crate::wire::{FilterListed, Key};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// What stands before the bytes at most: the lines of an `ETag` and of a hash.
const HEAD_BYTES_MAX: u64 = 4096;

fn read(path: &Path, etag: &str) -> Option<Bytes> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(FILTER_BYTES_MAX as u64 + HEAD_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let (kept, hash, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let is_whole = kept == etag.as_bytes() && hash == hash_of(rest).to_string().as_bytes();
    is_whole.then(|| Bytes::copy_from_slice(rest))
}

fn hash_of(bytes: &[u8]) -> Key {
    Key(Sha256::digest(bytes).into())
}

/// Not synced to disk: half a file has another hash, and is downloaded again.
fn write(path: &Path, etag: &str, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, [format!("{etag}\n{}\n", hash_of(bytes)).as_bytes(), bytes].concat())
}

impl<S> Device<S> {
    /// Who has withdrawn from discovery keeps nothing of it.
    pub(super) fn forget_filters(&self) -> Result<(), DeviceFault> {
        match std::fs::remove_dir_all(self.file.filters()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl<R: Relay> Device<Agreed<R>> {
    /// A region's filter; `downloaded` grows by the bytes that had to come over the network.
    pub(super) async fn filter(
        &mut self,
        listed: &FilterListed,
        downloaded: &mut usize,
    ) -> Result<Filter, DeviceFault> {
        // One file a region: the next generation takes its place.
        let path = self.file.filters().join(listed.region.as_str());
        let kept = read(&path, listed.etag.as_str());
        let is_new = kept.is_none();
        let bytes = match kept {
            Some(bytes) => bytes,
            None => {
                let from = format!("/v1/messaging/filters/{}/{}", listed.region, listed.generation);
                let bytes = self.get_bytes(&from, FILTER_BYTES_MAX).await?;
                *downloaded += bytes.len();
                bytes
            }
        };
        let service_key = self.region().listed(&listed.region).ok_or(DeviceFault::Answer)?.service_key;
        let filter = Filter::believe(&bytes, &service_key).map_err(|_| DeviceFault::Answer)?;
        if (filter.region(), filter.generation()) != (&listed.region, listed.generation) {
            return Err(DeviceFault::Answer);
        }
        // It may have changed since it was listed: then it is kept under an old name, and got once more next time.
        if is_new {
            write(&path, listed.etag.as_str(), &bytes)?;
        }
        Ok(filter)
    }
}
