//! A canary in every encoding, made by other code than what reads it.

use super::Planted;
use crate::{Encoding, Identifier, Kind};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::Digest as _;
use zeroize::Zeroizing;

/// Each encoding of a canary, and each digest of it with each salt.
pub(super) fn all<'s, S: Iterator<Item = &'s [u8]>>(
    canary: &Identifier,
    salts: impl Fn() -> S,
) -> Vec<Planted> {
    let text = canary.text.as_str();
    let mut all = vec![planted("plain text", text.as_bytes().to_vec(), &[Encoding::Plain])];
    all.extend(written(canary.kind, text));
    let utf16 = || text.encode_utf16();
    all.push(planted("UTF-16LE", utf16().flat_map(u16::to_le_bytes).collect(), &[Encoding::Utf16Le]));
    all.push(planted("UTF-16BE", utf16().flat_map(u16::to_be_bytes).collect(), &[Encoding::Utf16Be]));
    all.push(planted("hexadecimal", hex(text.as_bytes()).into_bytes(), &[Encoding::Hex]));
    all.push(planted(
        "upper-case hexadecimal",
        hex(text.as_bytes()).to_uppercase().into_bytes(),
        &[Encoding::Hex],
    ));
    for alignment in 0..3 {
        let shifted = format!("{}{text}, more", &"?;>"[..alignment]);
        for (name, packed) in [
            ("base64", BASE64_STANDARD.encode(&shifted)),
            ("base64url", BASE64_URL_SAFE_NO_PAD.encode(&shifted)),
        ] {
            all.push(planted(
                &format!("{name} at alignment {alignment}"),
                packed.into_bytes(),
                &[Encoding::Base64],
            ));
        }
    }
    let percent: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    all.push(planted("percent-encoding", percent.into_bytes(), &[Encoding::Percent]));
    let json: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    all.push(planted("JSON escapes", json.into_bytes(), &[Encoding::Json]));
    all.extend(marked(text));
    for (n, salt) in salts().enumerate() {
        let name = |digest: &str, form: &str| match n {
            0 => format!("{digest} in {form}"),
            n => format!("{digest} with salt {n} in {form}"),
        };
        for (digest, how, bytes) in digests(&[salt, text.as_bytes()].concat()) {
            all.push(planted(&name(digest, "hexadecimal"), hex(&bytes).into_bytes(), &[how]));
            all.push(planted(&name(digest, "base64"), BASE64_STANDARD.encode(&bytes).into_bytes(), &[how]));
            all.push(planted(&name(digest, "bytes"), bytes, &[how, Encoding::Raw]));
        }
    }
    all
}

/// With marks for what it is made of.
fn marked(text: &str) -> Vec<Planted> {
    let (one, two) = text.split_at(text.len() / 2);
    let each = |write: &dyn Fn(u8) -> String| text.bytes().map(write).collect::<String>().into_bytes();
    let mut all = vec![
        planted("quoted-printable", each(&|b| format!("={b:02X}")), &[Encoding::QuotedPrintable]),
        planted(
            "quoted-printable over a line's end",
            format!("{one}=\r\n{two}").into_bytes(),
            &[Encoding::QuotedPrintable],
        ),
        planted("HTML references in decimal", each(&|b| format!("&#{b};")), &[Encoding::Html]),
        planted("HTML references in hexadecimal", each(&|b| format!("&#x{b:X};")), &[Encoding::Html]),
        planted("escapes in hexadecimal", each(&|b| format!("\\x{b:02x}")), &[Encoding::Backslash]),
        planted("escapes in octal", each(&|b| format!("\\{b:03o}")), &[Encoding::Backslash]),
    ];
    for alignment in 0..5 {
        let shifted = format!("{}{text}, more", "~".repeat(alignment));
        let packed = base32(shifted.as_bytes());
        let name = format!("base32 at alignment {alignment}");
        all.push(planted(&name, packed.to_lowercase().into_bytes(), &[Encoding::Base32]));
        all.push(planted(&format!("upper-case {name}"), packed.into_bytes(), &[Encoding::Base32]));
    }
    all
}

/// RFC 4648, section 6, bit by bit.
pub(super) fn base32(bytes: &[u8]) -> String {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let characters = bits.as_bytes().chunks(5).map(|five| {
        let value =
            five.iter().fold(0, |value, bit| value << 1 | usize::from(bit - b'0')) << (5 - five.len());
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[value])
    });
    let mut text: String = characters.collect();
    text.extend(std::iter::repeat_n('=', text.len().next_multiple_of(8) - text.len()));
    text
}

