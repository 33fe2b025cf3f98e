//! Writing, verifying, extracting.

use crate::sample::*;
use domicile_ledger::*;
use std::io::Cursor;

#[test]
fn a_wave_is_written_and_verified() {
    let ids: Vec<String> = (0..50).map(|i| format!("customer-{i}")).collect();
    let mut subjects: Vec<_> = ids.iter().map(|i| subject(i)).collect();
    subjects.push(stayed("hot"));
    let file = write(record(), subjects).unwrap();
    let mut seen = Vec::new();
    let v = verify_each(&file[..], &KEYS.trusted(), |s| seen.push(s.clone())).unwrap();
    assert_eq!((v.subjects, seen.len(), v.header.subjects.size), (51, 51, 51));
    assert!(v.all_trusted() && v.single.is_none());
    let t = &v.header.totals;
    assert_eq!((t.subjects_moved, t.subjects_stayed, t.objects, t.object_bytes), (50, 1, 100, 50 * 65_536));
    assert_eq!(t.rows, seen.iter().flat_map(|s| &s.tables).map(|t| t.rows).sum::<u64>());
    assert_eq!(t.tables.keys().collect::<Vec<_>>(), ["public.customer", "public.orders"]);
    assert_eq!(v.header.pause.unwrap().max_us, 9_011);
    assert!(seen.is_sorted_by_key(|s| s.commitment));
}

#[test]
fn a_wave_without_subjects_verifies() {
    let v = verify(&file(&[])[..], &KEYS.trusted()).unwrap();
    assert_eq!((v.subjects, v.header.pause), (0, None));
}

#[test]
fn the_same_wave_gives_the_same_bytes_in_whatever_order_it_comes() {
    assert_eq!(file(&["a", "b", "c"]), file(&["c", "a", "b"]));
}

#[test]
fn header_empty_line_and_signatures_are_a_signed_note() {
    let text = String::from_utf8(file(&["a", "b"])).unwrap();
    let (body, signatures) = text.split_once("\n\n").unwrap();
    assert_eq!(body.lines().count(), 3);
    let names: Vec<_> = signatures.lines().map(|l| l.split(' ').nth(1).unwrap()).collect();
    assert_eq!(names, ["maker.example/beijing", "oregon"]);
    assert!(text.contains("\"log\":null"));
}

#[test]
fn each_subject_gets_a_single_receipt() {
    for n in [1usize, 2, 3, 7, 8, 9] {
        let ids: Vec<String> = (0..n).map(|i| format!("s{i}")).collect();
        let whole = write(record(), ids.iter().map(|i| subject(i)).collect()).unwrap();
        for id in &ids {
            let v = verify(&single(&whole, id)[..], &KEYS.trusted()).unwrap();
            let shown = v.single.as_ref().unwrap();
            assert_eq!(&shown.opening.subject, id);
            assert_eq!((v.subjects, v.header.subjects.size), (1, n as u64));
            let customer = &shown.record.tables[0];
            assert_eq!(shown.opening.salt.blind("public.customer", &Digest([2; 32])), customer.digest);
            let objects = shown.record.objects.as_ref().unwrap();
            assert_eq!(shown.opening.salt.blind(secret::OBJECTS, &Digest([9; 32])), objects.digest);
        }
    }
}

#[test]
fn extracting_needs_the_subject_the_secret_and_a_whole_file() {
    let whole = file(&["a", "b"]);
    let try_with = |file: &[u8], id: &str, secret: &ReceiptSecret| {
        let mut out = Vec::new();
        let e = extract(Cursor::new(file), id, secret, &mut out).unwrap_err();
        assert!(out.is_empty());
        e
    };
    let absent = try_with(&whole, "nobody-at-all", &KEYS.secret);
    assert!(matches!(absent, Error::NoSuchSubject));
    assert!(!absent.to_string().contains("nobody-at-all"));
    let other = ReceiptSecret::generate().unwrap();
    assert!(matches!(try_with(&whole, "a", &other), Error::NoSuchSubject));
    assert!(matches!(try_with(&single(&whole, "a"), "a", &KEYS.secret), Error::Line { .. }));
    let cut = &whole[..whole.len() - 1];
    assert!(matches!(try_with(cut, "a", &KEYS.secret), Error::Line { .. }));
}

