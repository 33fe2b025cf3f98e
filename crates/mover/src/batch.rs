//! One batch under way: who moves, between which regions, with which leases.

use crate::carried::Carried;
use crate::error::{At, Error, Result};
use crate::halt::Halt;
use crate::hold::Hold;
use crate::journal;
use crate::limits::Limits;
use crate::pace;
use crate::prints::Prints;
use crate::record::{LeftCode, Outcome, Reached, Record};
use crate::service::{Region, Service};
use domicile_stores::records::{Key, KeySet, Lease, SubjectId, Transition};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Which of a batch's two regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Source,
    Target,
}

/// Takes the leases of a batch at both regions.
///
/// INVARIANT: who holds the newest lease at the target held the newest at the source after it: a worker
/// that froze between the two would empty the copy of the one that came after it (docs/model.md).
///
/// # Errors
/// [`Error::is_lease_lost`] where another worker has it, or has closed the batch.
pub(crate) async fn leases(id: &str, source: &Region, target: &Region) -> Result<(Lease, Lease)> {
    let source_lease = source.records.take_lease(id).await.at(source)?;
    if source.records.batch(id).await.at(source)?.is_none() {
        // It was closed while this worker stood still, and a lease of nothing would stay for good. A batch is closed at
        // the target first, so there is none there.
        source.records.close_batch(&source_lease).await.at(source)?;
        return Err(domicile_stores::Error::LeaseLost { batch: id.to_owned() }).at(source);
    }
    let target_lease = target.records.take_lease(id).await.at(target)?;
    // Removes nothing, and fails where the lease is no longer ours.
    if let Err(error) = source.records.forget(&source_lease, &[]).await {
        if matches!(error, domicile_stores::Error::LeaseLost { .. }) {
            // Who has it takes the target's next, or has closed both already.
            target.records.close_batch(&target_lease).await.at(target)?;
        }
        return Err(error).at(source);
    }
    Ok((source_lease, target_lease))
}

/// A subject of a batch with the home it has by the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traveller {
    pub subject: SubjectId,
    /// Epoch at the old home.
    pub epoch: u64,
    /// The directory's count of cancelled swaps.
    pub attempt: u64,
}

/// The ids of travellers, for calls that take subjects.
pub(crate) fn ids(travellers: &[Traveller]) -> Vec<SubjectId> {
    travellers.iter().map(|t| t.subject.clone()).collect()
}

/// A batch with its leases taken on both sides.
pub(crate) struct Batch<'a> {
    pub service: &'a Service,
    pub id: String,
    pub wave: String,
    pub source: &'a Region,
    pub target: &'a Region,
    pub source_lease: Lease,
    pub target_lease: Lease,
    /// Fingerprints of the mapped tables, taken when the wave began or was resumed.
    pub prints: Arc<Prints>,
    /// Which server the source was before the lease was taken (see [`Records::incarnation`]).
    pub source_incarnation: String,
    /// The same of the target.
    pub target_incarnation: String,
    pub record: Mutex<Record>,
    /// Objects copied so far.
    pub objects: Mutex<Carried>,
    /// Subjects for which a change was recorded in this run: those whose pause somebody may notice.
    pub written: Mutex<HashSet<SubjectId>>,
    /// Why the run it belongs to stops, and whether it is still in this worker's hand.
    stop: (Option<&'a Halt>, Option<&'a Hold>),
}

