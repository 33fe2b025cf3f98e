//! Object stores: folders, S3 and what speaks its protocol, Google Cloud Storage, Azure.
//!
//! An object is its key and its bytes, with content type and user metadata where the store keeps them.
//! The mover copies objects while it hashes them ([`Objects::copy_to`]), compares them by reading them
//! back ([`Objects::digest`]), and erases listed versions by their ids ([`Objects::erase`]).
//!
//! INVARIANT: nothing here holds a whole object in memory: at most three parts of [`PART_BYTES`], more
//! only for an object beyond 78 GiB, since S3 takes at most 10 000 parts.
//!
//! What is absent: no token keeps a frozen worker from a late PUT, since object stores check none
//! (ATTACKS A8); a receipt says so.

mod address;
mod cloud;
mod erase;
mod failure;
mod folder;
mod signed;
mod sink;
mod transfer;
mod xml;

pub use erase::{Erased, Version, Versions};
pub use transfer::{Copied, Throttle};

use crate::Result;
use crate::failpoints::durable;
use address::Place;
use bytes::Bytes;
use cloud::Cloud;
use folder::Folder;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::Attributes;
use std::path::Path;

/// Objects above this size travel in parts of it.
pub const PART_BYTES: usize = 8 * 1024 * 1024;

/// What a store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Its key, without the prefix in the store's URL.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Changes whenever the object does. A folder's is made of inode, time and size.
    pub etag: String,
    /// The version's id, where the store told one.
    pub version: Option<String>,
}

/// A region's object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Objects {
    backend: Backend,
}

#[derive(Debug, Clone)]
enum Backend {
    Folder(Folder),
    Cloud(Cloud),
}

/// A store as it is.
#[derive(Debug, Clone)]
pub enum Whole {
    /// A folder: its files are the objects.
    Folder(std::path::PathBuf),
    /// A bucket, and what its URL's keys begin with.
    Bucket {
        /// The bucket.
        store: std::sync::Arc<dyn object_store::ObjectStore>,
        /// Empty, or ends with `/`.
        prefix: String,
    },
}

/// An object that is being read.
struct Reading<'a> {
    meta: Meta,
    attributes: Attributes,
    bytes: BoxStream<'a, Result<Bytes>>,
}

impl Objects {
    /// Opens a store and asks it whether it is there.
    ///
    /// - `file:PATH`, `file:///PATH`: a folder that exists, relative to `base_dir`.
    /// - `s3://BUCKET/PREFIX?endpoint=URL&region=NAME`, credentials from `AWS_ACCESS_KEY_ID`,
    ///   `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` or the machine's role.
    /// - `gs://BUCKET/PREFIX`, credentials from `GOOGLE_SERVICE_ACCOUNT` (a path) or the machine's role.
    /// - `az://CONTAINER/PREFIX?account=NAME`, credentials from `AZURE_STORAGE_ACCOUNT_KEY` and so on.
    ///
    /// With `credentials=NAME` in the URL the variables are called `NAME_AWS_ACCESS_KEY_ID` and so on,
    /// for regions with credentials of their own. An `http://` endpoint off loopback needs
    /// `allow_plaintext=true`.
    ///
    /// # Errors
    /// `Setting` for a URL or a folder that can't work, `Unreachable`, `Denied`.
    pub async fn open(url: &str, base_dir: &Path) -> Result<Self> {
        Self::open_with(url, base_dir, &|name| std::env::var(name).ok()).await
    }

    /// The same with another source of what is otherwise asked of the environment.
    ///
    /// # Errors
    /// As [`Objects::open`].
    pub async fn open_with(
        url: &str,
        base_dir: &Path,
        environment: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Self> {
        let backend = match address::parse(url, base_dir)? {
            Place::Folder(path) => Backend::Folder(Folder::open(path).await?),
            Place::Cloud(bucket) => Backend::Cloud(Cloud::open(bucket, environment).await?),
        };
        Ok(Self { backend })
    }

    /// The store's name for messages: its URL without options.
    pub fn name(&self) -> String {
        match &self.backend {
            Backend::Folder(folder) => folder.name(),
            Backend::Cloud(cloud) => cloud.name(),
        }
    }

    /// The store itself, for who reads all of it.
    pub fn whole(&self) -> Whole {
        match &self.backend {
            Backend::Folder(folder) => Whole::Folder(folder.root().to_owned()),
            Backend::Cloud(cloud) => cloud.whole(),
        }
    }

    /// What the store says of an object; `None` where there is none.
    ///
    /// # Errors
    /// The store's.
    pub async fn head(&self, key: &str) -> Result<Option<Meta>> {
        match &self.backend {
            Backend::Folder(folder) => folder.head(key).await,
            Backend::Cloud(cloud) => cloud.head(key).await,
        }
    }

    /// The objects whose key begins with these characters (not path segments: `photos/4` also finds
    /// `photos/42/a`, so end a subject's prefix with `/`), in no order.
    pub fn list(&self, prefix: &str) -> BoxStream<'_, Result<Meta>> {
        match &self.backend {
            Backend::Folder(folder) => folder.list(prefix.to_owned()).boxed(),
            Backend::Cloud(cloud) => cloud.list(prefix.to_owned()),
        }
    }

    /// Writes an object whole, replacing one of that key. Readers see the old or the new one.
    ///
    /// # Errors
    /// The store's.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<()> {
        let mut sink = self.write(key, bytes.len() as u64, Attributes::new()).await?;
        match sink.put(bytes).await {
            Ok(()) => sink.finish().await,
            Err(error) => {
                sink.abort().await;
                Err(error)
            }
        }
    }

    /// Removes an object; on a bucket with versions this only hides it behind a marker, see
    /// [`Objects::erase`]. Returns whether there was one (always true where the store doesn't say).
    ///
    /// # Errors
    /// The store's.
    pub async fn delete(&self, key: &str) -> Result<bool> {
        let deleted = async {
            match &self.backend {
                Backend::Folder(folder) => folder.delete(key).await,
                Backend::Cloud(cloud) => cloud.delete(key).await,
            }
        };
        durable("object-delete", || self.name(), deleted).await
    }

    async fn read(&self, key: &str) -> Result<Reading<'_>> {
        match &self.backend {
            Backend::Folder(folder) => folder.read(key).await,
            Backend::Cloud(cloud) => cloud.read(key).await,
        }
    }

    async fn write(&self, key: &str, size: u64, attributes: Attributes) -> Result<sink::Sink> {
        match &self.backend {
            Backend::Folder(folder) => Ok(sink::Sink::Folder(folder.stage(key).await?)),
            Backend::Cloud(cloud) => Ok(sink::Sink::Cloud(cloud.write(key, size, attributes)?)),
        }
    }
}
