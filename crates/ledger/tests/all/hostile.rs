//! Files made to deceive, and bytes of no meaning.

use crate::sample::*;
use domicile_ledger::*;
use proptest::prelude::*;
use std::sync::LazyLock;

fn lines(file: &[u8]) -> Vec<String> {
    String::from_utf8(file.to_vec()).unwrap().lines().map(str::to_owned).collect()
}

fn joined(lines: &[String]) -> Vec<u8> {
    lines.iter().flat_map(|l| [l.as_bytes(), b"\n"].concat()).collect()
}

#[test]
fn lines_taken_away_added_doubled_or_exchanged() {
    let file = file(&["a", "b", "c", "d"]);
    let all = lines(&file);
    for i in 0..all.len() {
        let mut less = all.clone();
        less.remove(i);
        refused(&joined(&less));
        let mut more = all.clone();
        more.insert(i, all[i].clone());
        refused(&joined(&more));
        let mut space = all.clone();
        space.insert(i, String::new());
        refused(&joined(&space));
        for j in 0..i {
            let mut other = all.clone();
            other.swap(i, j);
            refused(&joined(&other));
        }
    }
    assert_eq!(refused(&[&file[..], b"x\n"].concat()), "line 9: something stands after the signatures");
    assert_eq!(refused(&[&file[..], b"\n"].concat()), "line 9: something stands after the signatures");
    assert_eq!(refused(&file[..file.len() - 1]), "line 8: the file ends in the middle of a line");
    for cut in 0..file.len() {
        refused(&file[..cut]);
    }
}

#[test]
fn the_error_names_the_line_and_what() {
    let all = lines(&file(&["a", "b", "c"]));
    let with = |i: usize, line: String| {
        let mut other = all.clone();
        other[i] = line;
        refused(&joined(&other))
    };
    assert_eq!(with(1, all[2].clone()), "line 3: a subject stands twice");
    assert_eq!(with(2, "{}".into()), "line 3: not a subject of this format, at byte 2");
    assert_eq!(
        with(1, all[1].replace("\":", "\": ")),
        "line 2: a subject is not spelled as Domicile writes it"
    );
    assert_eq!(with(0, "{}".into()), "line 1: not the beginning of a receipts file");
    let newer = all[0].replace("\"version\":1", "\"version\":2");
    assert!(with(0, newer).starts_with("line 1: a version of the format that this build does not know"));
    assert_eq!(with(5, all[6].clone()), "line 6: not the signature of `maker.example/beijing` over line 1");
    let forged = all[1].replace("\"pause_us\":9001", "\"pause_us\":9000");
    assert_ne!(forged, all[1]);
    assert_eq!(with(1, forged), "line 5: the subject lines above are not those that were signed");
    assert_eq!(refused(b""), "line 1: the file ends before its header");
}

#[test]
fn parts_of_two_files_do_not_mix() {
    let (one, two) = (lines(&file(&["a", "b"])), lines(&file(&["a", "c"])));
    for parts in [0..1, 1..3, 4..6, 4..5, 5..6] {
        let mut mixed = one.clone();
        mixed[parts.clone()].clone_from_slice(&two[parts]);
        refused(&joined(&mixed));
    }
    let (whole, other) = (file(&["a", "b", "c"]), file(&["a", "b", "d"]));
    let (a, b, c) = (lines(&single(&whole, "a")), lines(&single(&whole, "b")), lines(&single(&other, "a")));
    for i in 0..3 {
        for from in [&b, &c] {
            let mut mixed = a.clone();
            if mixed[i] != from[i] {
                mixed[i] = from[i].clone();
                refused(&joined(&mixed));
            }
        }
    }
}

#[test]
fn a_single_receipt_claims_no_other_place_id_or_salt() {
    let receipt = lines(&single(&file(&["ann", "bob", "cid"]), "ann"));
    let opening: Opening = serde_json::from_str(&receipt[2]).unwrap();
    let check = |change: &dyn Fn(&mut Opening)| {
        let mut other = opening.clone();
        change(&mut other);
        let mut lines = receipt.clone();
        lines[2] = serde_json::to_string(&other).unwrap();
        refused(&joined(&lines))
    };
    assert!(check(&|o| o.subject = "bob".into()).contains("id and salt"));
    assert!(check(&|o| o.salt = KEYS.secret.salt("w7", "bob")).contains("id and salt"));
    for index in (0..5).chain([u64::MAX]).filter(|i| *i != opening.index) {
        assert!(check(&|o| o.index = index).contains("proof"));
    }
    assert!(check(&|o| o.path.clear()).contains("proof"));
    assert!(check(&|o| o.path.push(Digest([0; 32]))).contains("proof"));
    assert!(check(&|o| o.path.resize(5_000, Digest([0; 32]))).contains("proof"));
}

