//! Every kind in every encoding, at every alignment and cut; near misses; noise; and a naive searcher to compare with.

mod writings;

use super::{Found, Scan};
use crate::{Country, Encoding, Forms, Hit, Identifier, Kind, Wanted};
use Encoding::{
    Base64, Blake3, Hex, Json, Md5, National, Percent, Plain, Raw, Separators, Sha1, Sha256, Sha512, Utf16Be,
    Utf16Le, Within,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use sha2::Digest as _;
use std::ops::Range;
use zeroize::Zeroizing;

#[derive(Default)]
struct Heard(Vec<Hit>, Vec<(u64, Encoding, Vec<u8>)>);

impl Found for Heard {
    fn hit(&mut self, hit: Hit) {
        self.0.push(hit);
    }
    fn inner(&mut self, at: u64, how: Encoding, bytes: &[u8]) {
        self.1.push((at, how, bytes.to_vec()));
    }
}

const LIST: [(Kind, &str); 6] = [
    (Kind::Phone, "+8613912345678"),
    (Kind::Email, "Zhang.Wei@mail.example"),
    (Kind::Imei, "490154203237518"),
    (Kind::Imsi, "460001234567890"),
    (Kind::Free, "account #77 of Wei"),
    (Kind::Free, "客户-0042-张伟"),
];

fn wanted(list: &[(Kind, &str)]) -> Wanted {
    wanted_with(list, &Forms::default())
}

fn wanted_with(list: &[(Kind, &str)], forms: &Forms) -> Wanted {
    let all = list.iter().map(|(kind, text)| Identifier::new(*kind, text, None).unwrap()).collect();
    Wanted::new(all, forms, Some(Zeroizing::new([7; 32])))
}

fn hear(wanted: &Wanted, block_bytes: usize, chunks: &mut dyn Iterator<Item = &[u8]>) -> Heard {
    hear_together(wanted, block_bytes, u64::MAX, chunks)
}

/// From `from_bytes` on, many blocks at once.
fn hear_together(
    wanted: &Wanted,
    block_bytes: usize,
    from_bytes: u64,
    chunks: &mut dyn Iterator<Item = &[u8]>,
) -> Heard {
    let mut heard = Heard::default();
    let mut scan = Scan::with_block(wanted, block_bytes, from_bytes);
    chunks.for_each(|chunk| scan.feed(chunk, &mut heard));
    scan.end(&mut heard);
    heard
}

fn hits(wanted: &Wanted, bytes: &[u8]) -> Vec<Hit> {
    hear(wanted, 1 << 17, &mut std::iter::once(bytes)).0
}

fn told(hits: &[Hit]) -> Vec<(u32, Range<u64>, Vec<Encoding>)> {
    hits.iter().map(|h| (h.identifier, h.at.clone(), h.how.clone())).collect()
}

/// Exactly one hit: this identifier, in these bytes of `text`, so written.
#[track_caller]
fn one(wanted: &Wanted, text: &[u8], identifier: u32, at: Range<usize>, how: &[Encoding]) {
    let found = told(&hits(wanted, text));
    let expected = (identifier, at.start as u64..at.end as u64, how.to_vec());
    assert_eq!(found, [expected], "in {}", text.escape_ascii());
}

/// `middle` between texts that have nothing to do with it.
#[track_caller]
fn between(wanted: &Wanted, middle: &[u8], identifier: u32, how: &[Encoding]) {
    for (before, after) in
        [(&b""[..], &b""[..]), (b"{\"a\": \"", b"\", x"), (b"\x00\x01\xff", b"\xfe\x00"), (b"\n", b"\r\n")]
    {
        let text = [before, middle, after].concat();
        one(wanted, &text, identifier, before.len()..before.len() + middle.len(), how);
    }
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn json(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

fn percent(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[test]
fn every_kind_is_found_plain() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        between(&wanted, text.as_bytes(), number, &[Plain]);
    }
    between(&wanted, b"zhang.wei@MAIL.example", 1, &[Plain]);
}

#[test]
fn a_number_is_found_however_it_is_written() {
    let wanted = wanted(&[(Kind::Phone, "+493012345678"), (Kind::Imei, "490154203237518")]);
    for (text, how) in [
        ("+493012345678", &[Plain][..]),
        ("493012345678", &[Plain]),
        ("00493012345678", &[Plain]),
        ("03012345678", &[National]),
        ("3012345678", &[National]),
        ("+49 30 1234-5678", &[Separators]),
        ("+49 (30) 123.456.78", &[Separators]),
        ("+49 (0)30 12345678", &[Separators]),
        ("+49 (0) 30 / 1234 5678", &[Separators]),
        ("0049 30 12345678", &[Separators]),
        ("030/123 456 78", &[National, Separators]),
        ("030\u{a0}12345678", &[National, Separators]),
    ] {
        between(&wanted, text.as_bytes(), 0, how);
    }
    one(&wanted, b"(030) 12345678", 0, 1..14, &[National, Separators]);
    between(&wanted, b"49-015420-323751-8", 1, &[Separators]);
    between(&wanted, b"49015420323751", 1, &[Plain]);
}

#[test]
fn a_digit_beside_a_number_does_not_hide_it() {
    let wanted = wanted(&[(Kind::Phone, "+493012345678"), (Kind::Phone, "+3726123456")]);
    one(&wanted, b"\x017493012345678\x02", 0, 2..14, &[Within]);
    one(&wanted, b"4930123456780", 0, 0..12, &[Within]);
    one(&wanted, b"\x0071234934930123456789", 0, 8..20, &[Within]);
    // A short one is told from chance by what ends it.
    one(&wanted, b"x 56123456 y", 1, 3..10, &[National, Within]);
    assert_eq!(hits(&wanted, b"x 561234567 y 5561234560, 5556123456"), []);
}

#[test]
fn near_misses_are_not_found() {
    let wanted = wanted(&LIST);
    for text in [
        "+8613912345679",
        "13912345 78",
        "139123,45678",
        "hang.wei@mail.example",
        "zhang.wei@mail.exampl",
        "zhang.wei@mail,example",
        "490154203237",
        "46000123456789",
        "account #78 of Wei",
        "account  #77 of Wei",
        "Account #77 of Wei",
        "客户-0043-张伟",
        "zhang.wei@",
        "@mail.example",
        "139\n12345678",
    ] {
        assert_eq!(hits(&wanted, text.as_bytes()), [], "{text}");
        assert_eq!(hits(&wanted, STANDARD.encode(text).as_bytes()), [], "{text}");
    }
}

#[test]
fn every_kind_is_found_in_every_encoding() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        between(&wanted, hex::encode(text).as_bytes(), number, &[Hex]);
        between(&wanted, hex::encode_upper(text).as_bytes(), number, &[Hex]);
        between(&wanted, percent(text).as_bytes(), number, &[Percent]);
        between(&wanted, json(text).as_bytes(), number, &[Json]);
        let (little, big) = (utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes));
        one(&wanted, &[b"..", &little[..], b".."].concat(), number, 2..2 + little.len(), &[Utf16Le]);
        one(&wanted, &[b"..", &big[..], b".."].concat(), number, 2..2 + big.len(), &[Utf16Be]);
    }
    between(&wanted, b"Zhang.Wei\\u0040mail.example", 1, &[Json]);
    between(&wanted, b"zhang.wei%40mail.example", 1, &[Percent]);
    between(&wanted, b"account+%2377+of+Wei", 4, &[Percent]);
    one(&wanted, b"tel=%2B86+139+1234+5678&x", 0, 4..23, &[Percent, Separators]);
}

