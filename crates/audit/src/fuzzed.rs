//! Entry points of the fuzz targets in `fuzz/`, and of their twins among the tests: whatever comes in, nothing panics and no
//! limit is passed.

use crate::controls::craft::{self, Zipped};
use crate::controls::traffic;
use crate::dump::{self, Dump};
use crate::report::{self, Asked};
use crate::{Examiner, Forms, Identifier, Kind, Limits, Place, Report, Step, Wanted};
use std::net::Ipv4Addr;
use std::sync::LazyLock;

/// Small, so that a target that passes them does so soon.
pub const LIMITS: Limits =
    Limits { findings_max: 100, unseen_max: 100, depth_max: 4, unpacked_bytes_max: 4 << 20, ratio_max: 200 };

/// What is looked for: nobody's, and always the same, so that what was found yesterday means the same today. The first two stand
/// in the seeds.
const NUMBER: &str = "4915123456789";
const MAIL: &str = "canary.lin@residue.example";
/// Stand in no seed.
const PLANTED: [&str; 3] = ["+8613912345678", "wang@planted.example", "Wang, Xiaoming"];
const FIRST_PLANTED: u32 = 2;

static WANTED: LazyLock<Wanted> = LazyLock::new(|| {
    let number = format!("+{NUMBER}");
    let [phone, mail, free] = PLANTED;
    let all = [
        (Kind::Phone, number.as_str()),
        (Kind::Email, MAIL),
        (Kind::Phone, phone),
        (Kind::Email, mail),
        (Kind::Free, free),
    ];
    let all = all.map(|(kind, text)| Identifier::new(kind, text, None).expect("an identifier"));
    Wanted::new(all.to_vec(), &Forms::default(), None)
});

/// Any bytes, as the containers, captures and archives that they begin as.
pub fn archive(data: &[u8]) {
    let report = report(data);
    assert_eq!(report.scanned.bytes, data.len() as u64, "every byte is read");
    bounded(&report);
    told(report);
}

/// Bytes behind the head of a capture.
pub fn capture(data: &[u8]) {
    let (kind, rest) = data.split_first().unwrap_or((&0, data));
    archive(&[HEADS[usize::from(kind % 3)], rest].concat());
}

/// The heads of a pcap in microseconds, one in nanoseconds and of another byte order and link, and a pcapng.
const HEADS: [&[u8]; 3] = [
    b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0",
    b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\x65",
    b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0",
];

/// Bytes behind the first key of an HTTP archive.
pub fn har(data: &[u8]) {
    archive(&[HAR, data].concat());
}

const HAR: &[u8] = b"{\"log\":{\"entries\":[";

/// One run, cut in two anywhere: where it is cut changes nothing. And whatever stands around an identifier, it is found.
pub fn scan(data: &[u8]) {
    let whole = report(data);
    let at = data.first().map_or(0, |byte| usize::from(*byte)).min(data.len());
    let (one, two) = data.split_at(at);
    let cut = report(std::io::Read::chain(one, two));
    assert_eq!(whole.findings, cut.findings);
    assert_eq!(whole.scanned, cut.scanned);
    // A stored member of a zip is a run of its own: what goes over its end is cut there.
    if one.windows(4).any(|some| some == b"PK\x03\x04") {
        return;
    }
    for (n, identifier) in (FIRST_PLANTED..).zip(PLANTED) {
        // Behind a text, so that it is not the middle of a capture or of a tar.
        let around = [b"text ", one, b"\n<", identifier.as_bytes(), b">\n", two].concat();
        let report = report(&around[..]);
        let (_, print) = WANTED.named(n);
        let found = report.findings.iter().any(|finding| finding.identifier == print);
        assert!(found || report.more_findings > 0, "{identifier} at {} is missed", one.len() + 7);
    }
}

/// A text in containers within containers, which the first two bytes choose: what is written in it is found, or it is said that
/// something was not seen.
pub fn packed(data: &[u8]) {
    let Some((how, text)) = data.split_first_chunk::<2>() else { return };
    let (one, two) = text.split_at(text.len() / 2);
    let mut bytes = [one, b"\n<", MAIL.as_bytes(), b">\n", two].concat();
    let mut how = u16::from_le_bytes(*how);
    while how > 0 {
        bytes = match how % 9 {
            1 => craft::gzip(&bytes),
            2 => craft::zlib(&bytes),
            3 => craft::zstd(&bytes),
            4 => craft::tar("name", &bytes),
            5 => craft::zip("name", &bytes, Zipped::Stored),
            6 => craft::zip("name", &bytes, Zipped::Deflated),
            7 => craft::zip("name", &bytes, Zipped::Streamed),
            8 => craft::zip("name", &bytes, Zipped::Large),
            _ => break,
        };
        how /= 9;
    }
    let report = report(&bytes[..]);
    bounded(&report);
    assert!(report.found() + report.unseen.len() as u64 > 0, "missed, and nothing said");
    told(report);
}

