//! Changing any byte of a file makes it fail, at every position.

use crate::sample::*;
use domicile_ledger::*;

/// `file` with the byte at `at` changed in several ways, removed, and doubled. Two flips stand at every
/// position (one keeps ASCII, one leaves it); of the values that mean something in a receipt, white space
/// and syntax, each position gets the next in turn.
fn changed(file: &[u8], at: usize) -> Vec<Vec<u8>> {
    const MEANT: [u8; 8] = [b' ', b'\n', b'\r', b'"', b'0', b'=', b'A', b'\\'];
    let values = [file[at] ^ 0x01, file[at] ^ 0x80, MEANT[at % MEANT.len()]];
    let mut all: Vec<Vec<u8>> = values.map(|v| [&file[..at], &[v], &file[at + 1..]].concat()).to_vec();
    all.push([&file[..at], &file[at + 1..]].concat());
    all.push([&file[..=at], &file[at..]].concat());
    all.retain(|other| other != file);
    all
}

fn check(file: &[u8]) {
    verify(file, &KEYS.trusted()).unwrap();
    for at in 0..file.len() {
        for other in changed(file, at) {
            assert!(verify(&other[..], &KEYS.trusted()).is_err(), "byte {at} of {}", file.len());
        }
    }
}

#[test]
fn of_a_wave() {
    check(&write(small(), vec![subject("a"), stayed("b")]).unwrap());
}

#[test]
fn of_a_single_receipt() {
    let whole = write(small(), vec![subject("a"), stayed("b"), stayed("c")]).unwrap();
    check(&single(&whole, "a"));
}

/// Also where the reader trusts one signer only: the other's signature is checked all the same.
#[test]
fn of_the_signature_of_a_signer_that_is_not_trusted() {
    let file = file(&["a"]);
    let [beijing, oregon] = KEYS.trusted();
    let start = file.windows(2).position(|w| w == b"\n\n").unwrap();
    for at in start..file.len() {
        for other in changed(&file, at) {
            for trusted in [&beijing, &oregon] {
                assert!(verify(&other[..], std::slice::from_ref(trusted)).is_err(), "byte {at}");
            }
        }
    }
}

/// The same record with short lists, so that every byte can be tried in seconds.
fn small() -> WaveRecord {
    WaveRecord {
        policy: Policy { hash: "p".into(), laws: vec![] },
        map_hash: "m".into(),
        plan_hash: "q".into(),
        reference: vec![],
        unmapped: vec![],
        not_moved: vec![],
        not_proven: vec![],
        ..record()
    }
}
