//! Files that strangers hand over, as functions of bytes that panic where a promise is broken: for `fuzz/` (cargo-fuzz), and for
//! a bounded run of the same on stable (the tests below).
//!
//! Signatures keep random bytes away from what is behind them. So each target also takes apart what it was given, signs it as a
//! region that is trusted would, and goes on with that: a region's operator is a stranger, too.

use crate::lines::print;
use crate::manifest::Signed;
use crate::merkle::{Tree, leaf_hash};
use crate::shown::steers;
use crate::totals::Tally;
use crate::{
    Digest, Erasure, Error, Header, Law, Location, Manifest, ManifestError, Objects, Outcome, Pending,
    Policy, ReceiptSecret, ReceiptWriter, Region, ResidueSearch, SigningKey, Standbys, SubjectMove,
    SubjectRecord, TableRows, Times, TreeHead, Verified, VerifyingKey, WaveRecord, extract, verify,
    verify_manifest, with_residue,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::LazyLock;

/// Lines of subjects that are signed again: more cost time and say nothing new.
const SUBJECTS_SIGNED_MAX: usize = 40;

struct Keys {
    source: SigningKey,
    target: SigningKey,
    secret: ReceiptSecret,
}

/// Always the same, so that what was found yesterday means the same today.
static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    source: SigningKey::from_seed("maker.example/beijing", &[1; 32]).expect("a key"),
    target: SigningKey::from_seed("oregon", &[2; 32]).expect("a key"),
    secret: ReceiptSecret::from_bytes(&[3; 32]),
});

/// The only files that anybody has signed: a wave's, a single receipt, a manifest.
static GENUINE: LazyLock<[Vec<u8>; 3]> = LazyLock::new(|| {
    let wave = wave();
    let mut single = Vec::new();
    extract(Cursor::new(&wave), "ann", &KEYS.secret, &mut single).expect("ann is there");
    let manifest = manifest_of_all().sign(&[&KEYS.source, &KEYS.target]).expect("a manifest");
    [wave, single, manifest.into_bytes()]
});

/// What each target begins with.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut all = GENUINE.to_vec();
    all.push(KEYS.source.verifying_key().to_string().into_bytes());
    all
}

fn trusted() -> [VerifyingKey; 2] {
    [KEYS.source.verifying_key().clone(), KEYS.target.verifying_key().clone()]
}

/// A file for `receipt verify`, and for `receipt extract`.
///
/// # Panics
/// A file that nobody signed is believed, or one that was signed does not hold or does not say what it was signed with.
pub fn receipt(data: &[u8]) {
    let is_genuine = GENUINE[..2].iter().any(|genuine| genuine == data);
    assert_eq!(held(verify(data, &trusted())).is_some(), is_genuine);
    let mut out = Vec::new();
    match extract(Cursor::new(data), "ann", &KEYS.secret, &mut out) {
        Ok(()) => assert!(data == GENUINE[0] && out == GENUINE[1]),
        Err(error) => printable(&error.to_string()),
    }
    if let Some((file, subjects)) = signed_again(data) {
        signed(&file, &subjects);
    }
}

/// Text for `--keys FILE`.
///
/// # Panics
/// A key with two spellings.
pub fn key(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<VerifyingKey>() {
        Ok(key) => assert_eq!(key.to_string(), text.trim(), "one spelling"),
        Err(error) => printable(&error.to_string()),
    }
    for error in [SigningKey::from_text(text).map(drop), ReceiptSecret::from_text(text).map(drop)] {
        error.unwrap_or_else(|error| printable(&error.to_string()));
    }
}

