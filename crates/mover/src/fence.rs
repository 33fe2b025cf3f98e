//! Fence: the short time in which a group of subjects cannot be written.
//!
//! Step 1 turns new writers away at once; step 2 waits exactly for each subject's writers in flight.
//! Then the last catch-up, and only what changed since verify is compared, with the counts. Long work
//! is outside: what would take long under the fence ends it and is done before the next try.

use crate::batch::{Batch, Side, Traveller, ids, only, plain, without};
use crate::catch_up;
use crate::error::{At, Error, Result};
use crate::gateways::{self, Parked};
use crate::objects::Bound;
use crate::progress::Event;
use crate::recheck::recheck;
use crate::record::LeftCode;
use crate::verify::{self, Verified, soil};
use crate::{leave, pace, tied};
use domicile_datamap::layout::TableIx;
use domicile_stores::Snapshot;
use domicile_stores::planted::Bug;
use domicile_stores::records::{Key, KeySet, State, SubjectId, Transition};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Instant;

/// A group under its fence: both sides equal, and they stay so until the deadline.
pub(crate) struct Fenced {
    pub group: Vec<Traveller>,
    /// When the first of them was refused.
    pub started: Instant,
    pub fenced_at: Timestamp,
    /// Rows compared one by one.
    pub rechecked: u64,
    /// Their writes wait in the gateways.
    pub parked: Parked,
    /// The rest of the batch.
    pub rest: Verified,
}

/// How a try to fence ended.
pub(crate) enum Attempt {
    Fenced(Fenced),
    /// Un-fenced; try again.
    Later(Verified),
    /// Un-fenced; the sides must be compared whole again first.
    CompareAgain(Verified),
}

pub(crate) async fn fence(batch: &Batch<'_>, mut verified: Verified) -> Result<Attempt> {
    let group = next_group(batch, &verified).await;
    // The last catch-up must be short, so the long one comes before the fence.
    let touched = catch_up::until_few(batch, &group).await?;
    soil(&mut verified, touched);
    recheck(batch, &mut verified, &group).await?;
    let Some(parked) = gateways::park(batch, &group).await? else {
        count_failures(batch, &mut verified, &group).await?;
        pace::back_off(verified.tries.values().max().copied().unwrap_or(0)).await;
        return Ok(Attempt::Later(verified));
    };
    let mut attempt = of_parked(batch, verified, group).await;
    match &mut attempt {
        Ok(Attempt::Fenced(fenced)) => fenced.parked = parked,
        _ => parked.lift(batch).await,
    }
    attempt
}

/// The fence of a group for which no gateway has a write under way.
async fn of_parked(batch: &Batch<'_>, mut verified: Verified, group: Vec<Traveller>) -> Result<Attempt> {
    let (started, fenced_at) = (Instant::now(), Timestamp::now());
    let fenced = match two_steps(batch, &group).await {
        Ok(fenced) => fenced,
        Err(error) => return Err(unfence_after(batch, &group, error).await),
    };
    count_failures(batch, &mut verified, &without(&group, &fenced)).await?;
    let fenced = match without_tied(batch, &mut verified, &fenced).await {
        Ok(fenced) => fenced,
        Err(error) => return Err(unfence_after(batch, &fenced, error).await),
    };
    if fenced.is_empty() {
        pace::back_off(verified.tries.values().max().copied().unwrap_or(0)).await;
        return Ok(Attempt::Later(verified));
    }
    let subjects = fenced.len() as u64;
    batch.service.observer.event(Event::Fenced { batch: batch.id.clone(), subjects });
    match equal_now(batch, &mut verified, &fenced).await {
        Ok(Equal::Yes { rechecked }) => {
            verified.travellers = without(&verified.travellers, &fenced);
            let parked = Parked::nobody();
            Ok(Attempt::Fenced(Fenced {
                group: fenced,
                started,
                fenced_at,
                rechecked,
                parked,
                rest: verified,
            }))
        }
        Ok(Equal::No(why)) => {
            unfence(batch, &fenced).await?;
            batch.service.observer.event(Event::Again { batch: batch.id.clone(), code: "differs", why });
            count_failures(batch, &mut verified, &fenced).await?;
            Ok(Attempt::CompareAgain(verified))
        }
        Err(error) if error.is_again() || error.in_the_way().is_some() => {
            unfence(batch, &fenced).await?;
            let why = catch_up::conflict(&error).unwrap_or_else(|| error.to_string());
            batch.service.observer.event(Event::Again {
                batch: batch.id.clone(),
                code: error.again_code(),
                why,
            });
            count_failures(batch, &mut verified, &fenced).await?;
            Ok(Attempt::Later(verified))
        }
        Err(error) => Err(unfence_after(batch, &fenced, error).await),
    }
}

