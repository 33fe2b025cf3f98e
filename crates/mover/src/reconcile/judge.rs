//! What the rows of a subject at a restored region are, by the directory and the journal of waves.

use super::{BATCH, Seen};
use crate::error::{At, Result};
use crate::record::{Outcome, Record};
use crate::service::{Region, Service};
use crate::wave::WaveNote;
use domicile_directory::{Home, Wave, WaveFilter, WaveState};
use domicile_stores::records::{HomeRow, State, SubjectId};
use std::collections::{BTreeMap, HashSet};

/// What a subject's rows here are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Lives here, and is here.
    AtHome,
    /// Lives here; the guard has it in a batch of a wave that is over.
    PutBack { batch: String },
    /// Lives here by the directory; what is here is an old copy.
    Lost,
    /// Lives here; what is here is the half copy of a wave that is over.
    Half,
    /// Lives here; what is here is of an earlier stay.
    Stale,
    /// Lives here; the guard has no row.
    Unguarded,
    /// The directory knows no home.
    Unknown,
    /// A wave that is under way has it.
    InWave { lives_here: bool },
    /// `domicile erase` or `guard disown` will remove it.
    Waiting,
    /// Lives in `home`, since that epoch, and nothing explains its rows here. In that batch's hands, if in any.
    CameBack { home: String, epoch: u64, batch: Option<String> },
}

impl Verdict {
    /// Lives here by the directory, and is here.
    pub(super) fn lives_here(&self) -> bool {
        match self {
            Verdict::AtHome | Verdict::PutBack { .. } | Verdict::Stale | Verdict::Unguarded => true,
            Verdict::InWave { lives_here } => *lives_here,
            Verdict::Lost | Verdict::Half => false,
            Verdict::Unknown | Verdict::Waiting | Verdict::CameBack { .. } => false,
        }
    }
}

/// The waves as they were when the command began. A wave opened since is none that it knows, and is left alone.
pub(super) struct Judge {
    waves: BTreeMap<String, WaveState>,
    /// Waves under way whose journal is here.
    open: Vec<String>,
    /// Lists of plans whose waves from here are over.
    lists: Vec<String>,
}

/// What a batch is to this command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    /// Shut by an earlier run.
    Ours,
    /// Of a wave that is over.
    Ended,
    /// Of a wave that waits to be erased.
    Moved,
    /// Somebody else's, who is at it.
    Others,
    /// Shut by `guard disown`.
    Disowned,
}

impl Judge {
    pub(super) async fn of(service: &Service, here: &Region) -> Result<Self> {
        let filter = WaveFilter { service: Some(service.name.clone()), unfinished: false };
        let all = service.directory.waves(&filter).await?;
        let under_way = |state| matches!(state, WaveState::Open | WaveState::Aborting);
        let open = all.iter().filter(|w| under_way(w.state) && w.source == here.id);
        let open = open.map(|w| w.id.clone()).collect();
        let over = all.iter().filter(|w| w.state.is_final() && w.source == here.id);
        let notes = over.filter_map(|w| serde_json::from_value::<WaveNote>(w.note.clone()).ok());
        let lists = notes.map(|note| note.planned.list).filter(|list| !in_use(&all, list)).collect();
        Ok(Self { waves: all.into_iter().map(|w| (w.id, w.state)).collect(), open, lists })
    }

    /// Whether a batch is of a wave that is over, so that nothing of it counts any more.
    pub(super) fn is_over(&self, batch: &str) -> bool {
        self.hand(batch) == Hand::Ended
    }

    /// Lists of plans whose waves from here are over.
    pub(super) fn ended_lists(&self) -> &[String] {
        &self.lists
    }

    /// Whether a row is in the hands of a wave that will do nothing more with it: all that it had to move has moved, or it is
    /// over.
    pub(super) fn leaves(&self, row: &HomeRow) -> bool {
        row.batch.as_deref().is_some_and(|batch| matches!(self.hand(batch), Hand::Ended | Hand::Moved))
    }