/// HMAC-SHA-256 of it with each key.
pub(super) fn keyed(canary: &Identifier, keys: &[Zeroizing<Vec<u8>>]) -> Vec<Planted> {
    let mut all = Vec::new();
    for (n, key) in (1..).zip(keys) {
        let mac = hmac(key, canary.text.as_bytes());
        let how = Encoding::HmacSha256;
        let name = |form: &str| format!("HMAC-SHA-256 with key {n} in {form}");
        all.push(planted(&name("hexadecimal"), hex(&mac).into_bytes(), &[how]));
        all.push(planted(&name("base64"), BASE64_STANDARD.encode(&mac).into_bytes(), &[how]));
        all.push(planted(&name("bytes"), mac, &[how, Encoding::Raw]));
    }
    all
}

/// As RFC 2104 has it, section 2.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = Zeroizing::new([0; 64]);
    let hashed = Zeroizing::new(sha2::Sha256::digest(key).to_vec());
    let key = if key.len() > block.len() { hashed.as_slice() } else { key };
    block[..key.len()].copy_from_slice(key);
    let pad = |byte: u8| Zeroizing::new(block.map(|of_key| of_key ^ byte));
    let inner = sha2::Sha256::new().chain_update(*pad(0x36)).chain_update(text).finalize();
    sha2::Sha256::new().chain_update(*pad(0x5c)).chain_update(inner).finalize().to_vec()
}

/// How a person writes it.
fn written(kind: Kind, text: &str) -> Vec<Planted> {
    match kind {
        Kind::Phone => {
            let national = &text[3..];
            let (a, b, c) = (&national[..3], &national[3..7], &national[7..]);
            vec![
                planted("separators", format!("+86 ({a}) {b}-{c}").into_bytes(), &[Encoding::Separators]),
                planted("national writing", national.as_bytes().to_vec(), &[Encoding::National]),
                planted("the prefix 00", format!("0086{national}").into_bytes(), &[]),
            ]
        }
        Kind::Imei | Kind::Imsi => {
            let spaced = format!("{} {} {}", &text[..2], &text[2..8], &text[8..]);
            vec![planted("separators", spaced.into_bytes(), &[Encoding::Separators])]
        }
        Kind::Email => vec![planted("upper case", text.to_uppercase().into_bytes(), &[])],
        Kind::Free => Vec::new(),
    }
}

fn planted(name: &str, bytes: Vec<u8>, how: &[Encoding]) -> Planted {
    let wide = how.contains(&Encoding::Raw);
    let (before, after) =
        if wide { (&b"\0\xff"[..], &b"\xff\0"[..]) } else { (&b"id: "[..], &b" end\n"[..]) };
    Planted { name: name.to_owned(), bytes: [before, &bytes, after].concat(), how: how.to_vec(), step: None }
}

/// Whether all of a canary's digests are such as are looked for. Of few it is not so, and the report says of which: those that read as
/// text, or have three zeros, in their first sixteen bytes, and those that begin with letters of one case in base64.
pub(super) fn are_looked_for<'s>(
    canary: &Identifier,
    salts: impl Iterator<Item = &'s [u8]>,
    keys: &[Zeroizing<Vec<u8>>],
) -> bool {
    let text = canary.text.as_bytes();
    let digests = salts.flat_map(|salt| digests(&[salt, text].concat())).map(|(_, _, digest)| digest);
    let macs = keys.iter().map(|key| hmac(key, text));
    digests.chain(macs).all(|digest| {
        let head = &digest[..16];
        let base64 = BASE64_STANDARD.encode(head);
        let has = |is: fn(&u8) -> bool| base64.as_bytes()[..22].iter().any(is);
        head.iter().filter(|byte| **byte == 0).count() < 3
            && !is_text(head)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
    })
}

/// As UTF-8 is built, whatever its characters.
fn is_text(bytes: &[u8]) -> bool {
    let mut due = 0u32;
    bytes.iter().all(|byte| {
        let follows = byte & 0xC0 == 0x80;
        let fits = follows == (due > 0);
        due = if follows { due.saturating_sub(1) } else { byte.leading_ones().saturating_sub(1) };
        fits
    })
}

fn digests(form: &[u8]) -> [(&'static str, Encoding, Vec<u8>); 5] {
    [
        ("MD5", Encoding::Md5, md5::Md5::digest(form).to_vec()),
        ("SHA-1", Encoding::Sha1, sha1::Sha1::digest(form).to_vec()),
        ("SHA-256", Encoding::Sha256, sha2::Sha256::digest(form).to_vec()),
        ("SHA-512", Encoding::Sha512, sha2::Sha512::digest(form).to_vec()),
        ("BLAKE3", Encoding::Blake3, blake3::hash(form).as_bytes().to_vec()),
    ]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
