//! What a run says: findings, what was read, what could not be seen, and whether its controls were found.

mod hiding;
mod html;
mod json;
mod sarif;
mod text;

pub(crate) use hiding::hidden;
pub use hiding::hide;
pub use html::html;
pub use json::{FORMAT, json};
pub use sarif::sarif;
pub use text::text;

use crate::gap::{Gap, Gaps};
use crate::{Captured, Encoding, Finding, Kind, Place, Step, Wanted};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One audit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// What was found, in the order of places; at most [`crate::Limits::findings_max`].
    pub findings: Vec<Finding>,
    /// Findings beyond that bound.
    pub more_findings: u64,
    /// What was read.
    pub scanned: Scanned,
    /// What was not read, or not wholly, and why.
    pub unseen: Vec<Unseen>,
    /// Entries of `unseen` beyond its bound.
    pub more_unseen: u64,
    /// How many there were of each sort, those beyond the bound, too.
    pub gaps: Gaps,
    /// Sorts that do not count against the run: whoever asked for it said so.
    pub accepted: BTreeSet<Gap>,
    /// Who spoke with whom in each capture.
    pub captures: Vec<Captured>,
    /// The positive controls.
    pub controls: Controls,
}

/// How much was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Scanned {
    /// Files, objects, tables and captures.
    pub targets: u64,
    /// Bytes read from them.
    pub bytes: u64,
    /// Bytes that came out of containers and decodings beside them.
    pub unpacked_bytes: u64,
}

/// Something that this run can't speak about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// Where.
    pub place: Place,
    /// Of what sort it is.
    pub gap: Gap,
    /// Why, in words: encrypted, truncated, over a limit, no permission.
    pub why: String,
}

/// Positive controls: canaries planted in every encoding and container, searched in the same run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Controls {
    /// How many were planted.
    pub planted: u64,
    /// The names of those not found: with one missed the run proves nothing and fails.
    pub missed: Vec<String>,
}

/// What a run was asked: stands at the head of every report.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Identifiers by sort.
    pub identifiers: BTreeMap<Kind, u64>,
    /// Salts that digests were tried with, the empty one not counted.
    pub salts: u64,
    /// Keys that HMAC-SHA-256 was tried with.
    pub keys: u64,
    /// The targets as they were named, without credentials.
    pub targets: Vec<String>,
    /// When it began, RFC 3339.
    pub at: String,
}

/// What a report comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Identifiers were found.
    Found,
    /// None was, all controls were, and everything was read.
    Nothing,
    /// None was in what was read, but not all of it could be read: what was not found may be there.
    NotWhole,
    /// A control was missed: what was not found may be there.
    ProvesNothing,
}

impl Asked {
    /// About the first `own` of these identifiers (canaries stand behind them) in these targets, without keys.
    pub fn new(wanted: &Wanted, own: u32, salts: u64, targets: Vec<String>, at: String) -> Self {
        let mut identifiers = BTreeMap::new();
        for n in 0..own {
            *identifiers.entry(wanted.named(n).0).or_default() += 1;
        }
        Self { identifiers, salts, keys: 0, targets, at }
    }

    /// `3 identifiers: 2 phone, 1 e-mail`.
    fn in_words(&self) -> String {
        let kinds = self.identifiers.iter().map(|(of, n)| format!("{n} {}", kind(*of)));
        let mut words = counted(self.identifiers.values().sum(), "identifier");
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        if !kinds.is_empty() {
            words.push_str(&format!(": {kinds}"));
        }
        if self.salts > 0 {
            words.push_str(&format!("; digests also with {}", counted(self.salts, "salt")));
        }
        if self.keys > 0 {
            words.push_str(&format!("; HMAC-SHA-256 with {}", counted(self.keys, "key")));
        }
        words
    }
}

impl Report {
    /// What it comes to. A missed control counts more than a finding: it says that others may be missing.
    pub fn verdict(&self) -> Verdict {
        match (self.controls.missed.is_empty(), self.found()) {
            (false, _) => Verdict::ProvesNothing,
            (true, 0) if self.missing().next().is_some() => Verdict::NotWhole,
            (true, 0) => Verdict::Nothing,
            (true, _) => Verdict::Found,
        }
    }

    /// What was not seen and was not accepted, by its sort.
    pub fn missing(&self) -> impl Iterator<Item = (Gap, u64)> {
        self.gaps.each().filter(|(gap, _)| self.counts(*gap))
    }

    /// Does a gap of this sort count against the run?
    pub fn counts(&self, gap: Gap) -> bool {
        gap != Gap::Known && !self.accepted.contains(&gap)
    }

    /// Findings, those beyond the bound, too.
    pub fn found(&self) -> u64 {
        self.findings.len() as u64 + self.more_findings
    }
}

/// The end of a report, in a sentence that claims no more than was seen.
fn sentence(report: &Report, asked: &Asked) -> String {
    let reservation = match report.unseen.len() as u64 + report.more_unseen {
        0 => String::new(),
        n => format!(" {} could not be seen, or not wholly: each is listed.", counted(n, "thing")),
    };
    match report.verdict() {
        Verdict::ProvesNothing => format!(
            "This run proves nothing: {} of {} planted controls were missed ({}).",
            report.controls.missed.len(),
            report.controls.planted,
            report.controls.missed.join(", ")
        ),
        Verdict::Found => format!(
            "{} of {} found.{reservation}",
            counted(report.found(), "trace"),
            counted(asked.identifiers.values().sum(), "identifier"),
        ),
        Verdict::NotWhole => {
            let missing = report.missing().map(|(gap, count)| format!("{count} {}", gap.word()));
            format!(
                "Nothing was found in what was read, but not all of it was read: {} (each is listed). So this run does not \
                 prove that nothing is there.",
                missing.collect::<Vec<_>>().join(", ")
            )
        }
        Verdict::Nothing => format!(
            "Nothing was found: none of the identifiers stands in what was read, in any encoding that the controls \
             cover. That says nothing of what was not read, of encryption, or of encodings beyond those.{reservation}"
        ),
    }
}

