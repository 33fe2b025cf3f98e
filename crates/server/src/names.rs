//! The names of all metrics that are served here, for whoever compares guides, alerts and dashboards with them.

use crate::directory::DIRECTORY_MEASURED;
use crate::edge::{EdgeCache, EdgeSettings};
use crate::gateway::{Counts, GAUGES, MEASURED};
use crate::listen::{CERTIFICATE_ENDS, CONNECTIONS};
use crate::messaging::RELAY_MEASURED;
use crate::trace::SpanCounts;
use std::collections::BTreeSet;

/// All of them; a histogram once, without what Prometheus adds.
pub fn metric_names() -> BTreeSet<&'static str> {
    let counts = Counts::default().all().into_iter().chain(SpanCounts::default().all()).map(|c| c.0);
    let measured = MEASURED.into_iter().chain(DIRECTORY_MEASURED).chain(RELAY_MEASURED).map(|m| m.0);
    let edge = EdgeCache::new(EdgeSettings::default()).map(|edge| edge.samples()).unwrap_or_default();
    counts
        .chain(edge.into_iter().map(|s| s.name))
        .chain(GAUGES.map(|g| g.0))
        .chain(measured)
        .chain([CERTIFICATE_ENDS.0, CONNECTIONS.0])
        .collect()
}
