//! The fuzz targets' functions on bytes near to what is meant and far from it, for a bounded time. What cargo-fuzz finds
//! belongs among the seeds here.

use domicile_server::fuzzed;
use proptest::collection::vec;
use proptest::prelude::*;

/// Whole inputs, and pieces that are put together.
const SEEDS: [&[u8]; 24] = [
    b"",
    b"\x00/users/4711/notes\nhost: a\nx-subject: 4711\ncookie: a=1; uid=\"4711\"",
    b"\x01/users/%7B0b2b8b62-9b1c-4f2e-8d55-1f0f3c1d2e3f%7D\nhost: a\ncookie: uid=0B2B8B629B1C4F2E8D551F0F3C1D2E3F",
    b"\x02/users/..%2f..%2fadmin\nhost: a\nhost: b",
    b"\x02/\nhost: a\nauthorization: Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiI0NzExIiwiZXhwIjo0MTAyNDQ0ODAwfQ.",
    b"\x02/\nhost: a\ncookie: token=eyJhbGciOiJIUzI1NiIsImtpZCI6ImsifQ.eyJzdWIiOiI0NzExIn0.c2lnbmF0dXJl",
    br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    br#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"},{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256"}]}"#,
    b"GET /users/1 HTTP/1.1\r\nHost: a\r\nX-Subject: 1\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\nGET / HTTP/1.1\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 5000 443\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc0\x00\x02\x01\x13\x88\x01\xbb",
    b"/static/app.css\na=1&b=%2F&c=\xc3\xa9\nShop.Example:443",
    b"/static/..%2faccount;x=1\n?\n[2001:db8::1]:8443",
    br#"{"subject":"4711","country":"IN","citizenship":"DE","flags":["minor"]}"#,
    br#"{"subjects":["1","2","3"]}"#,
    br#"{"kind":"email","value":"Ann.Other+x@B\u00fccher.example","subject":"1","attempt":"a","seconds":60}"#,
    b"wait=30&wait=31",
    b"\"3\", W/\"4\", *",
    b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ncongo=t61rcWkgMzE,rojo=1",
    b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more\na@b=1,,\t",
];

/// One of the seeds, or two of them joined, with a few bytes changed, put in or taken out.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let edits = vec((any::<usize>(), 0..3_u8, any::<u8>()), 0..6);
    (0..SEEDS.len(), 0..SEEDS.len(), any::<bool>(), edits).prop_map(|(one, other, joined, edits)| {
        let mut bytes = SEEDS[one].to_vec();
        if joined {
            bytes.extend_from_slice(SEEDS[other]);
        }
        for (at, how, byte) in edits {
            let at = at % (bytes.len() + 1);
            match how {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => near(), 1 => vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_bytes_break_a_promise(bytes in any_bytes()) {
        fuzzed::subject(&bytes);
        fuzzed::token(&bytes);
        fuzzed::proxy_header(&bytes);
        fuzzed::cache_key(&bytes);
        fuzzed::directory(&bytes);
        fuzzed::trace(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_hold_a_connection(bytes in any_bytes()) {
        fuzzed::request(&bytes);
    }
}

/// What is read is not nothing: three of the four rules name somebody, and a token that nobody signed does not.
#[test]
fn a_seed_gets_through() {
    assert_eq!(fuzzed::subject(SEEDS[1]), 3);
    assert_eq!(fuzzed::subject(SEEDS[2]), 2);
    for nobody in [3, 4, 5] {
        assert_eq!(fuzzed::subject(SEEDS[nobody]), 0);
    }
}