#[test]
fn every_kind_is_found_in_base64_at_every_alignment() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        for before in ["", "~", "~~", "~~~", "{\"user\":\"", "x: "] {
            for after in ["", "~", "~~\"}"] {
                let whole = [before, text, after].concat();
                for encoded in [STANDARD.encode(&whole), URL_SAFE_NO_PAD.encode(&whole)] {
                    for lead in ["", "=", "data:,", "/", "ab", "W1x"] {
                        let start = lead.len() + before.len() * 8 / 6;
                        let end = lead.len() + ((before.len() + text.len()) * 8).div_ceil(6);
                        one(&wanted, [lead, &encoded].concat().as_bytes(), number, start..end, &[Base64]);
                    }
                }
            }
        }
    }
}

#[test]
fn lines_of_base64_are_joined() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        for shift in 0..80 {
            let whole = [&"~".repeat(shift), text, &"~".repeat(90)].concat();
            let encoded = STANDARD.encode(whole);
            for end in ["\n", "\r\n"] {
                let lines: Vec<&str> =
                    encoded.as_bytes().chunks(76).map(|l| std::str::from_utf8(l).unwrap()).collect();
                let found = told(&hits(&wanted, lines.join(end).as_bytes()));
                assert_eq!(found.len(), 1, "{text} after {shift}: {found:?}");
                let place = |at: usize| at + at / 76 * end.len();
                let start = place(shift * 8 / 6);
                let last = place(((shift + text.len()) * 8).div_ceil(6) - 1) + 1;
                assert_eq!(found[0], (number, start as u64..last as u64, vec![Base64]));
            }
        }
    }
}

