//! What is handed on of a container: the sequence of places and bytes, without any search in it.

use super::{Inner, Opener, Search, Spot, open};
use crate::controls::craft::{self, Zipped};
use crate::{Captured, Gap, Gaps, Limits, Place, Step};
use std::collections::BTreeMap;
use std::io::Read;

/// Keeps what it is handed.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) runs: BTreeMap<String, Vec<u8>>,
    /// The same by places without the packet.
    pub(crate) whole: BTreeMap<String, Vec<u8>>,
    pub(crate) unseen: Vec<(String, String)>,
    pub(crate) gaps: Gaps,
    pub(crate) captured: Vec<Captured>,
    pub(crate) counted: (u64, u64),
    /// Only count bytes: for bombs.
    pub(crate) forgetful: bool,
}

impl Search for Handed {
    type Run = u64;

    fn begin(&mut self, base: u64) -> u64 {
        base
    }

    fn feed(&mut self, at: &mut u64, spot: &Spot, bytes: &[u8]) -> Vec<Inner> {
        if !self.forgetful {
            let pieces = if spot.of_one_piece() { bytes.chunks(bytes.len().max(1)) } else { bytes.chunks(1) };
            for piece in pieces {
                let mut place = spot.at(*at);
                self.runs.entry(place.to_string()).or_default().extend(piece);
                place.0.retain(|step| !matches!(step, Step::Packet(_)));
                self.whole.entry(place.to_string()).or_default().extend(piece);
                *at += piece.len() as u64;
            }
        }
        Vec::new()
    }

    fn end(&mut self, _: u64, _: &Spot) -> Vec<Inner> {
        Vec::new()
    }

    fn unseen(&mut self, place: Place, gap: Gap, why: String) {
        self.gaps.count(gap);
        self.unseen.push((place.to_string(), why));
    }

    fn flows(&mut self, captured: Captured) {
        self.captured.push(captured);
    }
}

impl Handed {
    #[track_caller]
    pub(crate) fn run(&self, place: &str) -> &str {
        let run = self.runs.get(place);
        let run = run.unwrap_or_else(|| panic!("no {place:?} in {:?}", self.runs.keys().collect::<Vec<_>>()));
        std::str::from_utf8(run).unwrap_or("(no UTF-8)")
    }

    #[track_caller]
    pub(crate) fn said(&self, word: &str) {
        assert!(self.unseen.iter().any(|(_, why)| why.contains(word)), "no {word:?} in {:?}", self.unseen);
    }
}

pub(crate) fn handed(bytes: &[u8]) -> Handed {
    handed_within(bytes, Limits::default(), Handed::default())
}

pub(crate) fn handed_within(source: impl Read, limits: Limits, mut handed: Handed) -> Handed {
    let mut source = source;
    let opener = Opener::new(&mut handed, limits);
    open(&opener, 0, &Place::from(Step::File("f".into())).into(), &mut source).expect("read from memory");
    let counted = opener.counted();
    handed.counted = counted;
    handed
}

/// Gives one byte at a time: every border that a chunk can have.
struct Trickle<'b>(&'b [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let bytes = buffer.len().min(1);
        self.0.read(&mut buffer[..bytes])
    }
}

const TEXT: &str = "call +86 138 0013 8000 or mail wang@example.com";

#[test]
fn packed_streams_are_searched_as_they_stand_and_unpacked() {
    let packings = [
        ("gzip", craft::gzip(TEXT.as_bytes())),
        ("zlib", craft::zlib(TEXT.as_bytes())),
        ("zstd", craft::zstd(TEXT.as_bytes())),
    ];
    for (name, packed) in packings {
        for handed in [handed(&packed), handed_within(Trickle(&packed), Limits::default(), Handed::default())]
        {
            assert_eq!(handed.run(&format!("f > [{name}]")), TEXT);
            assert_eq!(handed.runs["f"], packed);
            assert_eq!(handed.unseen, []);
            assert_eq!(handed.counted, (packed.len() as u64, TEXT.len() as u64));
        }
    }
}

