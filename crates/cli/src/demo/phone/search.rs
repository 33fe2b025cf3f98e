//! What the audit finds of the phone's scene: on the wire, and in what the servers keep.

use super::wire::Passed;
use domicile_audit::{Canaries, Country, Examiner, Forms, Identifier, Kind, Limits, Place, Step, Wanted};
use std::path::PathBuf;

/// The result of both searches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Searched {
    pub bytes: u64,
    /// Findings of what must not be there.
    pub found: u64,
    /// Findings of the owner's own number on the wire, where registration put it: a search that misses it is worth nothing.
    pub own: u64,
    /// Positive controls that were planted, and those found.
    pub controls: (u64, u64),
}

/// Looks on each owner's wire for numbers of `contacts` and of the other owners, and on the servers' disks for all of them.
///
/// # Errors
/// A number that the audit does not take for one.
pub fn search(
    passed: &[Passed],
    kept: &[PathBuf],
    contacts: &[&str],
    owners: &[&str],
) -> Result<Searched, String> {
    let mut all = Searched::default();
    let mut on_wire = 0;
    for (n, passed) in passed.iter().enumerate() {
        // Whose wire it is proved a number over it; the others' must not be there.
        let others = owners.iter().enumerate().filter(|(owner, _)| *owner != n).map(|(_, number)| *number);
        let absent: Vec<&str> = contacts.iter().copied().chain(others).collect();
        on_wire += run(&absent, &mut all, |examiner| {
            for (way, bytes) in [("up", &passed.up), ("down", &passed.down)] {
                let place = Place::from(Step::Member(format!("wire {n} {way}")));
                examiner.read(&place, bytes.as_slice()).map_err(|e| e.to_string())?;
            }
            Ok(())
        })?;
    }
    let on_disk = run(&[contacts, owners].concat(), &mut all, |examiner| {
        kept.iter().for_each(|path| examiner.files(path));
        Ok(())
    })?;
    all.found = on_wire + on_disk;
    let mut own = Searched::default();
    all.own = run(&owners[..1], &mut own, |examiner| {
        let place = Place::from(Step::Member("wire".to_owned()));
        passed
            .iter()
            .take(1)
            .try_for_each(|p| examiner.read(&place, p.up.as_slice()))
            .map_err(|e| e.to_string())
    })?;
    Ok(all)
}

fn run(
    numbers: &[&str],
    all: &mut Searched,
    examine: impl FnOnce(&mut Examiner<'_>) -> Result<(), String>,
) -> Result<u64, String> {
    let one =
        |number: &&str| Identifier::new(Kind::Phone, number, None::<Country>).map_err(|e| e.to_string());
    let mut identifiers = numbers.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    let forms = Forms::default();
    let canaries = Canaries::plant(&mut identifiers, &forms);
    let wanted = Wanted::new(identifiers, &forms, None);
    let mut examiner = Examiner::new(&wanted, Limits::default()).with_controls(canaries);
    examine(&mut examiner)?;
    let report = examiner.finish();
    all.bytes += report.scanned.bytes;
    all.controls.0 += report.controls.planted;
    all.controls.1 += report.controls.planted - report.controls.missed.len() as u64;
    Ok(report.findings.len() as u64 + report.more_findings)
}
