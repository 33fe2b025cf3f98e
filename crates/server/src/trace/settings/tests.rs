use super::*;
use std::collections::BTreeMap;

fn read(all: &[(&str, &str)]) -> Read {
    let all: BTreeMap<&str, &str> = all.iter().copied().collect();
    Read::of(|name| all.get(name).map(|v| (*v).to_owned()))
}

#[test]
fn nothing_is_exported_unless_somebody_says_where() {
    assert!(read(&[]).export.is_none() && read(&[("OTEL_SERVICE_NAME", "shop")]).export.is_none());
    let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    assert!(read(&[at]).export.is_some());
    for off in
        [("OTEL_SDK_DISABLED", "true"), ("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")]
    {
        assert!(read(&[at, off]).export.is_none(), "{off:?}");
    }
    assert!(read(&[at, ("OTEL_SDK_DISABLED", "1")]).export.is_some(), "only `true` is true");
}

#[test]
fn an_endpoint_of_traces_is_used_as_it_is() {
    let of = |all: &[(&str, &str)]| read(all).export.map(|e| e.endpoint.to_string()).unwrap_or_default();
    let general = "OTEL_EXPORTER_OTLP_ENDPOINT";
    assert_eq!(of(&[(general, "http://c:4318")]), "http://c:4318/v1/traces");
    assert_eq!(of(&[(general, "https://c/otlp/")]), "https://c/otlp/v1/traces");
    let both = [(general, "http://c:4318"), ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://d/x")];
    assert_eq!(of(&both), "http://d/x");
    for bad in ["c:4318", "ftp://c", "http://", "http://a b"] {
        let read = read(&[(general, bad)]);
        assert!(read.export.is_none() && read.warnings.len() == 1, "{bad}");
        assert!(!read.warnings[0].contains(bad));
    }
}

#[test]
fn headers_are_secret() {
    let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    let read_of = |value| read(&[at, ("OTEL_EXPORTER_OTLP_HEADERS", value)]);
    let export = read_of("api-key=hunter2%20x, x-scope = team").export.unwrap();
    assert_eq!(export.headers[0].0, "api-key");
    assert_eq!(export.headers[0].1, "hunter2 x");
    assert_eq!((export.headers[1].0.as_str(), &export.headers[1].1), ("x-scope", &"team".parse().unwrap()));
    assert!(!format!("{export:?}{:?}", export.headers).contains("hunter2"));
    let bad = read_of("hunter2");
    assert!(bad.export.unwrap().headers.is_empty());
    assert!(bad.warnings.len() == 1 && !bad.warnings[0].contains("hunter2"), "{:?}", bad.warnings);
}

#[test]
fn a_name_of_its_own_counts_before_the_list() {
    let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    let list = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=listed,deployment.environment.name=eu%2Cwest");
    let of = |all: &[(&str, &str)]| read(all).export.unwrap().resource;
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(of(&[at]), [pair("service.name", "domicile-gateway")]);
    let environment = pair("deployment.environment.name", "eu,west");
    assert_eq!(of(&[at, list]), [pair("service.name", "listed"), environment.clone()]);
    assert_eq!(of(&[at, list, ("OTEL_SERVICE_NAME", "shop")]), [pair("service.name", "shop"), environment]);
}

#[test]
fn numbers_have_bounds() {
    let at = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
    let of = |name, value| read(&[at, (name, value)]).export.unwrap();
    assert_eq!(of("OTEL_BSP_MAX_QUEUE_SIZE", "999999999").queue, QUEUE_MAX);
    assert_eq!(of("OTEL_BSP_SCHEDULE_DELAY", "20").delay, Duration::from_millis(20));
    assert_eq!(of("OTEL_EXPORTER_OTLP_TIMEOUT", "50").timeout, Duration::from_millis(50));
    assert_eq!(of("OTEL_EXPORTER_OTLP_TIMEOUT", "soon").timeout, TIMEOUT);
    assert_eq!(read(&[at, ("OTEL_TRACES_SAMPLER", "jaeger_remote")]).warnings.len(), 1);
}
