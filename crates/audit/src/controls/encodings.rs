//! A canary in every encoding, made by other code than what reads it.

use super::Planted;
use crate::{Encoding, Identifier, Kind};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use sha2::Digest as _;

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