#[test]
fn what_stands_across_members_or_frames_is_one_run() {
    let (one, two) = TEXT.as_bytes().split_at(9);
    let gzip = [craft::gzip(one), craft::gzip(b""), craft::gzip(two)].concat();
    assert_eq!(handed(&gzip).run("f > [gzip]"), TEXT);
    let skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc";
    let zstd = [&skippable[..], &craft::zstd(one), skippable, &craft::zstd(two), skippable].concat();
    let handed = handed(&zstd);
    assert_eq!(handed.run("f > byte 11 > [zstd]"), TEXT);
    assert_eq!(handed.runs["f"], zstd);
}

#[test]
fn packed_values_are_found_in_the_middle_of_other_data() {
    for (name, packed) in [("gzip", craft::gzip(TEXT.as_bytes())), ("zstd", craft::zstd(TEXT.as_bytes()))] {
        let page = [
            &[0x1f, 0x8b, 0x08, 0xff, 1, 2, 3][..],
            &[7; 9_000],
            &packed,
            b"between",
            &packed,
            &[0x28, 0xb5, 0x2f],
        ]
        .concat();
        for handed in [handed(&page), handed_within(Trickle(&page), Limits::default(), Handed::default())] {
            assert_eq!(handed.run(&format!("f > byte 9007 > [{name}]")), TEXT);
            assert_eq!(handed.run(&format!("f > byte {} > [{name}]", 9014 + packed.len())), TEXT);
            assert_eq!(handed.runs["f"], page);
            assert_eq!(handed.unseen, []);
        }
    }
}

#[test]
fn packed_values_written_as_text_are_opened() {
    let long: String = (0..1_500).map(|n| format!("{n} {TEXT}\n")).collect();
    let gzip = craft::gzip(long.as_bytes());
    let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &gzip);
    let lines: Vec<&str> =
        base64.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    let hex: String = craft::zstd(long.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    for (bytes, place) in [
        (format!("body: {base64}"), "f > byte 6 > [base64] > [gzip]"),
        (lines.join("\r\n"), "f > [base64] > [gzip]"),
        (base64.replace('+', "%2B").replace('/', "%2f").replace('=', "%3D"), "f > [base64] > [gzip]"),
        (base64.replace('/', "\\/"), "f > [base64] > [gzip]"),
        (base64.replace('+', "-").replace('/', "_"), "f > [base64] > [gzip]"),
        (format!("COPY\n\\\\x{hex}\t1\n"), "f > byte 8 > [hex] > [zstd]"),
    ] {
        let handed = handed(bytes.as_bytes());
        assert_eq!(handed.run(place), long);
        assert_eq!(handed.runs["f"], bytes.as_bytes());
        assert_eq!(handed.unseen, []);
    }
}

#[test]
fn a_stream_behind_a_false_beginning_is_found() {
    // A sound header of gzip in front of a real stream, which it swallows the beginning of.
    let bytes = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03", &craft::gzip(TEXT.as_bytes())[..]].concat();
    let handed = handed(&bytes);
    assert_eq!(handed.run("f > byte 10 > [gzip]"), TEXT);
    assert_eq!(handed.runs["f"], bytes);
}

#[test]
fn truncated_and_corrupt_streams_are_searched_as_far_as_they_go_and_said() {
    let long: String = (0..12_000).map(|n| format!("{n} {TEXT}\n")).collect();
    for (name, packed) in [
        ("gzip", craft::gzip(long.as_bytes())),
        ("zlib", craft::zlib(long.as_bytes())),
        ("zstd", craft::zstd(long.as_bytes())),
    ] {
        let cut = &packed[..packed.len() / 2];
        let handed_cut = handed(cut);
        let run = handed_cut.run(&format!("f > [{name}]"));
        assert!(run.len() > 130_000 && long.starts_with(run), "{name}: {}", run.len());
        handed_cut.said(&format!("{name} stream"));
        assert_eq!(handed_cut.runs["f"], cut);
        let mut corrupt = packed.clone();
        let end = corrupt.len() - 3;
        corrupt[end] ^= 0xff;
        handed(&corrupt).said("corrupt");
    }
}