/// How many times more subjects are fenced together where nobody wrote to any of their batch since its copy: the
/// statements of a fence are shared, and a pause that is a little longer is met by nobody.
const UNWRITTEN_TIMES: usize = 4;

/// Who is fenced next: a few, since a group's pause is its slowest member's; more of a batch that nobody writes.
async fn next_group(batch: &Batch<'_>, verified: &Verified) -> Vec<Traveller> {
    let few = batch.limits().fence_subjects.max(1);
    let is_written = !batch.written.lock().await.is_empty();
    let count = if is_written { few } else { few.saturating_mul(UNWRITTEN_TIMES) };
    verified.travellers.iter().take(count).cloned().collect()
}

/// Runs what a fence of this batch will ask, while everybody can write: the first time a connection runs a statement
/// it takes a plan and reads the catalogue, and that would be part of the first pause.
pub(crate) async fn rehearse(batch: &Batch<'_>, verified: &Verified) -> Result<()> {
    let few: Vec<Traveller> =
        verified.travellers.iter().take(batch.limits().fence_subjects.max(1)).cloned().collect();
    if few.is_empty() {
        return Ok(());
    }
    let subjects = ids(&few);
    let counted: Vec<_> = subjects.iter().filter(|s| verified.counted.contains(s)).cloned().collect();
    let no_keys: KeySet = (0..batch.service.layout.tables.len()).map(|table| (table, [].into())).collect();
    let source = batch.source.records.snapshot().await.at(batch.source)?;
    let (here, there, generations, prints) = tokio::join!(
        look(source, &no_keys, &subjects, &counted),
        look_anew(batch, &no_keys, &subjects, &counted),
        verify::generations(batch, &subjects),
        batch.prints.compare(batch.source, batch.target),
    );
    here.at(batch.source)?;
    there.at(batch.target)?;
    generations?;
    prints
}

/// CRASH: after step 1 or 2 the deadline ends the fence in the next writer's transaction, and the
/// route ends it when it begins again.
async fn two_steps(batch: &Batch<'_>, group: &[Traveller]) -> Result<Vec<Traveller>> {
    let deadline = Some(batch.limits().fence_deadline);
    let step1 = Transition { deadline, ..plain(&[State::Moving], State::Fencing) };
    let begun = batch.change(group, step1).await?;
    let step2 = Transition { deadline, ..plain(&[State::Fencing], State::Fenced) };
    let fenced = if Bug::FenceNoGen.is_planted() {
        batch.change(&begun, step2).await?
    } else {
        batch.change_waiting(&begun, step2, batch.limits().writer_wait).await?
    };
    unfence(batch, &without(&begun, &fenced)).await?;
    Ok(fenced)
}

/// Those of the fenced that may go on: a row may have tied one to another subject since the copy.
async fn without_tied(
    batch: &Batch<'_>,
    verified: &mut Verified,
    fenced: &[Traveller],
) -> Result<Vec<Traveller>> {
    let tied = tied::among(batch, fenced).await?;
    if tied.is_empty() {
        return Ok(fenced.to_vec());
    }
    unfence(batch, &tied).await?;
    let untied = tied::stay(batch, tied.clone()).await?;
    let gone = without(&tied, &untied);
    verified.travellers = without(&verified.travellers, &gone);
    Ok(without(fenced, &tied))
}

enum Equal {
    Yes { rechecked: u64 },
    No(String),
}

