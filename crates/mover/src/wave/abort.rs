//! Abort: ends a wave before its end.

use super::closing::{close_all, for_good, take};
use super::{WaveNote, disarm, find, set_state, still_in};
use crate::error::{At, Error, Result};
use crate::evidence;
use crate::halt::Halt;
use crate::hold::Hold;
use crate::journal;
use crate::report::WaveReport;
use crate::route;
use crate::service::Service;
use crate::turn::{Abort, Turn, Wait};
use domicile_directory::WaveState;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long `abort` waits for a worker to stop, for the one that drives and for each that has a batch in hand: it
/// may be in the middle of a long copy.
const PATIENCE: Duration = Duration::from_secs(120);

/// Ends a wave before its end: subjects that have not moved stay, the target is emptied of them. Workers
/// that are at it are asked to stop and waited for.
pub async fn abort(service: &Arc<Service>, wave: &str) -> Result<WaveReport> {
    let (row, note) = find(service, wave).await?;
    if !matches!(row.state, WaveState::Open | WaveState::Aborting) {
        let state = row.state;
        let why = format!(
            "it is {state}: only a wave under way can be aborted; what has moved moves back by a new plan"
        );
        return Err(Error::Wave { wave: wave.to_owned(), why });
    }
    service.directory.ask_abort(wave).await?;
    // Its workers hear of it when they renew what they hold, and stop at their next safe point.
    let halt = Arc::<Halt>::default();
    let turn = Turn::take(service, wave, Wait::For(PATIENCE), Abort::IsOurs, &halt).await?;
    let result = undo(service, wave, &note, &turn, &halt).await;
    turn.give_back().await;
    halt.explains(wave, result)
}

async fn undo(
    service: &Arc<Service>,
    wave: &str,
    note: &WaveNote,
    turn: &Turn,
    halt: &Arc<Halt>,
) -> Result<WaveReport> {
    let (from, to) = (service.region(&note.planned.from)?.clone(), service.region(&note.planned.to)?.clone());
    let started = Instant::now();
    let server = from.records.incarnation().await.at(&from)?;
    still_in(service, wave, &[WaveState::Open, WaveState::Aborting]).await?;
    // From here on nobody else takes a batch of it in hand.
    set_state(service, turn, &[WaveState::Open], WaveState::Aborting, None).await?;
    for id in journal::batches(&from, wave).await? {
        let patience = Instant::now() + PATIENCE;
        let hold = Hold::wait(service, wave, &id, WaveState::Aborting, halt, patience).await?;
        let undone = async { route::abort(&take(service, &from, &to, wave, &id).await?).await }.await;
        hold.give_back().await;
        undone?;
    }
    let mut report = WaveReport::gather(service, &from, wave, note, started.elapsed()).await?;
    let ended = if report.subjects > 0 { WaveState::Moved } else { WaveState::Aborted };
    if ended == WaveState::Moved {
        report.receipts = evidence::write(service, &from, wave, note).await?;
    } else {
        close_all(&from, &to, wave).await?;
        from.records.drop_list(&note.planned.list).await.at(&from)?;
    }
    for_good(service, &from, &server).await?;
    set_state(service, turn, &[WaveState::Aborting], ended, None).await?;
    disarm(service, wave, &from, &to).await?;
    Ok(report)
}