/// Ids, in every spelling that a careless line could hold, appear nowhere but in the subject's own receipt.
#[test]
fn planted_canaries_appear_only_as_commitments() {
    let canaries = ["canary-4711@example.cn", "8613800138000", "张伟-canary"];
    let mut subjects: Vec<_> = canaries.iter().map(|c| subject(c)).collect();
    subjects.push(stayed("canary-that-stayed"));
    let mut scratch = Cursor::new(Vec::new());
    let mut writer = ReceiptWriter::new("w7", &KEYS.secret, &mut scratch);
    for s in subjects {
        assert!(!format!("{s:?}").contains("canary"));
        writer.push(s).unwrap();
    }
    let mut whole = Vec::new();
    let written = writer.finish(record(), &KEYS.beijing, &KEYS.oregon, &mut whole).unwrap();
    let receipt = single(&whole, canaries[0]);
    let verified = verify(&whole[..], &KEYS.trusted()).unwrap();
    let shown = verify(&receipt[..], &KEYS.trusted()).unwrap();
    let told = format!("{written:?} {verified:?} {:?} {shown:?}", verified.summary());
    for (i, canary) in [canaries[0], canaries[1], canaries[2], "canary-that-stayed"].iter().enumerate() {
        for needle in [canary.as_bytes().to_vec(), hex::encode(canary).into_bytes(), base64(canary)] {
            let has = |hay: &[u8]| hay.windows(needle.len()).any(|w| w == needle);
            assert!(!has(&whole) && !has(scratch.get_ref()) && !has(told.as_bytes()), "{canary}");
            assert!(i == 0 || !has(&receipt), "{canary} in another's receipt");
        }
    }
    // The control: the search does find what stands there.
    assert!(receipt.windows(canaries[0].len()).any(|w| w == canaries[0].as_bytes()));
    // A plain digest would let anybody confirm a guessed row.
    assert!(!String::from_utf8_lossy(&whole).contains(&hex::encode([9; 32])));
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(text).into_bytes()
}

#[test]
fn a_single_receipt_shares_with_the_others_only_hashes() {
    let whole = file(&["a", "b", "c", "d", "e"]);
    let receipt = String::from_utf8(single(&whole, "c")).unwrap();
    let text = String::from_utf8(whole).unwrap();
    let others: Vec<_> = text.lines().skip(1).take(5).filter(|l| !receipt.contains(l)).collect();
    assert_eq!(others.len(), 4);
    for line in others {
        assert!(!receipt.contains(&line[15..79]), "another's commitment");
    }
    for id in ["a", "b", "d", "e"] {
        assert!(!receipt.contains(&serde_json::to_string(&KEYS.secret.salt("w7", id)).unwrap()));
    }
}

#[test]
fn trust_is_the_readers() {
    let whole = file(&["a"]);
    let [beijing, oregon] = KEYS.trusted();
    let one = verify(&whole[..], std::slice::from_ref(&oregon)).unwrap();
    assert_eq!(one.signers.clone().map(|s| s.trusted), [false, true]);
    assert!(!one.all_trusted());
    assert!(one.not_proven().iter().any(|c| c.starts_with("that region `beijing` signed")));
    let stranger = SigningKey::generate("stranger").unwrap().verifying_key().clone();
    for trusted in [&[][..], &[stranger][..]] {
        assert!(matches!(verify(&whole[..], trusted), Err(Error::Untrusted { .. })));
    }
    // The same name with another key is not merely unknown.
    let other = SigningKey::generate("oregon").unwrap().verifying_key().clone();
    assert!(matches!(verify(&whole[..], &[beijing.clone(), other.clone()]), Err(Error::Impostor { .. })));
    // After a key was changed both may be trusted.
    assert!(verify(&whole[..], &[beijing, other, oregon]).unwrap().all_trusted());
}

/// Whatever a database takes as a key has a receipt: a subject that could not be written down would jam
/// its whole wave.
#[test]
fn every_id_has_a_receipt() {
    let long = "x".repeat(1 << 20);
    let controls = "\u{1}".repeat(1 << 20);
    let ids = [
        "",
        " ",
        "\n",
        "a\nb\r\u{1b}[31m",
        "\0",
        "\u{2028}",
        "\"\\",
        "007",
        "7",
        "7.0",
        "é",
        "e\u{301}",
        &long,
        &controls,
    ];
    let whole = file(&ids);
    assert_eq!(verify(&whole[..], &KEYS.trusted()).unwrap().header.totals.subjects_moved, ids.len() as u64);
    for id in ids {
        let one = single(&whole, id);
        let verified = verify(&one[..], &KEYS.trusted()).unwrap();
        assert!(verified.single.is_some(), "{} bytes", id.len());
    }
}

