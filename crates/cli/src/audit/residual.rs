//! `audit residual`: what an erase left at the old home, and the receipts that tell it.

use super::{Ran, Target, columns_of, of_subjects, paths, run};
use crate::app::App;
use crate::args::ResidualArgs;
use crate::config::{Config, Service};
use crate::failure::{self, Failure, Result};
use crate::open::{self, Mapped, Want};
use crate::screen::{Answer, Exit};
use crate::{keys, wave_state};
use domicile_audit::report::Verdict;
use domicile_audit::{Place, Step};
use domicile_directory::{Wave, WaveState};
use domicile_ledger::{Digest, Outcome, ResidueSearch};
use domicile_mover::Evidence;
use domicile_stores::Records;
use domicile_stores::records::SubjectId;
use jiff::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::path::PathBuf;

/// Subjects read at once.
const BATCH: u32 = 1_000;
/// Entries of what was not seen that a receipt keeps, and bytes of each.
const UNSEEN_MAX: usize = 50;
const UNSEEN_BYTES_MAX: usize = 500;

/// Searches the old home of an erased wave, and issues its receipts again with the result.
pub async fn residual(app: &App, args: ResidualArgs) -> Result<Answer> {
    let config = app.config()?;
    let service = app.service(&config)?;
    let wave = wave_state::find(app, &config, &args.wave).await?;
    check(&wave, &args)?;
    let columns = columns_of(&[], &config)?;
    let receipts = config.receipts.join(format!("{}.receipts", wave.id));
    let read = args.also.iter().chain([&receipts, &config.file]).map(PathBuf::as_path).collect::<Vec<_>>();
    super::check(&args.output, &read)?;
    let moved = moved(&config, &receipts)?;
    let mapped = open::mapped(&config, service, &Want::only([wave.target.as_str()])).await?;
    let target = config.chosen(service, Some(&wave.target))?[0];
    let records = mapped.records(target).await?;
    let there = still_there(&config, &wave, &moved, &*records).await?;
    let place = format!("region {}", wave.target);
    let from = (&*records, &*mapped.layout, place.as_str());
    let looked = of_subjects(from, &columns, &there, (&args.output, &config)).await?;
    let counts = Counts {
        identifiers: looked.identifiers.len() as u64,
        subjects: there.len() as u64,
        not_there: (moved.len() - there.len()) as u64,
    };
    if looked.identifiers.is_empty() {
        return Err(nobody(&wave, &counts));
    }
    let targets = targets(app, &config, &wave, &args).await?;
    let began = Timestamp::now();
    let ran = Box::pin(run(app, looked, targets, &args.output)).await?;
    let mut answer = super::answer(&ran, &args.output);
    let broken = ran.broken && ran.report.verdict() == Verdict::NotWhole;
    if broken || ran.report.verdict() == Verdict::ProvesNothing {
        answer.text.push_str("\nthe receipts stay as they are\n");
        return Ok(answer);
    }
    let search = account(&ran, began, &counts);
    let evidence = evidence(&config, &mapped, &wave)?;
    let path = domicile_mover::with_residue(&evidence, &wave.id, (&wave.source, &wave.target), search);
    let path = path.map_err(|e| failure::of_mover(&e))?;
    answer.text.push_str(&said(&counts, &path));
    if let Some(fields) = answer.json.as_object_mut() {
        fields.insert("receipts".to_owned(), json!(path));
        fields.insert(
            "subjects".to_owned(),
            json!({ "looked_for": counts.subjects, "not_there": counts.not_there }),
        );
    }
    Ok(answer)
}

struct Counts {
    identifiers: u64,
    subjects: u64,
    not_there: u64,
}

fn check(wave: &Wave, args: &ResidualArgs) -> Result<()> {
    if let Some(region) = args.region.as_ref().filter(|region| **region != wave.source) {
        return Err(Failure::usage(
            "audit-wave",
            format!("the old home of wave {} is {}, not {region}", wave.id, wave.source),
            "what is left is looked for where the wave's subjects came from",
            format!("domicile audit residual --region {} --wave {}", wave.source, wave.id),
        ));
    }
    if wave.state == WaveState::Erased {
        return Ok(());
    }
    Err(Failure::new(
        "audit-wave",
        format!("wave {} is {}: its old home was not erased yet", wave.id, wave.state),
        "before the erase the old copies are there on purpose",
        format!("domicile erase {}", wave.id),
    )
    .exit(Exit::No))
}

/// Commitments of those who moved. After the erase nothing else knows who was in the wave.
fn moved(config: &Config, receipts: &PathBuf) -> Result<HashSet<Digest>> {
    let trusted = keys::public(std::slice::from_ref(&config.keys))?;
    let file = File::open(receipts).map_err(|e| failure::of_file("read the receipts", receipts, &e))?;
    let mut moved = HashSet::new();
    let verified = domicile_ledger::verify_each(file, &trusted, |record| {
        if record.outcome == Outcome::Moved {
            moved.insert(record.commitment);
        }
    });
    verified.map_err(|error| {
        Failure::new(
            "receipt-wrong",
            format!("{}: {error}", receipts.display()),
            "who was in the wave is known from its receipts alone, and these do not hold",
            "get the file again from a backup of the receipts",
        )
        .exit(Exit::No)
    })?;
    Ok(moved)
}

