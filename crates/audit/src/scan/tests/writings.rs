//! Quoted-printable, HTML's references, escapes of C, and base32.

use super::*;
use Encoding::{Backslash, Base32, Html, QuotedPrintable};

fn each(text: &str, write: impl Fn(u8) -> String) -> String {
    text.bytes().map(write).collect()
}

fn quoted(text: &str) -> String {
    each(text, |b| format!("={b:02X}"))
}

fn html(text: &str) -> String {
    text.chars().map(|c| format!("&#{};", u32::from(c))).collect()
}

fn octal(text: &str) -> String {
    each(text, |b| format!("\\{b:03o}"))
}

fn base32(text: &str) -> String {
    crate::decode::base32::encoded(text.as_bytes())
}

#[test]
fn every_kind_is_found() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        between(&wanted, quoted(text).as_bytes(), number, &[QuotedPrintable]);
        between(&wanted, quoted(text).to_lowercase().as_bytes(), number, &[QuotedPrintable]);
        between(&wanted, html(text).as_bytes(), number, &[Html]);
        let references = text.chars().map(|c| format!("&#x{:04X};", u32::from(c))).collect::<String>();
        between(&wanted, references.as_bytes(), number, &[Html]);
        between(&wanted, octal(text).as_bytes(), number, &[Backslash]);
        between(&wanted, each(text, |b| format!("\\x{b:02x}")).as_bytes(), number, &[Backslash]);
        let wide = text.chars().map(|c| format!("\\U{:08x}", u32::from(c))).collect::<String>();
        between(&wanted, wide.as_bytes(), number, &[Backslash]);
        let braced = text.chars().map(|c| format!("\\u{{{:x}}}", u32::from(c))).collect::<String>();
        between(&wanted, braced.as_bytes(), number, &[Backslash]);
    }
}

#[test]
fn base32_is_found_at_every_alignment() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        for before in 0..10 {
            let written = base32(&format!("{}{text}#, and more", "~".repeat(before)));
            for written in [written.to_lowercase(), written] {
                let found = hits(&wanted, format!("a: {written}.").as_bytes());
                assert_eq!(found.len(), 1, "{written}");
                assert_eq!((found[0].identifier, &found[0].how), (number, &vec![Base32]), "{written}");
                let at = (3 + before * 8 / 5) as u64..(3 + ((before + text.len()) * 8).div_ceil(5)) as u64;
                assert_eq!(found[0].at, at, "{written}");
            }
        }
    }
}

/// As mail programs, pages and servers write: a mark only where one is needed.
#[test]
fn one_mark_is_enough() {
    let wanted = wanted(&LIST);
    for (text, number, how) in [
        ("Zhang.Wei=40mail.example", 1, QuotedPrintable),
        ("Zhang=2EWei@mail.example", 1, QuotedPrintable),
        ("Zhang.Wei@mail.=\r\nexample", 1, QuotedPrintable),
        ("Zha=\nng.Wei@mail.example", 1, QuotedPrintable),
        ("Zha= \t\nng.Wei@mail.example", 1, QuotedPrintable),
        ("13912=\r\n345678", 0, QuotedPrintable),
        ("account #77 =\r\nof Wei", 4, QuotedPrintable),
        ("account #77=20=\r\nof Wei", 4, QuotedPrintable),
        ("Zhang.Wei&commat;mail.example", 1, Html),
        ("Zhang.Wei&#64;mail&period;example", 1, Html),
        ("Zhang.Wei&#64mail.example", 1, Html),
        ("account &num;77 of Wei", 4, Html),
        ("account&#32;#77 of Wei", 4, Html),
        ("Zhang.Wei\\x40mail.example", 1, Backslash),
        ("Zhang.Wei\\100mail.example", 1, Backslash),
        ("Zhang.Wei\\u{40}mail.example", 1, Backslash),
    ] {
        for (before, after) in [("", ""), ("to: ", " =\n"), ("<p>", "</p>"), ("\"", "\"")] {
            let all = format!("{before}{text}{after}");
            let found = hits(&wanted, all.as_bytes());
            assert!(
                found.iter().any(|hit| hit.identifier == number && hit.how.contains(&how)),
                "{all:?}: {found:?}"
            );
        }
    }
    let number = hits(&wanted, b"+86&nbsp;139&nbsp;1234&nbsp;5678");
    assert_eq!((number.len(), &number[0].how), (1, &vec![Html, Separators]), "{number:?}");
}

