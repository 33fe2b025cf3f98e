//! Evidence: signs what the stages recorded and writes the wave's file of receipts.

use crate::error::{Error, Result};
use crate::journal;
use crate::record::{Outcome, SubjectNote};
use crate::service::{Region, Service};
use crate::wave::WaveNote;
use domicile_datamap::Engine;
use domicile_datamap::layout::Personal;
use domicile_ledger as ledger;
use domicile_stores::failpoints::{self, When};
use domicile_stores::records::SubjectId;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Who signs, with what, and where the files go.
pub struct Evidence {
    /// The folder of receipts files, one a wave: `<wave>.receipts`.
    pub folder: PathBuf,
    /// Every region's signing key.
    pub keys: BTreeMap<String, ledger::SigningKey>,
    /// Makes the salts of the commitments.
    pub secret: ledger::ReceiptSecret,
    /// How long a region's backups and replicas keep what was erased.
    pub retention: BTreeMap<String, Retention>,
}

/// What the configuration says of a region's old bytes; `None`: it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Hours until the write-ahead log (and its archive) has forgotten.
    pub wal_hours: Option<u32>,
    /// Hours until replicas have.
    pub replicas_hours: Option<u32>,
    /// Hours until the last backup has.
    pub backups_hours: Option<u32>,
}

/// Writes the receipts of a wave from its batches' records, read one after the other; `None` where no
/// subject moved or stayed.
///
/// The same records give the same lines; only the time of signing differs.
pub(crate) async fn write(
    service: &Service,
    from: &Region,
    wave: &str,
    note: &WaveNote,
) -> Result<Option<PathBuf>> {
    let evidence = &service.evidence;
    fs::create_dir_all(&evidence.folder).map_err(|e| failed(&evidence.folder, &e))?;
    let path = evidence.folder.join(format!("{wave}.receipts"));
    forget_drafts(&evidence.folder, wave);
    // Names of this process: one that overslept its turn must not write into the draft of another one.
    let [draft, scratch] = ["draft", "scratch"]
        .map(|what| evidence.folder.join(format!("{wave}.{what}-{}", std::process::id())));
    let scratch_file = File::options().read(true).write(true).create(true).truncate(true).open(&scratch);
    let scratch_file = scratch_file.map_err(|e| failed(&scratch, &e))?;
    let mut writer = ledger::ReceiptWriter::new(wave, &evidence.secret, scratch_file);
    let mut seen = Seen::default();
    for batch in journal::batches(from, wave).await? {
        let record = journal::record(from, wave, &batch).await?;
        for (subject, entry) in &record.subjects {
            if let Some(line) = line(service, subject, entry) {
                seen.add(entry);
                writer.push(line).map_err(said)?;
            }
        }
    }
    if !seen.any {
        let _ = fs::remove_file(&scratch);
        return Ok(None);
    }
    let wave_record = wave_record(service, wave, note, &seen)?;
    let (source, target) = (key(evidence, &note.planned.from)?, key(evidence, &note.planned.to)?);
    let out = File::create(&draft).map_err(|e| failed(&draft, &e))?;
    writer.finish(wave_record, source, target, &out).map_err(said)?;
    out.sync_all().map_err(|e| failed(&draft, &e))?;
    // CRASH: the draft is not the receipts; the journal still holds what they are made of.
    let failpoint = |when| match failpoints::fails("receipts-publish", when) {
        true => Err(Error::Evidence(format!("{}: failpoint", path.display()))),
        false => Ok(()),
    };
    failpoint(When::NotDone)?;
    fs::rename(&draft, &path).map_err(|e| failed(&path, &e))?;
    failpoint(When::Done)?;
    let _ = fs::remove_file(&scratch);
    Ok(Some(path))
}

