//! The examiner: every target hands its bytes here, with their place.

use crate::gap::Gaps;
use crate::report;
use crate::unpack::{self, Inner, Opener, Search, Spot};
use crate::{
    Canaries, Captured, Encoding, Finding, Found, Gap, Hit, Place, Report, Scan, Step, Unseen, Wanted,
};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Bounds of one run.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Findings kept; the rest are counted.
    pub findings_max: usize,
    /// Entries kept of what was not seen; the rest are counted.
    pub unseen_max: usize,
    /// Containers within containers.
    pub depth_max: usize,
    /// Bytes that one target may unpack to.
    pub unpacked_bytes_max: u64,
    /// How many times its packed size a stream may unpack to.
    pub ratio_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            findings_max: 10_000,
            unseen_max: 1_000,
            depth_max: 8,
            unpacked_bytes_max: 64 << 30,
            ratio_max: 2_000,
        }
    }
}

/// How far a search has come, for who watches it from another thread.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes read from targets, and what was unpacked from them.
    pub bytes: AtomicU64,
    /// Bytes read from targets alone.
    pub read_bytes: AtomicU64,
    /// Findings so far.
    pub findings: AtomicU64,
    now: Mutex<String>,
    /// Somebody wants to know the place: it is not made into words for nobody.
    asked: AtomicBool,
}

impl Progress {
    /// Where the search was lately, without identifiers; empty at first. Asking makes the next piece that is searched tell it.
    pub fn now(&self) -> String {
        self.asked.store(true, Ordering::Relaxed);
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn searching(&self, bytes: usize, spot: &Spot, wanted: &Wanted) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if self.asked.load(Ordering::Relaxed) && self.asked.swap(false, Ordering::Relaxed) {
            let place = report::hidden(spot.place().to_string(), wanted);
            *self.now.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }
    }
}

/// Searches whatever it is handed and keeps the report.
#[derive(Debug)]
pub struct Examiner<'w> {
    wanted: &'w Wanted,
    limits: Limits,
    report: Report,
    progress: Arc<Progress>,
    canaries: Option<Canaries>,
    /// The number of the first canary: hits from there on are no findings.
    spared_from: u32,
    /// The directory that is walked, whole.
    root: Option<Arc<Path>>,
    /// Databases whose rows were read to the end.
    rows: Vec<RowsOf>,
}

/// A database whose rows were searched as rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RowsOf {
    /// Of a server, whose data folder is not known.
    Postgres,
    /// Of a file.
    Sqlite(PathBuf),
}

impl<'w> Examiner<'w> {
    /// An examiner with an empty report.
    pub fn new(wanted: &'w Wanted, limits: Limits) -> Self {
        Self {
            wanted,
            limits,
            report: Report::default(),
            progress: Arc::default(),
            canaries: None,
            spared_from: u32::MAX,
            root: None,
            rows: Vec::new(),
        }
    }

    /// The same; `progress` is kept up to date.
    #[must_use]
    pub fn telling(self, progress: Arc<Progress>) -> Self {
        Self { progress, ..self }
    }

    /// Searches these canaries at the end, for the report's controls. Where they stand in a target they are no finding.
    #[must_use]
    pub fn with_controls(mut self, canaries: Canaries) -> Self {
        self.spared_from = canaries.first();
        self.canaries = Some(canaries);
        self
    }

    /// Searches a run of bytes to its end: as it stands, and what is in it where it is a container, a capture of traffic or
    /// an HTTP archive.
    ///
    /// # Errors
    /// What `bytes` fails with; what was read until then is searched. What is wrong inside of containers is no error: it is
    /// noted as unseen.
    pub fn read(&mut self, place: &Place, mut bytes: impl Read) -> std::io::Result<()> {
        let limits = self.limits.clone();
        let opener = Opener::new(self, limits);
        let read = unpack::open(&opener, 0, &place.clone().into(), &mut bytes);
        let (read_bytes, unpacked_bytes) = opener.counted();
        self.report.scanned.bytes += read_bytes;
        self.report.scanned.unpacked_bytes += unpacked_bytes;
        read
    }

