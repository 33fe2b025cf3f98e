//! A canary in every container and every kind of traffic.

use super::craft::{self, Zipped};
use super::traffic::{self, End};
use super::{Planted, craft::gzip};
use crate::Encoding;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::net::Ipv4Addr;

/// Addresses of nobody (RFC 5737).
const CLIENT: End = (Ipv4Addr::new(192, 0, 2, 1), 40_000);
const SERVER: End = (Ipv4Addr::new(198, 51, 100, 1), 80);
/// So that a canary is never in one segment.
const SEGMENT_BYTES: usize = 5;

pub(super) fn all(text: &[u8]) -> Vec<Planted> {
    let text = [b"id: ", text, b" end\n"].concat();
    let mut all = packed(&text);
    all.extend(archived(&text));
    all.extend(sent(&text));
    all
}

fn packed(text: &[u8]) -> Vec<Planted> {
    let (one, two) = text.split_at(text.len() / 2);
    let page = |packed: &[u8]| [&[0xf0; 5_000][..], packed, &[0; 300]].concat();
    let base64 = BASE64_STANDARD.encode(gzip(text));
    vec![
        planted("gzip", gzip(text), &[Encoding::Gzip], "[gzip]"),
        planted("gzip of two members", [gzip(one), gzip(two)].concat(), &[Encoding::Gzip], "[gzip]"),
        planted("gzip in a page", page(&gzip(text)), &[Encoding::Gzip], "byte 5000"),
        planted(
            "gzip in base64",
            format!("{{\"body\":\"{base64}\"}}").into_bytes(),
            &[Encoding::Base64, Encoding::Gzip],
            "[gzip]",
        ),
        planted(
            "gzip in base32",
            super::encodings::base32(&gzip(text)).into_bytes(),
            &[Encoding::Base32, Encoding::Gzip],
            "[gzip]",
        ),
        planted("zlib", craft::zlib(text), &[Encoding::Zlib], "[zlib]"),
        planted("zstd", craft::zstd(text), &[Encoding::Zstd], "[zstd]"),
        planted(
            "zstd of two frames",
            [craft::zstd(one), craft::zstd(two)].concat(),
            &[Encoding::Zstd],
            "[zstd]",
        ),
        planted("zstd in a page", page(&craft::zstd(text)), &[Encoding::Zstd], "byte 5000"),
    ]
}

fn archived(text: &[u8]) -> Vec<Planted> {
    let zip = |how| craft::zip("member", text, how);
    vec![
        planted("tar", craft::tar("member", text), &[], "member"),
        planted("tar.gz", gzip(&craft::tar("member", text)), &[Encoding::Gzip], "member"),
        planted("tar.zst", craft::zstd(&craft::tar("member", text)), &[Encoding::Zstd], "member"),
        planted("zip, stored", zip(Zipped::Stored), &[], "member"),
        planted("zip, deflated", zip(Zipped::Deflated), &[], "member"),
        planted("zip with sizes behind", zip(Zipped::Streamed), &[], "member"),
        planted("zip64", zip(Zipped::Large), &[], "member"),
        planted(
            "gzip in tar in zip",
            craft::zip("outer", &craft::tar("inner", &gzip(text)), Zipped::Deflated),
            &[Encoding::Gzip],
            "outer > inner",
        ),
    ]
}

fn sent(text: &[u8]) -> Vec<Planted> {
    let body = gzip(text);
    let head = "POST / HTTP/1.1\r\nHost: control.example\r\nContent-Encoding: gzip\r\n";
    let known = [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(10) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunked.extend([chunk, b"\r\n"].concat());
    }
    chunked.extend(b"0\r\n\r\n");
    let header = [b"GET / HTTP/1.1\r\nX-Id: ", text.trim_ascii_end(), b"\r\n\r\n"].concat();
    let plain =
        [b"HTTP/1.1 200 OK\r\nContent-Length: ", text.len().to_string().as_bytes(), b"\r\n\r\n", text]
            .concat();
    let tcp = |bytes: &[u8]| traffic::connection(CLIENT, SERVER, bytes, SEGMENT_BYTES);
    let packet = [traffic::udp(CLIENT, SERVER, text)];
    vec![
        planted("TCP out of order in pcap", traffic::pcap(&tcp(text)), &[], "tcp 192.0.2.1:40000"),
        planted("TCP out of order in pcapng", traffic::pcapng(&tcp(text)), &[], "tcp 192.0.2.1:40000"),
        planted("UDP in pcap", traffic::pcap(&packet), &[], "packet 1"),
        planted("a body of HTTP", traffic::pcap(&tcp(&plain)), &[], "response body"),
        planted("a packed body of HTTP", traffic::pcap(&tcp(&known)), &[Encoding::Gzip], "request body"),
        planted(
            "a packed body of HTTP in chunks",
            traffic::pcapng(&tcp(&chunked)),
            &[Encoding::Gzip],
            "request body",
        ),
        planted("a header of HTTP", traffic::pcap(&tcp(&header)), &[], "header x-id"),
        planted("HAR", har(text, ""), &[], "entry 0 (control.example)"),
        planted(
            "HAR in base64",
            har(BASE64_STANDARD.encode(&body).as_bytes(), "base64"),
            &[Encoding::Gzip],
            "entry 0",
        ),
    ]
}

fn har(text: &[u8], encoding: &str) -> Vec<u8> {
    let body = serde_json::json!({ "text": String::from_utf8_lossy(text), "encoding": encoding });
    let entry = serde_json::json!({ "request": { "url": "https://control.example/" }, "response": { "content": body } });
    serde_json::json!({ "log": { "version": "1.2", "entries": [entry] } }).to_string().into_bytes()
}

fn planted(name: &str, bytes: Vec<u8>, how: &[Encoding], step: &str) -> Planted {
    Planted { name: name.to_owned(), bytes, how: how.to_vec(), step: Some(step.to_owned()) }
}