#[test]
fn encodings_are_found_within_one_another() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        between(
            &wanted,
            URL_SAFE_NO_PAD.encode(URL_SAFE_NO_PAD.encode(text)).as_bytes(),
            number,
            &[Base64, Base64],
        );
        between(&wanted, URL_SAFE_NO_PAD.encode(hex::encode(text)).as_bytes(), number, &[Base64, Hex]);
        between(&wanted, percent(&json(text)).as_bytes(), number, &[Percent, Json]);
        between(&wanted, json(&percent(text)).as_bytes(), number, &[Json, Percent]);
        let wide = hex::encode(utf16(text, u16::to_le_bytes));
        assert_eq!(told(&hits(&wanted, wide.as_bytes()))[0].2, [Hex, Utf16Le]);
        let deep = URL_SAFE_NO_PAD.encode(percent(&hex::encode(text)));
        between(&wanted, deep.as_bytes(), number, &[Base64, Percent, Hex]);
    }
}

#[test]
fn digests_of_normal_forms_are_found() {
    let salts = Forms { salts: vec![Zeroizing::new(b"pepper".to_vec())], ..Forms::default() };
    let wanted = wanted_with(&LIST, &salts);
    for (number, forms) in [
        (0, &["+8613912345678", "8613912345678", "13912345678", "013912345678"][..]),
        (1, &["Zhang.Wei@mail.example", "zhang.wei@mail.example"]),
        (2, &["490154203237518", "49015420323751"]),
        (3, &["460001234567890"]),
        (5, &["客户-0042-张伟"]),
    ] {
        for form in forms {
            for salted in [form.to_string(), format!("pepper{form}"), format!("{form}pepper")] {
                for (digest, name) in [
                    (md5::Md5::digest(&salted).to_vec(), Md5),
                    (sha1::Sha1::digest(&salted).to_vec(), Sha1),
                    (sha2::Sha256::digest(&salted).to_vec(), Sha256),
                    (sha2::Sha512::digest(&salted).to_vec(), Sha512),
                    (blake3::hash(salted.as_bytes()).as_bytes().to_vec(), Blake3),
                ] {
                    written(&wanted, number, &digest, name);
                }
            }
        }
    }
    assert_eq!(hits(&wanted, hex::encode(md5::Md5::digest("13912345679")).as_bytes()), []);
}

fn written(wanted: &Wanted, number: u32, digest: &[u8], name: Encoding) {
    let length = digest.len();
    for text in [hex::encode(digest), hex::encode_upper(digest)] {
        one(wanted, format!("h={text};").as_bytes(), number, 2..2 + 2 * length, &[Hex, name]);
        one(wanted, format!("a{text}").as_bytes(), number, 1..1 + 2 * length, &[Hex, name]);
    }
    let characters = (length * 8).div_ceil(6);
    one(wanted, STANDARD.encode(digest).as_bytes(), number, 0..characters, &[Base64, name]);
    one(
        wanted,
        format!("sha-{}.", URL_SAFE_NO_PAD.encode(digest)).as_bytes(),
        number,
        4..4 + characters,
        &[Base64, name],
    );
    one(wanted, &[b"text", digest, b"text"].concat(), number, 4..4 + length, &[Raw, name]);
}