#[test]
fn what_cannot_stand_on_a_receipt_is_refused_when_written() {
    let with = |change: fn(&mut SubjectMove)| {
        let mut s = subject("canary");
        change(&mut s);
        let e = write(record(), vec![s]).unwrap_err().to_string();
        assert!(!e.contains("canary"), "{e}");
        e
    };
    assert!(with(|s| s.epoch_after = 3).contains("epoch"));
    assert!(with(|s| s.epoch_before = u64::MAX).contains("epoch"));
    assert!(with(|s| s.tables.push(s.tables[0].clone())).contains("twice"));
    assert!(with(|s| s.tables[0].table = secret::OBJECTS.into()).contains("control character"));
    assert!(with(|s| s.outcome = Outcome::Stayed { code: "x".into() }).contains("stayed"));
    assert!(with(|s| s.logically_erased_at = s.fenced_at).contains("pending"));
    let mut sentence = stayed("canary");
    sentence.outcome = Outcome::Stayed { code: "Key (email)=(canary) exists".into() };
    assert!(write(record(), vec![sentence]).unwrap_err().to_string().contains("code"));
    assert!(write(record(), vec![subject("a"), subject("a")]).unwrap_err().to_string().contains("twice"));

    let with = |change: fn(&mut WaveRecord)| {
        let mut r = record();
        change(&mut r);
        write(r, vec![]).unwrap_err().to_string()
    };
    assert!(with(|r| r.id = "w\0x".into()).contains("control character"));
    assert!(with(|r| r.service.clear()).contains("service"));
    assert!(with(|r| r.source.country = "China".into()).contains("two-letter"));
    assert!(with(|r| r.target.id = "singapore".into()).contains("its signer is `oregon`"));
    assert!(with(|r| r.target.id = r.source.id.clone()).contains("same region"));
    let writer = ReceiptWriter::new("w8", &KEYS.secret, Cursor::new(Vec::new()));
    assert!(writer.finish(record(), &KEYS.beijing, &KEYS.oregon, Vec::new()).is_err());
}

fn erased() -> WaveRecord {
    let statement = LogicallyErased::new(
        at("2014-11-02T00:00:00Z"),
        vec!["DELETE FROM public.orders WHERE id = ANY(...)".into()],
        PhysicallyGone {
            wal: Gone::Within { hours: 24, source: "archive, declared".into() },
            replicas: Gone::Absent { source: "pg_stat_replication".into() },
            backups: Gone::NotKnown { why: "nobody declared it".into() },
        },
        vec!["disks below the file system".into()],
    );
    WaveRecord { erasure: Erasure::LogicallyErased(statement.unwrap()), ..record() }
}

#[test]
fn an_erased_wave_says_what_that_means() {
    let missing = write(erased(), vec![subject("a")]).unwrap_err().to_string();
    assert!(missing.contains("no time of erasure"), "{missing}");
    let gone = SubjectMove { logically_erased_at: Some(at("2014-11-01T12:00:00Z")), ..subject("a") };
    let whole = write(erased(), vec![gone, stayed("b")]).unwrap();
    for file in [&whole, &single(&whole, "a"), &single(&whole, "b")] {
        let summary = verify(&file[..], &KEYS.trusted()).unwrap().summary();
        let erasure = &summary.iter().find(|l| l.0 == "erasure").unwrap().1;
        assert!(
            erasure.starts_with("logically erased at 2014-11-02T00:00:00Z by these statements: DELETE"),
            "{erasure}"
        );
        assert!(
            erasure.contains("physically gone at a time not known") && erasure.contains("not seen: disks")
        );
        for (label, value) in &summary {
            let text = format!("{label} {value}").to_lowercase();
            for (i, _) in text.match_indices("erased") {
                assert!(text[..i].ends_with("logically "), "a bare erased: {text}");
            }
        }
    }
}

#[test]
fn the_summary_tells_the_whole_story() {
    let summary = verify(&file(&["a", "bb"])[..], &KEYS.trusted()).unwrap().summary();
    let told: String = summary.iter().map(|(l, v)| format!("{l}: {v}\n")).collect();
    for expected in [
        "receipt of: wave w7 of service shop\n",
        "from: beijing in CN, operator under the law of CN (location declared)\n",
        "to: oregon in US, operator under the law of CN (location attested by the data centre's auditor)\n",
        "subjects: 2 moved\nrows: 6 rows, 600 bytes\n",
        "table: public.orders: 3 rows, 300 bytes\n",
        "pause: p50 9.1 ms, p99 9.1 ms, longest 9.1 ms\n",
        "law: PDPA 2012, s. 26: no transfer without comparable protection\n",
        "unmapped: public.forgotten (rows not counted): ",
        "standbys: no standby listed: a fail-over of the source within its replication lag could have forgotten the fence\n",
        "erasure: pending: the grace period ends at 2014-11-01T00:00:00Z\n",
        "signed by: maker.example/beijing (source): trusted\n",
        "not proven: that region `beijing` stands in CN: declared, neither observed nor attested\n",
        "not proven: that these are the only receipts of the wave: there is no public log yet\n",
        "not proven: that staff kept no spreadsheets\n",
    ] {
        assert!(told.contains(expected), "{expected} is not in\n{told}");
    }
    assert!(!told.contains("region `oregon` stands"));
    let clauses: Vec<_> = summary.iter().filter(|l| l.0 == "not proven").collect();
    assert!(clauses.iter().all(|c| clauses.iter().filter(|d| d == &c).count() == 1), "said twice");
}

