//! What is searched: a list of identifiers, and text and pages as applications leave them, with some of the list in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domicile_audit::Kind;
use std::io::Write as _;

/// A planted identifier about every so many bytes.
const PLANTED_EVERY_BYTES: usize = 16 << 10;

/// Numbers that follow from a seed (splitmix64).
pub struct Drawn(pub u64);

impl Drawn {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// One of `kind`, as an application stores it.
fn identifier(drawn: &mut Drawn, kind: Kind) -> String {
    let (a, b) = (drawn.next(), drawn.next());
    match kind {
        Kind::Phone => match a % 5 {
            0 | 1 => format!("+861{:010}", 3_000_000_000 + b % 6_999_999_999),
            2 => format!("+4917{:08}", b % 100_000_000),
            3 => format!("+1{:010}", 2_000_000_000 + b % 7_999_999_999),
            _ => format!("+447{:09}", b % 1_000_000_000),
        },
        Kind::Email => {
            let first = drawn.one(&["wei", "anna", "john", "maria", "li.na", "omar", "yuki", "chen"]);
            let host = drawn.one(&["mail.example", "post.example.de", "qq.example", "firm.example.com"]);
            format!(
                "{first}.{}{}@{host}",
                drawn.one(&["zhang", "smith", "kovacs", "mueller", "tanaka"]),
                b % 10_000_000
            )
        }
        Kind::Imei => format!("{:014}", 35_000_000_000_000 + b % 1_999_999_999_999),
        Kind::Imsi => format!("46000{:010}", b % 10_000_000_000),
        Kind::Free => format!("customer-{:010x}", b >> 24),
    }
}

/// A list of mixed kinds: 40 % phone numbers, 30 % addresses, 10 % each of the others.
pub fn list(count: usize) -> Vec<(Kind, String)> {
    let mut drawn = Drawn(1);
    (0..count)
        .map(|n| {
            let kind = match n % 10 {
                0..4 => Kind::Phone,
                4..7 => Kind::Email,
                7 => Kind::Imei,
                8 => Kind::Imsi,
                _ => Kind::Free,
            };
            (kind, identifier(&mut drawn, kind))
        })
        .collect()
}

/// Sorts of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// Access logs, application logs in JSON and exported CSV by turns.
    Mixed,
    /// JSON with long base64 values.
    Base64,
    /// Exported CSV in UTF-16, and in hexadecimal, by turns.
    Recoded,
    /// Pages of a database: short rows, numbers in binary, zeros.
    Pages,
}

/// `bytes` of text, and which of `list` were put into it, by their numbers.
pub fn text(sort: Sort, list: &[(Kind, String)], bytes: usize) -> (Vec<u8>, Vec<usize>) {
    let mut drawn = Drawn(2);
    let mut out = Vec::with_capacity(bytes + 4096);
    let mut planted = Vec::new();
    while out.len() < bytes {
        let due = out.len() / PLANTED_EVERY_BYTES >= planted.len();
        // Others of the same sorts stand there as well, which are not on the list.
        let kind = list[drawn.below(10) as usize].0;
        let value = if due {
            planted.push(drawn.below(list.len() as u64) as usize);
            planted.last().map(|at| list[*at].1.clone()).unwrap_or_default()
        } else {
            identifier(&mut drawn, kind)
        };
        match (sort, drawn.below(3)) {
            (Sort::Base64, _) => base64_line(&mut drawn, &value, &mut out),
            (Sort::Recoded, turn) => recoded_line(&mut drawn, &value, turn == 0, &mut out),
            (Sort::Pages, _) => row(&mut drawn, &value, &mut out),
            (Sort::Mixed, 0) => access_line(&mut drawn, due.then_some(&value), &mut out),
            (Sort::Mixed, 1) => json_line(&mut drawn, due.then_some(&value), &mut out),
            (Sort::Mixed, _) => csv_line(&mut drawn, &value, &mut out),
        }
    }
    (out, planted)
}