#[test]
fn members_of_a_tar_have_their_names() {
    let long = "d/".repeat(60) + "long";
    let record = format!(" path={long}\n");
    let pax = format!("{}{record}", record.len() + 3);
    let archive = [
        craft::tar_member("a", b'0', TEXT.as_bytes()),
        craft::tar_member("././@LongLink", b'L', format!("{long}1\0").as_bytes()),
        craft::tar_member("short", b'0', b"by GNU"),
        craft::tar_member("x", b'x', pax.as_bytes()),
        craft::tar_member("short", b'0', b"by pax"),
        craft::tar_member("dir", b'5', b""),
        craft::tar_member("sparse", b'S', b"with holes"),
        craft::tar("b.gz", &craft::gzip(TEXT.as_bytes())),
    ];
    let handed = handed(&archive.concat());
    assert_eq!(handed.run("f > a"), TEXT);
    assert_eq!(handed.run(&format!("f > {long}1")), "by GNU");
    assert_eq!(handed.run(&format!("f > {long}")), "by pax");
    assert_eq!(handed.run("f > b.gz > [gzip]"), TEXT);
    assert!(handed.run("f").contains("with holes") && !handed.run("f").contains("wang"), "each byte once");
    assert_eq!(handed.unseen.len(), 1);
    handed.said("sparse");
}

#[test]
fn a_damaged_or_truncated_tar_is_said_and_searched() {
    let archive = craft::tar("a", TEXT.as_bytes());
    let handed_cut = handed(&archive[..530]);
    assert_eq!(handed_cut.run("f > a"), &TEXT[..18]);
    handed_cut.said("ends inside a member");
    let damaged = [&archive[..1024], &[b'x'; 512], TEXT.as_bytes()].concat();
    let handed = handed(&damaged);
    handed.said("damaged");
    assert!(handed.run("f").ends_with(TEXT));
}

#[test]
fn noise_whose_bytes_add_up_is_no_tar() {
    let mut noise = vec![0x11u8; 512];
    noise[..10].copy_from_slice(b"\x1e\x8b\x08\0\0\0\0\0\0\x03");
    noise[148..156].fill(0xf5);
    // Signed, the sum with spaces for the field is zero, and no digits read as zero.
    for at in (200..512).cycle() {
        let sum: i64 = noise
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { i64::from(byte.cast_signed()) })
            .sum();
        if sum == 0 {
            break;
        }
        noise[at] = noise[at].wrapping_sub(sum.clamp(-9, 9) as u8);
    }
    assert!(!super::tar::checksum_holds(&noise));
    assert!(super::tar::checksum_holds(&craft::tar("a", b"")[..512]));
}

#[test]
fn members_of_a_zip_have_their_names() {
    for how in [Zipped::Stored, Zipped::Deflated, Zipped::Streamed, Zipped::Large] {
        let second = craft::zip("b\n\u{202e}/../../c", b"second", how);
        let handed = handed(&[craft::zip_member("a.txt", TEXT.as_bytes(), how), second].concat());
        assert_eq!(handed.run("f > a.txt"), TEXT, "{how:?}");
        assert_eq!(handed.run("f > b\\n\\u{202e}/../../c"), "second", "{how:?}");
        assert_eq!(handed.unseen, []);
    }
}

/// Wherever an archive is cut, it is not whole, or nothing of it that can be told is there.
#[test]
fn an_archive_that_is_cut_anywhere_is_said() {
    let noise = (0..900u32).map(|n| (n.wrapping_mul(0x9E37_79B9) >> 24) as u8 & 0x7e).collect::<Vec<_>>();
    let (one, two) = (b"one".repeat(40), noise);
    let tar = [craft::tar_member("a", b'0', &one), craft::tar("b", &two)].concat();
    let zip =
        [craft::zip_member("a", &one, Zipped::Deflated), craft::zip("b", &two, Zipped::Stored)].concat();
    let directory = zip.len() - 22 - 46 - 1;
    for (archive, whole) in [
        (craft::gzip(&two), 0),
        (craft::zstd(&two), 0),
        (tar.clone(), tar.len() - 1024 + 512),
        (zip, directory + 4),
    ] {
        assert_eq!(handed(&archive).unseen, []);
        let end = if whole == 0 { archive.len() } else { whole };
        // Nobody can tell what a shorter beginning is of.
        for cut in if archive == tar { 512 } else { 64 }..end {
            assert!(handed(&archive[..cut]).gaps.of(Gap::Damaged) > 0, "{cut} of {}", archive.len());
        }
    }
}