impl<'a> Batch<'a> {
    /// Takes the batch's lease at both regions. A worker that held it before can do nothing from here on.
    ///
    /// INVARIANT: the record is read under the lease. Read before, it could be one that the holder before us
    /// has changed since: a worker that froze in between would go on with a batch that was given up.
    pub async fn take(
        service: &'a Service,
        wave: &str,
        id: &str,
        source: &'a Region,
        target: &'a Region,
        prints: Arc<Prints>,
    ) -> Result<Self> {
        // Before the leases: a server that takes the place of this one may have forgotten them.
        let source_incarnation = source.records.incarnation().await.at(source)?;
        let target_incarnation = target.records.incarnation().await.at(target)?;
        let (source_lease, target_lease) = leases(id, source, target).await?;
        let record = journal::record(source, wave, id).await?;
        let objects = Carried::of_record(&record);
        Ok(Self {
            service,
            id: id.to_owned(),
            wave: wave.to_owned(),
            source,
            target,
            source_lease,
            target_lease,
            prints,
            source_incarnation,
            target_incarnation,
            record: Mutex::new(record),
            objects: Mutex::new(objects),
            written: Mutex::default(),
            stop: (None, None),
        })
    }

    /// The same batch, as part of a run that may be halted, in this worker's hand.
    pub fn under(mut self, halt: &'a Halt, hold: Option<&'a Hold>) -> Self {
        self.stop = (Some(halt), hold);
        self
    }

    /// At a safe point: an error where the process, the run or this batch is to stop.
    pub fn check_stop(&self) -> Result<()> {
        self.service.check_stop()?;
        let (halt, hold) = self.stop;
        halt.map_or(Ok(()), |halt| halt.check(&self.wave))?;
        hold.map_or(Ok(()), Hold::check)
    }

    pub fn limits(&self) -> &Limits {
        &self.service.limits
    }

    /// Writes the record to the journal.
    pub async fn save(&self) -> Result<()> {
        let record = serde_json::to_value(&*self.record.lock().await).map_err(json)?;
        self.source.records.put_batch(&self.source_lease, &record).await.at(self.source)
    }

    /// Notes how far the batch has come and writes the record.
    pub async fn reached(&self, reached: Reached) -> Result<()> {
        self.record.lock().await.reached = reached;
        self.save().await
    }

    /// Changes states at the source without waiting; returns the travellers changed.
    pub async fn change(
        &self,
        travellers: &[Traveller],
        transition: Transition<'_>,
    ) -> Result<Vec<Traveller>> {
        if travellers.is_empty() {
            return Ok(Vec::new());
        }
        let subjects = ids(travellers);
        let changed = self.source.records.change_state(&self.source_lease, &subjects, transition).await;
        Ok(only(travellers, &changed.at(self.source)?))
    }

    /// Brings every one of the travellers that is in one of the `from` states to `to`, at either side. A row
    /// that a transaction of the application holds is skipped by the engine: it is tried again, since
    /// nobody else would look after a subject that is left in between.
    ///
    /// # Errors
    /// `Again` where writers hold some of them all the time.
    pub async fn settle_states(
        &self,
        side: Side,
        travellers: &[Traveller],
        transition: Transition<'_>,
    ) -> Result<()> {
        let (region, lease) = match side {
            Side::Source => (self.source, &self.source_lease),
            Side::Target => (self.target, &self.target_lease),
        };
        let mut rest = ids(travellers);
        for round in 0..=self.limits().tries {
            if rest.is_empty() {
                return Ok(());
            }
            pace::back_off(round).await;
            let changed = region.records.change_state(lease, &rest, transition).await.at(region)?;
            rest.retain(|subject| !changed.contains(subject));
            if !rest.is_empty() {
                // Some need no change: they are there already, or were never here.
                let homes = region.records.homes(&rest).await.at(region)?;
                let waits = homes.into_iter().filter(|h| transition.from.contains(&h.state));
                rest = waits
                    .filter(|h| h.batch.is_none() || h.batch.as_ref() == Some(&self.id))
                    .map(|h| h.subject)
                    .collect();
            }
        }
        if rest.is_empty() {
            return Ok(());
        }
        let why = format!("transactions of the application hold {} of its subjects", rest.len());
        let (store, what) = (region.records.name(), "changing states".to_owned());
        Err(domicile_stores::Error::Again { store, what, why }).at(region)
    }

