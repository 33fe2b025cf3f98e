//! Recheck: what changed since the comparison is compared again while everybody can write, so that the fence
//! has little to compare. A large subject is compared for seconds, and much changes in them.

use crate::batch::{Batch, Traveller, ids, minus};
use crate::catch_up;
use crate::error::{At, Result};
use crate::objects::Bound;
use crate::verify::{Verified, soil};
use domicile_stores::records::KeySet;
use std::collections::BTreeSet;

/// Keys that the fence may be left with.
const FEW: usize = 50;

/// Rounds at most: each has to compare what changed during the one before.
const ROUNDS_MAX: u32 = 5;

/// Takes keys out of `dirty` whose rows are equal by now, until few are left.
///
/// INVARIANT: a key is taken out only where both sides had the same row, or none, of the batch's subjects, at a
/// snapshot whose entries had been brought over. What changes it later is recorded, and caught up with
/// before the fence, so it comes back; a row that another batch pushes aside is seen by the generations.
pub(crate) async fn recheck(batch: &Batch<'_>, verified: &mut Verified, group: &[Traveller]) -> Result<()> {
    for _ in 0..ROUNDS_MAX {
        let dirty: usize = verified.dirty.values().map(BTreeSet::len).sum();
        if dirty <= FEW || !once(batch, verified, group).await? {
            break;
        }
    }
    Ok(())
}

/// One round. False: the target is not at the snapshot yet, so nothing can be compared.
async fn once(batch: &Batch<'_>, verified: &mut Verified, group: &[Traveller]) -> Result<bool> {
    let subjects = ids(&verified.travellers);
    let mut source = batch.source.records.snapshot().await.at(batch.source)?;
    let round = catch_up::round(batch, source.as_mut(), &ids(group), Bound::None).await?;
    soil(verified, round.keys);
    if !round.applied || round.changes >= batch.limits().catch_up_changes as usize {
        source.close().await.at(batch.source)?;
        return Ok(false);
    }
    let mut target = batch.target.records.snapshot().await.at(batch.target)?;
    let (here, there) = tokio::join!(
        source.row_digests(&verified.dirty, &subjects),
        target.row_digests(&verified.dirty, &subjects)
    );
    let (here, there) = (here.at(batch.source)?, there.at(batch.target)?);
    source.close().await.at(batch.source)?;
    target.close().await.at(batch.target)?;
    let mut equal = KeySet::new();
    for (table, keys) in &verified.dirty {
        for key in keys {
            let row = (*table, key.clone());
            if here.get(&row) == there.get(&row) {
                equal.entry(*table).or_default().insert(key.clone());
            }
        }
    }
    verified.dirty = minus(&verified.dirty, &equal);
    Ok(true)
}