    fn hand(&self, batch: &str) -> Hand {
        if batch.starts_with(BATCH) {
            return Hand::Ours;
        }
        if batch.starts_with("disown-") {
            return Hand::Disowned;
        }
        match self.waves.get(batch.rsplit_once('/').map_or(batch, |(wave, _)| wave)) {
            Some(state) if state.is_final() => Hand::Ended,
            Some(WaveState::Moved) => Hand::Moved,
            // Under way, opened since, or a rehearsal.
            _ => Hand::Others,
        }
    }

    /// Verdicts on a page of subjects.
    pub(super) async fn page(
        &self,
        service: &Service,
        here: &Region,
        subjects: Vec<SubjectId>,
    ) -> Result<Vec<Seen>> {
        // The guard first: who is cut over between the two reads is then at most taken for one in a wave.
        let rows = here.records.homes(&subjects).await.at(here)?;
        let mut rows: BTreeMap<SubjectId, HomeRow> =
            rows.into_iter().map(|r| (r.subject.clone(), r)).collect();
        let mut members = HashSet::new();
        for wave in &self.open {
            members.extend(here.records.members(wave, &subjects).await.at(here)?);
        }
        let homes = service.directory.homes(&service.name, &subjects).await?;
        let mut erased_later = Journal::default();
        let mut page = Vec::with_capacity(subjects.len());
        for (subject, home) in subjects.into_iter().zip(homes) {
            let row = rows.remove(&subject);
            let later = match &row {
                Some(row) if row.state == State::Away => erased_later.has(here, row).await?,
                _ => false,
            };
            let in_wave = members.contains(&subject);
            let verdict = self.verdict(&here.id, row.as_ref(), home, in_wave, later);
            page.push(Seen { subject, row, verdict });
        }
        Ok(page)
    }

    fn verdict(
        &self,
        here: &str,
        row: Option<&HomeRow>,
        home: Option<Home>,
        member: bool,
        later: bool,
    ) -> Verdict {
        let Some(home) = home else { return Verdict::Unknown };
        let lives_here = home.region == here;
        let hand = row.and_then(|row| row.batch.as_deref()).map(|batch| self.hand(batch));
        if member || hand == Some(Hand::Others) {
            return Verdict::InWave { lives_here };
        }
        let batch = row.and_then(|row| row.batch.clone());
        match (row, lives_here) {
            (None, true) => Verdict::Unguarded,
            (Some(row), true) => at_home(row, &home),
            (Some(row), false) if row.state == State::Away && hand == Some(Hand::Disowned) => {
                Verdict::Waiting
            }
            (Some(row), false) if row.state == State::Away && hand == Some(Hand::Moved) && later => {
                Verdict::Waiting
            }
            (_, false) => Verdict::CameBack { home: home.region, epoch: home.epoch, batch },
        }
    }
}

/// A plan may be moved again after its first wave was aborted.
fn in_use(waves: &[Wave], list: &str) -> bool {
    let of =
        |w: &Wave| serde_json::from_value::<WaveNote>(w.note.clone()).is_ok_and(|n| n.planned.list == list);
    waves.iter().any(|w| !w.state.is_final() && of(w))
}

/// Of a subject that lives here by the directory.
fn at_home(row: &HomeRow, home: &Home) -> Verdict {
    match (row.state, &row.batch) {
        (State::Away, _) => Verdict::Lost,
        (State::Arriving, _) => Verdict::Half,
        _ if row.epoch != home.epoch => Verdict::Stale,
        (State::Home, _) | (_, None) => Verdict::AtHome,
        (_, Some(batch)) => Verdict::PutBack { batch: batch.clone() },
    }
}

/// Whether a wave's erase will take a copy that is `away`: its journal here says that the subject moved. It may be as
/// old as the backup, and not know that.
#[derive(Default)]
struct Journal {
    batch: String,
    moved: HashSet<SubjectId>,
}

