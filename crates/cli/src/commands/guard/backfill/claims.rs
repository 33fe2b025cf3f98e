//! Claims of subjects who were there before Domicile, read from the columns that the configuration names.
//!
//! What two subjects have stays with whom it came from first. Nobody is named unless a list was asked for.
//!
//! CRASH: a claim is imported or not; the next backfill imports it again, which changes nothing.

use super::super::at;
use super::{BATCH, pause};
use crate::app::App;
use crate::claims::Found;
use crate::commands::verify::list::List;
use crate::config::{Config, Region};
use crate::failure::{self, Failure, Result};
use crate::figures::{count, counted};
use crate::paper;
use crate::screen::Exit;
use domicile_directory::{Claim, ClaimHash, ClaimKind, Directory, SubjectHash};
use domicile_stores::Records;
use domicile_stores::records::{State, SubjectId};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// Claims of several subjects whose owners are named in a list; what is beyond is only counted.
const DUPLICATES_MAX: u64 = 100_000;

/// What became of the claims of one kind.
#[derive(Default, Clone, Copy)]
struct Tally {
    imported: u64,
    already: u64,
    taken: u64,
    unclaimable: u64,
}

/// The import of all regions.
pub(super) struct Import<'a> {
    service: &'a str,
    columns: &'a [Found<'a>],
    tallies: BTreeMap<ClaimKind, Tally>,
    /// Each claim that several have, with its number in the list.
    numbers: HashMap<ClaimHash, u64>,
    /// Whose those are.
    owners: HashMap<SubjectHash, BTreeSet<(ClaimKind, u64)>>,
    /// The numbers whose owner is named in the list.
    named: BTreeSet<u64>,
    list: Option<List>,
}

impl<'a> Import<'a> {
    /// Nothing is imported yet. The list is made at once: one that is there already stops the command before it begins.
    pub(super) fn new(service: &'a str, columns: &'a [Found<'a>], list: Option<&Path>) -> Result<Self> {
        let list = list.map(List::create).transpose()?;
        let (tallies, numbers, owners, named) = Default::default();
        Ok(Self { service, columns, tallies, numbers, owners, named, list })
    }

    /// Imports the claims of everybody whose home this is, for the guard and for the directory.
    pub(super) async fn region(
        &mut self,
        app: &App,
        config: &Config,
        directory: &Directory,
        region: &Region,
        records: &dyn Records,
    ) -> Result<()> {
        if self.columns.is_empty() {
            return Ok(());
        }
        app.screen.say(&format!("reading the claims of {}", region.id()));
        let mut after = None::<SubjectId>;
        loop {
            stop(app, region)?;
            let page = records.subjects(after.as_ref(), BATCH).await.map_err(at(region))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.subject.clone());
            let rows = page.len();
            let home = page.into_iter().filter(|f| f.state == Some(State::Home)).map(|f| f.subject).collect();
            self.page(directory, region, records, home).await?;
            tokio::time::sleep(pause(config, rows)).await;
        }
    }

    async fn page(
        &mut self,
        directory: &Directory,
        region: &Region,
        records: &dyn Records,
        subjects: Vec<SubjectId>,
    ) -> Result<()> {
        let homes = directory.homes(self.service, &subjects).await.map_err(|e| failure::of_directory(&e))?;
        let here = |home: &Option<domicile_directory::Home>| {
            home.as_ref().is_some_and(|home| home.region == region.id())
        };
        let subjects: Vec<SubjectId> =
            subjects.into_iter().zip(&homes).filter(|(_, home)| here(home)).map(|(s, _)| s).collect();
        if subjects.is_empty() {
            return Ok(());
        }
        for found in self.columns {
            let (kind, column) = (found.named.kind, &found.named.column);
            let texts = records.column(found.table, column, &subjects).await.map_err(at(region))?;
            let mut claims = Vec::with_capacity(texts.len());
            for (subject, text) in texts {
                match Claim::new(kind, &text) {
                    Ok(claim) => claims.push((subject, claim)),
                    // An empty text is how some say that there is none.
                    Err(_) if text.trim().is_empty() => {}
                    Err(_) => self.unclaimable(kind, region, &subject)?,
                }
            }
            self.import(directory, region, kind, &claims).await?;
        }
        Ok(())
    }

    fn unclaimable(&mut self, kind: ClaimKind, region: &Region, subject: &SubjectId) -> Result<()> {
        self.tallies.entry(kind).or_default().unclaimable += 1;
        match &mut self.list {
            Some(list) => list.add(&format!("unclaimable-{kind}"), region.id(), subject),
            None => Ok(()),
        }
    }