#[test]
fn utf16_is_found_wherever_it_begins() {
    let wanted = wanted(&LIST);
    let text = utf16("zhang.wei@mail.example", u16::to_le_bytes);
    for before in 0..130 {
        let bytes = [&b".".repeat(before)[..], &text, b".."].concat();
        one(&wanted, &bytes, 1, before..before + text.len(), &[Utf16Le]);
    }
}

#[test]
fn utf16_of_a_whole_text_keeps_its_order() {
    let wanted = wanted(&LIST);
    let text = "Dear Zhang.Wei@mail.example, call +86 139 1234 5678.";
    for (unit, name) in [(u16::to_le_bytes as fn(u16) -> [u8; 2], Utf16Le), (u16::to_be_bytes, Utf16Be)] {
        let bytes = utf16(text, unit);
        let how: Vec<_> = hits(&wanted, &bytes).iter().map(|h| (h.identifier, h.how.clone())).collect();
        assert_eq!(how, [(1, vec![name]), (0, vec![name, Separators])]);
    }
}

/// Text with all kinds in several encodings, each once.
fn mixed() -> Vec<u8> {
    let mut text = b"2026-11-27 16:37:19 start 192.168.100.200 ".to_vec();
    for (_, identifier) in LIST {
        for encoded in [
            identifier.to_owned(),
            hex::encode(identifier),
            STANDARD.encode(identifier),
            percent(identifier),
            json(identifier),
            hex::encode(sha2::Sha256::digest(identifier)),
            STANDARD.encode(percent(identifier)),
        ] {
            text.extend_from_slice(encoded.as_bytes());
            text.extend_from_slice(b" | ");
        }
        text.extend(utf16(identifier, u16::to_le_bytes));
        text.push(b'\n');
    }
    text.extend_from_slice(b"+86 (139) 1234-5678;");
    text
}

#[test]
fn how_bytes_are_cut_changes_nothing() {
    let wanted = wanted(&LIST);
    let text = mixed();
    let expected = told(&hits(&wanted, &text));
    assert_eq!(expected.len(), LIST.len() * 8 + 1);
    for split in 0..text.len() {
        let (a, b) = text.split_at(split);
        let heard = hear(&wanted, 1 << 17, &mut [a, b].into_iter());
        assert_eq!(told(&heard.0), expected, "cut at {split}");
    }
}

#[test]
fn blocks_of_any_size_find_the_same() {
    let wanted = wanted(&LIST);
    let filler = b"GET /index.html 200 1234 - - ".repeat(400);
    let text = [&mixed()[..], &filler, &mixed(), &filler[..5_001], &mixed()].concat();
    let expected = told(&hits(&wanted, &text));
    for (block, chunk) in [(1 << 10, 1), (4_099, 700), (1_111, 13), (777, 100_000)] {
        let heard = hear(&wanted, block, &mut text.chunks(chunk));
        assert_eq!(told(&heard.0), expected, "blocks of {block}, chunks of {chunk}");
    }
}

#[test]
fn blocks_searched_together_find_the_same_in_the_same_order() {
    let wanted = wanted(&LIST);
    let filler = b"GET /index.html 200 1234 - - ".repeat(90);
    let text: Vec<u8> =
        (0..40).flat_map(|n| [&mixed()[..], &filler[..filler.len() - 61 * n]].concat()).collect();
    let expected = told(&hits(&wanted, &text));
    assert_eq!(expected.len(), 40 * (LIST.len() * 8 + 1));
    for (block, from_bytes, chunk) in
        [(1 << 10, 0, 100_000), (4_099, 20_000, 700), (777, 3_333, 13), (5_001, 0, 1)]
    {
        let heard = hear_together(&wanted, block, from_bytes, &mut text.chunks(chunk));
        assert_eq!(told(&heard.0), expected, "blocks of {block} from {from_bytes} on, chunks of {chunk}");
    }
}

