//! What the regions' guards say, asked when somebody scrapes.

use super::labelled;
use crate::fences::Fence;
use domicile_mover::{Region, Service};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Counting states reads the whole of the guard's table: several who scrape share an answer.
const FRESH: Duration = Duration::from_secs(5);
/// A region that has not answered by then counts as down for this scrape.
const PATIENCE: Duration = Duration::from_secs(4);

/// Series by the metric's name and their labels.
type Series = BTreeMap<(&'static str, String), f64>;

/// The services that are open, and what their regions said last.
#[derive(Default)]
pub(super) struct Guards {
    services: Mutex<Vec<Weak<Service>>>,
    said: tokio::sync::Mutex<Option<(Instant, Series)>>,
}

impl Guards {
    pub(super) fn watch(&self, service: &Arc<Service>) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.retain(|one| one.strong_count() > 0);
        services.push(Arc::downgrade(service));
    }

    pub(super) async fn series(&self) -> Series {
        let mut said = self.said.lock().await;
        if let Some((_, series)) = said.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return series.clone();
        }
        let mut series = Series::new();
        for service in self.open() {
            for region in service.regions.values() {
                series.extend(of_region(&service, region).await);
            }
        }
        *said = Some((Instant::now(), series.clone()));
        series
    }

    fn open(&self) -> Vec<Arc<Service>> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.iter().filter_map(Weak::upgrade).collect()
    }
}

async fn of_region(service: &Service, region: &Region) -> Series {
    let place = format!("{},{}", labelled("service", &service.name), labelled("region", &region.id));
    let asked = tokio::time::timeout(PATIENCE, region.records.status(false)).await;
    let Ok(Ok(status)) = asked else { return [(("domicile_region_up", place), 0.0)].into() };
    let fence = Fence::of(&status, service.limits.fence_deadline).map_or(Duration::ZERO, |fence| fence.age());
    let mut series: Series = [
        (("domicile_region_up", place.clone()), 1.0),
        (("domicile_guard_changes_waiting", place.clone()), status.changed as f64),
        (("domicile_guard_oldest_fence_seconds", place.clone()), fence.as_secs_f64()),
    ]
    .into();
    for (state, n) in &status.subjects {
        let state = format!("{place},{}", labelled("state", &format!("{state:?}").to_lowercase()));
        series.insert(("domicile_guard_subjects", state), *n as f64);
    }
    series
}
