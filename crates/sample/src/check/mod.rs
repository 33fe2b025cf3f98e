//! The checker: is every acknowledged write in exactly one region, as it was acknowledged?
//!
//! It reads the log and all regions' databases by plain SQL, and knows of Domicile one table: `domicile.home`
//! says which rows are a rest on its way out (`away`) or a copy on its way in (`arriving`).

mod expected;
mod found;

use crate::load::Entry;
use expected::{Expected, Regions};
use found::{Found, Row};
use std::collections::BTreeMap;
use std::fmt;

/// Findings that are told in words; all are counted.
const TOLD_MAX: usize = 20;

/// A region's database as the checker reaches it: `postgres://...` or `sqlite:PATH`.
#[derive(Debug, Clone)]
pub struct Region {
    /// Its id, as the application writes it.
    pub id: String,
    /// The database.
    pub url: String,
}

/// What was found.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Acknowledged writes in the log.
    pub acknowledged: u64,
    /// Notes and people of the log that were looked for.
    pub looked_for: u64,
    /// Acknowledged, and nowhere, or not as it was acknowledged.
    pub lost: u64,
    /// In two regions, or twice in one.
    pub doubled: u64,
    /// Acknowledged by a region that was not the person's home then.
    pub misrouted: u64,
    /// People under way between two regions. After a wave there is none.
    pub arriving: u64,
    /// People of whom an old home still has rows, until they are erased.
    pub away: u64,
    /// Where people of the log live now.
    pub homes: BTreeMap<String, u64>,
    /// The first findings, in words.
    pub told: Vec<String>,
}

impl Verdict {
    /// Nothing lost, doubled or misrouted.
    pub fn good(&self) -> bool {
        self.lost + self.doubled + self.misrouted == 0
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() < TOLD_MAX {
            self.told.push(what());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  acknowledged {} writes, {} rows looked for", self.acknowledged, self.looked_for)?;
        writeln!(f, "  lost         {}", self.lost)?;
        writeln!(f, "  doubled      {}", self.doubled)?;
        write!(f, "  misrouted    {}", self.misrouted)?;
        if self.arriving + self.away > 0 {
            write!(f, "\n  people       {} arriving, {} to be erased", self.arriving, self.away)?;
        }
        self.told.iter().try_for_each(|what| write!(f, "\n    {what}"))
    }
}

/// Reads all regions and compares them with the log.
///
/// # Errors
/// Where a region can't be read, in words.
pub async fn check(regions: &[Region], log: &[Entry]) -> Result<Verdict, String> {
    let found = Found::read(regions).await?;
    let expected = Expected::of(log);
    let mut verdict = Verdict {
        acknowledged: expected.acknowledged,
        looked_for: (expected.notes.len() + expected.regions.len()) as u64,
        arriving: found.arriving,
        away: found.away,
        ..Verdict::default()
    };
    notes(&expected, &found, &mut verdict);
    people(&expected, &found, &mut verdict);
    Ok(verdict)
}

fn notes(expected: &Expected, found: &Found, verdict: &mut Verdict) {
    for (key, note) in &expected.notes {
        let rows = found.notes.get(key).map_or(&[][..], Vec::as_slice);
        if rows.len() > 1 {
            verdict.doubled += 1;
            verdict.tell(|| format!("doubled: note {} is in {}", key.1, at(rows)));
            continue;
        }
        let row = rows.first();
        let may_be = note.possible.iter().any(|text| text.as_deref() == row.map(|r| &*r.text));
        let same_id = row.is_none_or(|row| note.id.is_empty() || note.id == row.id);
        if !may_be || !same_id {
            verdict.lost += 1;
            let text = row.map(|r| r.text.clone());
            verdict.tell(|| format!("lost: note {}: {text:?} instead of {:?}", key.1, note.possible));
        } else if let (Some(row), Some(region)) = (row, note.written_by())
            && row.written_by != region
        {
            verdict.misrouted += 1;
            verdict
                .tell(|| format!("misrouted: note {}: written by {}, said {region}", key.1, row.written_by));
        }
    }
}

fn people(expected: &Expected, found: &Found, verdict: &mut Verdict) {
    for (person, answered) in &expected.regions {
        let homes = found.people.get(person).map_or(&[][..], Vec::as_slice);
        let [home] = homes else {
            if homes.is_empty() && answered.acknowledged {
                verdict.lost += 1;
                verdict.tell(|| format!("lost: {person} is in no region"));
            } else if !homes.is_empty() {
                verdict.doubled += 1;
                verdict.tell(|| format!("doubled: {person} is in {}", homes.len()));
            }
            continue;
        };
        *verdict.homes.entry(home.region.clone()).or_default() += 1;
        if let Some(why) = astray(answered, &home.region, home.epoch) {
            verdict.misrouted += 1;
            verdict.tell(|| format!("misrouted: {person}: {why}"));
        }
    }
}

/// An epoch says how often a person can have changed homes; answers can't have changed more often. Where no
/// epoch is known (the guard is gone), nobody may have come back to a region that was left.
fn astray(answered: &Regions, home: &str, epoch: Option<u64>) -> Option<String> {
    let mut all = answered.in_turn.clone();
    if all.last().is_some_and(|last| last != home) {
        all.push(home.to_owned());
    }
    let changes = all.len().saturating_sub(1) as u64;
    let told = || format!("answered by {}, at home in {home} at epoch {epoch:?}", all.join(", "));
    let too_often = match epoch {
        Some(epoch) => changes > epoch.saturating_sub(1),
        None => (1..all.len()).any(|at| all[at + 1..].contains(&all[at - 1])),
    };
    too_often.then(told)
}

fn at(rows: &[Row]) -> String {
    rows.iter().map(|r| r.region.as_str()).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::{Regions, astray};

    fn answered(regions: &[&str]) -> Regions {
        let in_turn = regions.iter().map(|r| (*r).to_owned()).collect();
        Regions { in_turn, acknowledged: true }
    }

    #[test]
    fn an_answer_by_a_region_that_was_left_is_astray() {
        assert_eq!(astray(&answered(&["a", "b"]), "b", Some(2)), None);
        assert_eq!(astray(&answered(&["a"]), "b", Some(2)), None);
        assert_eq!(astray(&answered(&["b"]), "b", Some(1)), None);
        assert_eq!(astray(&answered(&[]), "b", Some(1)), None);
        assert!(astray(&answered(&["a", "b", "a", "b"]), "b", Some(2)).is_some());
        assert!(astray(&answered(&["a", "b"]), "b", Some(1)).is_some());
        assert!(astray(&answered(&["a"]), "b", Some(1)).is_some());
        assert!(astray(&answered(&["a", "b", "a"]), "a", None).is_some());
        assert_eq!(astray(&answered(&["a", "b"]), "b", None), None);
    }
}