#[test]
fn what_a_zip_hides_is_said() {
    let mut encrypted = craft::zip("a", TEXT.as_bytes(), Zipped::Deflated);
    encrypted[6] |= 1;
    handed(&encrypted).said("encrypted");
    assert_eq!(handed(&encrypted).gaps.of(Gap::Encrypted), 1);
    let mut bzip2 = craft::zip("a", TEXT.as_bytes(), Zipped::Deflated);
    bzip2[8] = 12;
    handed(&bzip2).said("bzip2");
}

#[test]
fn containers_in_containers_are_opened_to_the_limit() {
    let nested =
        craft::zip("t", &craft::tar("z", &craft::zstd(&craft::gzip(TEXT.as_bytes()))), Zipped::Deflated);
    assert_eq!(handed(&nested).run("f > t > z > [zstd] > [gzip]"), TEXT);
    let mut deep = TEXT.as_bytes().to_vec();
    for _ in 0..9 {
        deep = craft::gzip(&deep);
    }
    let handed = handed(&deep);
    assert_eq!(handed.unseen.len(), 1);
    handed.said("more than 8 deep");
}

#[test]
fn what_is_not_opened_is_said() {
    let foreign: [(&[u8], &str); 5] = [
        (b"BZh91AY&SY\0\0", "bzip2"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c\0", "7z"),
        (b"Rar!\x1a\x07\x01\0", "rar"),
        (b"%PDF-1.7", "PDF"),
    ];
    for (bytes, what) in foreign {
        handed(bytes).said(what);
        assert_eq!(handed(bytes).gaps.of(Gap::Unopened), 1, "{what}");
    }
    for sealed in [&b"age-encryption.org/v1"[..], b"Salted__12345678", b"-----BEGIN PGP MESSAGE-----"] {
        assert_eq!(handed(sealed).gaps.of(Gap::Encrypted), 1);
    }
    let database = b"SQLite format 3\0 and its pages";
    for place in [database.to_vec(), craft::gzip(database), craft::tar("shop.db", database)] {
        assert_eq!(handed(&place).gaps.of(Gap::Raw), 1, "wherever it lies");
    }
    assert_eq!(handed(b"BZh9 is how a bzip2 begins").unseen, [], "prose is no stream");
    assert_eq!(handed(b"x\x9c is how a zlib begins").unseen, []);
}

#[test]
fn bombs_are_stopped_by_ratio_and_by_total() {
    let forgetful = || Handed { forgetful: true, ..Handed::default() };
    let zeros = craft::gzip(&vec![0; 64 << 20]);
    let nested = craft::gzip(&zeros.repeat(64));
    let handed = handed_within(&nested[..], Limits::default(), forgetful());
    handed.said("more than 2000 times");
    assert!(handed.counted.1 <= (17 << 20).max(nested.len() as u64 * 2_001), "{:?}", handed.counted);
    let limits = Limits { unpacked_bytes_max: 1 << 20, ..Limits::default() };
    for bomb in
        [zeros.clone(), craft::zip("z", &vec![0; 8 << 20], Zipped::Deflated), craft::zstd(&vec![0; 8 << 20])]
    {
        let handed = handed_within(&bomb[..], limits.clone(), forgetful());
        handed.said("the limit of 1048576 bytes");
        assert!(handed.gaps.of(Gap::Limit) > 0 && handed.gaps.of(Gap::Damaged) == 0, "{:?}", handed.gaps);
        assert!(handed.counted.1 < 2 << 20, "{:?}", handed.counted);
    }
}

#[test]
fn a_source_that_fails_is_an_error_and_what_came_is_searched() {
    struct Fails<'b>(&'b [u8]);
    impl Read for Fails<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(std::io::Error::from_raw_os_error(5)),
                read => Ok(read),
            }
        }
    }
    let mut handed = Handed::default();
    let opener = Opener::new(&mut handed, Limits::default());
    let error = open(&opener, 0, &Place::from(Step::File("f".into())).into(), &mut Fails(TEXT.as_bytes()));
    assert_eq!(error.expect_err("the source's").raw_os_error(), Some(5));
    assert_eq!(handed.run("f"), TEXT);
}