/// Issues the receipts of an erased wave again with a search for what the erase left.
///
/// # Errors
/// `Evidence`: no receipts, or not those that the two regions' keys signed.
pub fn with_residue(
    evidence: &Evidence,
    wave: &str,
    (from, to): (&str, &str),
    search: ledger::ResidueSearch,
) -> Result<PathBuf> {
    let path = evidence.folder.join(format!("{wave}.receipts"));
    let draft = evidence.folder.join(format!("{wave}.draft-{}", std::process::id()));
    let issued = File::open(&path).map_err(|e| failed(&path, &e))?;
    let out = File::create(&draft).map_err(|e| failed(&draft, &e))?;
    let keys = [key(evidence, from)?, key(evidence, to)?];
    let written = ledger::with_residue(issued, search, Timestamp::now(), keys, &out);
    if let Err(error) = written.map_err(said).and_then(|_| out.sync_all().map_err(|e| failed(&draft, &e))) {
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    // CRASH: before it the receipts are those without the search, after it those with it; both hold.
    fs::rename(&draft, &path).map_err(|e| failed(&path, &e))?;
    Ok(path)
}

/// Removes what a worker that died in the middle left. One that still lives fails to publish its draft: the
/// newest receipts are ours.
fn forget_drafts(folder: &Path, wave: &str) {
    let ours =
        |name: &str| ["draft-", "scratch-"].iter().any(|what| name.starts_with(&format!("{wave}.{what}")));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(ours) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What the lines have in common.
#[derive(Default)]
struct Seen {
    any: bool,
    first_fence: Option<Timestamp>,
    last_activation: Option<Timestamp>,
    /// The last erase; `None` while a moved subject is not erased.
    erased_at: Option<Timestamp>,
    waiting: bool,
    unmeasured: u64,
    rechecked: u64,
    came_back: u64,
}

impl Seen {
    fn add(&mut self, note: &SubjectNote) {
        self.any = true;
        if note.outcome != Outcome::Moved {
            return;
        }
        self.first_fence = [self.first_fence, note.fenced_at].into_iter().flatten().min();
        self.last_activation = self.last_activation.max(note.activated_at);
        self.erased_at = self.erased_at.max(note.erased_at);
        self.waiting |= note.erased_at.is_none();
        self.unmeasured += u64::from(note.pause_us.is_none());
        self.rechecked += note.rechecked;
        self.came_back += u64::from(note.came_back);
    }
}

fn line(service: &Service, subject: &SubjectId, note: &SubjectNote) -> Option<ledger::SubjectMove> {
    let moved = note.outcome == Outcome::Moved;
    let outcome = match &note.outcome {
        Outcome::Open => return None,
        Outcome::Moved => ledger::Outcome::Moved,
        Outcome::Left { code, .. } => ledger::Outcome::Stayed { code: code.as_str().to_owned() },
    };
    let tables = note.tables.iter().filter(|_| moved).filter_map(|digest| {
        Some(ledger::TableRows {
            table: service.layout.tables[digest.table].name.to_string(),
            rows: digest.rows,
            bytes: digest.bytes,
            digest: ledger::Digest::from_hex(&digest.sha256)?,
        })
    });
    Some(ledger::SubjectMove {
        subject: subject.0.clone(),
        epoch_before: note.epoch,
        epoch_after: note.epoch + u64::from(moved),
        tables: tables.collect(),
        objects: if moved { objects(note) } else { None },
        fenced_at: note.fenced_at,
        pause_us: note.pause_us,
        logically_erased_at: note.erased_at.filter(|_| moved),
        outcome,
    })
}

/// SHA-256 over `sha256(object) || key`, in ascending order of the keys.
fn objects(note: &SubjectNote) -> Option<ledger::Objects> {
    let sorted: BTreeSet<(&str, &str)> =
        note.objects.iter().map(|o| (o.key.as_str(), o.sha256.as_str())).collect();
    if sorted.is_empty() {
        return None;
    }
    let mut sha = Sha256::new();
    for (key, sha256) in sorted {
        sha.update(sha256);
        sha.update(key);
    }
    Some(ledger::Objects {
        count: note.objects.len() as u64,
        bytes: note.objects.iter().map(|o| o.size).sum(),
        digest: ledger::Digest(sha.finalize().into()),
    })
}

fn wave_record(service: &Service, wave: &str, note: &WaveNote, seen: &Seen) -> Result<ledger::WaveRecord> {
    let layout = &service.layout;
    let table = |table: String, reason: String| ledger::TableLeft { table, rows: None, reason };
    let references = layout.references.iter().map(|r| {
        let how =
            if r.personal == Personal::Stub { "stub: key and fillers only" } else { "copied where absent" };
        table(r.name.to_string(), how.to_owned())
    });
    let laws: BTreeSet<(String, String)> =
        note.planned.groups.iter().map(|g| (g.law.clone(), g.why.clone())).collect();
    let standbys = ledger::Standbys::waited_for(note.standbys.iter().flatten().cloned().collect());
    Ok(ledger::WaveRecord {
        id: wave.to_owned(),
        service: service.name.clone(),
        source: place(service.region(&note.planned.from)?),
        target: place(service.region(&note.planned.to)?),
        policy: ledger::Policy {
            hash: note.policy_hash.clone(),
            laws: laws.into_iter().map(|(law, reason)| ledger::Law { law, reason }).collect(),
        },
        map_hash: note.map_hash.clone(),
        plan_hash: note.plan_hash.clone(),
        times: ledger::Times {
            planned_at: note.planned_at,
            started_at: seen.first_fence.unwrap_or(note.opened_at).min(note.opened_at),
            ended_at: seen.erased_at.or(seen.last_activation).unwrap_or(note.opened_at),
            signed_at: Timestamp::now(),
        },
        excluded: layout.excluded.iter().map(|(t, why)| table(t.to_string(), why.clone())).collect(),
        reference: references.collect(),
        unmapped: Vec::new(),
        not_moved: layout
            .declared
            .iter()
            .map(|d| ledger::StoreNotMoved { name: d.name.clone(), note: d.note.clone() })
            .collect(),
        dropped_foreign_keys: layout
            .dropped_foreign_keys
            .iter()
            .map(|(t, c)| ledger::DroppedForeignKey { table: t.to_string(), constraint: c.clone() })
            .collect(),
        standbys,
        erasure: erasure(service, note, seen)?,
        residue: residue(service),
        residue_searches: Vec::new(),
        not_proven: not_proven(seen),
    })
}

fn place(region: &Region) -> ledger::Region {
    ledger::Region {
        id: region.id.clone(),
        country: region.place.country.to_string(),
        operator: region.place.operator.to_string(),
        location: ledger::Location::Declared,
    }
}

fn erasure(service: &Service, note: &WaveNote, seen: &Seen) -> Result<ledger::Erasure> {
    let Some(at) = seen.erased_at.filter(|_| !seen.waiting) else {
        let from = seen.last_activation.unwrap_or(note.opened_at);
        let grace = jiff::SignedDuration::try_from(service.limits.grace).unwrap_or(jiff::SignedDuration::MAX);
        let grace_ends_at = from.checked_add(grace).unwrap_or(Timestamp::MAX);
        return Ok(ledger::Erasure::Pending(ledger::Pending { grace_ends_at }));
    };
    let retention = service.evidence.retention.get(&note.planned.from).copied().unwrap_or_default();
    let hours = |hours: Option<u32>, what: &str| match hours {
        Some(hours) => ledger::Gone::Within { hours, source: "the configuration".into() },
        None => {
            ledger::Gone::NotKnown { why: format!("the configuration does not say how long {what} keep it") }
        }
    };
    let statements = service
        .layout
        .tables
        .iter()
        .rev()
        .map(|t| format!("DELETE FROM {} by primary key, where the owner is `away`", t.name.in_sql()));
    let mut statements: Vec<String> = statements.collect();
    if !service.layout.objects.is_empty() {
        statements.insert(0, "DELETE of every listed version of the subjects' objects".into());
    }
    let sqlite = service.layout.engine == Engine::Sqlite;
    if sqlite {
        statements.push("PRAGMA secure_delete, wal_checkpoint(TRUNCATE) and VACUUM of the whole file".into());
    }
    let gone = ledger::PhysicallyGone {
        wal: if sqlite {
            ledger::Gone::Within { hours: 1, source: "checkpoint and VACUUM right after the erase".into() }
        } else {
            hours(retention.wal_hours, "the write-ahead log and its archive")
        },
        replicas: hours(retention.replicas_hours, "replicas"),
        backups: hours(retention.backups_hours, "backups"),
    };
    let not_seen = vec![
        "disks below the file system".to_owned(),
        "logs and exports that the application wrote elsewhere".to_owned(),
        "caches and search indexes".to_owned(),
    ];
    Ok(ledger::Erasure::LogicallyErased(
        ledger::LogicallyErased::new(at, statements, gone, not_seen).map_err(said)?,
    ))
}

/// What stays outside the home by declaration, here: the directory's entry, and shared rows.
fn residue(service: &Service) -> Vec<ledger::Residue> {
    let mut all = vec![ledger::Residue {
        field: "directory.home: HMAC-SHA256 of the subject's key, region, epoch".into(),
        place: "the control store".into(),
        reason: "finding the home; names nobody without the directory's key".into(),
        ends: None,
    }];
    all.extend(service.layout.dropped_foreign_keys.iter().map(|(table, key)| ledger::Residue {
        field: format!("{table}: the columns of the former foreign key {key}"),
        place: "rows of other subjects, wherever those live".into(),
        reason: "the row belongs to the other subject; the data map answers `keep-id`".into(),
        ends: None,
    }));
    all
}

fn not_proven(seen: &Seen) -> Vec<String> {
    let mut all =
        vec!["that the application's role cannot disable the guard: see the documented GRANTs".to_owned()];
    if seen.unmeasured > 0 {
        all.push(format!(
            "how long {} subject(s) could not be written: their worker was replaced under the fence",
            seen.unmeasured
        ));
    }
    if seen.came_back > 0 {
        all.push(format!(
            "that the old home holds nothing of {} subject(s): they had moved back there before the erase, and their old copy was replaced then",
            seen.came_back
        ));
    }
    if seen.rechecked > 0 {
        all.push(format!(
            "that the digests are of the last instant: {} row(s) changed after them and were compared one by one under the fence",
            seen.rechecked
        ));
    }
    all
}

fn key<'e>(evidence: &'e Evidence, region: &str) -> Result<&'e ledger::SigningKey> {
    evidence.keys.get(region).ok_or_else(|| Error::Evidence(format!("region {region} has no signing key")))
}

fn said(error: ledger::Error) -> Error {
    Error::Evidence(error.to_string())
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::Evidence(format!("{}: {error}", path.display()))
}
