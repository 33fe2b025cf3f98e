//! The proofs: all of them by the demo's own code, none by the mover's.

use super::journal::Journal;
use super::people::Person;
use super::proof::{self, Findings, Homes};
use super::scan::{self, Scan};
use super::stage::Stage;
use super::world;
use crate::failure::{self, Failure, Result};
use crate::figures::{bytes, count};
use crate::keys;
use domicile_stores::records::SubjectId;
use std::fs;
use std::time::Instant;

/// So many of those who stay are looked for, too: a scan that can't see them sees nothing.
const STAYERS: usize = 200;

/// What the proofs say.
#[derive(Debug, Default)]
pub struct Verdict {
    pub findings: Findings,
    pub scan: Scan,
    /// People who are not where the case's law says they belong.
    pub unsettled: u64,
    pub receipts: u64,
    /// Receipts files that hold.
    pub verified: u64,
    /// Subjects' lines in them.
    pub lines: u64,
    pub acknowledged: u64,
}

impl Verdict {
    /// Everything that must hold does.
    pub fn holds(&self) -> bool {
        self.findings.are_clean()
            && self.scan.is_clean()
            && self.unsettled == 0
            && self.receipts > 0
            && self.receipts == self.verified
    }
}

/// Where every subject of every service lives, by the directory.
async fn homes(stage: &Stage) -> Result<Homes> {
    let mut homes = Homes::new();
    for service in stage.world.case.services {
        let ids: Vec<SubjectId> = stage.world.people.iter().map(|p| SubjectId(p.id.to_string())).collect();
        let found = stage
            .directory
            .homes(service.name.as_str(), &ids)
            .await
            .map_err(|e| failure::of_directory(&e))?;
        for (person, home) in stage.world.people.iter().zip(found) {
            if let Some(region) = home.and_then(|home| stage.world.case.region(&home.region)) {
                homes.insert((service.name, person.id), region);
            }
        }
    }
    Ok(homes)
}

/// Runs all proofs and shows each as it comes.
pub async fn prove(stage: &Stage, journal: &Journal) -> Result<Verdict> {
    let (page, world) = (&stage.page, &stage.world);
    page.begin("The proofs");
    page.say(
        "Don't believe the mover. What follows is the demo's own check: it opens the regions' files itself and \
         compares them with what was there at the beginning and with the log of every write that was \
         acknowledged since.",
    );
    let homes = homes(stage).await?;
    let mut verdict = Verdict { acknowledged: journal.acknowledged, ..Verdict::default() };
    let findings = tokio::task::block_in_place(|| proof::check(world.case, &world.folder, journal, &homes));
    verdict.findings = findings.map_err(|e| world::of_sqlite("read the regions", &e))?;
    let objects = proof::check_objects(world.case, &world.folder, &homes, &mut verdict.findings);
    objects.map_err(|e| failure::of_file("read the photos in", world.folder.path(), &e))?;
    say_rows(stage, &verdict);
    verdict.unsettled = unsettled(stage, &homes);
    said(
        stage,
        verdict.unsettled == 0,
        &format!("{} people are not where the law of this case wants them", count(verdict.unsettled)),
    );
    let began = Instant::now();
    verdict.scan = tokio::task::block_in_place(|| scan_old(stage, &homes))?;
    say_scan(stage, &verdict.scan, began);
    check_receipts(stage, &mut verdict)?;
    said(
        stage,
        verdict.receipts > 0 && verdict.receipts == verdict.verified,
        &format!(
            "{} of {} receipts files verified offline, {} lines",
            verdict.verified,
            verdict.receipts,
            count(verdict.lines)
        ),
    );
    page.gap();
    page.rest().await;
    Ok(verdict)
}

fn said(stage: &Stage, good: bool, text: &str) {
    let wrapped = crate::paper::wrapped("    ", text);
    stage.page.show_line(&format!("{} {}", stage.page.mark(good), wrapped.trim_start()));
}

