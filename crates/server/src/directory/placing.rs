//! Where a new subject's home is: law first, then latency, as `plan` and `policy explain` decide.

use domicile_policy::{Circumstances, Class, Latency, Mechanism, Placement, Policies, Region, in_force};
use jiff::civil::Date;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Answers that are kept; beyond, all are forgotten. There are far fewer classes than subjects.
const KEPT_MAX: usize = 4_096;

/// All that decides where somebody may live.
pub struct Placing {
    policies: Policies,
    regions: Vec<Region>,
    categories: Vec<String>,
    latency: Latency,
    mechanisms: Vec<Mechanism>,
    /// Of one day: regions open and mechanisms expire.
    kept: Mutex<(Date, HashMap<Class, Arc<Placement>>)>,
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing").field("regions", &self.regions.len()).finish_non_exhaustive()
    }
}

impl Placing {
    /// Places in these regions by these rules. `categories`: every category of the service's data.
    pub fn new(
        policies: Policies,
        regions: Vec<Region>,
        categories: Vec<String>,
        latency: Latency,
        mechanisms: Vec<Mechanism>,
    ) -> Self {
        let kept = Mutex::new((Date::ZERO, HashMap::new()));
        Self { policies, regions, categories, latency, mechanisms, kept }
    }

    /// The home of a new subject of that class, as of today. Asks the policies the first time only: that takes milliseconds.
    pub(crate) fn place(&self, class: &Class) -> Arc<Placement> {
        let today = jiff::Zoned::now().date();
        {
            let mut kept = self.kept();
            if kept.0 != today || kept.1.len() >= KEPT_MAX {
                *kept = (today, HashMap::new());
            }
            if let Some(known) = kept.1.get(class) {
                return known.clone();
            }
        }
        let circumstances = Circumstances {
            categories: &self.categories,
            regions: &self.regions,
            latency: &self.latency,
            today,
            mechanisms: &in_force(&self.mechanisms, today),
            for_latency: false,
        };
        let placed = Arc::new(self.policies.place(class, None, &circumstances));
        let mut kept = self.kept();
        if kept.0 == today {
            kept.1.insert(class.clone(), placed.clone());
        }
        placed
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, (Date, HashMap<Class, Arc<Placement>>)> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