    /// Notes something that could not be read, or not wholly.
    pub fn unseen(&mut self, place: &Place, gap: Gap, why: impl Into<String>) {
        self.report.gaps.count(gap);
        if self.report.unseen.len() < self.limits.unseen_max {
            self.report.unseen.push(Unseen { place: place.clone(), gap, why: why.into() });
        } else {
            self.report.more_unseen += 1;
        }
    }

    /// Counts a target that was read.
    pub fn target(&mut self) {
        self.report.scanned.targets += 1;
    }

    /// One like this, with an empty report and no controls of its own, for another thread.
    pub(crate) fn another(&self) -> Self {
        let (spared_from, progress, root) = (self.spared_from, self.progress.clone(), self.root.clone());
        Self { spared_from, progress, root, ..Self::new(self.wanted, self.limits.clone()) }
    }

    /// Takes over what another one found.
    pub(crate) fn absorb(&mut self, report: Report) {
        let Report { findings, more_findings, scanned, unseen, more_unseen, gaps, captures, .. } = report;
        let room = self.limits.findings_max.saturating_sub(self.report.findings.len());
        self.report.more_findings += more_findings + findings.len().saturating_sub(room) as u64;
        self.report.findings.extend(findings.into_iter().take(room));
        let room = self.limits.unseen_max.saturating_sub(self.report.unseen.len());
        self.report.more_unseen += more_unseen + unseen.len().saturating_sub(room) as u64;
        self.report.unseen.extend(unseen.into_iter().take(room));
        self.report.gaps.add(&gaps);
        self.report.scanned.targets += scanned.targets;
        self.report.scanned.bytes += scanned.bytes;
        self.report.scanned.unpacked_bytes += scanned.unpacked_bytes;
        self.report.captures.extend(captures);
    }

    /// How many findings are kept so far.
    pub fn kept(&self) -> usize {
        self.report.findings.len()
    }

    /// Tells the exact places of the findings from number `from` on: for targets that hand many small values
    /// over in one run.
    pub fn place_again(&mut self, from: usize, exact: impl FnMut(&mut Finding)) {
        self.report.findings[from..].iter_mut().for_each(exact);
    }

    /// Bytes read from targets so far.
    pub(crate) fn read_bytes(&self) -> u64 {
        self.report.scanned.bytes
    }

    /// Gaps so far.
    pub(crate) fn gaps(&self) -> Gaps {
        self.report.gaps
    }

    /// Where the report stands.
    pub(crate) fn mark(&self) -> Mark {
        let Report { findings, more_findings, scanned, unseen, more_unseen, gaps, captures, .. } =
            &self.report;
        Mark {
            findings: findings.len(),
            more_findings: *more_findings,
            scanned: *scanned,
            unseen: unseen.len(),
            more_unseen: *more_unseen,
            gaps: *gaps,
            captures: captures.len(),
        }
    }

    /// Forgets what came since the mark, to look once more in another way.
    pub(crate) fn rewind(&mut self, mark: &Mark) {
        self.report.findings.truncate(mark.findings);
        self.report.unseen.truncate(mark.unseen);
        self.report.captures.truncate(mark.captures);
        self.report.more_findings = mark.more_findings;
        self.report.more_unseen = mark.more_unseen;
        self.report.gaps = mark.gaps;
        self.report.scanned = mark.scanned;
    }

    /// The directory whose links are told by whether they lead out of it.
    pub(crate) fn set_root(&mut self, root: Option<PathBuf>) {
        self.root = root.map(Arc::from);
    }

    pub(crate) fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// The rows of a database were searched to the end: what its own files do not show as bytes is no gap.
    pub(crate) fn rows_read(&mut self, rows: RowsOf) {
        self.rows.push(rows);
    }

