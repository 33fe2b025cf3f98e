//! The fuzz targets' functions on bytes near to what is meant and far from it, for a bounded time. What cargo-fuzz finds
//! belongs among their seeds.

use domicile_server::fuzzed::{self, SEEDS};
use proptest::collection::vec;
use proptest::prelude::*;

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
        fuzzed::headers(&bytes);
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
