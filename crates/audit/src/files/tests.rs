//! Files as an unkind hand leaves them.

use crate::report::Verdict;
use crate::{Examiner, Forms, Gap, Identifier, Kind, Limits, Report, Wanted};
use rustix::fs::OFlags;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use zeroize::Zeroizing;

const MAIL: &str = "wang@example.com";

fn wanted() -> Wanted {
    let identifier = Identifier { kind: Kind::Email, text: Zeroizing::new(MAIL.into()) };
    Wanted::new(vec![identifier], &Forms::default(), None)
}

fn report(path: &Path) -> Report {
    let wanted = wanted();
    let mut examiner = Examiner::new(&wanted, Limits::default());
    examiner.files(path);
    examiner.finish()
}

#[track_caller]
fn said(report: &Report, file: &str, word: &str) {
    let said = |unseen: &crate::Unseen| unseen.place.to_string().contains(file) && unseen.why.contains(word);
    assert!(report.unseen.iter().any(said), "no {word:?} of {file:?} in {:?}", report.unseen);
}

#[test]
fn a_directory_is_walked_in_order_and_hostile_names_survive() {
    let root = tempfile::tempdir().expect("a directory");
    let long = "n".repeat(255);
    for name in [&b"b"[..], b"a\nb\x1b[2J", b"\xff\xfe", long.as_bytes(), b"-rf"] {
        fs::write(root.path().join(OsStr::from_bytes(name)), MAIL).expect("written");
    }
    fs::create_dir(root.path().join("z")).expect("a directory");
    fs::write(root.path().join("z/deep"), MAIL).expect("written");
    let report = report(root.path());
    assert_eq!((report.findings.len(), report.scanned.targets, report.unseen.len()), (6, 6, 0));
    let places: Vec<String> = report.findings.iter().map(|finding| finding.place.to_string()).collect();
    assert!(places[1].ends_with("a\\nb\\u{1b}[2J"), "{places:?}");
    assert!(places[3].ends_with(&long) && places[4].ends_with('\u{fffd}') && places[5].ends_with("z/deep"));
}

#[test]
fn a_named_place_without_anything_to_read_proves_no_absence() {
    let root = tempfile::tempdir().expect("a directory");
    let named = |path: &Path| {
        let wanted = wanted();
        let mut examiner = Examiner::new(&wanted, Limits::default());
        examiner.named_files(path);
        examiner.finish()
    };
    fs::create_dir(root.path().join("below")).expect("a directory");
    fs::write(root.path().join("dump.sql"), "").expect("written");
    for path in [root.path().to_owned(), root.path().join("dump.sql")] {
        let report = named(&path);
        assert_eq!(report.gaps.each().collect::<Vec<_>>(), [(Gap::Empty, 1)]);
        said(&report, "", "nothing in it");
    }
    let gone = named(&root.path().join("gone"));
    assert_eq!(gone.gaps.each().collect::<Vec<_>>(), [(Gap::Unread, 1)], "one reason is enough");
    fs::write(root.path().join("below/log"), "x").expect("written");
    assert_eq!(named(root.path()).gaps.each().count(), 0);
}

#[test]
fn links_are_said_and_not_followed_but_for_the_target_itself() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("d")).expect("a directory");
    fs::write(root.path().join("d/file"), MAIL).expect("written");
    symlink(root.path(), root.path().join("d/loop")).expect("a link");
    symlink("file", root.path().join("d/again")).expect("a link");
    symlink("d", root.path().join("target")).expect("a link");
    let report = report(&root.path().join("target"));
    assert_eq!(report.findings.len(), 1);
    said(&report, "loop", "not followed");
    said(&report, "again", "what it leads to is searched");
    symlink("nowhere", root.path().join("d/dangling")).expect("a link");
    symlink("dangling", root.path().join("d/twice")).expect("a link");
    let gaps = self::report(&root.path().join("target")).gaps;
    assert_eq!(
        (gaps.of(Gap::Link), gaps.of(Gap::Known)),
        (1, 3),
        "one leads out, and nothing hides behind three"
    );
    let ring = root.path().join("ring");
    symlink(&ring, &ring).expect("a link");
    said(&self::report(&ring), "ring", "can't be opened");
}

#[test]
fn what_is_no_file_is_not_opened() {
    let root = tempfile::tempdir().expect("a directory");
    let pipe = root.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(root.path().join("socket")).expect("a socket");
    let report = report(root.path());
    said(&report, "pipe", "a pipe");
    said(&report, "socket", "a socket");
    assert_eq!(report.verdict(), Verdict::Nothing, "neither keeps anything");
    said(&self::report(&pipe), "pipe", "a pipe");
    let device = self::report(Path::new("/dev/zero"));
    said(&device, "zero", "a device");
    assert_eq!(device.verdict(), Verdict::NotWhole);
    said(&self::report(&root.path().join("absent")), "absent", "not there");
    assert_eq!(report.scanned.targets, 0);
}

