//! A rehearsal: copied, compared and dropped again; nobody is fenced.

use super::closing::{close, take};
use super::{WaveNote, arm, disarm};
use crate::batches::{self, Ended, Run, Stays};
use crate::error::{Error, Result};
use crate::journal;
use crate::members;
use crate::prints::Prints;
use crate::report::WaveReport;
use crate::route::{self, Until};
use crate::service::Service;
use domicile_directory::{Wave, WaveFilter, WaveState};
use std::sync::Arc;
use std::time::Instant;

pub(super) async fn rehearse(service: &Arc<Service>, note: WaveNote) -> Result<WaveReport> {
    // Not in the journal of waves: nothing of a rehearsal outlives it but, after a crash, a copy that the
    // next rehearsal or move of the plan clears.
    let wave = format!("{}.rehearsal", note.planned.list);
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let started = Instant::now();
    not_under_way(service, &note).await?;
    arm(service, &wave, &from, &to).await?;
    let prints = Arc::new(Prints::of_a_whole_guard(&from, &to).await?);
    members::open_batches(service, &from, &wave, &note).await?;
    let run = Arc::new(Run {
        service: service.clone(),
        from: from.clone(),
        to: to.clone(),
        wave: wave.clone(),
        until: Until::Verified,
        prints,
        halt: Arc::default(),
        stays: Stays::ToTheEnd,
    });
    let ran = batches::run_batches(&run, &mut Ended::new()).await;
    let report = WaveReport::gather(service, &from, &wave, &note, started.elapsed()).await?;
    for id in journal::batches(&from, &wave).await? {
        route::abort(&take(service, &from, &to, &wave, &id).await?).await?;
        close(&from, &to, &id).await?;
    }
    disarm(service, &wave, &from, &to).await?;
    ran.map(|_| report)
}

/// A copy that its own wave is making can't be made a second time beside it.
async fn not_under_way(service: &Service, note: &WaveNote) -> Result<()> {
    let filter = WaveFilter { service: Some(service.name.clone()), unfinished: true };
    let waves = service.directory.waves(&filter).await?;
    let under_way = |w: &Wave| matches!(w.state, WaveState::Open | WaveState::Aborting);
    match waves.into_iter().find(|w| w.plan_hash == note.plan_hash && under_way(w)) {
        None => Ok(()),
        Some(wave) => Err(Error::Wave {
            wave: wave.id,
            why: "it moves this very plan: resume or abort it before the plan is rehearsed again".into(),
        }),
    }
}