/// Those of the moved subjects that have a row at the new home.
async fn still_there(
    config: &Config,
    wave: &Wave,
    moved: &HashSet<Digest>,
    records: &dyn Records,
) -> Result<Vec<SubjectId>> {
    let secret = keys::receipts(config)?;
    let (mut there, mut after) = (Vec::new(), None);
    loop {
        let some = records.subjects(after.as_ref(), BATCH).await;
        let some = some.map_err(|e| failure::of_store(&format!("region {}", wave.target), &e))?;
        let Some(last) = some.last() else { return Ok(there) };
        after = Some(last.subject.clone());
        let ours = |id: &SubjectId| moved.contains(&secret.salt(&wave.id, &id.0).commit(&id.0));
        there.extend(some.into_iter().map(|facts| facts.subject).filter(ours));
    }
}

fn nobody(wave: &Wave, counts: &Counts) -> Box<Failure> {
    Failure::new(
        "audit-nobody",
        format!("nothing of wave {}'s subjects is known that could be looked for", wave.id),
        format!(
            "{} of them have a row at {}, and the columns of [audit] identifiers hold nothing of theirs",
            counts.subjects, wave.target
        ),
        "domicile audit region:OLD --identifiers FILE   # with a list of your own",
    )
    .exit(Exit::No)
}

async fn targets(app: &App, config: &Config, wave: &Wave, args: &ResidualArgs) -> Result<Vec<Target>> {
    let mut targets = super::targets::of_region(app, config, &wave.source).await?;
    targets.extend(paths(&args.also)?);
    Ok(targets)
}

/// What goes into the receipts: no identifier, no place by name but what was searched.
fn account(ran: &Ran, at: Timestamp, counts: &Counts) -> ResidueSearch {
    let report = &ran.report;
    let mut findings: BTreeMap<String, u64> = BTreeMap::new();
    for finding in &report.findings {
        *findings.entry(sort(&finding.place).to_owned()).or_default() += 1;
    }
    if report.more_findings > 0 {
        *findings.entry("not listed".to_owned()).or_default() += report.more_findings;
    }
    let distinct: BTreeSet<String> =
        report.unseen.iter().map(|unseen| plain(&format!("{}: {}", unseen.place, unseen.why))).collect();
    let more = distinct.len().saturating_sub(UNSEEN_MAX) as u64 + report.more_unseen;
    let mut unseen: Vec<String> = distinct.into_iter().take(UNSEEN_MAX).collect();
    if more > 0 {
        unseen.push(format!("{more} more"));
    }
    ResidueSearch {
        at: Timestamp::from_second(at.as_second()).unwrap_or(at),
        searched: ran.asked.targets.iter().map(|target| plain(target)).collect(),
        bytes: report.scanned.bytes,
        identifiers: counts.identifiers,
        subjects: counts.subjects,
        subjects_not_there: counts.not_there,
        controls: report.controls.planted,
        findings,
        unseen,
    }
}

fn sort(place: &Place) -> &'static str {
    match place.0.as_slice() {
        [Step::Database(_), Step::Table(schema, table), ..] => match (schema.as_str(), table.as_str()) {
            ("pg_catalog", "pg_stats") => "statistics",
            ("pg_catalog", "pg_largeobject") => "large object",
            _ => "table",
        },
        [Step::Object(_), ..] => "object",
        _ => "file",
    }
}

/// Without control characters, and not longer than a receipt takes.
fn plain(text: &str) -> String {
    let mut plain: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    if plain.len() > UNSEEN_BYTES_MAX {
        let end = (0..=UNSEEN_BYTES_MAX).rev().find(|end| plain.is_char_boundary(*end)).unwrap_or(0);
        plain.truncate(end);
    }
    plain
}

fn evidence(config: &Config, mapped: &Mapped<'_>, wave: &Wave) -> Result<Evidence> {
    let service: &Service = mapped.service;
    let ids = [wave.source.as_str(), wave.target.as_str()];
    Ok(Evidence {
        folder: config.receipts.clone(),
        keys: keys::signing(config, &ids)?,
        secret: keys::receipts(config)?,
        retention: config.regions_of(service).map(|r| (r.id().to_owned(), r.retention)).collect(),
    })
}

fn said(counts: &Counts, path: &std::path::Path) -> String {
    let who = match counts.not_there {
        0 => String::new(),
        n => format!(
            "{} had moved on or were deleted since: nothing of them was looked for\n",
            crate::figures::counted(n, "subject")
        ),
    };
    format!(
        "\n{who}the receipts tell it, signed again by both regions:\n  domicile receipt verify {}\n",
        path.display()
    )
}
