//! A wave's batches as the source region's journal has them: one at a time.
//!
//! INVARIANT: whoever goes over a wave holds the record of one batch, and drops it before the next. Records
//! hold the digests and objects of every subject; all of a large wave's would fill the machine's memory.

use crate::batch::json;
use crate::error::{At, Error, Result};
use crate::record::Record;
use crate::service::Region;

/// The ids of the wave's batches in order of their numbers.
pub(crate) async fn batches(from: &Region, wave: &str) -> Result<Vec<String>> {
    from.records.batch_ids(wave).await.at(from)
}

/// The record of a batch as it is now.
pub(crate) async fn record(from: &Region, wave: &str, batch: &str) -> Result<Record> {
    let row = from.records.batch(batch).await.at(from)?.ok_or_else(|| Error::Wave {
        wave: wave.to_owned(),
        why: format!("its batch {batch} is gone from the journal at {}", from.id),
    })?;
    serde_json::from_value(row.record).map_err(json)
}

/// The number of a batch: `7` of `w1/00007`.
pub(crate) fn number(batch: &str) -> u64 {
    batch.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}