    async fn import(
        &mut self,
        directory: &Directory,
        region: &Region,
        kind: ClaimKind,
        claims: &[(SubjectId, Claim)],
    ) -> Result<()> {
        let imported = directory.import_claims(self.service, claims).await;
        let imported = imported.map_err(|e| failure::of_directory(&e))?;
        let tally = self.tallies.entry(kind).or_default();
        tally.imported += imported.new;
        tally.already += imported.already;
        tally.taken += imported.taken.len() as u64;
        for taken in imported.taken {
            let (subject, claim) = &claims[taken.index];
            let number = self.numbers.len() as u64 + 1;
            let Some(list) = self.list.as_mut().filter(|_| number <= DUPLICATES_MAX) else { continue };
            let hash = directory.hash_of_claim(self.service, claim);
            let number = *self.numbers.entry(hash).or_insert(number);
            list.add_to(number, &format!("duplicate-{kind}"), region.id(), subject)?;
            self.owners.entry(taken.holder).or_default().insert((kind, number));
        }
        Ok(())
    }

    /// Names those who have the claims that others have, too: the directory knows them by their hashes, so everybody
    /// is looked at once more. Only where a list was asked for.
    pub(super) async fn name_owners(
        &mut self,
        app: &App,
        directory: &Directory,
        region: &Region,
        records: &dyn Records,
    ) -> Result<()> {
        let Some(list) = self.list.as_mut().filter(|_| !self.owners.is_empty()) else { return Ok(()) };
        let mut after = None::<SubjectId>;
        loop {
            stop(app, region)?;
            let page = records.known(after.as_ref(), BATCH).await.map_err(at(region))?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.subject.clone());
            // Also on its way; a copy that is not its home's is not the subject.
            for row in page.iter().filter(|row| !matches!(row.state, State::Away | State::Arriving)) {
                let hash = directory.hash(self.service, &row.subject);
                for (kind, number) in self.owners.get(&hash).into_iter().flatten() {
                    list.add_to(*number, &format!("owner-{kind}"), region.id(), &row.subject)?;
                    self.named.insert(*number);
                }
            }
        }
    }

    /// What is said of it: text, JSON, and whether two subjects have one claim.
    pub(super) fn end(self, flag: &str) -> Result<(Vec<String>, Value, bool)> {
        let taken = self.tallies.values().any(|t| t.taken > 0);
        let named = self.list.map(List::end).transpose()?;
        let mut said = Vec::new();
        if !self.tallies.is_empty() {
            said.push(table(&self.tallies));
        }
        if taken {
            said.push(paper::wrapped("", TAKEN));
        }
        let unnamed = self.tallies.values().any(|t| t.taken + t.unclaimable > 0);
        match &named {
            Some((path, lines)) => said.push(format!(
                "{} named in {}, for you alone (mode 0600)",
                counted(*lines, "line"),
                path.display()
            )),
            None if unnamed => {
                said.push(format!("domicile guard backfill{flag} --list FILE   # who they are"))
            }
            None => {}
        }
        let ownerless = (self.numbers.len() - self.named.len()) as u64;
        if ownerless > 0 {
            let words =
                "no owner in the list: whose they are is in none of these regions, or signs up just now";
            said.push(paper::wrapped("", &format!("{} with {words}.", counted(ownerless, "claim"))));
        }
        let kinds = self.tallies.iter().map(|(kind, t)| {
            json!({ "kind": kind, "imported": t.imported, "already": t.already,
                    "duplicate": t.taken, "unclaimable": t.unclaimable })
        });
        let list = named.map(|(path, lines)| json!({ "file": path, "lines": lines }));
        Ok((said, json!({ "kinds": kinds.collect::<Vec<_>>(), "list": list }), taken))
    }
}

const TAKEN: &str = "A claim has one subject: whose it came from first. The others keep their rows and can't be found by \
                     it. Change it in one of the two rows, in the application, then run `domicile guard backfill` again.";

fn table(tallies: &BTreeMap<ClaimKind, Tally>) -> String {
    let rows = tallies.iter().map(|(kind, t)| {
        vec![kind.to_string(), count(t.imported), count(t.already), count(t.taken), count(t.unclaimable)]
    });
    let head = ["claims", "imported", "already", "another's", "no claim"];
    paper::table(&head, &[1, 2, 3, 4], rows.collect())
}

fn stop(app: &App, region: &Region) -> Result<()> {
    if !app.signals.stopped() {
        return Ok(());
    }
    let fix = format!("domicile guard backfill --region {}", region.id());
    let why = "backfill may stop between any two batches";
    Err(Failure::new("stopped", "stopped on request", why, fix)
        .state("every subject has its home, the claims of some wait")
        .exit(Exit::Stopped))
}
