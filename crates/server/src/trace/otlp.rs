//! Spans as OTLP in JSON: <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>. Pure.
//!
//! Ids are hexadecimal, whole numbers of 64 bits are texts, enums are numbers. Attributes have the names of OpenTelemetry's
//! semantic conventions where there is one, else `domicile.*`.

use super::span::Span;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `SPAN_KIND_SERVER`.
const SERVER: u8 = 2;
/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`: the parent is another process's.
const HAS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// The body of one export.
pub fn encode(resource: &[(String, String)], spans: &[Span]) -> Vec<u8> {
    let resource: Vec<Value> = resource.iter().map(|(key, value)| text(key, value)).collect();
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let scope = json!({ "name": "domicile", "version": env!("CARGO_PKG_VERSION") });
    let all = json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": scope, "spans": spans }],
    }] });
    all.to_string().into_bytes()
}

fn span(span: &Span) -> Value {
    let flags = 1 | HAS_REMOTE | if span.ids.parent.is_some() { IS_REMOTE } else { 0 };
    let mut told = json!({
        "traceId": span.ids.trace.to_string(),
        "spanId": span.ids.span.to_string(),
        "flags": flags,
        "name": format!("{} {}", span.method, span.route.as_str()),
        "kind": SERVER,
        "startTimeUnixNano": nanos(span.began),
        "endTimeUnixNano": nanos(span.began + span.lasted),
        "attributes": attributes(span),
        "status": if span.status >= 500 { json!({ "code": ERROR }) } else { json!({}) },
    });
    if let Some(parent) = span.ids.parent {
        told["parentSpanId"] = json!(parent.to_string());
    }
    told
}

fn attributes(span: &Span) -> Vec<Value> {
    let mut all = vec![
        text("http.request.method", span.method),
        text("url.scheme", span.scheme),
        text("network.protocol.version", span.version),
        text("domicile.route", span.route.as_str()),
        number("domicile.waited_us", micros(span.waited)),
        number("domicile.repeats", u64::from(span.repeats)),
        number("http.response.body.size", span.bytes),
        json!({ "key": "domicile.answered_whole", "value": { "boolValue": span.is_whole } }),
    ];
    if span.status > 0 {
        all.push(number("http.response.status_code", u64::from(span.status)));
    }
    all.extend(span.region.as_deref().map(|region| text("domicile.region", region)));
    all.extend(span.cache.map(|cache| text("domicile.cache", cache)));
    all.extend(span.problem.map(|code| text("domicile.problem", code)));
    if span.status >= 500 {
        all.push(text("error.type", span.problem.unwrap_or("upstream-status")));
    }
    all
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

fn number(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn nanos(at: SystemTime) -> String {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
}

/// How many spans a receiver says it threw away, of an answer with status 200.
pub fn rejected(answer: &[u8]) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let said = &answer["partialSuccess"]["rejectedSpans"];
    said.as_u64().or_else(|| said.as_str()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::trace::{Ids, Route, SpanId, TraceId};

    /// A span with every field set.
    pub fn whole() -> Span {
        Span {
            ids: Ids {
                trace: TraceId([0xab; 16]),
                span: SpanId([1; 8]),
                parent: Some(SpanId([2; 8])),
                is_sampled: true,
            },
            began: UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_007),
            lasted: Duration::from_micros(1500),
            method: "POST",
            scheme: "https",
            version: "2",
            route: Route::Subject,
            status: 503,
            region: Some("mumbai".into()),
            waited: Duration::from_millis(40),
            repeats: 2,
            cache: None,
            problem: Some("parked"),
            bytes: 120,
            is_whole: true,
        }
    }

    #[test]
    fn a_span_is_written_as_the_specification_says() {
        let resource = [("service.name".to_owned(), "shop".to_owned())];
        let all: Value = serde_json::from_slice(&encode(&resource, &[whole()])).unwrap();
        let part = &all["resourceSpans"][0];
        assert_eq!(part["resource"]["attributes"][0], text("service.name", "shop"));
        let span = &part["scopeSpans"][0]["spans"][0];
        for (key, value) in [
            ("traceId", json!("abababababababababababababababab")),
            ("spanId", json!("0101010101010101")),
            ("parentSpanId", json!("0202020202020202")),
            ("flags", json!(0x301)),
            ("name", json!("POST subject")),
            ("kind", json!(2)),
            ("startTimeUnixNano", json!("1700000000000000007")),
            ("endTimeUnixNano", json!("1700000000001500007")),
            ("status", json!({ "code": 2 })),
        ] {
            assert_eq!(span[key], value, "{key}");
        }
        let attributes = span["attributes"].as_array().unwrap();
        let of = |key: &str| &attributes.iter().find(|a| a["key"] == key).unwrap()["value"];
        assert_eq!(of("http.response.status_code"), &json!({ "intValue": "503" }));
        assert_eq!(of("domicile.waited_us"), &json!({ "intValue": "40000" }));
        assert_eq!(of("domicile.region"), &json!({ "stringValue": "mumbai" }));
        assert_eq!(of("error.type"), &json!({ "stringValue": "parked" }));
        assert!(attributes.iter().all(|a| a["key"] != "domicile.cache"));
    }

    #[test]
    fn what_a_receiver_threw_away_is_read() {
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":"3"}}"#), 3);
        assert_eq!(rejected(br#"{"partialSuccess":{"rejectedSpans":4,"errorMessage":"x"}}"#), 4);
        for none in [&b"{}"[..], b"", b"{", b"[]", br#"{"partialSuccess":null}"#] {
            assert_eq!(rejected(none), 0);
        }
    }
}
