//! The last copy: before an old copy is erased, the subject's home is asked whether it has the subject. One that
//! was restored from a backup older than the move has not, and then what stands at the old home is all there is.

use crate::batch::{Traveller, ids};
use crate::error::{At, Result};
use crate::service::Service;
use domicile_stores::records::{State, SubjectId};
use std::collections::{BTreeMap, HashSet};

/// Those of the travellers whose home, by the directory, knows them: the guard there has them at the directory's epoch,
/// not as a copy that never became their home. A region that the configuration does not name knows nobody.
///
/// INVARIANT: asked before each erase, never remembered: a backup may be restored at any time. One that is restored
/// between this look and the erase is not seen.
pub(crate) async fn known_at_home(service: &Service, travellers: &[Traveller]) -> Result<HashSet<SubjectId>> {
    known(service, &ids(travellers)).await
}

/// The same of subjects.
pub(crate) async fn known(service: &Service, subjects: &[SubjectId]) -> Result<HashSet<SubjectId>> {
    let homes = service.directory.homes(&service.name, subjects).await?;
    let mut by_region: BTreeMap<String, BTreeMap<SubjectId, u64>> = BTreeMap::new();
    for (subject, home) in subjects.iter().zip(homes) {
        let Some(home) = home else { continue };
        by_region.entry(home.region).or_default().insert(subject.clone(), home.epoch);
    }
    let mut known = HashSet::new();
    for (region, epochs) in by_region {
        let Some(region) = service.regions.get(&region) else { continue };
        let whom: Vec<SubjectId> = epochs.keys().cloned().collect();
        let rows = region.records.homes(&whom).await.at(region)?;
        let there = rows.into_iter().filter(|row| {
            let copy = matches!(row.state, State::Arriving | State::Away);
            !copy && epochs.get(&row.subject) == Some(&row.epoch)
        });
        known.extend(there.map(|row| row.subject));
    }
    Ok(known)
}
