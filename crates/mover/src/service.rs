//! One service as the mover sees it: its regions, its directory, its data map and its limits.

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::pace::Pace;
use crate::progress::Observer;
use crate::worker::WorkerName;
use domicile_datamap::Layout;
use domicile_directory::Directory;
use domicile_stores::Records;
use domicile_stores::objects::Objects;
use domicile_stores::records::{Admission, GuardSpec};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A region of the service, opened.
pub struct Region {
    /// Its id.
    pub id: String,
    /// Country, operator and opening day, for policy.
    pub place: domicile_policy::Region,
    /// Its record store.
    pub records: Arc<dyn Records>,
    /// Its object store, if the service has objects.
    pub objects: Option<Arc<Objects>>,
}

/// Law and latency: what decides where a subject belongs.
pub struct Rules {
    /// The residency policies.
    pub policies: domicile_policy::Policies,
    /// Round trips from users' countries to regions.
    pub latency: domicile_policy::Latency,
    /// Transfer mechanism -> in force.
    pub mechanisms: BTreeMap<String, bool>,
}

/// Everything a wave needs.
pub struct Service {
    /// The service's name.
    pub name: String,
    /// The resolved data map.
    pub layout: Arc<Layout>,
    /// Every region the service may use, in ascending order of ids, open or not: what policy decides among.
    pub places: Vec<domicile_policy::Region>,
    /// Regions by id: those that were opened. A wave needs its two; a plan those it reads.
    pub regions: BTreeMap<String, Arc<Region>>,
    /// Regions that were to be opened and could not be: the reason in words, by id.
    pub closed: BTreeMap<String, String>,
    /// Homes, epochs and the journal of waves.
    pub directory: Arc<Directory>,
    /// Law and latency.
    pub rules: Rules,
    /// Bounds.
    pub limits: Limits,
    /// How fast this process may bring things over; made of the same limits.
    pub pace: Pace,
    /// Who hears how it goes.
    pub observer: Arc<dyn Observer>,
    /// By which other workers know this one.
    pub worker: WorkerName,
    /// Set from a signal handler to stop before the next fence.
    pub stop: Arc<AtomicBool>,
    /// Who signs, and where the receipts go.
    pub evidence: crate::Evidence,
    /// `guard = "wave"`: triggers are armed only while a wave is open.
    pub guard_wave_only: bool,
}

impl Service {
    /// The region of that id.
    ///
    /// # Errors
    /// `Region` with `Unreachable` where it is not open, `Setting` where the service has none of that name.
    pub fn region(&self, id: &str) -> Result<&Arc<Region>> {
        self.regions.get(id).ok_or_else(|| self.not_open(id))
    }

    /// How the guard is installed at a region: what policy says there of each spelling of each country.
    pub fn guard_spec(&self, region: &Region) -> GuardSpec {
        let (rules, categories) = (&self.rules, self.layout.categories());
        let said = rules.policies.admission(&region.place, &categories, &rules.mechanisms);
        let admission =
            said.into_iter().map(|a| Admission { country: a.spelling, allowed: a.allowed, rule: a.rule });
        GuardSpec {
            region: region.id.clone(),
            service: self.name.clone(),
            wave_only: self.guard_wave_only,
            admission: admission.collect(),
        }
    }

    fn not_open(&self, id: &str) -> Error {
        if self.places.iter().any(|place| place.id == id) {
            let why = self.closed.get(id).cloned().unwrap_or_else(|| "it was not opened".to_owned());
            let source = domicile_stores::Error::Unreachable { store: format!("region {id}"), why };
            return Error::Region { region: id.to_owned(), source };
        }
        let known = self.places.iter().map(|place| place.id.as_str()).collect::<Vec<_>>().join(", ");
        Error::Setting(format!("service `{}` has no region `{id}` (it has: {known})", self.name))
    }

    /// [`Error::Stopped`] once a stop was asked for.
    pub(crate) fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }
}