/// A dump: the first byte chooses whether it is an archive of `pg_dump` or SQL.
pub fn dump(data: &[u8]) {
    let Some((how, bytes)) = data.split_first() else { return };
    let mut examiner = Examiner::new(&WANTED, LIMITS);
    let dump = if how % 2 == 0 { Dump::Archive } else { Dump::Plain };
    dump::read(dump, &place(), bytes, &mut examiner).expect("memory is read");
    told(examiner.finish());
    if dump == Dump::Plain {
        copied(bytes);
    }
}

/// A row of COPY whose values are these bytes around an address: it is found in its column.
fn copied(bytes: &[u8]) {
    let escape = |byte: &u8| match byte {
        b'\\' => b"\\\\".to_vec(),
        b'\n' => b"\\n".to_vec(),
        b'\t' => b"\\t".to_vec(),
        b'\r' => b"\\r".to_vec(),
        other => vec![*other],
    };
    let value: Vec<u8> = bytes.iter().take(1_000).flat_map(escape).collect();
    let sql =
        [b"COPY public.t (a, b) FROM stdin;\n", &value[..], b"\t<", MAIL.as_bytes(), b">\n\\.\n"].concat();
    let mut examiner = Examiner::new(&WANTED, LIMITS);
    dump::read(Dump::Plain, &place(), &sql[..], &mut examiner).expect("memory is read");
    let column = Step::Column("b".into());
    let report = examiner.finish();
    let found = report.findings.iter().any(|f| f.place.0.contains(&column));
    assert!(found || report.more_findings > 0, "missed in its column: {:?}", report.findings);
}

/// What each target begins with: one of each sort.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let tail = |all: Vec<Vec<u8>>, head: &[u8]| {
        all.into_iter().filter_map(|seed| Some(seed.strip_prefix(head)?.to_vec())).collect::<Vec<_>>()
    };
    match target {
        "capture" => {
            let captures = (0_u8..).zip(HEADS).flat_map(|(n, head)| {
                tail(containers(), head).into_iter().map(move |rest| [&[n], &rest[..]].concat())
            });
            captures.collect()
        }
        "har" => tail(containers(), HAR),
        "packed" => {
            (0..=255_u8).step_by(5).map(|how| [&[how, 1][..], b"some text, some text"].concat()).collect()
        }
        "dump" => dumps(),
        _ => containers(),
    }
}

const CLIENT: traffic::End = (Ipv4Addr::new(10, 0, 0, 1), 1_000);
const SERVER: traffic::End = (Ipv4Addr::new(10, 0, 0, 2), 80);

fn containers() -> Vec<Vec<u8>> {
    let text =
        format!("some text that is packed, packed, packed and packed again: +{NUMBER}, {MAIL}; ").repeat(2);
    let text = text.as_bytes();
    let chunk =
        format!("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", text.len());
    let request = [chunk.as_bytes(), text, b"\r\n0\r\n\r\n"].concat();
    // A name that a person's number is in.
    let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x0d4915123456789\x07example\x02cn\0\0\x01\0\x01";
    let answer = [
        &question[..2],
        b"\x81\x80\0\x01\0\x01\0\0\0\0",
        &question[12..],
        b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x0a\0\0\x02",
    ]
    .concat();
    let mut frames = traffic::connection(CLIENT, SERVER, &request, 40);
    frames.push(traffic::udp(CLIENT, (SERVER.0, 53), question));
    frames.push(traffic::udp((SERVER.0, 53), CLIENT, &answer));
    let har = format!(
        r#"{{"log":{{"entries":[{{"request":{{"url":"http://h/","headers":[{{"name":"a","value":"{MAIL}"}}]}},"response":{{"content":{{"text":"aGVsbG8gd29ybGQ=","encoding":"base64"}}}}}}]}}}}"#
    );
    vec![
        craft::gzip(&craft::gzip(text)),
        craft::zlib(text),
        craft::zstd(&craft::zstd(text)),
        craft::tar("name", &craft::gzip(text)),
        craft::zip("name", text, Zipped::Streamed),
        craft::zip("name", &craft::tar("inner", text), Zipped::Large),
        traffic::pcap(&frames),
        traffic::pcapng(&frames),
        har.into(),
    ]
}

