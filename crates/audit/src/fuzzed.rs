//! Entry points of the fuzz targets in `fuzz/`, and of their twins among the tests: whatever comes in, nothing panics and no
//! limit is passed.

use crate::{Canaries, Examiner, Forms, Limits, Place, Report, Step, Wanted};
use std::sync::LazyLock;

/// Small, so that a target that passes them does so soon.
pub const LIMITS: Limits =
    Limits { findings_max: 100, unseen_max: 100, depth_max: 4, unpacked_bytes_max: 4 << 20, ratio_max: 200 };

/// Of nobody: what is looked for does not matter here.
static WANTED: LazyLock<Wanted> = LazyLock::new(|| {
    let mut identifiers = Vec::new();
    Canaries::plant(&mut identifiers, &Forms::default());
    Wanted::new(identifiers, &Forms::default(), None)
});

/// Any bytes, as the containers, captures and archives that they begin as.
pub fn archive(data: &[u8]) {
    let report = report(data);
    assert_eq!(report.scanned.bytes, data.len() as u64, "every byte is read");
    // One read of one stream may go over the bound before it is stopped, at every depth.
    assert!(report.scanned.unpacked_bytes <= LIMITS.unpacked_bytes_max + (4 << 20), "{:?}", report.scanned);
    assert!(report.unseen.len() <= LIMITS.unseen_max);
}

/// Bytes behind the head of a capture.
pub fn capture(data: &[u8]) {
    let (kind, rest) = data.split_first().unwrap_or((&0, data));
    let head: &[u8] = match kind % 3 {
        0 => b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0",
        1 => b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\x65",
        _ => {
            b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0"
        }
    };
    archive(&[head, rest].concat());
}

/// Bytes behind the first key of an HTTP archive.
pub fn har(data: &[u8]) {
    archive(&[b"{\"log\":{\"entries\":[", data].concat());
}

/// One run, cut in two anywhere: where it is cut changes nothing.
pub fn scan(data: &[u8]) {
    let whole = report(data);
    let at = data.first().map_or(0, |byte| usize::from(*byte)).min(data.len());
    let (one, two) = data.split_at(at);
    let cut = report(std::io::Read::chain(one, two));
    assert_eq!(whole.findings, cut.findings);
    assert_eq!(whole.scanned, cut.scanned);
}

fn report(bytes: impl std::io::Read) -> Report {
    let mut examiner = Examiner::new(&WANTED, LIMITS);
    examiner.read(&Place::from(Step::File("fuzzed".into())), bytes).expect("memory is read");
    examiner.finish()
}

#[cfg(test)]
mod tests {
    use crate::controls::craft::{self, Zipped};
    use crate::controls::traffic;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    const CLIENT: traffic::End = (Ipv4Addr::new(10, 0, 0, 1), 1_000);
    const SERVER: traffic::End = (Ipv4Addr::new(10, 0, 0, 2), 80);

    /// One of each sort, to be damaged.
    fn seeds() -> Vec<Vec<u8>> {
        let text = b"some text that is packed, packed, packed and packed again".repeat(3);
        let request = [&b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1f\r\n"[..], &text].concat();
        let question = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x03api\x07example\x02cn\0\0\x01\0\x01";
        let mut frames = traffic::connection(CLIENT, SERVER, &request, 40);
        frames.push(traffic::udp(CLIENT, (SERVER.0, 53), question));
        let har =
            r#"{"log":{"entries":[{"request":{"url":"http://h/","headers":[{"name":"a","value":"b"}]}}]}}"#;
        vec![
            craft::gzip(&craft::gzip(&text)),
            craft::zlib(&text),
            craft::zstd(&craft::zstd(&text)),
            craft::tar("name", &craft::gzip(&text)),
            craft::zip("name", &text, Zipped::Streamed),
            craft::zip("name", &craft::tar("inner", &text), Zipped::Large),
            traffic::pcap(&frames),
            traffic::pcapng(&frames),
            har.into(),
        ]
    }

    #[test]
    fn a_container_with_any_byte_changed_is_read_to_its_end() {
        for seed in seeds() {
            let step = seed.len().div_ceil(400);
            for at in (0..seed.len()).step_by(step) {
                for change in [0x01, 0x80, 0xff] {
                    let mut damaged = seed.clone();
                    damaged[at] ^= change;
                    super::archive(&damaged);
                }
                super::archive(&seed[..at]);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn several_bytes_changed(which in 0usize..9, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12)) {
            let mut damaged = seeds().swap_remove(which);
            for (at, byte) in changes {
                let at = at.index(damaged.len());
                damaged[at] = byte;
            }
            super::archive(&damaged);
        }

        #[test]
        fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
            super::archive(&data);
            super::capture(&data);
            super::har(&data);
            super::scan(&data);
        }

        #[test]
        fn two_containers_in_a_row(one in 0usize..9, other in 0usize..9, cut in any::<prop::sample::Index>()) {
            let (mut all, seeds) = (seeds(), seeds());
            let mut first = all.swap_remove(one);
            first.truncate(cut.index(first.len()) + 1);
            first.extend(&seeds[other]);
            super::scan(&first);
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
            let mut examiner = crate::Examiner::new(&super::WANTED, super::LIMITS);
            let place = crate::Step::File("costly".into()).into();
            examiner.read(&place, &data[..]).expect("memory is read");
            let scanned = examiner.finish().scanned;
            assert_eq!(scanned.bytes, data.len() as u64);
            assert!(scanned.unpacked_bytes <= super::LIMITS.unpacked_bytes_max + (4 << 20), "{scanned:?}");
        }
    }
}
