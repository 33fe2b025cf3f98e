//! Verify: at one snapshot of the source, compare every row and object of every subject.
//!
//! Equality is known from here on, not assumed, except for keys that change later: those are kept in
//! `dirty` and compared one by one under the fence, so that the pause does not grow with the subject.

use crate::batch::{Batch, Traveller, ids, merge, only, without};
use crate::catch_up::{self, CaughtUp};
use crate::error::{At, Result};
use crate::objects::{self, Bound};
use crate::progress::Event;
use crate::record::LeftCode;
use crate::{leave, pace};
use domicile_datamap::TableName;
use domicile_datamap::layout::TableIx;
use domicile_stores::planted::Bug;
use domicile_stores::records::{KeySet, SubjectId, TableDigest};
use std::collections::{BTreeMap, BTreeSet};

/// Both sides were equal at a snapshot; `dirty` is what changed since.
pub(crate) struct Verified {
    pub travellers: Vec<Traveller>,
    pub dirty: KeySet,
    /// Generations of the subjects' rows in the target's guard, read before the comparison: another batch that
    /// pushes a row of theirs aside afterwards bumps them.
    pub generations: BTreeMap<SubjectId, i64>,
    /// Subjects with few enough rows to count them under the fence, too.
    pub counted: BTreeSet<SubjectId>,
    /// Failed fences by subject.
    pub tries: BTreeMap<SubjectId, u32>,
}

/// Comparisons that must disagree in the same way before a difference is believed: a neighbour's
/// batch may push a row aside between two of ours, and the next catch-up mends that.
const BELIEVED_AFTER: u32 = 3;

pub(crate) async fn verify(batch: &Batch<'_>, caught_up: CaughtUp) -> Result<Verified> {
    let mut travellers = caught_up.travellers;
    let mut strikes = 0;
    for round in 0..batch.limits().verify_rounds {
        if travellers.is_empty() {
            break;
        }
        batch.check_stop()?;
        if Bug::NoVerify.is_planted() {
            let generations = generations(batch, &ids(&travellers)).await?;
            return Ok(Verified { generations, ..Verified::new(travellers) });
        }
        let found = compare_once(batch, &travellers).await?;
        match found {
            Found::Equal { digests, generations } => {
                let counted = few_rows(&travellers, &digests);
                note(batch, &travellers, digests).await?;
                return Ok(Verified { generations, counted, ..Verified::new(travellers) });
            }
            Found::Behind { blocked, why } => {
                if round + 1 == batch.limits().verify_rounds {
                    let blocked = only(&travellers, &blocked);
                    leave::go_back(batch, &blocked, LeftCode::Taken, &why).await?;
                    travellers = without(&travellers, &blocked);
                }
            }
            Found::Differ(differences) => {
                strikes += 1;
                let why = describe(batch, &differences);
                batch.service.observer.event(Event::Again {
                    batch: batch.id.clone(),
                    code: "differs",
                    why: why.clone(),
                });
                if strikes >= BELIEVED_AFTER {
                    let subjects: Vec<_> = differences.into_iter().map(|d| d.subject).collect();
                    let differing = only(&travellers, &subjects);
                    leave::go_back(batch, &differing, LeftCode::Differs, &why).await?;
                    travellers = without(&travellers, &differing);
                }
            }
        }
        pace::back_off(round).await;
    }
    // The rounds are used up with subjects left that never stood still: they stay at their old home.
    leave::go_back(batch, &travellers, LeftCode::Busy, "it changed faster than it could be compared").await?;
    Ok(Verified::new(Vec::new()))
}

impl Verified {
    /// For subjects that an earlier worker verified and cut over.
    pub(crate) fn nothing_left() -> Self {
        Self::new(Vec::new())
    }

    fn new(travellers: Vec<Traveller>) -> Self {
        Self {
            travellers,
            dirty: KeySet::new(),
            generations: BTreeMap::new(),
            counted: BTreeSet::new(),
            tries: BTreeMap::new(),
        }
    }
}

enum Found {
    Equal {
        digests: Vec<TableDigest>,
        generations: BTreeMap<SubjectId, i64>,
    },
    /// The target is not yet at the snapshot: too many changes, or rows it can't take.
    Behind {
        blocked: Vec<SubjectId>,
        why: String,
    },
    Differ(Vec<Difference>),
}

/// One difference, by table and kind; the subject is for the mover, never for words.
struct Difference {
    subject: SubjectId,
    what: String,
}

async fn compare_once(batch: &Batch<'_>, travellers: &[Traveller]) -> Result<Found> {
    let subjects = ids(travellers);
    let mut snapshot = batch.source.records.snapshot().await.at(batch.source)?;
    let round = catch_up::round(batch, snapshot.as_mut(), &subjects, Bound::None).await?;
    let limit = batch.limits().catch_up_changes as usize;
    if !round.applied || round.changes >= limit {
        snapshot.close().await.at(batch.source)?;
        let why = round.why.unwrap_or_else(|| "changes arrive faster than they are brought over".into());
        return Ok(Found::Behind { blocked: round.subjects, why });
    }
    let generations = generations(batch, &subjects).await?;
    let mut arrived = batch.target.records.snapshot().await.at(batch.target)?;
    let (source, target) = tokio::join!(snapshot.digests(&subjects), arrived.digests(&subjects));
    let (source, target) = (source.at(batch.source)?, target.at(batch.target)?);
    let refs = snapshot.objects(&subjects, None).await.at(batch.source)?;
    snapshot.close().await.at(batch.source)?;
    arrived.close().await.at(batch.target)?;
    let mut differences = differing_rows(&source, &target, &batch.service.layout);
    differences.extend(
        objects::differing(batch, &subjects, &refs)
            .await?
            .into_iter()
            .map(|(subject, what)| Difference { subject, what }),
    );
    if differences.is_empty() {
        Ok(Found::Equal { digests: source, generations })
    } else {
        Ok(Found::Differ(differences))
    }
}

