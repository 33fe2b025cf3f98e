//! Copying while hashing, and reading back.

use super::sink::Sink;
use super::{Objects, Reading};
use crate::failpoints::durable;
use crate::{Error, Result};
use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

/// Times an object is copied that changes while it is copied.
const COPY_MAX: u32 = 3;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes that were sent, hex.
    pub sha256: String,
    /// The source's ETag before and after.
    pub etag: String,
}

/// Says when the next bytes of an object may travel.
#[async_trait]
pub trait Throttle: Send + Sync {
    /// Comes back once they may.
    ///
    /// # Errors
    /// Whatever ends the copy.
    async fn pass(&self, bytes: u64) -> Result<()>;
}

/// At once.
struct Unbounded;

#[async_trait]
impl Throttle for Unbounded {
    async fn pass(&self, _: u64) -> Result<()> {
        Ok(())
    }
}

impl Objects {
    /// Copies an object to another store under the same key, with its content type and user metadata
    /// where both stores keep them, replacing one that is there. The target sees it only when it is
    /// whole and the source still has the same one.
    ///
    /// # Errors
    /// `NotFound`: the source has none. `Changed`: it changed each time it was copied. Else a store's.
    pub async fn copy_to(&self, target: &Objects, key: &str) -> Result<Copied> {
        self.copy_at(target, key, &Unbounded).await
    }

    /// The same, at a pace.
    ///
    /// # Errors
    /// As [`Objects::copy_to`], and the throttle's.
    pub async fn copy_at(&self, target: &Objects, key: &str, throttle: &dyn Throttle) -> Result<Copied> {
        for _ in 0..COPY_MAX {
            let reading = self.read(key).await?;
            let etag = reading.meta.etag.clone();
            match self.send(reading, target, key, throttle).await {
                Ok(Some(copied)) => return Ok(copied),
                Ok(None) | Err(Error::Changed { .. }) => {}
                // What is replaced or removed while it is read may fail in any way.
                Err(error) => match self.head(key).await? {
                    Some(meta) if meta.etag == etag => return Err(error),
                    _ => {}
                },
            }
        }
        Err(Error::Changed { store: self.name(), key: key.to_owned() })
    }

    /// Copies once; `None`: the object changed meanwhile and nothing was published.
    async fn send(
        &self,
        reading: Reading<'_>,
        target: &Objects,
        key: &str,
        throttle: &dyn Throttle,
    ) -> Result<Option<Copied>> {
        let Reading { meta, attributes, bytes } = reading;
        let mut sink = target.write(key, meta.size, attributes).await?;
        let sent = match pour(bytes, &mut sink, throttle).await {
            Ok(sent) => sent,
            Err(error) => {
                sink.abort().await;
                return Err(error);
            }
        };
        let now = self.head(key).await;
        let same = matches!(&now, Ok(Some(now)) if now.etag == meta.etag) && sent.0 == meta.size;
        if !same {
            sink.abort().await;
            return now.map(|_| None);
        }
        // CRASH: before this the target has no such object, or an older one; copying again mends it.
        durable("object-put", || target.name(), sink.finish()).await?;
        Ok(Some(Copied { size: sent.0, sha256: sent.1, etag: meta.etag }))
    }

    /// Copies many, at most `in_flight` at once; results as they come. The bound on memory is
    /// `in_flight` times three parts.
    pub fn copy_many<'a>(
        &'a self,
        target: &'a Objects,
        keys: impl IntoIterator<Item = String, IntoIter: Send + 'a>,
        in_flight: usize,
    ) -> BoxStream<'a, (String, Result<Copied>)> {
        futures::stream::iter(keys)
            .map(move |key| async move {
                let copied = self.copy_to(target, &key).await;
                (key, copied)
            })
            .buffer_unordered(in_flight.max(1))
            .boxed()
    }

    /// Reads an object through: its size in bytes and the SHA-256 of its bytes, hex.
    ///
    /// # Errors
    /// `NotFound`, or the store's.
    pub async fn digest(&self, key: &str) -> Result<(u64, String)> {
        let mut reading = self.read(key).await?;
        let (mut size, mut hash) = (0, Sha256::new());
        while let Some(bytes) = reading.bytes.try_next().await? {
            size += bytes.len() as u64;
            hash.update(&bytes);
        }
        if size != reading.meta.size {
            return Err(Error::Changed { store: self.name(), key: key.to_owned() });
        }
        Ok((size, hex::encode(hash.finalize())))
    }
}

async fn pour(
    mut bytes: BoxStream<'_, Result<bytes::Bytes>>,
    sink: &mut Sink,
    throttle: &dyn Throttle,
) -> Result<(u64, String)> {
    let (mut size, mut hash) = (0, Sha256::new());
    while let Some(bytes) = bytes.try_next().await? {
        throttle.pass(bytes.len() as u64).await?;
        size += bytes.len() as u64;
        hash.update(&bytes);
        sink.put(bytes).await?;
    }
    Ok((size, hex::encode(hash.finalize())))
}
