//! Positive controls: canaries that are drawn for one run, looked for beside the identifiers, and planted in every encoding
//! and container. They are searched by the same code as the targets, so a run that misses one can't prove absence.
//!
//! ```text
//! let canaries = Canaries::plant(&mut identifiers, &forms);
//! let wanted = Wanted::new(identifiers, &forms, key);
//! let mut examiner = Examiner::new(&wanted, limits).with_controls(canaries);
//! ... every target ...
//! let report = examiner.finish(); // report.controls
//! ```

pub(crate) mod craft;
mod encodings;
#[cfg(test)]
mod tests;
pub(crate) mod traffic;
mod vessels;

use crate::{Controls, Encoding, Examiner, Forms, Identifier, Kind, Limits, Place, Report, Step, Wanted};
use zeroize::Zeroizing;

/// Identifiers of nobody, one of each sort, and the numbers that they have among those that are looked for.
#[derive(Debug, Clone)]
pub struct Canaries {
    canaries: Vec<Identifier>,
    first: u32,
    salts: Vec<Zeroizing<Vec<u8>>>,
    keys: Vec<Zeroizing<Vec<u8>>>,
}

impl Canaries {
    /// Draws canaries and appends them to what is looked for. None of them equals an identifier of the list, and none has a digest
    /// of which the report says that it is not looked for: a run in 500 would fail for nothing.
    ///
    /// # Panics
    /// Where the system gives no random bytes.
    pub fn plant(identifiers: &mut Vec<Identifier>, forms: &Forms) -> Self {
        let first = u32::try_from(identifiers.len()).unwrap_or(u32::MAX);
        let mut canaries = Vec::new();
        for kind in [Kind::Phone, Kind::Email, Kind::Imei, Kind::Imsi, Kind::Free] {
            let canary = loop {
                let canary = Identifier { kind, text: drawn(kind) };
                let is_known = identifiers.iter().any(|identifier| *identifier.text == *canary.text);
                if !is_known && encodings::are_looked_for(&canary, salts(&forms.salts), &forms.keys) {
                    break canary;
                }
            };
            identifiers.push(canary.clone());
            canaries.push(canary);
        }
        Self { canaries, first, salts: forms.salts.clone(), keys: forms.keys.clone() }
    }

    /// How many canaries: the list is longer by so many than what the user gave.
    pub fn len(&self) -> usize {
        self.canaries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.canaries.is_empty()
    }

    /// The number of the first: those of the user are below it.
    pub fn first(&self) -> u32 {
        self.first
    }

    /// Searches every canary in every encoding and container.
    pub(crate) fn search(&self, wanted: &Wanted) -> Controls {
        let mut controls = Controls::default();
        for (number, canary) in (self.first..).zip(&self.canaries) {
            let text = canary.text.as_bytes();
            let keyed = encodings::keyed(canary, &self.keys);
            let all = encodings::all(canary, || salts(&self.salts));
            let planted = all.into_iter().chain(keyed).chain(vessels::all(text));
            for Planted { name, bytes, how, step } in planted {
                controls.planted += 1;
                if !found(wanted, number, &bytes, &how, step.as_deref()) {
                    controls.missed.push(format!("{name} of {}", kind_word(canary.kind)));
                }
            }
        }
        controls
    }
}

/// One canary in one encoding or container.
pub(crate) struct Planted {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// What the finding must say of how it was written.
    pub(crate) how: Vec<Encoding>,
    /// What must be in the finding's place.
    pub(crate) step: Option<String>,
}

/// Whether the canary of a number is found in `bytes`, and said to be written so, and there.
fn found(wanted: &Wanted, number: u32, bytes: &[u8], how: &[Encoding], step: Option<&str>) -> bool {
    let mut examiner = Examiner::new(wanted, Limits::default());
    let place = Place::from(Step::File("control".into()));
    let read = examiner.read(&place, bytes);
    let Report { findings, .. } = examiner.finish();
    let (kind, identifier) = wanted.named(number);
    read.is_ok()
        && findings.iter().any(|finding| {
            (finding.kind, finding.identifier) == (kind, identifier)
                && how.iter().all(|encoding| finding.how.contains(encoding))
                && step.is_none_or(|step| finding.place.to_string().contains(step))
        })
}

/// No salt, then each.
fn salts(salts: &[Zeroizing<Vec<u8>>]) -> impl Iterator<Item = &[u8]> {
    std::iter::once(&[][..]).chain(salts.iter().map(|salt| salt.as_slice()))
}

fn drawn(kind: Kind) -> Zeroizing<String> {
    Zeroizing::new(match kind {
        Kind::Phone => format!("+8619{}", digits(9)),
        Kind::Email => format!("{}@{}.example", letters(12), letters(10)),
        Kind::Imei => {
            let body = format!("35{}", digits(12));
            format!("{body}{}", luhn(&body))
        }
        Kind::Imsi => format!("46001{}", digits(10)),
        Kind::Free => letters(24),
    })
}

fn digits(count: usize) -> String {
    random(count).into_iter().map(|byte| char::from(b'0' + byte % 10)).collect()
}

fn letters(count: usize) -> String {
    random(count).into_iter().map(|byte| char::from(b'a' + byte % 26)).collect()
}

fn random(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// The check digit of an IMEI (ISO/IEC 7812-1, annex B).
fn luhn(body: &str) -> u32 {
    let digits = body.bytes().rev().map(|digit| u32::from(digit - b'0')).enumerate();
    let sum: u32 =
        digits.map(|(at, digit)| if at % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }).sum();
    (10 - sum % 10) % 10
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Phone => "a phone number",
        Kind::Email => "an e-mail address",
        Kind::Imei => "an IMEI",
        Kind::Imsi => "an IMSI",
        Kind::Free => "a string",
    }
}