fn read(report: &Report) -> String {
    let scanned = &report.scanned;
    let unpacked = match scanned.unpacked_bytes {
        0 => String::new(),
        n => format!(", and {} that were unpacked or decoded from it", size(n)),
    };
    format!("{}, {}{unpacked}", counted(scanned.targets, "target"), size(scanned.bytes))
}

/// `not seen, and no gap: changed, link`.
fn accepted(report: &Report) -> Option<String> {
    let words: Vec<&str> = report.accepted.iter().map(|gap| gap.word()).collect();
    (!words.is_empty()).then(|| format!("not seen, and no gap: {}", words.join(", ")))
}

fn controls(report: &Report) -> String {
    let Controls { planted, missed } = &report.controls;
    let found = planted.saturating_sub(missed.len() as u64);
    match missed.as_slice() {
        [] => format!("{found} of {planted} found"),
        missed => format!("{found} of {planted} found, missed: {}", missed.join(", ")),
    }
}

/// The word of a gap; of one that does not count: known.
fn gap(report: &Report, unseen: &Unseen) -> &'static str {
    if report.counts(unseen.gap) { unseen.gap.word() } else { Gap::Known.word() }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Phone => "phone",
        Kind::Email => "e-mail",
        Kind::Imei => "IMEI",
        Kind::Imsi => "IMSI",
        Kind::Free => "string",
    }
}

/// `gzip, base64, sha256`, outermost first.
fn how(finding: &Finding) -> String {
    let words = finding.how.iter().map(|encoding| match encoding {
        Encoding::Utf16Le => "UTF-16LE".to_owned(),
        Encoding::Utf16Be => "UTF-16BE".to_owned(),
        other => {
            serde_json::to_value(other).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// The place as a headline: without what differs from row to row and from packet to packet.
fn group(place: &Place) -> String {
    let steps = place.0.iter().filter(|step| !is_detail(step)).cloned();
    Place(steps.collect()).to_string()
}

/// What [`group`] leaves out, and the offset.
fn detail(finding: &Finding) -> String {
    let steps: Vec<Step> = finding.place.0.iter().filter(|step| is_detail(step)).cloned().collect();
    let offset = format!("byte {}", finding.offset_bytes);
    if steps.is_empty() { offset } else { format!("{}, {offset}", Place(steps)) }
}

fn is_detail(step: &Step) -> bool {
    matches!(step, Step::Key(_) | Step::Packet(_))
}

/// `1 thing`, `2 things`.
fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Bytes with a unit.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// What stands for an identifier in a report with findings, and how to know whose it is.
const FINGERPRINTS: &str = "Identifiers are shown by fingerprints, which differ from run to run. To know whose one is, search the list of \
                            identifiers itself in the same run.";

/// What no run can see, whatever it reads: a report says it, so that "nothing found" is not taken for more than it is.
pub fn cannot_see() -> &'static [&'static str] {
    &[
        "what is encrypted, or packed by anything but gzip, zlib, zstd, tar and zip",
        "encodings within one another beyond three (base64 of percent-encoded hexadecimal is found), and others than UTF-16, \
         hexadecimal, base64, base64url, base32 of 20 characters and more, percent-encoding, quoted-printable, HTML's references by \
         number and for ASCII by name, and the escapes of JSON and C: no EBCDIC, no ASCII85",
        "digests of other spellings than these: phone numbers as +country code and number, without +, national, national with its trunk \
         digit; mail addresses as given and in lower case; IMEIs with and without check digit; others as given; each with the given salts \
         before or after it, or under HMAC-SHA-256 with the given keys. Nothing keyed otherwise, stretched (bcrypt, scrypt, Argon2) or cut short",
        "digests as raw bytes within other encodings, or whose first 16 bytes read as UTF-8 text where they stand (1 in 100 000) or have three \
         zeros (1 in 30 000); in base64 other than from the start of a word, or without letters of both cases in their first 22 characters \
         (1 in 90 000)",
        "in base64, forms shorter than 8 bytes where they do not fill two whole groups of three; in UTF-16, forms shorter than 3 characters \
         and mail addresses that are not ASCII",
        "phone numbers given without a country under any other writing than their digits; digits split by more than three separators, by \
         line ends, commas or letters; across separators, numbers that begin more than three digits after a group's start",
        "national numbers of under 6 digits; rows of under 10 digits within longer rows of digits, except after one digit more",
        "free strings in another case, spelling or Unicode normalisation than given; identifiers under 4 or over 256 bytes",
        "what reaches 4 KiB beyond the block of 128 KiB that it begins in: an identifier of 256 bytes that is escaped and encoded twice has \
         more; of packed streams within base64 or hexadecimal, zlib's and those within a further encoding end there, all others are read on",
        "false findings are possible: a lookup that finds what is not there has a probability under 2 in 10^11, and rows of digits marked \
         `within` may be a part of another number",
    ]
}