/// A file for `manifest verify`, or what an address answered.
///
/// # Panics
/// A manifest that nobody signed is believed, or one that was signed is not, or holds when its time is over.
pub fn manifest(data: &[u8]) {
    let now = at("2014-11-01T00:00:00Z");
    match verify_manifest(data, &trusted(), now) {
        Ok(_) => assert!(data == GENUINE[2], "nobody signed it"),
        Err(error) => printable(&error.to_string()),
    }
    let Ok(read) = serde_json::from_slice::<Signed>(data) else { return };
    let Ok(text) = read.manifest.sign(&[&KEYS.source]) else { return };
    let manifest = verify_manifest(text.as_bytes(), &trusted(), read_issued(&text)).expect("it was signed");
    let over = verify_manifest(text.as_bytes(), &trusted(), manifest.expires);
    assert!(matches!(over, Err(ManifestError::Expired { .. })));
    for url in manifest.endpoints.iter().map(|e| &e.url).chain(manifest.shops.iter().map(|s| &s.url)) {
        assert!(url.is_ascii() && !url.contains([' ', '"', '<', '>', '\\']), "{url:?}");
    }
    let other = changed(text.as_bytes(), data);
    assert!(verify_manifest(&other, &trusted(), manifest.issued).is_err(), "a byte was changed");
}

fn read_issued(text: &str) -> Timestamp {
    serde_json::from_str::<Signed>(text).expect("it was printed").manifest.issued
}

/// What is shown at a terminal must not steer it: no line of it is made by whoever wrote the file.
fn printable(text: &str) {
    assert!(!text.chars().any(steers), "{text:?}");
}

fn held(verified: Result<Verified, Error>) -> Option<Verified> {
    match verified {
        Ok(verified) => {
            verified.summary().iter().for_each(|(label, value)| {
                printable(label);
                printable(value);
            });
            Some(verified)
        }
        Err(error) => {
            printable(&error.to_string());
            None
        }
    }
}

/// The file's header over the file's subjects, whose ids are `0`, `1`, ..., signed by both regions; `None` where its subjects can't
/// be read. Where its header can't be read, the genuine one stands for it.
fn signed_again(data: &[u8]) -> Option<(Vec<u8>, Vec<SubjectRecord>)> {
    let mut lines = data.split(|b| *b == b'\n');
    let header = serde_json::from_slice::<Header>(lines.next()?);
    let genuine = || serde_json::from_slice(GENUINE[0].split(|b| *b == b'\n').next()?).ok();
    let mut header: Header = header.ok().or_else(genuine)?;
    let lines = lines.take_while(|line| !line.is_empty() && !line.starts_with(b"{\"subject\":"));
    let read = lines.take(SUBJECTS_SIGNED_MAX).map(|line| serde_json::from_slice(line).ok());
    let mut subjects = read.collect::<Option<Vec<SubjectRecord>>>()?;
    for (n, subject) in subjects.iter_mut().enumerate() {
        subject.commitment = KEYS.secret.salt(&header.wave.id, &n.to_string()).commit(&n.to_string());
    }
    let (mut tree, mut tally, mut body) = (Tree::default(), Tally::default(), Vec::new());
    let mut ordered: Vec<_> = subjects.iter().collect();
    ordered.sort_by_key(|subject| subject.commitment);
    for subject in ordered {
        let line = print(subject).ok()?;
        tally.add(subject).ok()?;
        tree.push(leaf_hash(&line));
        body.extend_from_slice(&line);
        body.push(b'\n');
    }
    (header.totals, header.pause) = tally.finish();
    header.subjects = TreeHead { size: tree.size(), root: tree.root() };
    [header.signers.source, header.signers.target] = trusted();
    header.wave.source.id = KEYS.source.verifying_key().region().into();
    header.wave.target.id = KEYS.target.verifying_key().region().into();
    let mut file = print(&header).ok()?;
    file.push(b'\n');
    let signatures = [KEYS.source.sign(&file), KEYS.target.sign(&file)];
    file.extend_from_slice(&body);
    file.extend_from_slice(format!("\n{}\n", signatures.join("\n")).as_bytes());
    Some((file, subjects))
}