/// The bytes of version 1 are pinned: a file written today must verify for as long as the version stands.
#[test]
fn a_file_of_version_1_written_earlier_still_verifies() {
    let file = include_bytes!("../data/wave-v1.receipts");
    let trusted: Vec<VerifyingKey> =
        include_str!("../data/wave-v1.keys").lines().map(|l| l.parse().unwrap()).collect();
    let v = verify(&file[..], &trusted).unwrap();
    assert_eq!((v.subjects, v.all_trusted(), v.header.wave.id.as_str()), (3, true, "w7"));
    let receipt = include_bytes!("../data/single-v1.receipt");
    let v = verify(&receipt[..], &trusted).unwrap();
    assert_eq!(v.single.unwrap().opening.subject, "ann");
}

/// Issued again with a search: the same subjects, both signatures; nobody else can, and an old file stays what it was.
#[test]
fn a_search_for_residue_is_signed_into_the_receipts() {
    use std::io::Cursor;
    let gone = || Gone::Absent { source: "declared".into() };
    let gone = PhysicallyGone { wal: gone(), replicas: gone(), backups: gone() };
    let erased =
        LogicallyErased::new(at("2014-11-02T00:00:00Z"), vec!["DELETE".into()], gone, vec!["disks".into()]);
    let erased = WaveRecord { erasure: Erasure::LogicallyErased(erased.unwrap()), ..record() };
    let moved = |id| SubjectMove { logically_erased_at: Some(at("2014-11-02T00:00:00Z")), ..subject(id) };
    let old = write(erased, vec![moved("a"), moved("b"), stayed("c")]).unwrap();
    let search = |found: u64| ResidueSearch {
        at: at("2014-11-03T00:00:00Z"),
        searched: vec!["postgres://beijing/shop".into()],
        bytes: 1 << 30,
        identifiers: 4,
        subjects: 2,
        subjects_not_there: 1,
        controls: 46,
        findings: [("table".to_owned(), found)].into(),
        unseen: vec!["a foreign table".into()],
    };
    let issue = |file: &[u8], search| {
        let mut out = Vec::new();
        let keys = [&KEYS.beijing, &KEYS.oregon];
        let written = with_residue(Cursor::new(file), search, at("2014-11-03T00:00:01Z"), keys, &mut out)?;
        assert_eq!(written.bytes, out.len() as u64);
        Ok::<_, Error>(out)
    };
    let new = issue(&old, search(3)).unwrap();
    let verified = verify(&new[..], &KEYS.trusted()).unwrap();
    assert_eq!((verified.subjects, verified.header.wave.residue_searches.len()), (3, 1));
    let told = verified.not_proven().join("\n");
    assert!(told.contains("search of 2014-11-03T00:00:00Z found 3 traces (table: 3)"), "{told}");
    assert!(
        told.contains("1 subject(s) that had moved on") && told.contains("could not see: a foreign table"),
        "{told}"
    );
    assert!(told.contains("that staff kept no spreadsheets"), "what the first writer said stays: {told}");
    let lines =
        |file: &[u8]| file.split(|b| *b == b'\n').skip(1).take(4).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(lines(&old), lines(&new));
    verify(&old[..], &KEYS.trusted()).unwrap();
    verify(&single(&new, "a")[..], &KEYS.trusted()).unwrap();
    // A later one that finds nothing takes the doubt away; only the latest are kept.
    let mut later = issue(&new, search(0)).unwrap();
    let told = verify(&later[..], &KEYS.trusted()).unwrap().not_proven().join("\n");
    assert!(!told.contains("found 3 traces"), "{told}");
    for _ in 0..RESIDUE_SEARCHES_MAX {
        later = issue(&later, search(0)).unwrap();
    }
    assert_eq!(
        verify(&later[..], &KEYS.trusted()).unwrap().header.wave.residue_searches.len(),
        RESIDUE_SEARCHES_MAX
    );
    // Other keys, a pending erase, a damaged file, a single receipt, a text that can't be.
    let other = SigningKey::generate("maker.example/beijing").unwrap();
    let wrong = with_residue(
        Cursor::new(&old),
        search(0),
        at("2014-11-03T00:00:01Z"),
        [&other, &KEYS.oregon],
        &mut Vec::new(),
    );
    assert!(wrong.unwrap_err().to_string().contains("other keys"));
    assert!(issue(&file(&["a"]), search(0)).is_err());
    assert!(issue(&old[..old.len() - 1], search(0)).is_err());
    assert!(issue(&single(&old, "a"), search(0)).is_err());
    assert!(issue(&old, ResidueSearch { searched: vec![], ..search(0) }).is_err());
    assert!(issue(&old, ResidueSearch { unseen: vec!["a\nb".into()], ..search(0) }).is_err());
}
