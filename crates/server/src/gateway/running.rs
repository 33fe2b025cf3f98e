//! A running gateway: what it is made of, and what it says of itself.

use super::count::Counts;
use super::follow::{Follower, Lease};
use super::forward::{Tethers, Upstreams};
use super::home::{Asker, Homes, Memory};
use super::measure::Measures;
use super::park::{Bounds, Lanes};
use super::settings::Settings;
use super::trip::{Trips, Watch};
use crate::admin::exposition;
use crate::edge::{EdgeCache, Sample};
use domicile_directory::{Cursor, Directory};
use std::sync::Arc;

/// Homes read at once.
const PRELOAD_PAGE: u32 = 10_000;

/// (metric, help) of what it holds, in the order of [`Gateway::gauges`].
pub(crate) const GAUGES: [(&str, &str); 4] = [
    ("domicile_gateway_homes", "Homes in memory."),
    ("domicile_gateway_waiting", "Writes that wait for a park to end."),
    ("domicile_gateway_tethers", "WebSockets and event streams."),
    ("domicile_gateway_lease", "1 while this gateway may route."),
];

/// A running gateway of one service.
pub struct Gateway {
    pub(super) settings: Settings,
    pub(super) directory: Arc<Directory>,
    pub(super) homes: Arc<Homes>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) lease: Arc<Lease>,
    pub(super) upstreams: Upstreams,
    pub(super) tethers: Arc<Tethers>,
    pub(super) trips: Arc<Trips>,
    pub(super) measures: Measures,
    /// What it counts.
    pub counts: Arc<Counts>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Takes the lease and begins to follow the directory.
    ///
    /// # Errors
    /// The directory's; without it nothing can be routed.
    pub async fn start(
        directory: Arc<Directory>,
        settings: Settings,
    ) -> Result<Arc<Self>, domicile_directory::Error> {
        Self::start_watched(directory, settings, Watch::default()).await
    }

    /// The same, and `watch` hears of every request that has ended.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub async fn start_watched(
        directory: Arc<Directory>,
        settings: Settings,
        watch: Watch,
    ) -> Result<Arc<Self>, domicile_directory::Error> {
        let (limits, counts) = (settings.limits, Arc::<Counts>::default());
        let regions: Vec<String> = settings.upstreams.keys().cloned().collect();
        let tethers = Arc::<Tethers>::default();
        let asker = Asker::start(directory.clone(), settings.service.clone());
        let memory = Memory::new(limits.homes, regions.clone());
        let homes = Arc::new(Homes::new(memory, asker, tethers.clone(), counts.clone()));
        let lanes = Lanes::new(Bounds {
            wait: limits.park,
            per_subject: limits.parked_per_subject,
            in_all: limits.parked,
            released: limits.released,
        });
        let lease = Arc::new(Lease::new());
        let upstreams = Upstreams::new(settings.upstreams.values(), &limits)
            .map_err(|e| domicile_directory::Error::Argument(format!("the system's certificates: {e}")))?;
        let follower = Follower {
            // Of its own: behind the requests' look-ups, sign-ups and logins, a lease would be renewed too late just when
            // everybody comes at once.
            directory: Arc::new(directory.apart().await?),
            service: settings.service.clone(),
            gateway: settings.name.clone(),
            ttl: limits.lease,
            homes: homes.clone(),
            lanes: lanes.clone(),
            lease: lease.clone(),
            counts: counts.clone(),
        };
        let cursor = follower.begin().await?;
        follower.start(cursor);
        let measures = Measures::new(&regions);
        let trips = Arc::new(Trips { watch, regions, counts: counts.clone() });
        let (s, d) = (settings, directory);
        Ok(Arc::new(Self {
            settings: s,
            directory: d,
            homes,
            lanes,
            lease,
            upstreams,
            tethers,
            trips,
            measures,
            counts,
        }))
    }

    /// Reads homes into memory until it is full or all are there, so that the first request of each finds its own; how many.
    ///
    /// # Errors
    /// The directory's; what was read until then stays.
    pub async fn preload(&self) -> Result<usize, domicile_directory::Error> {
        let mut cursor = Cursor::default();
        while self.homes.len() < self.settings.limits.homes {
            let before = self.homes.taken();
            let page = self.directory.changes_since(&self.settings.service, cursor, PRELOAD_PAGE).await?;
            if page.changes.is_empty() {
                break;
            }
            if self.homes.preload(before, &page.changes) {
                cursor = page.next;
            }
        }
        Ok(self.homes.len())
    }

    /// May it route? Not without a lease.
    pub fn is_ready(&self) -> bool {
        self.lease.holds()
    }

    /// Routes nothing any more, and says so, so that no fence waits for this gateway's lease to run out.
    pub async fn end(&self) {
        self.lease.end();
        // Lost: the lease runs out.
        let _ = self.directory.end_gateway(&self.settings.service, &self.settings.name).await;
    }

    /// What it holds now: (metric, help, value).
    pub fn gauges(&self) -> [(&'static str, &'static str, u64); 4] {
        let now = [
            self.homes.len() as u64,
            self.lanes.waiting() as u64,
            self.tethers.len() as u64,
            u64::from(self.is_ready()),
        ];
        std::array::from_fn(|n| (GAUGES[n].0, GAUGES[n].1, now[n]))
    }

    /// All that it counts, holds and measures, as Prometheus reads it.
    pub fn metrics(&self) -> String {
        let mut counts = self.counts.all();
        counts.extend(self.trips.watch.exporter.iter().flat_map(|exporter| exporter.counts.all()));
        let gauges = self.gauges().map(|(name, help, value)| (name, "", help, value));
        exposition("counter", &counts)
            + &exposition("gauge", &gauges)
            + &self.measures.text()
            + &self.edge_text()
    }

    /// What its edge cache counts; nothing where nothing is public.
    pub fn edge_samples(&self) -> Vec<Sample> {
        self.settings.edge.as_ref().map(EdgeCache::samples).unwrap_or_default()
    }

    /// The same as Prometheus reads it; nothing where nothing is public.
    fn edge_text(&self) -> String {
        let samples = self.edge_samples();
        let label =
            |s: &Sample| s.label.map_or(String::new(), |(name, value)| format!("{{{name}=\"{value}\"}}"));
        let labels: Vec<String> = samples.iter().map(label).collect();
        let of = |counter: bool| {
            let all = samples.iter().zip(&labels).filter(|(s, _)| s.counter == counter);
            all.map(|(s, label)| (s.name, label.as_str(), s.help, s.value)).collect::<Vec<_>>()
        };
        exposition("counter", &of(true)) + &exposition("gauge", &of(false))
    }
}
