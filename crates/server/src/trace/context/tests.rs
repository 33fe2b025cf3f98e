use super::*;
use proptest::prelude::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn parse(text: &str) -> Option<Incoming> {
    Incoming::parse(text.as_bytes())
}

/// The recommendation's own examples, and each of its rules broken once.
#[test]
fn what_is_malformed_does_not_count() {
    let whole = format!("00-{TRACE}-{PARENT}-01");
    let known = parse(&whole).unwrap();
    assert_eq!(
        (known.trace.to_string(), known.parent.to_string(), known.is_sampled),
        (TRACE.into(), PARENT.into(), true)
    );
    assert!(!parse(&format!("00-{TRACE}-{PARENT}-00")).unwrap().is_sampled);
    assert!(parse(&format!("00-{TRACE}-{PARENT}-ff")).unwrap().is_sampled, "other flags mean nothing");
    for bad in [
        String::new(),
        whole.to_uppercase(),
        format!("{whole}-more"),
        format!("{whole} "),
        format!(" {whole}"),
        whole[..54].to_owned(),
        whole.replace('-', "_"),
        format!("00-{}-{PARENT}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{TRACE}-{PARENT}-0g"),
        format!("00-{}g-{PARENT}-01", &TRACE[1..]),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("0x-{TRACE}-{PARENT}-01"),
    ] {
        assert_eq!(parse(&bad), None, "{bad:?}");
    }
}

#[test]
fn a_later_version_is_read_as_far_as_ours_goes() {
    assert_eq!(parse(&format!("cc-{TRACE}-{PARENT}-01")), parse(&format!("00-{TRACE}-{PARENT}-01")));
    assert!(parse(&format!("cc-{TRACE}-{PARENT}-01-what-will-be")).is_some());
    assert_eq!(parse(&format!("cc-{TRACE}-{PARENT}-01.what-will-be")), None);
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

#[test]
fn of_two_parents_neither_counts() {
    let one = format!("00-{TRACE}-{PARENT}-01");
    assert!(Incoming::of(&headers(&[("traceparent", &one)])).is_some());
    assert_eq!(Incoming::of(&headers(&[("traceparent", &one), ("traceparent", &one)])), None);
}

#[test]
fn a_state_is_passed_on_whole_or_not() {
    let of = |lines: &[&str]| {
        let all: Vec<_> = lines.iter().map(|line| ("tracestate", *line)).collect();
        State::of(&headers(&all)).map(|s| s.0.to_str().unwrap().to_owned())
    };
    let many: Vec<String> = (0..32).map(|n| format!("k{n}=v")).collect();
    for good in [
        "congo=t61rcWkgMzE",
        "rojo=00f067aa0ba902b7 , congo=t61rcWkgMzE",
        "a=1,,b=2",
        "0tenant@system=1",
        "a_-*/9=x y",
        &many.join(","),
    ] {
        assert_eq!(of(&[good]).as_deref(), Some(good));
    }
    assert_eq!(of(&["a=1", "b=2"]).as_deref(), Some("a=1,b=2"));
    let long = "x".repeat(257);
    for bad in [
        "",
        ",",
        "a",
        "A=1",
        "a=",
        "a=1=2",
        "a=1,a=2",
        "1a=1",
        "a@=1",
        "@b=1",
        "a@1b=1",
        "a=\u{e9}",
        &format!("a={long}"),
        &format!("{long}=1"),
        &format!("{},k32=v", many.join(",")),
    ] {
        assert_eq!(of(&[bad]), None, "{bad:?}");
    }
    assert_eq!(of(&vec!["a=1"; 40]), None);
}

#[test]
fn what_is_written_is_ours_alone() {
    let mut all = headers(&[("traceparent", "a"), ("traceparent", "b"), ("tracestate", "a=1")]);
    let state = State::of(&all);
    let mut ids =
        Ids { trace: TraceId([1; 16]), span: SpanId([2; 8]), parent: Some(SpanId([3; 8])), is_sampled: true };
    ids.write(state.as_ref(), &mut all);
    let line = "00-01010101010101010101010101010101-0202020202020202-01";
    assert_eq!(all.get_all(TRACEPARENT).iter().collect::<Vec<_>>(), [line]);
    assert_eq!(all[TRACESTATE], "a=1");
    ids.parent = None;
    ids.write(state.as_ref(), &mut all);
    assert!(!all.contains_key(TRACESTATE), "a trace that begins here has no state of others'");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever is read as a parent is written again the same, and nothing makes the parser fall over.
    #[test]
    fn any_bytes_can_be_asked(bytes in proptest::collection::vec(any::<u8>(), 0..80), trace: [u8; 16], parent: [u8; 8], flags: u8) {
        let _ = Incoming::parse(&bytes);
        let _ = is_list(&bytes);
        let text = format!("00-{}-{}-{flags:02x}", hex::encode(trace), hex::encode(parent));
        let read = Incoming::parse(text.as_bytes());
        prop_assert_eq!(read.is_some(), trace != [0; 16] && parent != [0; 8]);
        if let Some(read) = read {
            prop_assert_eq!((read.trace.0, read.parent.0, read.is_sampled), (trace, parent, flags & 1 == 1));
        }
    }
}
