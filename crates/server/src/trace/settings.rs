//! OpenTelemetry's usual environment variables: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
//! and <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>. Pure: the environment is a function.
//!
//! Spans are exported only where an endpoint is named: a gateway that nobody told so sends nothing to `localhost:4318`. What
//! can't be used is said and its default taken, as the specification has it; no word of it repeats a header's value.

use super::sampler::Sampler;
use http::{HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use std::time::Duration;

/// Variables that name where spans go; the first that is there counts.
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// An export is given up after this.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Spans that wait for export; about 250 bytes each.
const QUEUE: usize = 2_048;
/// No queue is longer, whatever the environment says: some 25 MB.
const QUEUE_MAX: usize = 100_000;
/// Spans in one export.
const BATCH: usize = 512;
/// A span waits so long for others to travel with.
const DELAY: Duration = Duration::from_secs(5);

/// Where spans go.
#[derive(Clone)]
pub struct ExportSettings {
    /// The receiver's whole URL.
    pub endpoint: Uri,
    /// Sent with each export. Secrets: they are in no message and no Debug.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is said of this process: `service.name` first.
    pub resource: Vec<(String, String)>,
    /// An export is given up after this.
    pub timeout: Duration,
    /// Spans that wait.
    pub queue: usize,
    /// Spans in one export.
    pub batch: usize,
    /// How long a span waits for others.
    pub delay: Duration,
}

impl std::fmt::Debug for ExportSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportSettings").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// What the environment says.
#[derive(Debug, Default)]
pub struct Read {
    /// `None`: spans are not exported.
    pub export: Option<ExportSettings>,
    /// Which traces are recorded.
    pub sampler: Sampler,
    /// What can't be used and was left out, in words.
    pub warnings: Vec<String>,
}

impl Read {
    /// From the process's environment.
    pub fn environment() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    /// From `lookup`. `OTEL_SDK_DISABLED=true` and `OTEL_TRACES_EXPORTER=none` switch all of it off.
    pub fn of(lookup: impl Fn(&str) -> Option<String>) -> Self {
        // An empty variable is one that is not there.
        let lookup = |name: &str| lookup(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let mut read = Self::default();
        let is_disabled = lookup("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if is_disabled || lookup("OTEL_TRACES_EXPORTER").is_some_and(|v| v == "none") {
            return read;
        }
        if let Some(word) = lookup("OTEL_TRACES_SAMPLER") {
            match Sampler::named(&word, lookup("OTEL_TRACES_SAMPLER_ARG").as_deref()) {
                Some(sampler) => read.sampler = sampler,
                None => read.warn("OTEL_TRACES_SAMPLER", "is no sampler that is known here, or its argument is no ratio; parentbased_always_on is used"),
            }
        }
        read.export = read.export(&lookup);
        read
    }

    fn warn(&mut self, name: &str, what: &str) {
        self.warnings.push(format!("{name} {what}"));
    }

    fn export(&mut self, lookup: &impl Fn(&str) -> Option<String>) -> Option<ExportSettings> {
        let (name, value) = ENDPOINTS.iter().find_map(|name| Some((*name, lookup(name)?)))?;
        let Some(endpoint) = endpoint(&value, name == ENDPOINTS[1]) else {
            self.warn(name, "is no http or https URL; no span is exported");
            return None;
        };
        let protocol = either(lookup, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        if protocol.is_some_and(|(_, v)| v == "grpc") {
            self.warn(
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                "says grpc; spans are sent as http/json, usually to port 4318",
            );
        }
        Some(ExportSettings {
            endpoint,
            headers: self.headers(lookup),
            resource: self.resource(lookup),
            timeout: self
                .millis(lookup, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
                .or_else(|| self.millis(lookup, "OTEL_EXPORTER_OTLP_TIMEOUT"))
                .unwrap_or(TIMEOUT),
            queue: self.number(lookup, "OTEL_BSP_MAX_QUEUE_SIZE").map_or(QUEUE, |n| n.clamp(1, QUEUE_MAX)),
            batch: self.number(lookup, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE").map_or(BATCH, |n| n.clamp(1, BATCH)),
            delay: self.millis(lookup, "OTEL_BSP_SCHEDULE_DELAY").unwrap_or(DELAY),
        })
    }

    fn headers(&mut self, lookup: &impl Fn(&str) -> Option<String>) -> Vec<(HeaderName, HeaderValue)> {
        let found = either(lookup, "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS");
        let Some((name, list)) = found else { return Vec::new() };
        let header = |(key, value): (String, String)| {
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::from_bytes(key.as_bytes()).ok()?, value))
        };
        let all: Option<Vec<_>> = pairs(&list).and_then(|all| all.into_iter().map(header).collect());
        all.unwrap_or_else(|| {
            self.warn(name, "is no list of name=value; none of it is sent");
            Vec::new()
        })
    }

    fn resource(&mut self, lookup: &impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
        let listed = lookup("OTEL_RESOURCE_ATTRIBUTES").map(|list| pairs(&list));
        if listed == Some(None) {
            self.warn("OTEL_RESOURCE_ATTRIBUTES", "is no list of name=value; none of it is used");
        }
        let listed = listed.flatten().unwrap_or_default();
        let in_list = listed.iter().find(|(key, _)| key == "service.name").map(|(_, value)| value.clone());
        let name = lookup("OTEL_SERVICE_NAME").or(in_list).unwrap_or_else(|| "domicile-gateway".into());
        let others = listed.into_iter().filter(|(key, _)| key != "service.name");
        std::iter::once(("service.name".to_owned(), name)).chain(others).collect()
    }

    fn number(&mut self, lookup: &impl Fn(&str) -> Option<String>, name: &str) -> Option<usize> {
        let number = lookup(name)?.parse().ok().filter(|n| *n > 0);
        if number.is_none() {
            self.warn(name, "is no number above zero; its default is used");
        }
        number
    }

    fn millis(&mut self, lookup: &impl Fn(&str) -> Option<String>, name: &str) -> Option<Duration> {
        self.number(lookup, name).map(|n| Duration::from_millis(n as u64))
    }
}

fn either(
    lookup: &impl Fn(&str) -> Option<String>,
    own: &'static str,
    general: &'static str,
) -> Option<(&'static str, String)> {
    [own, general].into_iter().find_map(|name| Some((name, lookup(name)?)))
}

/// The endpoint of traces is used as it is, the general one has their path behind it.
fn endpoint(text: &str, is_general: bool) -> Option<Uri> {
    let whole = match is_general {
        true => format!("{}/v1/traces", text.trim_end_matches('/')),
        false => text.to_owned(),
    };
    let uri: Uri = whole.parse().ok()?;
    (matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()).then_some(uri)
}

/// `name=value,name=value`, values percent-encoded, as W3C Baggage has it.
fn pairs(list: &str) -> Option<Vec<(String, String)>> {
    let decoded = |text: &str| Some(percent_decode_str(text.trim()).decode_utf8().ok()?.into_owned());
    let members = list.split(',').filter(|member| !member.trim().is_empty());
    members
        .map(|member| {
            let (key, value) = member.split_once('=')?;
            Some((decoded(key).filter(|key| !key.is_empty())?, decoded(value)?))
        })
        .collect()
}

#[cfg(test)]
mod tests;
