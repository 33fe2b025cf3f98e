//! Objects beside the rows: copied before the rows that name them, hashed while copied, compared by
//! reading them back, forwarded when they arrive late.

use crate::batch::Batch;
use crate::error::{At, Error, Result};
use crate::paced::Paced;
use crate::progress::Event;
use crate::record::ObjectNote;
use domicile_datamap::layout::{ObjectSource, WithoutRow};
use domicile_stores::objects::{Objects, PART_BYTES};
use domicile_stores::records::{ObjectRef, SubjectId};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How much may be copied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Bound {
    /// Outside the fence: any amount.
    None,
    /// Under the fence: at most so many bytes; more is an error that un-fences.
    Bytes(u64),
}

/// Memory for objects on their way, in KiB: four that travel in parts, or many small ones.
const ROOM_KIB: u32 = 96 << 10;
/// What one object takes at most: two parts under way and one that is being filled.
const ROOM_OF_ONE_KIB: u64 = 3 * (PART_BYTES as u64 >> 10);

/// The process has one memory, so all batches share its bound.
static ROOM: Semaphore = Semaphore::const_new(ROOM_KIB as usize);

/// Waits until an object of so many bytes may be copied. Nobody who has room waits for more.
async fn room_for(bytes: u64) -> Option<SemaphorePermit<'static>> {
    let kib = (bytes >> 10).saturating_add(1).min(ROOM_OF_ONE_KIB);
    // It is never closed.
    ROOM.acquire_many(u32::try_from(kib).unwrap_or(ROOM_KIB)).await.ok()
}

/// The stores of both sides, where the service has objects.
fn stores<'a>(batch: &'a Batch<'_>) -> Option<(&'a Arc<Objects>, &'a Arc<Objects>)> {
    batch.source.objects.as_ref().zip(batch.target.objects.as_ref())
}

/// Brings the objects that rows name, unless the same bytes are there already.
pub(crate) async fn bring(batch: &Batch<'_>, refs: &[ObjectRef], bound: Bound) -> Result<()> {
    if refs.is_empty() {
        return Ok(());
    }
    let Some((source, target)) = stores(batch) else {
        return Err(Error::Setting(format!(
            "rows name objects, but {} or {} has no object store in the configuration",
            batch.source.id, batch.target.id
        )));
    };
    let needed = needed(batch, source, refs).await?;
    let bytes: u64 = needed.iter().map(|(_, size)| size).sum();
    if let Bound::Bytes(limit) = bound
        && bytes > limit
    {
        let store = source.name();
        let why = format!(
            "{bytes} bytes of new objects are more than the {limit} that may be copied under a fence"
        );
        let source = domicile_stores::Error::Again { store, what: "copying objects".into(), why };
        return Err(Error::Region { region: batch.source.id.clone(), source });
    }
    begin(batch, &needed).await?;
    let copies = needed.into_iter().map(|(wanted, size)| async move {
        // Under the fence nobody waits behind another batch's large objects; there the bound is on bytes.
        let _room = if bound == Bound::None { room_for(size).await } else { None };
        match source.copy_at(target, &wanted.key, &Paced::object_of(batch, bound)).await {
            Ok(copied) => Ok(Some((wanted, copied))),
            // Deleted since the listing: then its row goes too, or named nothing all along.
            Err(domicile_stores::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).at(batch.source),
        }
    });
    let copied = side_by_side(batch, copies.map(FutureExt::boxed)).await?;
    let mut known = batch.objects.lock().await;
    let mut count = 0;
    for (wanted, copy) in copied.into_iter().flatten() {
        count += 1;
        let note =
            ObjectNote { key: wanted.key.clone(), size: copy.size, sha256: copy.sha256, etag: copy.etag };
        known.insert(&wanted.subject, note);
    }
    drop(known);
    if count > 0 {
        batch.service.observer.event(Event::Objects { objects: count, bytes });
    }
    Ok(())
}

/// Writes down which objects are about to be copied.
async fn begin(batch: &Batch<'_>, needed: &[(ObjectRef, u64)]) -> Result<()> {
    let mut new = false;
    let mut record = batch.record.lock().await;
    for (wanted, _) in needed {
        new |= record.subjects.entry(wanted.subject.clone()).or_default().begun.insert(wanted.key.clone());
    }
    drop(record);
    if new { batch.save().await } else { Ok(()) }
}

/// Removes from the target what was copied for the subjects, by this worker or one before, and no row
/// names any more.
async fn drop_unnamed(batch: &Batch<'_>, subjects: &[SubjectId], present: &BTreeSet<String>) -> Result<()> {
    let gone: Vec<String> = begun(batch, subjects).await.difference(present).cloned().collect();
    forget(batch, &gone).await?;
    let mut record = batch.record.lock().await;
    for subject in subjects {
        if let Some(note) = record.subjects.get_mut(subject) {
            note.begun.retain(|key| present.contains(key));
        }
    }
    Ok(())
}

