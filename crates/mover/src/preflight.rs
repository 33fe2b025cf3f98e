//! Preflight: every reason not to begin, before any byte moves.

use crate::ceilings::ceilings_problem;
use crate::error::{At, Result};
use crate::service::{Region, Service};
use domicile_stores::records::{GuardStatus, Mode};

/// Everything that stands against moving subjects from one region to another; empty: go.
pub async fn preflight(service: &Service, from: &Region, to: &Region) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for region in [from, to] {
        let lacking = region.records.missing_privileges().await.at(region)?;
        // Without them the look for hazards would only be refused.
        if lacking.is_empty() {
            let hazards = region.records.hazards().await.at(region)?;
            problems.extend(hazards.into_iter().map(|hazard| format!("{}: {hazard}", region.id)));
        }
        for (what, grant) in lacking {
            problems.push(format!("{}: no privilege for {what}; run: {grant}", region.id));
        }
        if let Some((what, fix)) = ceilings_problem(&service.limits, region).await? {
            problems.push(format!("{}: {what}; run: {fix}", region.id));
        }
        let status = region.records.status(false).await.at(region)?;
        problems.extend(guard_problems(service, region, &status));
        let catalogue = region.records.catalogue().await.at(region)?;
        for (table, key) in domicile_datamap::dropped_but_present(&service.layout, &catalogue) {
            problems.push(format!(
                "{}: foreign key `{key}` of {table} must not exist at any region, as the data map answers; run: ALTER TABLE {} DROP CONSTRAINT \"{key}\"",
                region.id,
                table.in_sql()
            ));
        }
    }
    if from.records.identity().await.at(from)? == to.records.identity().await.at(to)? {
        problems.push(format!("{} and {} are the same database", from.id, to.id));
    }
    let (here, there) = (from.records.catalogue().await.at(from)?, to.records.catalogue().await.at(to)?);
    for line in domicile_datamap::diff(&here, &there, &service.layout) {
        problems.push(format!("{} and {} differ: {line}", from.id, to.id));
    }
    if !service.layout.objects.is_empty() {
        for region in [from, to].into_iter().filter(|r| r.objects.is_none()) {
            problems.push(format!(
                "{}: the data map names objects, but the region has no `objects` store",
                region.id
            ));
        }
    }
    Ok(problems)
}

fn guard_problems(service: &Service, region: &Region, status: &GuardStatus) -> Vec<String> {
    let mut problems: Vec<String> = status.faults.iter().map(|f| format!("{}: {f}", region.id)).collect();
    let wanted = if service.guard_wave_only { Mode::Wave } else { Mode::Enforce };
    match status.mode {
        None => problems.push(format!(
            "{}: the guard is not installed; run: domicile guard install --region {}",
            region.id, region.id
        )),
        Some(mode) if mode == wanted => {}
        Some(_) => problems.push(format!(
            "{}: the guard only observes; run: domicile guard backfill && domicile guard enforce",
            region.id
        )),
    }
    problems
}