#[test]
fn a_file_that_is_gone_when_it_is_opened_is_said() {
    let root = tempfile::tempdir().expect("a directory");
    let wanted = wanted();
    let mut examiner = Examiner::new(&wanted, Limits::default());
    examiner.file(&root.path().join("gone"), OFlags::NOFOLLOW);
    let report = examiner.finish();
    said(&report, "gone", "it is not there");
    assert_eq!((report.gaps.of(Gap::Changed), report.verdict()), (1, Verdict::NotWhole));
}

/// However many files: what is beyond a report's bound counts all the same.
#[test]
fn gaps_beyond_the_bound_are_counted_by_their_sort() {
    let root = tempfile::tempdir().expect("a directory");
    for n in 0..40 {
        fs::write(root.path().join(format!("{n}.age")), "age-encryption.org/v1\n").expect("written");
        fs::write(root.path().join(format!("{n}.gz")), b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb").expect("written");
    }
    let wanted = wanted();
    let mut examiner = Examiner::new(&wanted, Limits { unseen_max: 10, ..Limits::default() });
    examiner.files(root.path());
    let mut report = examiner.finish();
    assert_eq!((report.unseen.len(), report.more_unseen), (10, 70));
    assert_eq!(report.gaps.each().collect::<Vec<_>>(), [(Gap::Damaged, 40), (Gap::Encrypted, 40)]);
    report.accepted = [Gap::Damaged].into();
    assert_eq!(report.verdict(), Verdict::NotWhole);
    report.accepted.insert(Gap::Encrypted);
    assert_eq!(report.verdict(), Verdict::Nothing);
}

#[test]
fn a_file_that_may_not_be_read_is_said() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().expect("a directory");
    let secret = root.path().join("secret");
    fs::write(&secret, MAIL).expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("closed");
    // Root may read everything.
    if File::open(&secret).is_ok() {
        assert_eq!(report(root.path()).findings.len(), 1);
    } else {
        said(&report(root.path()), "secret", "permission denied");
    }
}

#[test]
fn a_file_that_changes_while_it_is_read_is_said() {
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("log");
    fs::write(&path, format!("{MAIL}\n")).expect("written");
    let wanted = wanted();
    let mut examiner = Examiner::new(&wanted, Limits::default());
    let mut grows = fs::OpenOptions::new().append(true).open(&path).expect("opened");
    examiner.opened(&path, &File::open(&path).expect("opened"), |file, bytes_max| {
        grows.write_all(MAIL.repeat(10).as_bytes()).expect("written");
        file.take(bytes_max)
    });
    let report = examiner.finish();
    assert_eq!(report.findings.len(), 1, "no further than it was long");
    said(&report, "log", "it changed while it was read (17 bytes before, 177 after)");
}

#[test]
fn of_a_file_with_holes_only_what_is_stored_is_read() {
    let root = tempfile::tempdir().expect("a directory");
    let mut file = File::create(root.path().join("disk")).expect("created");
    for at in [0, 1 << 35] {
        file.seek(std::io::SeekFrom::Start(at)).expect("moved");
        file.write_all(MAIL.as_bytes()).expect("written");
    }
    file.set_len(1 << 42).expect("long");
    let report = report(root.path());
    assert_eq!(report.findings.len(), 2);
    assert!(
        report.findings[1].place.to_string().ends_with("disk > byte 34359738368"),
        "{:?}",
        report.findings
    );
    assert!(report.scanned.bytes < 1 << 20, "{}", report.scanned.bytes);
    said(&report, "disk", "holes");
}

/// A folder is a dump if it has a `toc.dat`: one that is a pipe would wait for ever, and a link leads anywhere.
#[test]
fn the_list_of_a_folders_dump_is_a_file() {
    let root = tempfile::tempdir().expect("a directory");
    let (piped, linked) = (root.path().join("piped"), root.path().join("linked"));
    for folder in [&piped, &linked] {
        fs::create_dir(folder).expect("a directory");
    }
    let (mode, kind) = (rustix::fs::Mode::RUSR, rustix::fs::FileType::Fifo);
    rustix::fs::mknodat(rustix::fs::CWD, piped.join("toc.dat"), kind, mode, 0).expect("a pipe");
    let dump = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pg_dump-16-none.dump");
    symlink(dump, linked.join("toc.dat")).expect("a link");
    let report = report(root.path());
    said(&report, "piped/toc.dat", "");
    said(&report, "linked/toc.dat", "link");
    assert_eq!(report.scanned.bytes, 0, "neither was opened");
}