impl Journal {
    /// Holds one batch's record at a time, and only the subjects of it.
    async fn has(&mut self, here: &Region, row: &HomeRow) -> Result<bool> {
        let Some(batch) = &row.batch else { return Ok(false) };
        if self.batch != *batch {
            let read = here.records.batch(batch).await.at(here)?;
            let record = read.map(|b| serde_json::from_value::<Record>(b.record)).transpose();
            let notes = record.map_err(crate::batch::json)?.unwrap_or_default().subjects;
            let moved =
                notes.into_iter().filter(|(_, n)| n.outcome == Outcome::Moved && n.erased_at.is_none());
            (self.batch, self.moved) = (batch.clone(), moved.map(|(subject, _)| subject).collect());
        }
        Ok(self.moved.contains(&row.subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(state: Option<(State, u64, Option<&str>)>, home: Option<(&str, u64)>) -> Verdict {
        let waves = [("w1", WaveState::Erased), ("w2", WaveState::Moved), ("w3", WaveState::Open)];
        let waves = waves.map(|(id, state)| (id.to_owned(), state)).into();
        let row = state.map(|(state, epoch, batch)| HomeRow {
            subject: SubjectId("1".into()),
            state,
            epoch,
            generation: 1,
            batch: batch.map(str::to_owned),
        });
        let home = home.map(|(region, epoch)| Home { region: region.to_owned(), epoch, attempt: 0 });
        Judge { waves, open: vec![], lists: vec![] }.verdict("here", row.as_ref(), home, false, true)
    }

    #[test]
    fn the_directory_says_what_came_back() {
        let came = |batch: Option<&str>| Verdict::CameBack {
            home: "there".into(),
            epoch: 2,
            batch: batch.map(str::to_owned),
        };
        let there = Some(("there", 2));
        assert_eq!(judged(Some((State::Home, 1, None)), there), came(None));
        assert_eq!(judged(None, there), came(None));
        assert_eq!(judged(Some((State::Moving, 1, Some("w1/00001"))), there), came(Some("w1/00001")));
        assert_eq!(judged(Some((State::Away, 2, Some("w1/00001"))), there), came(Some("w1/00001")));
        assert_eq!(judged(Some((State::Away, 2, Some("reconcile-0/0"))), there), came(Some("reconcile-0/0")));
        assert_eq!(judged(Some((State::Moving, 1, Some("w2/00001"))), there), came(Some("w2/00001")));
        assert_eq!(judged(Some((State::Away, 2, Some("w2/00001"))), there), Verdict::Waiting);
        assert_eq!(judged(Some((State::Away, 2, Some("disown-0/0"))), there), Verdict::Waiting);
        for batch in ["w3/00001", "w9/00001", "p-1.1.rehearsal/00001"] {
            let in_wave = Verdict::InWave { lives_here: false };
            assert_eq!(judged(Some((State::Moving, 1, Some(batch))), there), in_wave, "{batch}");
        }
    }

    #[test]
    fn who_lives_here_is_never_taken_for_one_who_came_back() {
        let here = Some(("here", 3));
        assert_eq!(judged(Some((State::Home, 3, None)), here), Verdict::AtHome);
        assert_eq!(judged(Some((State::Home, 1, None)), here), Verdict::Stale);
        assert_eq!(judged(Some((State::Away, 2, Some("w1/00001"))), here), Verdict::Lost);
        assert_eq!(judged(Some((State::Arriving, 3, Some("w1/00001"))), here), Verdict::Half);
        assert_eq!(judged(Some((State::Arriving, 3, Some("w2/00001"))), here), Verdict::Half);
        let on_its_way = judged(Some((State::Arriving, 3, Some("w3/00001"))), here);
        assert_eq!(on_its_way, Verdict::InWave { lives_here: true });
        assert_eq!(judged(None, here), Verdict::Unguarded);
        let put_back = Verdict::PutBack { batch: "w1/00001".into() };
        assert_eq!(judged(Some((State::Moving, 3, Some("w1/00001"))), here), put_back);
        assert_eq!(judged(Some((State::Home, 3, None)), None), Verdict::Unknown);
    }
}