#[test]
fn packed_streams_are_handed_on() {
    let wanted = wanted(&LIST);
    // Only how they begin matters here.
    for magic in [&b"\x1f\x8b\x08\x00"[..], b"\x78\x9c", b"\x78\x01", b"\x28\xb5\x2f\xfd"] {
        let stream: Vec<u8> = magic.iter().copied().chain((0..200u8).map(|n| n.wrapping_mul(37))).collect();
        let folded = STANDARD
            .encode(&stream)
            .as_bytes()
            .chunks(76)
            .map(|l| [l, b"\r\n"].concat())
            .collect::<Vec<_>>()
            .concat();
        for (text, how) in [
            (STANDARD.encode(&stream).into_bytes(), Base64),
            (folded, Base64),
            (STANDARD.encode(&stream).replace('/', "\\/").into_bytes(), Base64),
            (hex::encode(&stream).into_bytes(), Hex),
            (hex::encode_upper(&stream).into_bytes(), Hex),
        ] {
            let text = [b"{\"body\": \"", &text[..], b"\"}"].concat();
            for chunk in [1, 100, 10_000] {
                let heard = hear(&wanted, 1 << 17, &mut text.chunks(chunk));
                assert!(heard.1.contains(&(10, how, stream.clone())), "{how:?}, {}", text.escape_ascii());
            }
        }
    }
    assert!(hear(&wanted, 1 << 17, &mut std::iter::once(&b"H4sI eJw eNo 789c 1f8b08"[..])).1.is_empty());
}

#[test]
fn nothing_of_an_identifier_is_shown() {
    let wanted = wanted(&LIST);
    let shown = format!("{wanted:?} {:?}", Scan::new(&wanted));
    for (_, text) in LIST {
        assert!(!shown.contains(text.trim_start_matches('+')));
    }
}

#[test]
fn a_fingerprint_follows_from_the_key_and_the_identifier_only() {
    let printed = |text, country, key| {
        let one = Identifier::new(Kind::Phone, text, Country::of(country)).unwrap();
        Wanted::new(vec![one], &Forms::default(), Some(Zeroizing::new([key; 32]))).named(0)
    };
    assert_eq!(printed("030 123456", "DE", 1), printed("+49 30 123456", "CN", 1));
    assert_ne!(printed("030 123456", "DE", 1), printed("030 123456", "DE", 2));
}

/// A list of mixed kinds.
fn many(count: u64) -> Vec<Identifier> {
    let new = |kind, text: String| Identifier::new(kind, &text, None).unwrap();
    (0..count)
        .map(|n| {
            let spread = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            match n % 10 {
                0..4 => new(Kind::Phone, format!("+861{:010}", spread % 10_000_000_000)),
                4..7 => new(Kind::Email, format!("user{}@mail{}.example", spread % 100_000_000, n % 50)),
                7 => new(Kind::Imei, format!("{:014}", spread % 100_000_000_000_000)),
                8 => new(Kind::Imsi, format!("46000{:010}", spread % 10_000_000_000)),
                _ => new(Kind::Free, format!("customer-{:08x}", spread as u32)),
            }
        })
        .collect()
}

#[test]
fn an_identifier_takes_few_bytes() {
    let wanted = Wanted::new(many(20_000), &Forms::default(), None);
    let each = wanted.held_bytes() / wanted.len();
    // What does not grow with the list (shards, counters) is 50 kB here.
    assert!(each < 280, "{each} bytes each");
}

#[test]
fn noise_finds_nothing() {
    let wanted = Wanted::new(many(5_000), &Forms::default(), Some(Zeroizing::new([3; 32])));
    let mut state = 42u64;
    let mut noise = |alphabet: &[u8]| -> Vec<u8> {
        (0..200_000)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                alphabet[(state >> 40) as usize % alphabet.len()]
            })
            .collect()
    };
    let every: Vec<u8> = (0..=255).collect();
    for alphabet in [
        &every[..],
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/",
        b"0123456789abcdef",
        b"ab@.\n %\\u0",
    ] {
        assert_eq!(hits(&wanted, &noise(alphabet)), []);
    }
}