/// The last catch-up and the comparison that is short whatever the subjects' size.
async fn equal_now(batch: &Batch<'_>, verified: &mut Verified, group: &[Traveller]) -> Result<Equal> {
    let subjects = ids(group);
    let bound = Bound::Bytes(batch.limits().fence_object_bytes);
    let mut source = batch.source.records.snapshot().await.at(batch.source)?;
    let round = if Bug::NoLastCatchUp.is_planted() {
        catch_up::Round::applied(0, KeySet::new())
    } else {
        catch_up::bring(batch, source.as_mut(), &subjects, bound).await?
    };
    if round.changes >= batch.limits().catch_up_changes as usize {
        return Ok(Equal::No("more changed under the fence than one round brings over".into()));
    }
    soil(verified, round.keys.clone());
    let dirty = &verified.dirty;
    let few: Vec<SubjectId> = subjects.iter().filter(|s| verified.counted.contains(s)).cloned().collect();
    // Nobody can write, so what is read when makes no difference: all at once, since each round trip here
    // is part of the pause. The fingerprints are younger than the source's snapshot.
    let (here, there, generations, prints, forgotten, kept) = tokio::join!(
        look(source, dirty, &subjects, &few),
        look_anew(batch, dirty, &subjects, &few),
        verify::generations(batch, &subjects),
        batch.prints.compare(batch.source, batch.target),
        catch_up::forget(batch, &round),
        batch.outlives_a_fail_over(Side::Target),
    );
    let (here, there, generations) = (here.at(batch.source)?, there.at(batch.target)?, generations?);
    prints.and(forgotten).and(kept)?;
    if here.rows != there.rows {
        return Ok(Equal::No("a row that changed since the comparison differs at the target".into()));
    }
    if generations.iter().any(|(subject, now)| verified.generations.get(subject) != Some(now)) {
        return Ok(Equal::No("another batch pushed a row aside at the target".into()));
    }
    if here.counts != there.counts {
        return Ok(Equal::No("the numbers of rows differ".into()));
    }
    Ok(Equal::Yes { rechecked: here.rows.len() as u64 })
}

/// What is compared under the fence, read at one side.
struct Look {
    rows: BTreeMap<(TableIx, Key), String>,
    counts: BTreeMap<(SubjectId, TableIx), u64>,
}

async fn look(
    mut snapshot: Box<dyn Snapshot>,
    dirty: &KeySet,
    subjects: &[SubjectId],
    few: &[SubjectId],
) -> domicile_stores::Result<Look> {
    let (rows, counts) = snapshot.row_digests_and_counts(dirty, subjects, few).await?;
    snapshot.close().await?;
    Ok(Look { rows, counts })
}

/// The same at the target, in a snapshot that sees the last catch-up.
async fn look_anew(
    batch: &Batch<'_>,
    dirty: &KeySet,
    subjects: &[SubjectId],
    few: &[SubjectId],
) -> domicile_stores::Result<Look> {
    look(batch.target.records.snapshot().await?, dirty, subjects, few).await
}

/// Back to `moving`: writes pass again and are recorded.
pub(crate) async fn unfence(batch: &Batch<'_>, group: &[Traveller]) -> Result<()> {
    batch.change(group, plain(&[State::Fencing, State::Fenced], State::Moving)).await?;
    Ok(())
}

/// Un-fences as well as it can and hands the error on: if the database is gone, the deadline does it.
async fn unfence_after(batch: &Batch<'_>, group: &[Traveller], error: Error) -> Error {
    let _ = unfence(batch, group).await;
    error
}

/// Subjects that could not be fenced too often leave the batch.
async fn count_failures(batch: &Batch<'_>, verified: &mut Verified, failed: &[Traveller]) -> Result<()> {
    let mut out: Vec<SubjectId> = Vec::new();
    for t in failed {
        let tries = verified.tries.entry(t.subject.clone()).or_insert(0);
        *tries += 1;
        if *tries >= batch.limits().fence_tries {
            out.push(t.subject.clone());
        }
    }
    // The others go to the end of the queue, so that one busy subject does not hold up the rest.
    let rest = without(&verified.travellers, failed);
    let again = without(failed, &only(failed, &out));
    verified.travellers = rest.into_iter().chain(again).collect();
    leave::go_back(
        batch,
        &only(failed, &out),
        LeftCode::Busy,
        "its writers never paused long enough to fence it",
    )
    .await?;
    forget_tries(&mut verified.tries, &out);
    Ok(())
}

fn forget_tries(tries: &mut BTreeMap<SubjectId, u32>, subjects: &[SubjectId]) {
    for subject in subjects {
        tries.remove(subject);
    }
}
