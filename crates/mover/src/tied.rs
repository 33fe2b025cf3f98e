//! Tied: subjects that the data map holds back, since a row ties them to another one by a column answered
//! `refuse`. The row could be at one home only, and the erase of the other subject would stop at it.

use crate::batch::{Batch, Traveller, ids, only, without};
use crate::error::{At, Result};
use crate::leave;
use crate::record::LeftCode;

/// Those of travellers, `moving` at the source, that may go on; the others go back. It costs nothing where
/// no column is answered `refuse`.
pub(crate) async fn stay(batch: &Batch<'_>, travellers: Vec<Traveller>) -> Result<Vec<Traveller>> {
    let tied = among(batch, &travellers).await?;
    let why = "a row ties it to another subject by a column that the data map answers `refuse`";
    leave::go_back(batch, &tied, LeftCode::Tied, why).await?;
    Ok(without(&travellers, &tied))
}

/// Those of the travellers that are tied now.
pub(crate) async fn among(batch: &Batch<'_>, travellers: &[Traveller]) -> Result<Vec<Traveller>> {
    let refusing = batch.service.layout.tables.iter().any(|t| !t.refusing.is_empty());
    if !refusing || travellers.is_empty() {
        return Ok(Vec::new());
    }
    let tied = batch.source.records.tied(&ids(travellers)).await.at(batch.source)?;
    Ok(only(travellers, &tied))
}