    /// Changes states at the source, waiting for each subject's writers in flight.
    pub async fn change_waiting(
        &self,
        travellers: &[Traveller],
        transition: Transition<'_>,
        limit: Duration,
    ) -> Result<Vec<Traveller>> {
        if travellers.is_empty() {
            return Ok(Vec::new());
        }
        let (records, subjects) = (&self.source.records, ids(travellers));
        let changed = records.change_state_waiting(&self.source_lease, &subjects, transition, limit).await;
        Ok(only(travellers, &changed.at(self.source)?))
    }

    /// The listed standbys of a side have what was done there, and it is the server at which the batch began: a standby
    /// that has taken its place may not know of it (ATTACKS A10), whatever it says of its own standbys.
    ///
    /// INVARIANT: asked of the target after the last rows were written there and of the source after the seal, before the
    /// swap; of the target again before the journal says for good that somebody is home there, or that nothing of
    /// somebody is.
    pub async fn outlives_a_fail_over(&self, side: Side) -> Result<()> {
        let region = self.region(side);
        region.records.wait_for_standbys(self.limits().standby_wait).await.at(region)?;
        self.same_server(side).await
    }

    fn region(&self, side: Side) -> &'a Region {
        match side {
            Side::Source => self.source,
            Side::Target => self.target,
        }
    }

    /// No standby has taken the region's place since the batch began.
    pub async fn same_server(&self, side: Side) -> Result<()> {
        match side {
            Side::Source => same_server(self.source, &self.source_incarnation).await,
            Side::Target => same_server(self.target, &self.target_incarnation).await,
        }
    }

    /// Notes that these subjects left the batch.
    pub async fn note_left(&self, travellers: &[Traveller], code: LeftCode, why: &str) {
        let mut record = self.record.lock().await;
        for t in travellers {
            record.subjects.entry(t.subject.clone()).or_default().outcome =
                Outcome::Left { code, why: why.to_owned() };
        }
    }
}

/// The region is the server that it was: one that takes its place may have forgotten what was done (ATTACKS A10).
pub(crate) async fn same_server(region: &Region, was: &str) -> Result<()> {
    if region.records.incarnation().await.at(region)? == was {
        return Ok(());
    }
    let why = "another server has taken its place in the middle; what was begun begins again".into();
    Err(domicile_stores::Error::Unreachable { store: region.records.name(), why }).at(region)
}

/// Those of the travellers whose subject is in `subjects`.
pub(crate) fn only(travellers: &[Traveller], subjects: &[SubjectId]) -> Vec<Traveller> {
    let wanted: HashSet<_> = subjects.iter().collect();
    travellers.iter().filter(|t| wanted.contains(&t.subject)).cloned().collect()
}

/// Those of the travellers that are not in `others`.
pub(crate) fn without(travellers: &[Traveller], others: &[Traveller]) -> Vec<Traveller> {
    let gone: HashSet<_> = others.iter().map(|t| &t.subject).collect();
    travellers.iter().filter(|t| !gone.contains(&t.subject)).cloned().collect()
}

/// A transition that keeps epoch and clears the deadline.
pub(crate) fn plain<'a>(
    from: &'a [domicile_stores::records::State],
    to: domicile_stores::records::State,
) -> Transition<'a> {
    Transition { from, to, epoch: None, deadline: None, before_deadline: false }
}

/// Adds `more` to `keys`.
pub(crate) fn merge(keys: &mut KeySet, more: KeySet) {
    for (table, set) in more {
        keys.entry(table).or_default().extend(set);
    }
}

/// `keys` without `others`.
pub(crate) fn minus(keys: &KeySet, others: &KeySet) -> KeySet {
    let none = std::collections::BTreeSet::<Key>::new();
    let rest = keys.iter().map(|(table, set)| {
        let gone = others.get(table).unwrap_or(&none);
        (*table, set.difference(gone).cloned().collect::<std::collections::BTreeSet<_>>())
    });
    rest.filter(|(_, set)| !set.is_empty()).collect()
}

pub(crate) fn json(error: serde_json::Error) -> Error {
    Error::Setting(format!("a journal record could not be read or written: {error}"))
}
