//! Activate: `home` at the target, `away` at the source; writes go on at the new home.

use crate::batch::{Batch, Side, Traveller, ids, plain};
use crate::cutover::CutOver;
use crate::error::{At, Result};
use crate::gateways::Parked;
use crate::pace;
use crate::progress::Event;
use crate::record::Outcome;
use crate::verify::Verified;
use domicile_stores::records::{State, Transition};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// The group is at home; `rest` still has to move.
pub(crate) async fn activate(batch: &Batch<'_>, mut cut: CutOver) -> Result<Verified> {
    let parked = std::mem::replace(&mut cut.parked, Parked::nobody());
    if cut.moved.is_empty() {
        parked.lift(batch).await;
        return Ok(cut.rest);
    }
    let pause = home_for_good(batch, &cut, parked).await?;
    // Before the journal says so: a standby that takes the target's place must know that they are home.
    batch.outlives_a_fail_over(Side::Target).await?;
    send_away(batch, &cut.moved).await?;
    let carried = batch.objects.lock().await;
    let mut record = batch.record.lock().await;
    for t in &cut.moved {
        let note = record.subjects.entry(t.subject.clone()).or_default();
        note.epoch = t.epoch;
        note.outcome = Outcome::Moved;
        // Objects that came after the comparison, too.
        note.objects = carried.of(&t.subject).cloned().collect();
        note.rechecked += cut.rechecked;
        note.fenced_at = cut.started.map(|(_, at)| at);
        note.pause_us = pause.map(|p| p.as_micros() as u64);
        note.activated_at = Some(Timestamp::now());
    }
    drop((record, carried));
    batch
        .service
        .observer
        .event(Event::Activated { subjects: cut.moved.len() as u64, pause: pause.unwrap_or_default() });
    Ok(cut.rest)
}

/// `home` at the target, and on the disk there before anybody says so. Returns the pause.
///
/// The pause ends with a commit that does not wait for the disk: the first write that is acknowledged flushes it,
/// too. A crash may forget it as long as nobody has written, and a new connection would not notice: so the
/// states are read again once the log is flushed.
async fn home_for_good(batch: &Batch<'_>, cut: &CutOver, parked: Parked) -> Result<Option<Duration>> {
    let (mut pause, mut parked) = (None, Some(parked));
    for round in 0..=batch.limits().tries {
        pace::back_off(round).await;
        // CRASH: before this commit the directory already names the target, where the subject is still
        // `arriving`: refused at both homes until the route begins again and activates it.
        batch.settle_states(Side::Target, &cut.moved, plain(&[State::Arriving], State::Home)).await?;
        pause = pause.or(cut.started.map(|(started, _)| started.elapsed()));
        if let Some(parked) = parked.take() {
            parked.lift(batch).await;
        }
        batch.target.records.flush().await.at(batch.target)?;
        let homes = batch.target.records.homes(&ids(&cut.moved)).await.at(batch.target)?;
        if homes.iter().all(|h| h.state != State::Arriving) {
            return Ok(pause);
        }
    }
    let (store, what) = (batch.target.records.name(), "making subjects `home`".into());
    let why = "the server crashed and forgot it, again and again".into();
    Err(domicile_stores::Error::Again { store, what, why }).at(batch.target)
}

/// CRASH: a subject that stays `sealed` here is refused all the same, and is sent away when the
/// route begins again.
async fn send_away(batch: &Batch<'_>, moved: &[Traveller]) -> Result<()> {
    let mut by_epoch: BTreeMap<u64, Vec<Traveller>> = BTreeMap::new();
    for t in moved {
        by_epoch.entry(t.epoch + 1).or_default().push(t.clone());
    }
    for (epoch, travellers) in by_epoch {
        let away = Transition { epoch: Some(epoch), ..plain(&[State::Sealed], State::Away) };
        batch.settle_states(Side::Source, &travellers, away).await?;
    }
    Ok(())
}