fn say_rows(stage: &Stage, verdict: &Verdict) {
    let found = &verdict.findings;
    let lines = [
        (
            true,
            format!("{} rows and {} photos in all regions compared", count(found.rows), count(found.objects)),
        ),
        (found.lost == 0, format!("{} lost: acknowledged and nowhere", count(found.lost))),
        (found.doubled == 0, format!("{} doubled: in two regions", count(found.doubled))),
        (
            found.stale == 0,
            format!("{} stale: there with another value than the last one acknowledged", count(found.stale)),
        ),
        (found.misplaced == 0, format!("{} misplaced: not at its owner's home", count(found.misplaced))),
        (
            found.resurrected + found.invented == 0,
            format!(
                "{} back from the dead, {} that nobody wrote",
                count(found.resurrected),
                count(found.invented)
            ),
        ),
        (
            found.objects_wrong + found.objects_left == 0,
            format!(
                "{} photos absent or altered, {} left behind",
                count(found.objects_wrong),
                count(found.objects_left)
            ),
        ),
    ];
    for (good, text) in lines {
        said(stage, good, &text);
    }
    for example in &found.examples {
        stage.page.show_line(&format!("  {example}"));
    }
}

fn say_scan(stage: &Stage, scan: &Scan, began: Instant) {
    let old = stage.world.case.old;
    let took = crate::figures::duration(began.elapsed());
    said(
        stage,
        scan.found == 0,
        &format!(
            "{} of {} phone numbers of people who left are in the bytes of {old}: {} files, {}, {took}",
            count(scan.found),
            count(scan.numbers),
            count(scan.files),
            bytes(scan.bytes)
        ),
    );
    let control = if scan.control { "found" } else { "NOT FOUND: the scan proves nothing" };
    said(
        stage,
        scan.is_trusted(),
        &format!(
            "control: the number planted there beforehand: {control}; people who stay: {} of {} found",
            scan.stayers.0, scan.stayers.1
        ),
    );
    for place in scan.places.iter().take(3) {
        stage.page.show_line(&format!("  {}", place.display()));
    }
}

/// People whose cloud home is not the one that the case's own table names.
fn unsettled(stage: &Stage, homes: &Homes) -> u64 {
    let case = stage.world.case;
    let belongs = |person: &Person| {
        let named =
            case.settled.iter().find(|(country, _)| *country == person.country).map(|(_, region)| *region);
        case.region(if person.flagged { case.old } else { named.unwrap_or(case.old) })
    };
    let last = case.services[case.services.len() - 1].name;
    stage.world.people.iter().filter(|p| homes.get(&(last, p.id)).copied() != belongs(p)).count() as u64
}

fn scan_old(stage: &Stage, homes: &Homes) -> Result<Scan> {
    let world = &stage.world;
    let old = world.case.region(world.case.old);
    let at_old = |person: &&Person| {
        world
            .case
            .services
            .iter()
            .filter(|s| homes.contains_key(&(s.name, person.id)))
            .any(|s| homes.get(&(s.name, person.id)).copied() == old)
    };
    let (stay, gone): (Vec<&Person>, Vec<&Person>) = world.people.iter().partition(at_old);
    let gone: Vec<&str> = gone.into_iter().map(|p| p.phone.as_str()).collect();
    let stay: Vec<&str> = stay.into_iter().take(STAYERS).map(|p| p.phone.as_str()).collect();
    scan::scan(&world.folder.region(world.case.old), &gone, &stay).map_err(|e| {
        let why = "without the scan nothing is proven of the files";
        Failure::new(
            "demo-scan",
            format!("the old region's files can't be scanned: {e}"),
            why,
            "ls -l domicile-demo",
        )
    })
}

fn check_receipts(stage: &Stage, verdict: &mut Verdict) -> Result<()> {
    let trusted = keys::public(std::slice::from_ref(&stage.config.keys))?;
    let folder = &stage.config.receipts;
    let entries =
        fs::read_dir(folder).map_err(|e| failure::of_file("read the folder of receipts", folder, &e))?;
    for entry in entries.filter_map(|e| e.ok()) {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "receipts") {
            continue;
        }
        verdict.receipts += 1;
        let file = fs::File::open(&path).map_err(|e| failure::of_file("read the receipts", &path, &e))?;
        match domicile_ledger::verify(file, &trusted) {
            Ok(verified) if verified.all_trusted() => {
                verdict.verified += 1;
                verdict.lines += verified.subjects;
            }
            Ok(_) => {}
            Err(error) => said(stage, false, &format!("{}: {error}", path.display())),
        }
    }
    Ok(())
}