fn access_line(drawn: &mut Drawn, value: Option<&String>, out: &mut Vec<u8>) {
    let (a, b, c) = (drawn.below(255), drawn.below(255), drawn.below(86_400));
    let path = drawn.one(&[
        "/api/v1/orders",
        "/static/app-9f3c2b.js",
        "/account/settings",
        "/index.html",
        "/search?q=red+shoes",
    ]);
    let query = value.map(|v| format!("?user={v}")).unwrap_or_default();
    let _ = writeln!(
        out,
        "10.{a}.{b}.17 - - [27/Nov/2026:{:02}:{:02}:{:02} +0000] \"{} {path}{query} HTTP/1.1\" {} {} \"https://www.example.com/\" \
         \"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\" {:.3}",
        c / 3600,
        c / 60 % 60,
        c % 60,
        drawn.one(&["GET", "POST", "PUT"]),
        drawn.one(&["200", "304", "404", "201"]),
        drawn.below(90_000),
        drawn.below(5_000) as f64 / 1000.0,
    );
}

fn json_line(drawn: &mut Drawn, value: Option<&String>, out: &mut Vec<u8>) {
    let who = value.map(|v| format!(",\"subject\":\"{v}\"")).unwrap_or_default();
    let _ = writeln!(
        out,
        "{{\"timestamp\":\"2026-11-27T16:{:02}:{:02}.{:03}Z\",\"level\":\"{}\",\"target\":\"shop::orders\",\"message\":\"{}\",\
         \"order_id\":{},\"duration_ms\":{},\"trace\":\"{:016x}{:016x}\"{who}}}",
        drawn.below(60),
        drawn.below(60),
        drawn.below(1000),
        drawn.one(&["INFO", "WARN", "DEBUG"]),
        drawn.one(&[
            "order accepted and sent to the warehouse",
            "payment was confirmed by the bank",
            "the cart was emptied"
        ]),
        drawn.below(9_000_000),
        drawn.below(900),
        drawn.next(),
        drawn.next(),
    );
}

fn csv_line(drawn: &mut Drawn, value: &str, out: &mut Vec<u8>) {
    let _ = writeln!(
        out,
        "{},{},{},{value},2025-{:02}-{:02} 09:30:00,{}.{:02},{},\"{} {}\"",
        drawn.below(9_000_000),
        drawn.one(&["Anna", "Wei", "John", "Maria"]),
        drawn.one(&["Zhang", "Smith", "Kovacs", "Mueller"]),
        1 + drawn.below(12),
        1 + drawn.below(28),
        drawn.below(900),
        drawn.below(100),
        drawn.one(&["active", "closed", "pending"]),
        drawn.one(&["Hauptstrasse", "Nanjing Road", "Market Street"]),
        drawn.below(200),
    );
}

fn base64_line(drawn: &mut Drawn, value: &str, out: &mut Vec<u8>) {
    let noise: Vec<u8> = (0..60 + drawn.below(60)).flat_map(|_| drawn.next().to_le_bytes()).collect();
    let cut = drawn.below(noise.len() as u64) as usize;
    let blob = [&noise[..cut], value.as_bytes(), &noise[cut..]].concat();
    let _ = writeln!(out, "{{\"id\":{},\"blob\":\"{}\"}}", drawn.below(9_000_000), STANDARD.encode(blob));
}

fn recoded_line(drawn: &mut Drawn, value: &str, hexadecimal: bool, out: &mut Vec<u8>) {
    let mut line = Vec::new();
    csv_line(drawn, value, &mut line);
    for byte in line {
        if hexadecimal {
            let _ = write!(out, "{byte:02x}");
        } else {
            out.extend([byte, 0]);
        }
    }
    if hexadecimal {
        out.push(b'\n');
    }
}

fn row(drawn: &mut Drawn, value: &str, out: &mut Vec<u8>) {
    if out.len() % 8192 > 7_800 {
        out.resize(out.len().next_multiple_of(8192), 0);
    }
    for _ in 0..3 {
        out.extend_from_slice(&(drawn.next() as u32).to_le_bytes());
        out.extend_from_slice(&[0, 0, 2, 9, 24, 0]);
    }
    out.push((value.len() as u8) << 1 | 1);
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(&drawn.next().to_be_bytes());
    out.extend_from_slice(&[0; 5]);
    out.extend_from_slice(drawn.one(&["active", "closed", "pending"]).as_bytes());
}