#[test]
fn they_are_found_within_others() {
    let wanted = wanted(&LIST);
    for (number, (_, text)) in (0..).zip(LIST) {
        for (written, how) in [
            (STANDARD.encode(quoted(text)), vec![Base64, QuotedPrintable]),
            (percent(&html(text)), vec![Percent, Html]),
            (json(&octal(text)), vec![Json, Backslash]),
            (octal(text).replace('\\', "\\\\"), vec![Json, Backslash]),
            (html(text).replace('&', "&amp;"), vec![Html, Html]),
            (base32(&html(text)), vec![Base32, Html]),
            (base32(&STANDARD.encode(quoted(text))), vec![Base32, Base64, QuotedPrintable]),
            (hex::encode(base32(&percent(text))), vec![Hex, Base32, Percent]),
            (
                utf16(&quoted(text), u16::to_le_bytes).into_iter().map(char::from).collect(),
                vec![Utf16Le, QuotedPrintable],
            ),
        ] {
            let found = hits(&wanted, format!("- {written} -").as_bytes());
            let here = found.iter().any(|hit| hit.identifier == number && hit.how == how);
            assert!(here, "{written:?}: {found:?}");
        }
    }
}

/// Marks of several writings side by side, in any order, and made by one another.
#[test]
fn they_are_found_beside_others() {
    let wanted = wanted(&LIST);
    let at = ["%40", "\\u0040", "=40", "&#64;", "\\x40"];
    let dot = ["%2E", "\\u002e", "=2E", "&period;", "\\056"];
    for (at, dot) in at.iter().flat_map(|at| dot.iter().map(move |dot| (at, dot))) {
        for text in [
            format!("Zhang{dot}Wei{at}mail.example"),
            format!("Zhang{dot}Wei@mail{dot}example {at}"),
            format!("Zhang.Wei{}mail.example", percent(at)),
            format!("Zhang.Wei{}mail.example", html(at)),
            format!("Zhang.Wei{}mail.example", octal(at)),
            format!("Zhang.Wei{}mail.example", json(at)),
        ] {
            let found = hits(&wanted, text.as_bytes());
            assert!(found.iter().any(|hit| hit.identifier == 1), "{text:?}: {found:?}");
        }
    }
}

/// Queries, paths and regular expressions have what looks like a mark.
#[test]
fn other_text_stays_what_it_is() {
    let wanted = wanted(&LIST);
    for text in [
        "?a=1391234567&b=8",
        "=13912345=67",
        "C:\\139\\12345678",
        "139&1234;5678",
        "account=20#77 of Wei",
        "Zhang.Wei==40mail,example",
        "a&amp;b&amp;c",
        "&#&#x&#;&",
        "===\n==\n=",
        "\\x\\xg\\u{}\\u{110000}\\9",
    ] {
        assert_eq!(hits(&wanted, text.as_bytes()), [], "{text}");
    }
}

const PIECES: [&str; 24] = [
    "=",
    "\r\n",
    "=\n",
    "=4",
    "=40",
    "=2E",
    "=31",
    "&#",
    "&#64;",
    "&commat;",
    "&amp;",
    "#64;",
    "\\",
    "\\x40",
    "\\100",
    "\\u{",
    "40}",
    "Zhang.Wei",
    "mail.example",
    "@",
    "139",
    "12345678",
    "%40",
    "MZXW6YTBOIMZXW6YTBOI",
];

static WANTED: std::sync::LazyLock<Wanted> = std::sync::LazyLock::new(|| wanted(&LIST));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn where_it_is_cut_changes_nothing(pieces in proptest::collection::vec(0..PIECES.len(), 0..400), block in 1usize..3_000, chunk in 1usize..700) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let whole = told(&hits(&WANTED, text.as_bytes()));
        let cut = hear(&WANTED, block, &mut text.as_bytes().chunks(chunk)).0;
        prop_assert_eq!(whole, told(&cut));
    }
}
