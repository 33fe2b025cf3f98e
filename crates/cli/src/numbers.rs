//! Numbers that the regions' sequences give to new rows: do two of them give the same one?

use crate::config::Region;
use crate::failure::{self, Result};
use crate::open::Mapped;
use crate::paper;
use domicile_datamap::{Clash, Numbers};

/// Reads the sequences of these regions.
async fn read(mapped: &Mapped<'_>, regions: &[&Region]) -> Result<Vec<(String, Vec<Numbers>)>> {
    let mut all = Vec::new();
    for region in regions {
        let records = mapped.records(region).await?;
        let place = format!("region {}", region.id());
        all.push((
            region.id().to_owned(),
            records.numbers().await.map_err(|e| failure::of_store(&place, &e))?,
        ));
    }
    Ok(all)
}

/// All of the service's regions, as configured.
fn planned(mapped: &Mapped<'_>) -> usize {
    mapped.config.regions_of(mapped.service).count()
}

/// Sequences of mapped tables that clash between the regions that have the tables.
pub async fn clashes(mapped: &Mapped<'_>) -> Result<Vec<Clash>> {
    let regions: Vec<&Region> = mapped.prepared().collect();
    Ok(domicile_datamap::clashes(&read(mapped, &regions).await?, planned(mapped)))
}

/// What `region prepare` did about sequences, and what is left to do.
pub struct Settled {
    /// Statements run at the new region.
    pub ran: Vec<String>,
    /// What two regions still both give out.
    pub left: Vec<Clash>,
    /// Regions that were not asked: their numbers are not known.
    pub unasked: usize,
}

/// Gives a region whose schema was just copied a class of its own in the strides that the others have.
///
/// CRASH: the region counts like the one it was copied from; `check` says so.
pub async fn settle(mapped: &Mapped<'_>, new: &Region) -> Result<Settled> {
    let others = mapped.prepared().filter(|r| r.id() != new.id());
    let regions: Vec<&Region> = others.chain([new]).collect();
    let unasked = planned(mapped).saturating_sub(mapped.seen.len());
    let mut all = read(mapped, &regions).await?;
    let mut ran = Vec::new();
    if unasked == 0 {
        ran = domicile_datamap::join_strides(&all, new.id());
        if !ran.is_empty() {
            let records = mapped.records(new).await?;
            let place = format!("region {}", new.id());
            records.run_schema(&ran.join("\n")).await.map_err(|e| failure::of_store(&place, &e))?;
            all = read(mapped, &regions).await?;
        }
    }
    Ok(Settled { ran, left: domicile_datamap::clashes(&all, planned(mapped)), unasked })
}

impl Settled {
    /// For the screen, after what else was done; empty where there is nothing to say.
    pub fn text(&self, region: &str) -> String {
        let mut text = String::new();
        if !self.ran.is_empty() {
            let own = format!(
                "Sequences at {region} count in strides of the other regions, with numbers of their own."
            );
            text.push_str(&format!("\n\n{}", paper::wrapped("", &own)));
        }
        for clash in &self.left {
            text.push_str(&format!("\n\n{}", paper::wrapped(" risk ", &clash.what)));
            for line in &clash.remedy {
                text.push_str(&format!("\n      fix: {line}"));
            }
        }
        if self.unasked > 0 {
            let asked = "Not every region was asked which numbers its sequences give: domicile check";
            text.push_str(&format!("\n\n{}", paper::wrapped("", asked)));
        }
        text
    }
}