/// What a searcher finds that looks for every form everywhere.
fn naively(list: &[(Kind, &str)], text: &[u8]) -> Vec<(u32, Range<u64>)> {
    let mut all: Vec<(u32, Range<u64>)> = Vec::new();
    for (number, (kind, identifier)) in (0..).zip(list) {
        for form in forms(*kind, identifier) {
            for at in 0..=text.len().saturating_sub(form.len()) {
                let piece = &text[at..(at + form.len()).min(text.len())];
                let same = if *kind == Kind::Email {
                    piece.eq_ignore_ascii_case(form.as_bytes())
                } else {
                    piece == form.as_bytes()
                };
                let digit =
                    |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_digit);
                let (before, after) = (at.checked_sub(1), Some(at + form.len()));
                // Prefixes of zeros count only where they begin a row; short numbers only where the row ends.
                let digits = !matches!(kind, Kind::Email | Kind::Free);
                let cut = digits && form.starts_with('0') && digit(before);
                let short = digits
                    && form.trim_start_matches('0').len() < 10
                    && (digit(after) || digit(before) && digit(at.checked_sub(2)));
                if same && !cut && !short {
                    all.push((number, at as u64..(at + form.len()) as u64));
                }
            }
        }
    }
    let within = |inner: &(u32, Range<u64>), outer: &(u32, Range<u64>)| {
        inner.0 == outer.0 && inner != outer && outer.1.start <= inner.1.start && inner.1.end <= outer.1.end
    };
    let mut kept: Vec<_> = all.iter().filter(|a| !all.iter().any(|b| within(a, b))).cloned().collect();
    kept.sort_by_key(|(number, at)| (at.start, std::cmp::Reverse(at.end), *number));
    kept.dedup();
    kept
}

fn forms(kind: Kind, text: &str) -> Vec<String> {
    match (kind, text.strip_prefix('+')) {
        (Kind::Phone, Some(full)) => {
            // All numbers of this test have codes of two digits.
            let national = &full[2..];
            vec![text.into(), full.into(), format!("00{full}"), national.into(), format!("0{national}")]
        }
        (Kind::Imei, _) => vec![
            text.into(),
            format!("+{text}"),
            format!("00{text}"),
            text[..14].into(),
            format!("+{}", &text[..14]),
            format!("00{}", &text[..14]),
        ],
        (Kind::Imsi, _) => vec![text.into(), format!("+{text}"), format!("00{text}")],
        _ => vec![text.into()],
    }
}

const FEW: [(Kind, &str); 7] = [
    (Kind::Phone, "+491111111111"),
    (Kind::Phone, "+4911121112"),
    (Kind::Imei, "490154203237518"),
    (Kind::Imsi, "111111111111111"),
    (Kind::Email, "a.a@a.aa"),
    (Kind::Email, "aa@a.aaa"),
    (Kind::Free, "a.a 1a"),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_naive_searcher_finds_the_same(
        parts in proptest::collection::vec(
            prop_oneof![
                proptest::sample::select(FEW.map(|(_, text)| text.to_owned()).to_vec()),
                "[a.@ 1]{0,8}", "[1249+]{0,14}", "[0+]{1,3}", "\\PC{0,3}", "[,;\n]",
            ],
            0..12,
        ),
        block in 600usize..9_000,
        chunk in 1usize..50,
    ) {
        // Within a row only: separators have their own tests.
        let text: String = parts.concat().replace([' ', '-', '/', '(', ')', '\u{a0}'], "_").replace("a.a_1a", "a.a 1a");
        let text: Vec<u8> = text.into_bytes();
        let wanted = wanted(&FEW);
        let found: Vec<_> = hear(&wanted, block, &mut text.chunks(chunk)).0.into_iter()
            .filter(|h| !h.how.contains(&Separators)).map(|h| (h.identifier, h.at)).collect();
        prop_assert_eq!(found, naively(&FEW, &text), "in {:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn bytes_of_any_sort_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..3_000), chunk in 1usize..500) {
        let wanted = wanted(&LIST);
        let whole = told(&hits(&wanted, &bytes));
        prop_assert_eq!(told(&hear(&wanted, 512, &mut bytes.chunks(chunk)).0), &whole[..]);
        prop_assert_eq!(told(&hear_together(&wanted, 256, 700, &mut bytes.chunks(chunk)).0), whole);
    }
}