fn dumps() -> Vec<Vec<u8>> {
    let archives: [&[u8]; 4] = [
        include_bytes!("../tests/data/pg_dump-16-gzip.dump"),
        include_bytes!("../tests/data/pg_dump-16-none.dump"),
        include_bytes!("../tests/data/pg_dump-18-gzip.dump"),
        include_bytes!("../tests/data/pg_dump-18-none.dump"),
    ];
    let sql = format!(
        "-- PostgreSQL database dump\nCOPY public.\"t \"\"1\" (id, \"E mail\") FROM stdin;\n1\t{MAIL}\n2\t\\N\n\\.\n\
         INSERT INTO t (a, b) VALUES (1, 'a''b\n{MAIL}'), (2, '\\x2b34'), (3, ARRAY[1, 2]);\nINSERT INTO u VALUES (NULL);\n"
    );
    let archives = archives.into_iter().map(|archive| [&[0], archive].concat());
    archives.chain([[&[1], sql.as_bytes()].concat()]).collect()
}

fn place() -> Place {
    Place::from(Step::File("fuzzed".into()))
}

fn bounded(report: &Report) {
    // One read of one stream may go over the bound before it is stopped, at every depth.
    assert!(report.scanned.unpacked_bytes <= LIMITS.unpacked_bytes_max + (4 << 20), "{:?}", report.scanned);
    assert!(report.unseen.len() <= LIMITS.unseen_max && report.findings.len() <= LIMITS.findings_max);
}

/// Names of files, members, tables and hosts are strangers' texts: no report shows an identifier in them or steers a terminal.
fn told(mut report: Report) {
    let mut asked = Asked { targets: vec!["fuzzed".into()], ..Asked::default() };
    report::hide(&mut report, &mut asked, &WANTED);
    let text = report::text(&report, &asked);
    let steers = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(steers), "{text:?}");
    for shown in [
        text,
        report::html(&report, &asked),
        report::json(&report, &asked).to_string(),
        report::sarif(&report, &asked).to_string(),
    ] {
        assert!(!shown.contains(NUMBER) && !shown.contains(MAIL), "an identifier is shown: {shown}");
    }
}

fn report(bytes: impl std::io::Read) -> Report {
    let mut examiner = Examiner::new(&WANTED, LIMITS);
    examiner.read(&place(), bytes).expect("memory is read");
    examiner.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_container_with_any_byte_changed_is_read_to_its_end() {
        for seed in containers() {
            let step = seed.len().div_ceil(400);
            for at in (0..seed.len()).step_by(step) {
                for change in [0x01, 0x80, 0xff] {
                    let mut damaged = seed.clone();
                    damaged[at] ^= change;
                    archive(&damaged);
                }
                archive(&seed[..at]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn several_bytes_changed(which in 0usize..9, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
            let mut damaged = containers().swap_remove(which);
            for (at, byte) in changes {
                let at = at.index(damaged.len());
                damaged[at] = byte;
            }
            archive(&damaged);
        }

        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
            archive(&data);
            capture(&data);
            har(&data);
            scan(&data);
            packed(&data);
            dump(&data);
        }

        #[test]
        fn a_dump_with_several_bytes_changed(which in 0usize..5, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12)) {
            let mut damaged = dumps().swap_remove(which);
            for (at, byte) in changes {
                let at = at.index(damaged.len());
                damaged[at] = byte;
            }
            dump(&damaged);
        }

        #[test]
        fn two_containers_in_a_row(one in 0usize..9, other in 0usize..9, cut in any::<prop::sample::Index>()) {
            let (mut all, seeds) = (containers(), containers());
            let mut first = all.swap_remove(one);
            first.truncate(cut.index(first.len()) + 1);
            first.extend(&seeds[other]);
            scan(&first);
        }
    }

    /// The costliest that a stranger could think of stays linear in what is read.
    #[test]
    fn many_false_beginnings_cost_little() {
        let gzip = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\xff\xff\0\0".repeat(10_000);
        let zip = craft::zip_member("n", b"", Zipped::Stored).repeat(5_000);
        let zstd = craft::zstd(b"x").repeat(5_000);
        let lines = [&b"HTTP/1.1 200 OK\r\nA: b\r\n".repeat(20_000)[..], b"GET / HTTP/1.1\r\n"].concat();
        let http = traffic::pcap(&traffic::connection(CLIENT, SERVER, &lines, 1_400));
        let base64 = b"H4sIAAAAAAAAA".repeat(10_000);
        for data in [gzip, zip, zstd, http, base64] {
            let mut examiner = Examiner::new(&WANTED, LIMITS);
            examiner.read(&place(), &data[..]).expect("memory is read");
            let scanned = examiner.finish().scanned;
            assert_eq!(scanned.bytes, data.len() as u64);
            assert!(scanned.unpacked_bytes <= LIMITS.unpacked_bytes_max + (4 << 20), "{scanned:?}");
        }
    }
}