/// A file that both regions signed: refused for what it says, or it holds, and says what its lines say.
fn signed(file: &[u8], subjects: &[SubjectRecord]) {
    let Some(verified) = held(verify(file, &trusted())) else { return };
    assert_eq!(verified.subjects, subjects.len() as u64);
    let moved = || subjects.iter().filter(|subject| subject.outcome == Outcome::Moved);
    let rows: u128 = moved().flat_map(|subject| &subject.tables).map(|table| u128::from(table.rows)).sum();
    assert_eq!(u128::from(verified.header.totals.rows), rows);
    if let Some(longest) = moved().filter_map(|subject| subject.pause_us).max() {
        let pause = verified.header.pause.expect("there was one");
        assert!(pause.p50_us <= pause.p99_us && pause.p99_us <= pause.max_us && pause.max_us == longest);
    }
    assert!(verify(&changed(file, file)[..], &trusted()).is_err(), "a byte was changed");
    if let Some((last, record)) = subjects.iter().enumerate().next_back() {
        let mut out = Vec::new();
        extract(Cursor::new(file), &last.to_string(), &KEYS.secret, &mut out).expect("it is there");
        let single = held(verify(&out[..], &trusted())).and_then(|v| v.single).expect("it was signed");
        assert_eq!((&single.record, single.opening.subject), (record, last.to_string()));
        assert!(verify(&changed(&out, file)[..], &trusted()).is_err(), "a byte was changed");
    }
    let mut again = Vec::new();
    let keys = [&KEYS.source, &KEYS.target];
    match with_residue(Cursor::new(file), search(), at("2015-01-01T00:00:00Z"), keys, &mut again) {
        Ok(_) => assert_eq!(
            held(verify(&again[..], &trusted())).expect("it was signed").subjects,
            verified.subjects
        ),
        Err(error) => printable(&error.to_string()),
    }
}

