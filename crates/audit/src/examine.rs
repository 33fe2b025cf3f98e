//! The examiner: every target hands its bytes here, with their place.

use crate::{Encoding, Finding, Found, Hit, Place, Report, Scan, Unseen, Wanted};
use std::io::Read;

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

/// Searches whatever it is handed and keeps the report.
#[derive(Debug)]
pub struct Examiner<'w> {
    wanted: &'w Wanted,
    limits: Limits,
    report: Report,
}

impl<'w> Examiner<'w> {
    /// An examiner with an empty report.
    pub fn new(wanted: &'w Wanted, limits: Limits) -> Self {
        Self { wanted, limits, report: Report::default() }
    }

    /// Searches a run of bytes to its end: as it stands, and as what it unpacks to where it is a container.
    pub fn read(&mut self, place: &Place, mut bytes: impl Read) -> std::io::Result<()> {
        let mut scan = Scan::new(self.wanted);
        let mut chunk = vec![0; 256 << 10];
        loop {
            let read = bytes.read(&mut chunk)?;
            let mut heard =
                Heard { wanted: self.wanted, place, limits: &self.limits, report: &mut self.report };
            if read == 0 {
                scan.end(&mut heard);
                return Ok(());
            }
            scan.feed(&chunk[..read], &mut heard);
            self.report.scanned.bytes += read as u64;
        }
    }

    /// Notes something that could not be read, or not wholly.
    pub fn unseen(&mut self, place: &Place, why: impl Into<String>) {
        if self.report.unseen.len() < self.limits.unseen_max {
            self.report.unseen.push(Unseen { place: place.clone(), why: why.into() });
        } else {
            self.report.more_unseen += 1;
        }
    }

    /// Counts a target that was read.
    pub fn target(&mut self) {
        self.report.scanned.targets += 1;
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

    /// Where the report stands.
    pub(crate) fn mark(&self) -> Mark {
        let Report { findings, more_findings, scanned, unseen, more_unseen, .. } = &self.report;
        Mark {
            findings: findings.len(),
            more_findings: *more_findings,
            scanned: *scanned,
            unseen: unseen.len(),
            more_unseen: *more_unseen,
        }
    }

    /// Forgets what came since the mark, to look once more in another way.
    pub(crate) fn rewind(&mut self, mark: &Mark) {
        self.report.findings.truncate(mark.findings);
        self.report.unseen.truncate(mark.unseen);
        self.report.more_findings = mark.more_findings;
        self.report.more_unseen = mark.more_unseen;
        self.report.scanned = mark.scanned;
    }

    /// The report of everything so far.
    pub fn finish(self) -> Report {
        self.report
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
}

impl Mark {
    /// Findings that were kept by then.
    pub(crate) fn kept(&self) -> usize {
        self.findings
    }
}

/// Turns hits in one place into findings.
struct Heard<'a> {
    wanted: &'a Wanted,
    place: &'a Place,
    limits: &'a Limits,
    report: &'a mut Report,
}

impl Found for Heard<'_> {
    fn hit(&mut self, hit: Hit) {
        if self.report.findings.len() >= self.limits.findings_max {
            self.report.more_findings += 1;
            return;
        }
        let (kind, identifier) = self.wanted.named(hit.identifier);
        self.report.findings.push(Finding {
            identifier,
            kind,
            place: self.place.clone(),
            offset_bytes: hit.at.start,
            length_bytes: hit.at.end - hit.at.start,
            how: hit.how,
        });
    }

    fn inner(&mut self, _at: u64, _how: Encoding, _bytes: &[u8]) {}
}