/// All keys that a copy was begun of for these subjects.
async fn begun(batch: &Batch<'_>, subjects: &[SubjectId]) -> BTreeSet<String> {
    let record = batch.record.lock().await;
    let notes = subjects.iter().filter_map(|s| record.subjects.get(s));
    notes.flat_map(|note| note.begun.iter().chain(note.objects.iter().map(|o| &o.key))).cloned().collect()
}

/// Runs object requests, a bounded number at once; the first error ends the others.
///
/// A request is made when its turn comes: waiting, all of a batch's would take more memory than what they
/// carry. Boxed, or the compiler can't see that the whole may be sent.
fn side_by_side<'f, T: Send + 'f>(
    batch: &Batch<'_>,
    work: impl Iterator<Item = BoxFuture<'f, Result<T>>> + Send + 'f,
) -> BoxFuture<'f, Result<Vec<T>>> {
    futures::stream::iter(work).buffer_unordered(batch.limits().objects_in_flight).try_collect().boxed()
}

/// Those of the objects that are not at the target with the source's present ETag, with their sizes.
/// An object that does not exist at the source is left out: its row names nothing on either side.
async fn needed(batch: &Batch<'_>, source: &Objects, refs: &[ObjectRef]) -> Result<Vec<(ObjectRef, u64)>> {
    let distinct: BTreeMap<&str, &ObjectRef> = refs.iter().map(|r| (r.key.as_str(), r)).collect();
    let asked = distinct.into_values().map(|wanted| async move {
        let Some(meta) = source.head(&wanted.key).await.at(batch.source)? else { return Ok(None) };
        let same = batch.objects.lock().await.get(&wanted.key).is_some_and(|note| note.etag == meta.etag);
        Ok::<_, Error>((!same).then(|| (wanted.clone(), meta.size)))
    });
    let asked = side_by_side(batch, asked.map(FutureExt::boxed)).await?;
    Ok(asked.into_iter().flatten().collect())
}

/// Lists the subjects' prefixes at the source: `sweep` brings what no row names, `deny` refuses it.
/// Returns the keys listed.
pub(crate) async fn bring_listed(
    batch: &Batch<'_>,
    subjects: &[SubjectId],
    named: &[ObjectRef],
) -> Result<Vec<String>> {
    let Some((source, _)) = stores(batch) else { return Ok(Vec::new()) };
    let listed = listed(batch, source, subjects).await?;
    let named: BTreeSet<&str> = named.iter().map(|r| r.key.as_str()).collect();
    for (wanted, without_row) in &listed {
        if *without_row == WithoutRow::Deny && !named.contains(wanted.key.as_str()) {
            return Err(Error::Differs(format!(
                "{} holds an object below a subject's prefix that no row names, and the data map says `deny`",
                batch.source.id
            )));
        }
    }
    let refs: Vec<_> = listed.into_iter().map(|(wanted, _)| wanted).collect();
    bring(batch, &refs, Bound::None).await?;
    Ok(refs.into_iter().map(|r| r.key).collect())
}

/// Objects below the subjects' prefixes, for every rule that has one.
async fn listed(
    batch: &Batch<'_>,
    store: &Objects,
    subjects: &[SubjectId],
) -> Result<Vec<(ObjectRef, WithoutRow)>> {
    let mut all = Vec::new();
    for (rule, object) in batch.service.layout.objects.iter().enumerate() {
        let ObjectSource::Prefix { template } = &object.source else { continue };
        for subject in subjects {
            let prefix = template.replace("{subject}", &subject.0);
            let found: Vec<_> = store.list(&prefix).try_collect().await.at(batch.source)?;
            let refs =
                found.into_iter().map(|meta| ObjectRef { subject: subject.clone(), rule, key: meta.key });
            all.extend(refs.map(|r| (r, object.without_row)));
        }
    }
    Ok(all)
}

/// Reads every copied object of the subjects back at the target and asks the source whether it is still
/// the one that was copied. What changed at the source is brought again; what differs is named.
pub(crate) async fn differing(
    batch: &Batch<'_>,
    subjects: &[SubjectId],
    named: &[ObjectRef],
) -> Result<Vec<(SubjectId, String)>> {
    let Some((_, target)) = stores(batch) else { return Ok(Vec::new()) };
    bring(batch, named, Bound::None).await?;
    let listed = bring_listed(batch, subjects, named).await?;
    let present = named.iter().map(|r| r.key.clone()).chain(listed).collect();
    drop_unnamed(batch, subjects, &present).await?;
    let known = batch.objects.lock().await;
    let mine = subjects.iter().flat_map(|s| known.of(s).map(move |note| (s.clone(), note.clone())));
    let mine: Vec<(SubjectId, ObjectNote)> = mine.collect();
    drop(known);
    let compared = mine.into_iter().map(|(subject, note)| async move {
        match target.digest(&note.key).await {
            Ok((size, sha256)) if size == note.size && sha256 == note.sha256 => Ok(None),
            Ok(_) => Ok(Some((subject, "an object (other bytes at the target)".to_owned()))),
            Err(domicile_stores::Error::NotFound { .. }) => {
                Ok(Some((subject, "an object (absent at the target)".to_owned())))
            }
            Err(error) => Err(error).at(batch.target),
        }
    });
    let compared = side_by_side(batch, compared.map(FutureExt::boxed)).await?;
    Ok(compared.into_iter().flatten().collect())
}

