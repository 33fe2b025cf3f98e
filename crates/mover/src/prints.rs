//! Fingerprints of the mapped tables at both sides: taken once when a wave begins or is resumed, compared
//! before each batch and under each fence. A trigger that did not fire means a write that nobody
//! recorded, and a new column is one that the data map does not know (DESIGN section 4, finding 5).

use crate::error::{At, Error, Result};
use crate::service::Region;
use std::collections::BTreeMap;

/// One text a table, at both sides.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prints {
    source: BTreeMap<String, String>,
    target: BTreeMap<String, String>,
}

impl Prints {
    /// Takes the fingerprints after making sure that the guard is whole: a wave that goes on beside a
    /// disabled trigger would not hear of writes.
    pub async fn of_a_whole_guard(source: &Region, target: &Region) -> Result<Self> {
        let prints = Self::take(source, target).await?;
        for region in [source, target] {
            let status = region.records.status(false).await.at(region)?;
            if let Some(fault) = status.faults.first() {
                return Err(Error::SchemaChanged(format!("{fault} (region {})", region.id)));
            }
        }
        Ok(prints)
    }

    async fn take(source: &Region, target: &Region) -> Result<Self> {
        let (here, there) = tokio::join!(source.records.fingerprint(), target.records.fingerprint());
        Ok(Self { source: here.at(source)?, target: there.at(target)? })
    }

    /// [`Error::SchemaChanged`] where a table is not what it was.
    pub async fn compare(&self, source: &Region, target: &Region) -> Result<()> {
        let now = Self::take(source, target).await?;
        let sides = [(source, &self.source, &now.source), (target, &self.target, &now.target)];
        for (region, before, after) in sides {
            let names = before.keys().chain(after.keys());
            let changed = names.filter(|name| before.get(*name) != after.get(*name));
            if let Some(table) = changed.min() {
                return Err(Error::SchemaChanged(format!("{table} in region {}", region.id)));
            }
        }
        Ok(())
    }
}