/// The generations of the subjects in the target's guard.
pub(crate) async fn generations(
    batch: &Batch<'_>,
    subjects: &[SubjectId],
) -> Result<BTreeMap<SubjectId, i64>> {
    let homes = batch.target.records.homes(subjects).await.at(batch.target)?;
    Ok(homes.into_iter().map(|row| (row.subject, row.generation)).collect())
}

/// Counting every row of a large subject would make its pause grow with its size, so only those up to
/// this many rows are counted under the fence; for all of them the generations tell.
const COUNTED_ROWS_MAX: u64 = 300;

fn few_rows(travellers: &[Traveller], digests: &[TableDigest]) -> BTreeSet<SubjectId> {
    let mut rows: BTreeMap<&SubjectId, u64> = BTreeMap::new();
    for digest in digests {
        *rows.entry(&digest.subject).or_default() += digest.rows;
    }
    let few = travellers
        .iter()
        .map(|t| &t.subject)
        .filter(|s| rows.get(s).copied().unwrap_or(0) <= COUNTED_ROWS_MAX);
    few.cloned().collect()
}

fn differing_rows(
    source: &[TableDigest],
    target: &[TableDigest],
    layout: &domicile_datamap::Layout,
) -> Vec<Difference> {
    let index = |all: &[TableDigest]| -> BTreeMap<_, _> {
        all.iter().map(|d| ((d.subject.clone(), d.table), (d.rows, d.sha256.clone()))).collect()
    };
    let (source, target) = (index(source), index(target));
    let keys: BTreeSet<_> = source.keys().chain(target.keys()).cloned().collect();
    let differ = keys.into_iter().filter_map(|key| {
        let (here, there) = (source.get(&key), target.get(&key));
        (here != there).then(|| {
            let rows = |side: Option<&(u64, String)>| side.map_or(0, |(rows, _)| *rows);
            let what = said_of(layout, key.1, rows(here), rows(there));
            Difference { subject: key.0, what }
        })
    });
    differ.collect()
}

/// One table's difference, and its own triggers as suspects: they fire while rows are loaded.
fn said_of(layout: &domicile_datamap::Layout, table: TableIx, here: u64, there: u64) -> String {
    let table = &layout.tables[table];
    let rows = |n: u64| if n == 1 { "1 row".to_owned() } else { format!("{n} rows") };
    let how = match here == there {
        true => format!("the same number of rows, {here}, but with other content"),
        false => format!("{} at the source, {there} at the target", rows(here)),
    };
    let of_it = |name: &TableName| *name == table.name || table.leaves.contains(name);
    let triggers: BTreeSet<&str> =
        layout.safe_triggers.iter().filter(|(name, _)| of_it(name)).map(|(_, t)| t.as_str()).collect();
    if triggers.is_empty() {
        return format!("{} ({how})", table.name);
    }
    let triggers = triggers.into_iter().collect::<Vec<_>>().join(", ");
    format!(
        "{} ({how}; listed as safe, and able to change rows while they are loaded: trigger {triggers})",
        table.name
    )
}

fn describe(batch: &Batch<'_>, differences: &[Difference]) -> String {
    let subjects: BTreeSet<_> = differences.iter().map(|d| &d.subject).collect();
    let mut what: Vec<_> = differences.iter().map(|d| d.what.as_str()).collect();
    what.sort_unstable();
    what.dedup();
    what.truncate(5);
    format!(
        "{} and {} differ for {} subject(s): {}",
        batch.source.id,
        batch.target.id,
        subjects.len(),
        what.join("; ")
    )
}

/// Writes the digests into the record before any fence: after a crash the receipts still have them.
async fn note(batch: &Batch<'_>, travellers: &[Traveller], digests: Vec<TableDigest>) -> Result<()> {
    let mut by_subject: BTreeMap<SubjectId, Vec<TableDigest>> = BTreeMap::new();
    for digest in digests {
        by_subject.entry(digest.subject.clone()).or_default().push(digest);
    }
    let carried = batch.objects.lock().await;
    let mut record = batch.record.lock().await;
    for t in travellers {
        let note = record.subjects.entry(t.subject.clone()).or_default();
        note.epoch = t.epoch;
        note.tables = by_subject.remove(&t.subject).unwrap_or_default();
        note.objects = carried.of(&t.subject).cloned().collect();
    }
    drop((record, carried));
    batch.save().await
}

/// Adds keys that changed after the comparison.
pub(crate) fn soil(verified: &mut Verified, keys: KeySet) {
    merge(&mut verified.dirty, keys);
}
