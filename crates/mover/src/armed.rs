//! `guard = "wave"`: triggers are armed for as long as a wave is open, or anybody else who needs them is at work.
//!
//! INVARIANT: who needs them says so by a lease, before they are armed. Whoever ends disarms them only where no other
//! such lease is left: between arming and the first mark nothing else would tell that a wave has begun.

use crate::error::{At, Result};
use crate::service::Region;
use domicile_stores::records::ARMED;

/// Arms the triggers for `who`, a wave or the like; in mode `enforce` they always are, and nothing is done.
///
/// # Errors
/// The region's.
pub async fn arm(region: &Region, who: &str, wave_only: bool) -> Result<()> {
    if !wave_only {
        return Ok(());
    }
    // CRASH: the lease stays, and the triggers armed or not; whoever resumes, aborts or erases takes it over.
    region.records.take_lease(&format!("{who}{ARMED}")).await.at(region)?;
    region.records.arm(true).await.at(region)
}

/// The end of `who`: the triggers are disarmed, unless somebody else needs them. Safe to repeat.
///
/// # Errors
/// The region's.
pub async fn disarm(region: &Region, who: &str, wave_only: bool) -> Result<()> {
    if !wave_only {
        return Ok(());
    }
    let lease = region.records.take_lease(&format!("{who}{ARMED}")).await.at(region)?;
    // CRASH: still armed, which costs writers a little until the next wave ends.
    region.records.close_batch(&lease).await.at(region)?;
    region.records.arm(false).await.at(region)
}
