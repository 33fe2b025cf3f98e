//! HTTP archives, well-formed and not.

use crate::controls::craft;
use crate::unpack::tests::{handed, handed_within};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

fn archive() -> serde_json::Value {
    let packed = BASE64_STANDARD.encode(craft::gzip(b"wang@example.com"));
    json!({ "log": { "version": "1.2", "creator": { "name": "x" }, "entries": [
        {
            "request": {
                "method": "POST",
                "url": "https://user@api.example.cn:8443/sync?n=1",
                "headers": [{ "name": "X-Phone", "value": "+8613800138000" }],
                "cookies": [{ "name": "sid", "value": "c1" }],
                "queryString": [{ "name": "n", "value": "1" }],
                "postData": { "mimeType": "text/plain", "text": "a body\nof two lines" }
            },
            "response": { "status": 200, "content": { "text": packed, "encoding": "base64" } }
        },
        { "request": { "url": "http://[2001:db8::1]/" }, "response": { "content": { "text": "!", "encoding": "rot13" } } },
        "no entry at all"
    ] } })
}

#[test]
fn everything_sent_and_received_has_its_place() {
    let file = format!("\u{feff}\n{}", archive());
    let handed = handed(file.as_bytes());
    let entry = "f > entry 0 (api.example.cn)";
    assert_eq!(handed.run(&format!("{entry} > request line")), "https://user@api.example.cn:8443/sync?n=1");
    assert_eq!(handed.run(&format!("{entry} > header x-phone")), "X-Phone: +8613800138000");
    assert_eq!(handed.run(&format!("{entry} > cookie sid")), "sid: c1");
    assert_eq!(handed.run(&format!("{entry} > query n")), "n: 1");
    assert_eq!(handed.run(&format!("{entry} > request body")), "a body\nof two lines");
    assert_eq!(handed.run(&format!("{entry} > response body > [gzip]")), "wang@example.com");
    assert_eq!(handed.run("f > entry 1 ([2001:db8::1]) > request line"), "http://[2001:db8::1]/");
    assert_eq!(handed.runs["f"], file.as_bytes(), "as it stands, too");
    assert_eq!(handed.unseen.len(), 1);
    handed.said("rot13");
}

#[test]
fn a_damaged_archive_is_searched_as_far_as_it_goes() {
    let file = archive().to_string();
    for end in 12..file.len() {
        let handed = handed(&file.as_bytes()[..end]);
        assert_eq!(handed.runs["f"], &file.as_bytes()[..end]);
        handed.said("the rest was searched as it stands");
    }
    let deep = format!("{{\"log\":{{\"entries\":[{}", "[".repeat(100_000));
    handed(deep.as_bytes()).said("can't be read on from its entry 0");
}

#[test]
fn an_entry_is_bounded() {
    let mut forgetful = crate::unpack::tests::Handed { forgetful: true, ..Default::default() };
    let head = &b"{\"log\":{\"entries\":[{\"request\":{\"url\":\""[..];
    let endless = std::io::Read::take(
        std::io::Read::chain(head, std::io::repeat(b'a')),
        super::ENTRY_BYTES_MAX + (1 << 20),
    );
    forgetful = handed_within(endless, crate::Limits::default(), forgetful);
    forgetful.said("can't be read on from its entry 0");
}