    fn settle(&mut self) {
        let read = |place: &Place| {
            let [Step::File(path)] = place.0.as_slice() else { return false };
            let same = |rows: &RowsOf| match (rows, Path::new(path)) {
                (RowsOf::Postgres, path) => path.is_dir(),
                (RowsOf::Sqlite(read), path) => match (read.canonicalize(), path.canonicalize()) {
                    (Ok(read), Ok(path)) => read == path,
                    _ => false,
                },
            };
            self.rows.iter().any(same)
        };
        for unseen in self.report.unseen.iter_mut().filter(|unseen| unseen.gap == Gap::Raw) {
            if read(&unseen.place) {
                unseen.gap = Gap::Known;
                self.report.gaps.settle(Gap::Raw);
            }
        }
    }

    /// The report of everything so far, with the controls.
    pub fn finish(mut self) -> Report {
        self.settle();
        if let Some(canaries) = self.canaries.take() {
            self.report.controls = canaries.search(self.wanted);
        }
        self.report
    }
}

impl<'w> Search for Examiner<'w> {
    type Run = Reading<'w>;

    fn begin(&mut self, base: u64) -> Reading<'w> {
        Reading { scan: Scan::new(self.wanted), base }
    }

    fn feed(&mut self, run: &mut Reading<'w>, spot: &Spot, bytes: &[u8]) -> Vec<Inner> {
        self.progress.searching(bytes.len(), spot, self.wanted);
        let mut heard = Heard { examiner: self, spot, base: run.base, inners: Vec::new() };
        run.scan.feed(bytes, &mut heard);
        heard.inners
    }

    fn end(&mut self, mut run: Reading<'w>, spot: &Spot) -> Vec<Inner> {
        let mut heard = Heard { examiner: self, spot, base: run.base, inners: Vec::new() };
        run.scan.end(&mut heard);
        heard.inners
    }

    fn unseen(&mut self, place: Place, gap: Gap, why: String) {
        Examiner::unseen(self, &place, gap, why);
    }

    fn flows(&mut self, captured: Captured) {
        self.report.captures.push(captured);
    }

    fn came(&mut self, bytes: usize) {
        self.progress.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// How far a report had come.
#[derive(Debug)]
pub(crate) struct Mark {
    findings: usize,
    more_findings: u64,
    scanned: crate::Scanned,
    unseen: usize,
    more_unseen: u64,
    gaps: Gaps,
    captures: usize,
}

impl Mark {
    /// Findings that were kept by then.
    pub(crate) fn kept(&self) -> usize {
        self.findings
    }
}

/// The search through one run, or through a part of it that begins at `base`.
pub(crate) struct Reading<'w> {
    scan: Scan<'w>,
    base: u64,
}

/// Turns hits in one run into findings.
struct Heard<'a, 'w> {
    examiner: &'a mut Examiner<'w>,
    spot: &'a Spot,
    base: u64,
    inners: Vec<Inner>,
}

impl Found for Heard<'_, '_> {
    fn hit(&mut self, hit: Hit) {
        let Examiner { wanted, limits, report, progress, spared_from, .. } = self.examiner;
        if hit.identifier >= *spared_from {
            return;
        }
        progress.findings.fetch_add(1, Ordering::Relaxed);
        if report.findings.len() >= limits.findings_max {
            report.more_findings += 1;
            return;
        }
        let (kind, identifier) = wanted.named(hit.identifier);
        let offset_bytes = self.base + hit.at.start;
        let place = self.spot.at(offset_bytes);
        let how = packings(&place).chain(hit.how).collect();
        let length_bytes = hit.at.end - hit.at.start;
        report.findings.push(Finding { identifier, kind, place, offset_bytes, length_bytes, how });
    }

    fn inner(&mut self, at: u64, how: Encoding, bytes: &[u8]) {
        self.inners.push(Inner { at: self.base + at, how, bytes: bytes.to_vec() });
    }
}

/// What the steps of a place were packed by, outermost first.
fn packings(place: &Place) -> impl Iterator<Item = Encoding> {
    place.0.iter().filter_map(|step| match step {
        Step::Unpacked(how) => unpack::encoding(how),
        _ => None,
    })
}
