//! Activate: `home` at the target, `away` at the source; writes go on at the new home.

use crate::batch::{Batch, Side, Traveller, plain};
use crate::cutover::CutOver;
use crate::error::{At, Result};
use crate::progress::Event;
use crate::record::Outcome;
use crate::verify::Verified;
use domicile_stores::records::{State, Transition};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The group is at home; `rest` still has to move.
pub(crate) async fn activate(batch: &Batch<'_>, cut: CutOver) -> Result<Verified> {
    if cut.moved.is_empty() {
        return Ok(cut.rest);
    }
    // CRASH: before this commit the directory already names the target, where the subject is still
    // `arriving`: refused at both homes until the route begins again and activates it.
    batch.settle_states(Side::Target, &cut.moved, plain(&[State::Arriving], State::Home)).await?;
    let pause = cut.started.map(|(started, _)| started.elapsed());
    // Before the journal says so: a standby that takes the target's place must know that they are home.
    batch.target.records.wait_for_standbys(batch.limits().standby_wait).await.at(batch.target)?;
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
