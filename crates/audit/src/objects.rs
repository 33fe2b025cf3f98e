//! An object store: names, what it says of each object, and bodies, as a stream.
//!
//! The caller opens the store and lists old versions where the store can; whatever it can't list is said.

use crate::{Examiner, Gap, Place, Step};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Attribute, GetOptions, ObjectStore};
use std::io::{self, Read};
use std::sync::Arc;
use tokio::runtime::Handle;

/// What is to be read.
pub struct Objects {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Its URL without credentials, as it is shown.
    pub name: String,
    /// Only keys that begin so; empty: all.
    pub prefix: String,
    /// Versions that a plain listing does not show; `None`: the store may keep some, and they can't be listed.
    pub versions: Option<Vec<OldVersion>>,
}

/// A version of an object that is not the latest.
#[derive(Debug, Clone)]
pub struct OldVersion {
    /// The whole key.
    pub key: String,
    /// The version's id.
    pub id: String,
    /// A marker that hides the object: it has a name and no bytes.
    pub marker: bool,
}

/// Searches every object. Blocks: call it on a blocking thread of the runtime.
///
/// # Errors
/// Where the store can't be listed. What single objects refuse is noted as unseen.
pub fn examine(runtime: &Handle, objects: &Objects, examiner: &mut Examiner<'_>) -> io::Result<()> {
    let whole = Place::from(Step::Object(objects.name.clone()));
    examiner.unseen(&whole, Gap::Known, "tags of objects are not read");
    let prefix = (!objects.prefix.is_empty()).then(|| Path::from(objects.prefix.as_str()));
    let mut listed = objects.store.list(prefix.as_ref());
    while let Some(meta) = runtime.block_on(listed.next()) {
        let meta = meta.map_err(|e| io::Error::other(failed(&e)))?;
        one(runtime, objects, &meta.location, None, examiner)?;
    }
    match &objects.versions {
        None => examiner.unseen(
            &whole,
            Gap::Versions,
            "old versions, if the store keeps any: it does not list them here",
        ),
        Some(versions) => {
            for version in versions {
                let Ok(path) = Path::parse(&version.key) else {
                    examiner.unseen(&whole, Gap::Versions, "an old version whose key can't be asked for");
                    continue;
                };
                if version.marker {
                    name(objects, &path, Some(&version.id), examiner)?;
                } else {
                    one(runtime, objects, &path, Some(&version.id), examiner)?;
                }
            }
        }
    }
    Ok(())
}

fn place(objects: &Objects, path: &Path, version: Option<&str>) -> Place {
    let version = version.map(|id| format!(" (version {id})")).unwrap_or_default();
    Place::from(Step::Object(format!("{}/{path}{version}", objects.name.trim_end_matches('/'))))
}

/// Searches the key itself.
fn name(
    objects: &Objects,
    path: &Path,
    version: Option<&str>,
    examiner: &mut Examiner<'_>,
) -> io::Result<Place> {
    examiner.target();
    let place = place(objects, path, version);
    examiner.read(&place.then(Step::Metadata("key".to_owned())), path.as_ref().as_bytes())?;
    Ok(place)
}

fn one(
    runtime: &Handle,
    objects: &Objects,
    path: &Path,
    version: Option<&str>,
    examiner: &mut Examiner<'_>,
) -> io::Result<()> {
    let place = name(objects, path, version, examiner)?;
    let options = GetOptions { version: version.map(str::to_owned), ..GetOptions::default() };
    let answer = match runtime.block_on(objects.store.get_opts(path, options)) {
        Ok(answer) => answer,
        Err(error) => {
            examiner.unseen(&place, Gap::Unread, failed(&error));
            return Ok(());
        }
    };
    for (attribute, value) in &answer.attributes {
        let called = match attribute {
            Attribute::Metadata(name) => name.to_string(),
            other => format!("{other:?}").to_ascii_lowercase(),
        };
        examiner.read(&place.then(Step::Metadata(called.clone())), called.as_bytes())?;
        examiner.read(&place.then(Step::Metadata(called)), value.as_bytes())?;
    }
    let stream = answer.into_stream().map_err(|e| io::Error::other(failed(&e))).boxed();
    let body = Body { runtime, stream, piece: Bytes::new() };
    if let Err(error) = examiner.read(&place, body) {
        examiner.unseen(&place, Gap::Unread, format!("not read to its end: {error}"));
    }
    Ok(())
}

/// A body, piece by piece.
struct Body<'a> {
    runtime: &'a Handle,
    stream: BoxStream<'static, io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Body<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let taken = self.piece.len().min(into.len());
        into[..taken].copy_from_slice(&self.piece.split_to(taken));
        Ok(taken)
    }
}

/// What went wrong, without the store's own words, which may quote keys.
fn failed(error: &object_store::Error) -> String {
    match error {
        object_store::Error::NotFound { .. } => "it was gone when it was read".to_owned(),
        object_store::Error::PermissionDenied { .. } => "the credentials may not read it".to_owned(),
        object_store::Error::Unauthenticated { .. } => "the credentials are not accepted".to_owned(),
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => {
            "the store can't be asked for it".to_owned()
        }
        _ => "the store did not answer as it should".to_owned(),
    }
}