/// The file with another byte at a place that `by` chooses.
fn changed(file: &[u8], by: &[u8]) -> Vec<u8> {
    let chosen = by.iter().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut other = file.to_vec();
    let at = chosen % other.len();
    other[at] ^= 1 << (chosen / other.len() % 8);
    other
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn search() -> ResidueSearch {
    ResidueSearch {
        at: at("2015-01-01T00:00:00Z"),
        searched: vec!["beijing".into()],
        bytes: 1,
        identifiers: 2,
        subjects: 3,
        subjects_not_there: 0,
        controls: 4,
        findings: BTreeMap::from([("table".into(), 1)]),
        unseen: vec!["data packed by lz4".into()],
    }
}

fn wave() -> Vec<u8> {
    let mut writer = ReceiptWriter::new("w7", &KEYS.secret, Cursor::new(Vec::new()));
    for (n, id) in ["ann", "bob", "cid"].into_iter().enumerate() {
        writer.push(subject(id, n as u64)).expect("a subject");
    }
    let mut file = Vec::new();
    writer.finish(record(), &KEYS.source, &KEYS.target, &mut file).expect("a wave");
    file
}

fn subject(id: &str, n: u64) -> SubjectMove {
    let stays = n == 2;
    let table = TableRows { table: "public.orders".into(), rows: n, bytes: 100 * n, digest: Digest([9; 32]) };
    SubjectMove {
        subject: id.into(),
        epoch_before: 1,
        epoch_after: if stays { 1 } else { 2 },
        tables: if stays { vec![] } else { vec![table] },
        objects: (n == 1).then_some(Objects { count: 2, bytes: 65_536, digest: Digest([9; 32]) }),
        fenced_at: Some(at("2014-10-02T00:30:00.123456Z")),
        pause_us: (!stays).then_some(9_000 + n),
        logically_erased_at: None,
        outcome: if stays { Outcome::Stayed { code: "straggler".into() } } else { Outcome::Moved },
    }
}

fn record() -> WaveRecord {
    let region = |id: &str, country: &str, location| Region {
        id: id.into(),
        country: country.into(),
        operator: "CN".into(),
        location,
    };
    WaveRecord {
        id: "w7".into(),
        service: "shop".into(),
        source: region("beijing", "CN", Location::Declared),
        target: region("oregon", "US", Location::Attested { by: "an auditor".into() }),
        policy: Policy {
            hash: "p".into(),
            laws: vec![Law { law: "PDPA 2012, s. 26".into(), reason: "no transfer".into() }],
        },
        map_hash: "a".into(),
        plan_hash: "b".into(),
        times: Times {
            planned_at: at("2014-10-01T00:00:00Z"),
            started_at: at("2014-10-02T00:00:00Z"),
            ended_at: at("2014-10-02T01:00:00.5Z"),
            signed_at: at("2014-10-02T01:00:01Z"),
        },
        excluded: vec![],
        reference: vec![],
        unmapped: vec![],
        not_moved: vec![],
        dropped_foreign_keys: vec![],
        standbys: Standbys::none_listed("its replication lag"),
        erasure: Erasure::Pending(Pending { grace_ends_at: at("2014-11-01T00:00:00Z") }),
        residue_searches: vec![],
        residue: vec![],
        not_proven: vec!["that staff kept no spreadsheets".into()],
    }
}

fn manifest_of_all() -> Manifest {
    let url = |host: &str| format!("https://{host}.example/");
    Manifest {
        format: crate::MANIFEST_FORMAT.into(),
        version: crate::MANIFEST_VERSION,
        name: "Shop".into(),
        issued: at("2014-10-01T00:00:00Z"),
        expires: at("2015-10-01T00:00:00Z"),
        endpoints: vec![crate::Endpoint {
            region: "oregon".into(),
            country: "US".into(),
            operator: "CN".into(),
            url: url("oregon"),
        }],
        shops: vec![crate::Shop { name: "Shop".into(), url: url("shop"), country: Some("CN".into()) }],
        sellers: vec![crate::Seller { name: "Ann".into(), country: "SG".into(), url: None }],
        signers: vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(data: &[u8]) {
        receipt(data);
        key(data);
        manifest(data);
    }

    #[test]
    fn genuine_ones_hold() {
        seeds().iter().for_each(|seed| all(seed));
        let (file, subjects) = signed_again(&GENUINE[0]).expect("it can be signed again");
        assert_eq!(subjects.len(), 3);
        assert!(verify(&file[..], &trusted()).is_ok(), "what is behind the signatures is reached");
    }

    /// Found by the target `receipt`: nobody's texts were free of control characters, and all were shown as they are.
    #[test]
    fn nothing_in_a_receipt_or_manifest_steers_the_terminal() {
        let said = |text: &str, field: &str| {
            let mut value: serde_json::Value = serde_json::from_str(text).expect("JSON");
            *value.pointer_mut(field).expect("it is there") = "\u{1b}[2J\nsigned by\u{202e}".into();
            serde_json::to_string(&value).expect("JSON")
        };
        let header = GENUINE[0].split(|b| *b == b'\n').next().expect("a header");
        let header: Header = serde_json::from_slice(header).expect("a header");
        let header = serde_json::to_string(&header).expect("JSON");
        for field in ["/wave/policy/laws/0/reason", "/wave/not_proven/0", "/wave/target/location/attested/by"]
        {
            receipt(said(&header, field).as_bytes());
        }
        let mut file = Vec::new();
        let id = "\u{1b}]0;trusted\u{7}";
        let mut writer = ReceiptWriter::new("w7", &KEYS.secret, Cursor::new(Vec::new()));
        writer.push(subject(id, 1)).expect("a subject");
        writer.finish(record(), &KEYS.source, &KEYS.target, &mut file).expect("a wave");
        let mut single = Vec::new();
        extract(Cursor::new(file), id, &KEYS.secret, &mut single).expect("it is there");
        held(verify(&single[..], &trusted())).expect("it was signed");
        let other = std::str::from_utf8(&GENUINE[2]).expect("text");
        manifest(said(other, "/manifest/shops/0/url").as_bytes());
        manifest(other.replacen("\"name\"", "\"\\u001b[2J\"", 1).as_bytes());
    }

    proptest! {
        // Each case signs and verifies a dozen times.
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn changed_ones_break_no_promise(
            which in 0usize..4,
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
        ) {
            let mut data = seeds().swap_remove(which);
            for (at, byte, how) in edits {
                let at = at.index(data.len());
                match how {
                    0 => data[at] = byte,
                    1 => data.insert(at, byte),
                    _ => drop(data.remove(at)),
                }
            }
            all(&data);
        }
    }
}
