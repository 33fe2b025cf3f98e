//! Objects that a worker brought and had no time to note.
//!
//! What comes between the comparison and the fence is brought, and written down as begun, but its size and
//! digest stand only in the worker's memory until activate. If the worker dies after the swap, the next one
//! reads them again at the new home, so that the receipt counts them and erase knows them.

use crate::batch::{Batch, Traveller, ids};
use crate::error::{At, Result};
use crate::record::ObjectNote;
use domicile_stores::objects::Objects;
use domicile_stores::records::{State, SubjectId};
use std::collections::BTreeSet;

/// Notes such objects of subjects whose swap is done and who are about to be activated.
pub(crate) async fn note(batch: &Batch<'_>, moved: &[Traveller]) -> Result<()> {
    let Some((source, target)) = batch.source.objects.as_ref().zip(batch.target.objects.as_ref()) else {
        return Ok(());
    };
    let unnoted = unnoted(batch, moved).await;
    if unnoted.is_empty() {
        return Ok(());
    }
    // While a subject is `arriving` nobody else writes at its new home: what stands there is what was brought.
    let homes = batch.target.records.homes(&ids(moved)).await.at(batch.target)?;
    let arriving = homes.into_iter().filter(|home| home.state == State::Arriving).map(|home| home.subject);
    let arriving: BTreeSet<SubjectId> = arriving.collect();
    for (subject, key) in unnoted {
        let (size, sha256) = match target.digest(&key).await {
            Ok(found) => found,
            Err(domicile_stores::Error::NotFound { .. }) => continue,
            Err(error) => return Err(error).at(batch.target),
        };
        let etag = match etag_of_same(source, &key, &sha256).await.at(batch.source)? {
            Some(etag) => etag,
            // The old home has got other bytes since: none of its ETags is that of what was brought, so erase
            // takes what stands there for a late upload.
            None if arriving.contains(&subject) => String::new(),
            // Written at the new home since, perhaps: its word is the newer one, and nothing is forwarded over it.
            None => continue,
        };
        batch.objects.lock().await.insert(&subject, ObjectNote { key, size, sha256, etag });
    }
    Ok(())
}

/// Keys that a copy was begun of and that no note names.
async fn unnoted(batch: &Batch<'_>, moved: &[Traveller]) -> Vec<(SubjectId, String)> {
    let (known, record) = (batch.objects.lock().await, batch.record.lock().await);
    let notes = moved.iter().filter_map(|t| Some((&t.subject, record.subjects.get(&t.subject)?)));
    let begun = notes.flat_map(|(subject, note)| note.begun.iter().map(move |key| (subject, key)));
    begun.filter(|(_, key)| known.get(key).is_none()).map(|(s, key)| (s.clone(), key.clone())).collect()
}

/// The ETag of the source's object if it has that digest, and had it all the while.
async fn etag_of_same(
    source: &Objects,
    key: &str,
    sha256: &str,
) -> Result<Option<String>, domicile_stores::Error> {
    let Some(before) = source.head(key).await? else { return Ok(None) };
    match source.digest(key).await {
        Ok((_, found)) if found == sha256 => {}
        Ok(_) | Err(domicile_stores::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    }
    let after = source.head(key).await?;
    Ok(after.filter(|after| after.etag == before.etag).map(|after| after.etag))
}
