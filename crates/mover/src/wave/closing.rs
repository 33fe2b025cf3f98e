//! The end of a wave: its subjects are erased at the old home, its receipts completed, its journal removed.

use super::{Ended, disarm, find, set_state};
use crate::batch::{Batch, json, leases, same_server};
use crate::erase::{self, Erased, Kept};
use crate::error::{At, Error, Result};
use crate::evidence;
use crate::halt::Halt;
use crate::journal;
use crate::pace;
use crate::progress::Event;
use crate::report::WaveReport;
use crate::service::{Region, Service};
use crate::turn::{Abort, Turn, Wait};
use crate::wave::WaveNote;
use domicile_directory::WaveState;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Instant;

/// Tries to scrub; each waits for the engine's own busy time-out.
const SCRUB_TRIES: u32 = 8;

/// Erases a moved wave's subjects at the old home and completes its receipts.
pub async fn erase_wave(service: &Arc<Service>, wave: &str) -> Result<(Erased, WaveReport)> {
    let (row, note) = find(service, wave).await?;
    let closing = row.state == WaveState::Erased;
    if row.state != WaveState::Moved && !closing {
        let why = format!("it is {}: only a wave whose move is done can be erased", row.state);
        return Err(Error::Wave { wave: wave.to_owned(), why });
    }
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let halt = Arc::<Halt>::default();
    let turn = Turn::take(service, wave, Wait::Once, Abort::IsOurs, &halt).await?;
    let erased = erase_with_turn(service, wave, (&from, &to), &note, closing, (&turn, &halt)).await;
    service.pace.ceilings.rest(service, wave).await;
    turn.give_back().await;
    halt.explains(wave, erased)
}

async fn erase_with_turn(
    service: &Arc<Service>,
    wave: &str,
    (from, to): (&Region, &Region),
    note: &WaveNote,
    closing: bool,
    (turn, halt): (&Turn, &Halt),
) -> Result<(Erased, WaveReport)> {
    let started = Instant::now();
    let (mut total, mut kept) = (Erased::default(), Kept::default());
    let (old, new) = (from.records.incarnation().await.at(from)?, to.records.incarnation().await.at(to)?);
    let to_erase = if closing { Vec::new() } else { journal::batches(from, wave).await? };
    if !to_erase.is_empty() {
        let (from, to) = (from.id.clone(), to.id.clone());
        let batches = to_erase.len() as u64;
        service.observer.event(Event::Erases { wave: wave.to_owned(), from, to, batches });
    }
    for id in to_erase {
        service.check_stop()?;
        halt.check(wave)?;
        let batch = take(service, from, to, wave, &id).await?;
        // What one batch has to keep is no reason to keep the others' old copies.
        let (erased, more) = erase::erase(&batch, Timestamp::now()).await?;
        kept.add(more);
        total.subjects += erased.subjects;
        total.rows += erased.rows;
        total.objects += erased.objects;
    }
    kept.check(wave, &from.id, &to.id)?;
    let mut report = WaveReport::gather(service, from, wave, note, started.elapsed()).await?;
    if !closing {
        for_good(service, from, &old).await?;
        // Before the receipts, since they say that it was done.
        scrub(from).await?;
        report.receipts = evidence::write(service, from, wave, note).await?;
        let ended = Ended { moved: report.subjects, stayed: report.left.values().sum() };
        let note = serde_json::to_value(WaveNote { ended: Some(ended), ..note.clone() }).map_err(json)?;
        set_state(service, turn, &[WaveState::Moved], WaveState::Erased, Some(&note)).await?;
    }
    // CRASH: the receipts are complete; a rest of the journal, which names subjects, is removed when
    // erase is asked for the wave again.
    close_all(from, to, wave).await?;
    from.records.drop_list(&note.planned.list).await.at(from)?;
    for_good(service, from, &old).await?;
    for_good(service, to, &new).await?;
    // Once more, since the journal named subjects, too.
    report.scrubbed = Some(scrub(from).await?);
    // While somebody was `away` the triggers of `guard = "wave"` had to stay armed.
    disarm(service, wave, from, to).await?;
    Ok((total, report))
}

/// A standby that takes the region's place does not bring back what was removed: rows, before anybody says that they
/// are erased, states of a move that is over, and the journal, which names subjects. Where this fails, the command has
/// to be given again.
pub(super) async fn for_good(service: &Service, region: &Region, server: &str) -> Result<()> {
    region.records.wait_for_standbys(service.limits.standby_wait).await.at(region)?;
    same_server(region, server).await
}

/// Scrubs the old home, waiting for readers to make room.
async fn scrub(from: &Region) -> Result<String> {
    let mut round = 0;
    loop {
        match from.records.scrub().await {
            Err(error) if error.is_again() && round < SCRUB_TRIES => pace::back_off(round + 5).await,
            other => return other.at(from),
        }
        round += 1;
    }
}

/// Takes a batch of the journal as its record says, to undo or erase it: nothing is fenced, so no
/// fingerprints are needed.
pub(super) async fn take<'a>(
    service: &'a Service,
    from: &'a Region,
    to: &'a Region,
    wave: &str,
    id: &str,
) -> Result<Batch<'a>> {
    Batch::take(service, wave, id, from, to, Arc::default()).await
}

/// Forgets all batches of a wave at both sides. What they recorded is not read: nothing of it counts any more.
pub(super) async fn close_all(from: &Region, to: &Region, wave: &str) -> Result<()> {
    for id in journal::batches(from, wave).await? {
        close(from, to, &id).await?;
    }
    Ok(())
}

/// Forgets a batch at both sides.
pub(super) async fn close(from: &Region, to: &Region, id: &str) -> Result<()> {
    let (source_lease, target_lease) = leases(id, from, to).await?;
    to.records.close_batch(&target_lease).await.at(to)?;
    from.records.close_batch(&source_lease).await.at(from)
}
