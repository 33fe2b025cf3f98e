//! Shutting what came back, before anything else, and ending what the backup had in the middle.

use super::judge::{Judge, Verdict};
use super::{BATCH, Seen, lease};
use crate::batch::plain;
use crate::error::{At, Result};
use crate::outside;
use crate::pace;
use crate::service::{Region, Service};
use domicile_stores::records::{State, SubjectId};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long one subject's writers in flight are waited for, in each of so many tries.
const WRITERS: Duration = Duration::from_secs(1);
const TRIES: u32 = 3;

/// States in which a wave's batch leaves a subject that has not moved.
const UNDER_WAY: [State; 5] = [State::Marking, State::Moving, State::Fencing, State::Fenced, State::Sealed];

/// Subjects with the epoch that the directory gives them elsewhere.
type Whom = Vec<(SubjectId, u64)>;

/// Shuts those of the page that came back, and puts those back who are at home here in the hands of a wave that is
/// over. Returns how many were put back.
pub(super) async fn page(service: &Service, here: &Region, page: Vec<Seen>) -> Result<u64> {
    let (mut free, mut unguarded) = (Whom::new(), Whom::new());
    let mut held: BTreeMap<String, Whom> = BTreeMap::new();
    let mut back: BTreeMap<String, Vec<SubjectId>> = BTreeMap::new();
    for seen in page {
        match (seen.verdict, seen.row) {
            (Verdict::PutBack { batch }, _) => back.entry(batch).or_default().push(seen.subject),
            (Verdict::CameBack { epoch, .. }, None) => unguarded.push((seen.subject, epoch)),
            (Verdict::CameBack { .. }, Some(row)) if row.state == State::Away => {}
            (Verdict::CameBack { epoch, batch: Some(batch), .. }, _) => {
                held.entry(batch).or_default().push((seen.subject, epoch));
            }
            (Verdict::CameBack { epoch, .. }, _) => free.push((seen.subject, epoch)),
            _ => {}
        }
    }
    shut_free(service, here, free, unguarded).await?;
    for (batch, whom) in held {
        shut(here, &batch, whom).await?;
    }
    put_back(here, back).await
}

/// Those in nobody's hands, and those without a row in the guard: they get one that lets nobody write at any time.
async fn shut_free(service: &Service, here: &Region, mut free: Whom, unguarded: Whom) -> Result<()> {
    let Some((first, _)) = free.first().or(unguarded.first()) else { return Ok(()) };
    // The same name whenever the command is repeated, and no subject's key.
    let batch = format!("{BATCH}{}/0", service.directory.hash(&service.name, first));
    if !unguarded.is_empty() {
        let lease = lease(here, &batch).await?;
        // CRASH: `arriving`, in the hands of a batch of ours: the same command shuts it.
        here.records.arrive(&lease, &unguarded).await.at(here)?;
        free.extend(unguarded);
    }
    shut(here, &batch, free).await?;
    let lease = lease(here, &batch).await?;
    here.records.close_batch(&lease).await.at(here)
}

/// Tries more than once; whose writers do not end is seen, and counted, by whoever looks next.
async fn shut(here: &Region, batch: &str, mut whom: Whom) -> Result<()> {
    let lease = lease(here, batch).await?;
    for round in 0..TRIES {
        pace::back_off(round).await;
        let shut = outside::shut(here, &lease, &whom, WRITERS).await?;
        whom.retain(|(subject, _)| !shut.contains(subject));
        if whom.is_empty() {
            break;
        }
    }
    Ok(())
}

async fn put_back(here: &Region, back: BTreeMap<String, Vec<SubjectId>>) -> Result<u64> {
    let mut put_back = 0;
    for (batch, subjects) in back {
        let lease = lease(here, &batch).await?;
        // CRASH: at home or as before; the same command goes on from either.
        let home =
            here.records.change_state(&lease, &subjects, plain(&UNDER_WAY, State::Home)).await.at(here)?;
        put_back += home.len() as u64;
    }
    Ok(put_back)
}

/// Forgets the batches and lists of waves that are over: the backup brought them, and nothing of them counts any more.
/// One that still has a subject in its hands who could not be put back or shut stays.
pub(super) async fn close_ended(judge: &Judge, here: &Region) -> Result<u64> {
    let mut closed = 0;
    for batch in here.records.known_batches().await.at(here)? {
        if judge.is_over(&batch) {
            let lease = lease(here, &batch).await?;
            // CRASH: closed or not; the same command closes it.
            here.records.close_batch(&lease).await.at(here)?;
            closed += 1;
        }
    }
    for list in judge.ended_lists() {
        here.records.drop_list(list).await.at(here)?;
    }
    Ok(closed)
}