/// The object store of the region where the subject lives now: it may have moved on since this wave.
async fn store_at_home(batch: &Batch<'_>, subject: &SubjectId) -> Result<Option<Arc<Objects>>> {
    let home = batch.service.directory.home(&batch.service.name, subject).await?;
    let Some(home) = home.filter(|home| home.region != batch.source.id) else { return Ok(None) };
    // One that can't be reached stops the erase: the upload exists nowhere else.
    Ok(batch.service.region(&home.region)?.objects.clone())
}

/// Removes from the target what was copied for subjects that leave the batch.
pub(crate) async fn withdraw(batch: &Batch<'_>, subjects: &[SubjectId]) -> Result<()> {
    let Some((_, target)) = stores(batch) else { return Ok(()) };
    let begun = begun(batch, subjects).await;
    let mut known = batch.objects.lock().await;
    let copied = subjects.iter().flat_map(|s| known.of(s)).map(|object| object.key.clone());
    let keys: Vec<String> = begun.into_iter().chain(copied).collect();
    target.erase(&keys).await.at(batch.target)?;
    subjects.iter().for_each(|s| known.remove_of(s));
    Ok(())
}

/// Removes single objects from the target: the rows that named them are gone.
pub(crate) async fn forget(batch: &Batch<'_>, keys: &[String]) -> Result<()> {
    let Some((_, target)) = stores(batch).filter(|_| !keys.is_empty()) else { return Ok(()) };
    target.erase(keys).await.at(batch.target)?;
    let mut known = batch.objects.lock().await;
    keys.iter().for_each(|key| known.remove(key));
    Ok(())
}

/// Forwards what arrived at the old home after the cutover (a pre-signed upload, say), unless the
/// new home has changed the object meanwhile. Returns all keys of the subjects at the old home.
///
/// `named` are the objects that the old home's rows, not yet erased, name.
pub(crate) async fn sweep(
    batch: &Batch<'_>,
    subjects: &[SubjectId],
    named: &[ObjectRef],
) -> Result<BTreeMap<SubjectId, BTreeSet<String>>> {
    let mut keys: BTreeMap<SubjectId, BTreeSet<String>> = BTreeMap::new();
    let Some((source, _)) = stores(batch) else { return Ok(keys) };
    let listed = listed(batch, source, subjects).await?.into_iter().map(|(wanted, _)| wanted);
    let all: Vec<ObjectRef> = named.iter().cloned().chain(listed).collect();
    let late = needed(batch, source, &all).await?;
    let begun = begun(batch, subjects).await;
    for (wanted, size) in late {
        let Some(target) = store_at_home(batch, &wanted.subject).await? else { continue };
        let known = batch.objects.lock().await.get(&wanted.key).map(|note| note.sha256.clone());
        let there = target.digest(&wanted.key).await;
        let untouched = match (&there, &known) {
            // Copied before the cutover and gone now: the new home deleted it.
            (Err(domicile_stores::Error::NotFound { .. }), None) => !begun.contains(&wanted.key),
            (Ok((_, sha256)), Some(known)) => sha256 == known,
            // The new home deleted or wrote it: its word is the newer one.
            (Ok(_), None) | (Err(domicile_stores::Error::NotFound { .. }), Some(_)) => false,
            (Err(_), _) => return Err(there.map(|_| ()).unwrap_err()).at(batch.target),
        };
        if untouched {
            let _room = room_for(size).await;
            let paced = Paced::object_of(batch, Bound::None);
            let copied = source.copy_at(&target, &wanted.key, &paced).await.at(batch.source)?;
            let note = ObjectNote {
                key: wanted.key.clone(),
                size: copied.size,
                sha256: copied.sha256,
                etag: copied.etag,
            };
            batch.objects.lock().await.insert(&wanted.subject, note);
        }
    }
    for wanted in all {
        keys.entry(wanted.subject).or_default().insert(wanted.key);
    }
    let known = batch.objects.lock().await;
    for subject in subjects {
        let mine = known.of(subject).map(|object| object.key.clone());
        keys.entry(subject.clone()).or_default().extend(mine);
    }
    Ok(keys)
}
