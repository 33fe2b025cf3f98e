//! A copy outside its subject's home, which no wave erases: shut, and then erased. `guard disown` and
//! [`reconcile`](mod@crate::reconcile) do this with what a second sign-up and a restored backup left.
//!
//! INVARIANT: whoever calls this has asked the directory, and it names another region. A wave can't make this
//! region the subject's home meanwhile: it refuses a target where the subject is at home, and where it is `away` it
//! takes the row and clears the old rows itself, after which nothing here is allowed to erase.

use crate::Region;
use crate::batch::plain;
use crate::erase::{Erased, GIVING_WAY_MAX};
use crate::error::{At, Error, Result};
use crate::pace;
use domicile_datamap::Layout;
use domicile_datamap::layout::{ObjectSource, TableIx};
use domicile_stores::records::{Lease, State, SubjectId, Transition};
use futures::TryStreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// All states but `away`: whatever a database says of a subject whose home is elsewhere.
const NOT_AWAY: [State; 7] = [
    State::Home,
    State::Marking,
    State::Moving,
    State::Fencing,
    State::Fenced,
    State::Sealed,
    State::Arriving,
];

/// Makes subjects `away` at these epochs, waiting for each one's writers in flight at most `limit`; afterwards no
/// write of theirs is accepted here. Returns those shut; the others are as they were.
///
/// # Errors
/// The region's; `LeaseLost` where another has the batch by now.
pub async fn shut(
    region: &Region,
    lease: &Lease,
    whom: &[(SubjectId, u64)],
    limit: Duration,
) -> Result<Vec<SubjectId>> {
    let mut by_epoch: BTreeMap<u64, Vec<SubjectId>> = BTreeMap::new();
    for (subject, epoch) in whom {
        by_epoch.entry(*epoch).or_default().push(subject.clone());
    }
    let mut shut = Vec::new();
    for (epoch, subjects) in by_epoch {
        let away = Transition { epoch: Some(epoch), ..plain(&NOT_AWAY, State::Away) };
        // CRASH: `away` or as before; shutting again goes on from either.
        shut.extend(region.records.change_state_waiting(lease, &subjects, away, limit).await.at(region)?);
    }
    Ok(shut)
}

/// Erases what was shut: objects, then rows, then the guard's own rows, and reads back that nothing is left. Safe to
/// repeat.
///
/// # Errors
/// The region's, also where one of them is no longer `away` at its epoch: then nothing of it was erased.
pub async fn erase(
    region: &Region,
    layout: &Layout,
    lease: &Lease,
    whom: &[(SubjectId, u64)],
    limit: u32,
) -> Result<Erased> {
    let subjects: Vec<SubjectId> = whom.iter().map(|(subject, _)| subject.clone()).collect();
    let objects = erase_objects(region, layout, &subjects).await?;
    let rows = erase_rows(region, lease, whom, limit).await?;
    read_back(region, &subjects).await?;
    // CRASH: rows are gone and the guard's rows stand, `away`: the same call finds nothing to erase and ends it.
    region.records.drop_homes(lease, &subjects, State::Away).await.at(region)?;
    Ok(Erased { subjects: subjects.len() as u64, rows: rows.values().sum(), objects })
}

async fn erase_objects(region: &Region, layout: &Layout, subjects: &[SubjectId]) -> Result<u64> {
    let Some(store) = &region.objects else { return Ok(0) };
    let mut snapshot = region.records.snapshot().await.at(region)?;
    let named = snapshot.objects(subjects, None).await.at(region)?;
    snapshot.close().await.at(region)?;
    let mut keys: Vec<String> = named.into_iter().map(|named| named.key).collect();
    for rule in &layout.objects {
        let ObjectSource::Prefix { template } = &rule.source else { continue };
        for subject in subjects {
            let prefix = template.replace("{subject}", &subject.0);
            let found: Vec<_> = store.list(&prefix).try_collect().await.at(region)?;
            keys.extend(found.into_iter().map(|meta| meta.key));
        }
    }
    keys.sort();
    keys.dedup();
    Ok(store.erase(&keys).await.at(region)?.objects)
}

/// Erases all rows of subjects that are `away` at these epochs, giving way to writers whose rows refer to theirs.
pub(crate) async fn erase_rows(
    region: &Region,
    lease: &Lease,
    whom: &[(SubjectId, u64)],
    limit: u32,
) -> Result<BTreeMap<TableIx, u64>> {
    let mut total = BTreeMap::new();
    loop {
        let erased = erase_next(region, lease, whom, limit).await?;
        if erased.values().sum::<u64>() == 0 {
            return Ok(total);
        }
        for (table, rows) in erased {
            *total.entry(table).or_default() += rows;
        }
    }
}

/// One transaction of it: at most so many rows; nothing where nothing is left.
pub(crate) async fn erase_next(
    region: &Region,
    lease: &Lease,
    whom: &[(SubjectId, u64)],
    limit: u32,
) -> Result<BTreeMap<TableIx, u64>> {
    let mut round = 0;
    loop {
        pace::back_off(round).await;
        // CRASH: what a transaction erased stays erased; the next one goes on.
        match region.records.erase_some(lease, whom, limit).await {
            Err(error) if error.is_again() && round < GIVING_WAY_MAX => round += 1,
            other => return other.at(region),
        }
    }
}

/// No row of these subjects is left here.
pub(crate) async fn read_back(region: &Region, subjects: &[SubjectId]) -> Result<()> {
    let left = region.records.measure(subjects).await.at(region)?;
    let rows: u64 = left.values().map(|size| size.rows).sum();
    if rows > 0 {
        return Err(Error::Differs(format!("{} still shows {rows} row(s) after the erase", region.id)));
    }
    Ok(())
}
