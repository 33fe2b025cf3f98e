//! Every control is found, a control that is missed is named, and canaries are nobody's.

use super::Canaries;
use crate::{Examiner, Forms, Identifier, Kind, Limits, Place, Step, Wanted};
use zeroize::Zeroizing;

fn identifiers() -> Vec<Identifier> {
    vec![Identifier { kind: Kind::Email, text: Zeroizing::new("wang@example.com".into()) }]
}

#[test]
fn every_control_is_found() {
    let keys = [&b"key"[..], &[0xA5; 100]].map(|key| Zeroizing::new(key.to_vec()));
    let forms = Forms { salts: vec![Zeroizing::new(b"pepper".to_vec())], keys: keys.into() };
    let mut identifiers = identifiers();
    let canaries = Canaries::plant(&mut identifiers, &forms);
    assert_eq!((canaries.first(), canaries.len(), identifiers.len()), (1, 5, 6));
    let wanted = Wanted::new(identifiers, &forms, None);
    let report = Examiner::new(&wanted, Limits::default()).with_controls(canaries).finish();
    assert_eq!(report.controls.missed, Vec::<String>::new());
    assert!(report.controls.planted > 5 * 60, "{}", report.controls.planted);
    assert_eq!((report.findings.len(), report.scanned.bytes), (0, 0), "controls are no targets");
}

#[test]
fn a_control_that_is_missed_is_named() {
    let mut identifiers = identifiers();
    let canaries = Canaries::plant(&mut identifiers, &Forms::default());
    let mut others = self::identifiers();
    Canaries::plant(&mut others, &Forms::default());
    let wanted = Wanted::new(others, &Forms::default(), None);
    let report = Examiner::new(&wanted, Limits::default()).with_controls(canaries).finish();
    assert_eq!(report.controls.missed.len() as u64, report.controls.planted);
    assert!(report.controls.missed.contains(&"gzip in a page of an IMSI".to_owned()));
}

#[test]
fn a_canary_in_a_target_is_no_finding() {
    let mut identifiers = identifiers();
    let canaries = Canaries::plant(&mut identifiers, &Forms::default());
    let text = format!("{} and wang@example.com", canaries.canaries[0].text.as_str());
    let wanted = Wanted::new(identifiers, &Forms::default(), None);
    let mut examiner = Examiner::new(&wanted, Limits::default()).with_controls(canaries);
    examiner.read(&Place::from(Step::File("f".into())), text.as_bytes()).expect("read from memory");
    let report = examiner.finish();
    assert_eq!(report.findings.len(), 1);
    assert_eq!(report.findings[0].kind, Kind::Email);
}

#[test]
fn what_is_packed_in_text_is_found_once() {
    let wanted = Wanted::new(identifiers(), &Forms::default(), None);
    for (packed, word) in [
        (super::craft::gzip(b"wang@example.com"), "gzip"),
        (super::craft::zstd(b"wang@example.com, wang, and more"), "zstd"),
        (super::craft::zlib(b"wang@example.com"), "zlib"),
    ] {
        let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &packed);
        let hex: String = packed.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [format!("{{\"a\":\"{base64}\"}}"), format!("body {hex} end")] {
            let mut examiner = Examiner::new(&wanted, Limits::default());
            examiner.read(&Place::from(Step::File("f".into())), text.as_bytes()).expect("read from memory");
            // What a packer left as it was stands in the text as well.
            let findings = examiner.finish().findings;
            let unpacked = findings.iter().filter(|found| found.place.to_string().contains(word));
            assert_eq!(unpacked.count(), 1, "{findings:?}");
        }
    }
}