/// Who holds no trusted key can make a file that fits itself; it is not believed.
#[test]
fn a_file_signed_by_others_is_not_believed() {
    let beijing = SigningKey::generate("beijing").unwrap();
    let oregon = SigningKey::generate("oregon").unwrap();
    let write = |source: &SigningKey, target: &SigningKey| {
        let mut out = Vec::new();
        let writer = ReceiptWriter::new("w7", &KEYS.secret, std::io::Cursor::new(Vec::new()));
        writer.finish(record(), source, target, &mut out).map(|_| out)
    };
    let forged = write(&beijing, &oregon).unwrap();
    assert!(matches!(verify(&forged[..], &KEYS.trusted()), Err(Error::Impostor { .. })));
    assert!(matches!(verify(&forged[..], &KEYS.trusted()[..1]), Err(Error::Untrusted { .. })));
    assert!(write(&oregon, &beijing).unwrap_err().to_string().contains("its signer is"));
    // One key under two names.
    let text = beijing.to_text();
    assert!(SigningKey::from_text(&text.replace("+beijing+", "+oregon+")).is_err());
}

#[test]
fn endless_input_is_refused_with_little_memory() {
    let file = file(&["a", "b"]);
    let all = lines(&file);
    let endless_line = std::io::Read::chain(&file[..all[0].len() + 1], std::io::repeat(b'x'));
    let e = verify(endless_line, &KEYS.trusted()).unwrap_err().to_string();
    assert_eq!(e, format!("line 2: longer than {LINE_BYTES_MAX} bytes"));
    let empty_lines = std::io::Read::chain(&file[..], std::io::repeat(b'\n'));
    assert!(verify(empty_lines, &KEYS.trusted()).unwrap_err().to_string().contains("after the signatures"));
    let no_header = verify(std::io::repeat(b'{'), &KEYS.trusted()).unwrap_err().to_string();
    assert_eq!(no_header, format!("line 1: longer than {HEADER_BYTES_MAX} bytes"));
}

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let mut all = lines(&file(&["a"]));
    let begin = "{\"format\":\"domicile-receipts\",\"version\":1,\"wave\":";
    all[0] = format!("{begin}{}", "[".repeat(1_000_000));
    assert!(refused(&joined(&all)).starts_with("line 1: not a header"));
}

static WAVE: LazyLock<Vec<u8>> = LazyLock::new(|| file(&["a", "b", "c"]));
static SINGLE: LazyLock<Vec<u8>> = LazyLock::new(|| single(&WAVE, "b"));

proptest! {
    // Each case signs or verifies several times, which is slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn arbitrary_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(verify(&bytes[..], &KEYS.trusted()).is_err());
    }

    /// Cut, copy and overwrite pieces of valid files: refused, or not a byte was changed.
    #[test]
    fn mutations_are_refused_without_a_panic(
        of_single: bool,
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0usize..200, 0u8..4), 1..4),
        noise in prop::collection::vec(any::<u8>(), 1..20),
    ) {
        let valid = if of_single { &*SINGLE } else { &*WAVE };
        let mut bytes = valid.clone();
        for (at, from, length, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let (at, from) = (at.index(bytes.len()), from.index(valid.len()));
            let end = (at + length).min(bytes.len());
            let piece = &valid[from..(from + length).min(valid.len())];
            match kind {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, piece.iter().copied())),
                2 => drop(bytes.splice(at..end, piece.iter().copied())),
                _ => drop(bytes.splice(at..end, noise.iter().copied())),
            }
        }
        let verdict = verify(&bytes[..], &KEYS.trusted());
        prop_assert_eq!(verdict.is_ok(), bytes == *valid);
        let _ = extract(std::io::Cursor::new(&bytes), "b", &KEYS.secret, Vec::new());
        let _ = String::from_utf8_lossy(&bytes).parse::<VerifyingKey>();
        let _ = SigningKey::from_text(&String::from_utf8_lossy(&bytes));
    }

    /// Whatever a header line or a subject line says instead, nothing is believed that was not signed.
    #[test]
    fn another_number_or_text_in_the_header_is_refused(at in any::<prop::sample::Index>(), digit in b'0'..=b'9') {
        let header = WAVE.iter().position(|b| *b == b'\n').unwrap();
        let digits: Vec<usize> = (0..header).filter(|i| WAVE[*i].is_ascii_digit()).collect();
        let mut bytes = WAVE.clone();
        bytes[digits[at.index(digits.len())]] = digit;
        prop_assert_eq!(verify(&bytes[..], &KEYS.trusted()).is_ok(), bytes == *WAVE);
    }

    #[test]
    fn any_wave_is_verified_and_each_subject_extracted(
        ids in prop::collection::btree_set("\\PC{1,12}", 0..20),
        pauses in prop::collection::vec(any::<u32>(), 20),
    ) {
        let subjects = ids.iter().zip(&pauses).map(|(id, us)| {
            let s = if us % 5 == 0 { stayed(id) } else { subject(id) };
            SubjectMove { pause_us: (us % 3 > 0).then_some(u64::from(*us)), ..s }
        });
        let whole = write(record(), subjects.collect()).unwrap();
        prop_assert_eq!(verify(&whole[..], &KEYS.trusted()).unwrap().subjects, ids.len() as u64);
        for id in ids.iter().take(3) {
            let v = verify(&single(&whole, id)[..], &KEYS.trusted()).unwrap();
            prop_assert_eq!(&v.single.unwrap().opening.subject, id);
        }
    }
}
