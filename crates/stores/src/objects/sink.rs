//! An object that is being written: nobody sees it before it is whole.

use super::folder::Staged;
use super::{PART_BYTES, failure};
use crate::{Error, Result};
use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, WriteMultipart,
};
use std::sync::Arc;

/// Parts of one object under way at once; one more is being filled.
const PARTS_MAX: usize = 2;
/// Most parts S3 takes for one object, less some for an object that grew.
const PARTS_OF_ONE: u64 = 9_900;

pub(super) enum Sink {
    Folder(Staged),
    Cloud(Upload),
}

impl Sink {
    pub(super) async fn put(&mut self, bytes: Bytes) -> Result<()> {
        match self {
            Sink::Folder(staged) => staged.put(&bytes).await,
            Sink::Cloud(upload) => upload.put(bytes).await,
        }
    }

    /// Gives the object its key.
    pub(super) async fn finish(self) -> Result<()> {
        match self {
            Sink::Folder(staged) => staged.publish().await,
            Sink::Cloud(upload) => upload.finish().await,
        }
    }

    /// Takes back what was written. A part that can't be taken back is the bucket's lifecycle rule's.
    pub(super) async fn abort(self) {
        if let Sink::Cloud(upload) = self {
            upload.abort().await;
        }
    }
}

/// An upload in parts, or whole where it is small.
pub(super) struct Upload {
    name: String,
    key: String,
    store: Arc<dyn ObjectStore>,
    path: Path,
    attributes: Attributes,
    part_bytes: usize,
    /// What is still to be sent, while it may fit into one request.
    small: Vec<Bytes>,
    small_bytes: usize,
    parts: Option<WriteMultipart>,
}

impl Upload {
    pub(super) fn new(
        name: String,
        key: String,
        store: Arc<dyn ObjectStore>,
        path: Path,
        size: u64,
        mut attributes: Attributes,
    ) -> Self {
        // The other store's classes need not exist here.
        attributes.remove(&Attribute::StorageClass);
        let part_bytes = PART_BYTES.max(usize::try_from(size / PARTS_OF_ONE).unwrap_or(usize::MAX));
        Self {
            name,
            key,
            store,
            path,
            attributes,
            part_bytes,
            small: Vec::new(),
            small_bytes: 0,
            parts: None,
        }
    }

    fn failed(&self, error: &object_store::Error) -> Error {
        match failure::of_cloud(&self.name, &self.key, error) {
            // Writing needs no object; what is absent is the bucket, or an upload that was ended for us.
            Error::NotFound { store, .. } => {
                let why = "the bucket or the upload is gone".to_owned();
                Error::Failed { store, what: "writing an object".to_owned(), why }
            }
            error => error,
        }
    }

    async fn put(&mut self, bytes: Bytes) -> Result<()> {
        if self.parts.is_none() {
            self.small_bytes += bytes.len();
            self.small.push(bytes);
            if self.small_bytes <= self.part_bytes {
                return Ok(());
            }
            let options = PutMultipartOptions { attributes: self.attributes.clone(), ..Default::default() };
            let upload =
                self.store.put_multipart_opts(&self.path, options).await.map_err(|e| self.failed(&e))?;
            self.parts = Some(WriteMultipart::new_with_chunk_size(upload, self.part_bytes));
            for bytes in std::mem::take(&mut self.small) {
                self.put_part(bytes).await?;
            }
            return Ok(());
        }
        self.put_part(bytes).await
    }

    async fn put_part(&mut self, bytes: Bytes) -> Result<()> {
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let room = parts.wait_for_capacity(PARTS_MAX).await;
        if room.is_ok() {
            parts.put(bytes);
        }
        room.map_err(|e| self.failed(&e))
    }

    async fn finish(mut self) -> Result<()> {
        // CRASH: before the store has done this the object is as it was; parts that were sent are left to
        // the bucket's lifecycle rule for incomplete uploads.
        let done = match self.parts.take() {
            Some(parts) => parts.finish().await.map(drop),
            None => {
                let options = PutOptions { attributes: self.attributes.clone(), ..Default::default() };
                let payload: PutPayload = std::mem::take(&mut self.small).into_iter().collect();
                self.store.put_opts(&self.path, payload, options).await.map(drop)
            }
        };
        done.map_err(|e| self.failed(&e))
    }

    async fn abort(self) {
        if let Some(parts) = self.parts {
            // Best effort: the error that led here is the one to tell.
            let _ = parts.abort().await;
        }
    }
}
