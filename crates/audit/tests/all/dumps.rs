//! What the machine's `pg_dump` writes, in all its formats.

use crate::wanted::{MAIL, NUMBER, in_column, in_table, keys, report};
use domicile_audit::dump::{self, Dump};
use domicile_audit::report::Verdict;
use domicile_audit::{Gap, Place, Report, Step};
use domicile_testbed::postgres::{Cluster, bin_dir};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

fn filled() -> Cluster {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        &format!(
            "CREATE TABLE customer (id int PRIMARY KEY, \"E mail\" text, phone bigint, raw bytea);
             INSERT INTO customer SELECT i, 'c' || i || '@example.org', i, NULL FROM generate_series(1, 5000) i;
             INSERT INTO customer VALUES (9001, E'a\\tb {MAIL}', {NUMBER}, convert_to('{MAIL}', 'UTF8'));
             CREATE TABLE quiet (m text); INSERT INTO quiet VALUES ('nothing');
             COMMENT ON TABLE quiet IS 'ask {MAIL}'; SELECT lo_from_bytea(4711, convert_to('{MAIL}', 'UTF8'))"
        ),
    );
    cluster
}

/// `pg_dump` with these arguments; the file or folder it wrote.
fn dumped(cluster: &Cluster, dir: &Path, name: &str, args: &[&str]) -> PathBuf {
    let out = dir.join(name);
    let program = bin_dir().expect("PostgreSQL").join("pg_dump");
    let url = cluster.url("postgres", "postgres");
    domicile_testbed::run(Command::new(program).args(args).arg("-f").arg(&out).arg("-d").arg(url));
    out
}

fn search(path: &Path) -> Report {
    report(|examiner| examiner.files(path))
}

fn every_canary(report: &Report, what: &str) {
    for column in ["E mail", "phone", "raw"] {
        let found = in_column(report, "customer", column);
        assert_eq!(found.len(), 1, "{what}: {column}: {:?} {:?}", report.findings, report.unseen);
        assert!(keys(&found)[0].starts_with("row 5001, at byte "), "{what}: {found:?}");
    }
    assert!(in_table(report, "quiet").is_empty(), "{what}");
    // The comment, and the large object, whose text an SQL dump writes in hex.
    let elsewhere =
        report.findings.iter().filter(|f| !f.place.0.iter().any(|s| matches!(s, Step::Column(_)))).count();
    assert!(elsewhere >= 2, "{what}: {:?}", report.findings);
}

/// Whatever is left of a dump that was cut is searched, and is said to be not all.
fn cut(path: &Path) {
    let whole = std::fs::read(path).expect("a dump");
    let part = path.with_extension("cut");
    // Behind these words of an SQL dump stands nothing more that matters.
    let words = b"dump complete";
    let end = whole.windows(words.len()).rposition(|some| some == words).unwrap_or(whole.len());
    for length in [end / 3, end / 2, end - 40, end - 1] {
        std::fs::write(&part, &whole[..length]).expect("a part of it");
        let report = search(&part);
        assert!(report.gaps.of(Gap::Damaged) > 0, "{length} of {} of {}", whole.len(), path.display());
    }
}

#[test]
fn every_format_of_pg_dump() {
    let (cluster, dir) = (filled(), tempfile::tempdir().expect("a folder"));
    for (name, args) in [
        ("plain.sql", &["-Fp"][..]),
        ("inserts.sql", &["-Fp", "--inserts"]),
        ("columns.sql", &["-Fp", "--column-inserts", "--rows-per-insert=7"]),
        ("custom.dump", &["-Fc"]),
        ("stored.dump", &["-Fc", "-Z0"]),
        ("folder", &["-Fd"]),
        ("folder-stored", &["-Fd", "-Z0"]),
    ] {
        let path = dumped(&cluster, dir.path(), name, args);
        let report = search(&path);
        assert_eq!(report.verdict(), Verdict::Found, "{name}");
        assert_eq!(report.gaps.of(Gap::Damaged), 0, "{name}: {:?}", report.unseen);
        if path.is_file() {
            cut(&path);
        }
        if name == "inserts.sql" {
            // It names no columns: they are numbered.
            assert_eq!(in_column(&report, "customer", "column 2").len(), 1, "{:?}", report.findings);
            continue;
        }
        every_canary(&report, name);
    }
}

#[test]
fn a_packed_dump_and_a_tar_of_it() {
    let (cluster, dir) = (filled(), tempfile::tempdir().expect("a folder"));
    let tar = dumped(&cluster, dir.path(), "dump.tar", &["-Ft"]);
    assert!(search(&tar).findings.len() >= 4, "{:?}", search(&tar).findings);
    let plain = dumped(&cluster, dir.path(), "plain.sql", &["-Fp", "-Z6"]);
    let report = search(&plain);
    assert!(report.findings.len() >= 5, "{:?}", report.findings);
}

/// What PostgreSQL 16 (version 1.15 of the format) and 18 (1.16, as 17) wrote of the same small database.
#[test]
fn archives_of_newer_servers() {
    for name in ["pg_dump-16-gzip", "pg_dump-16-none", "pg_dump-18-gzip", "pg_dump-18-none"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.dump"));
        let report = search(&path);
        assert_eq!(report.unseen, [], "{name}");
        for column in ["E mail", "phone", "raw"] {
            let found = in_column(&report, "customer", column);
            assert!(
                found.len() == 1 && keys(&found)[0].starts_with("row 41, "),
                "{name}: {:?}",
                report.findings
            );
        }
        assert_eq!(keys(&in_table(&report, "pg_largeobject")), ["4711"], "{name}");
        // The comment stands in the list of contents.
        assert_eq!(report.findings.len(), 5, "{name}: {:?}", report.findings);
    }
}

/// Cut and changed at many bytes: it says what it could not read and never panics.
#[test]
fn a_damaged_archive_is_said() {
    let (cluster, dir) = (filled(), tempfile::tempdir().expect("a folder"));
    let path = dumped(&cluster, dir.path(), "custom.dump", &["-Fc"]);
    let mut whole = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut whole)).expect("the dump");
    let place = Place::from(Step::File("x".to_owned()));
    let read = |bytes: &[u8]| {
        report(|e| dump::read(Dump::Archive, &place, bytes, e).expect("no error of the source"))
    };
    for part in 1..60 {
        let cut = &whole[..whole.len() * part / 60];
        assert!(!read(cut).unseen.is_empty(), "cut at {}", cut.len());
    }
    for at in (0..whole.len()).step_by(whole.len() / 400 + 1).chain(0..200) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        read(&changed);
    }
}
