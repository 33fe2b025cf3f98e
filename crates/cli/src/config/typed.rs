//! The file as typed: every key there is, each known by its name and nothing else.

use super::fault::Fault;
use super::nearest;
use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

pub(super) type Text = Spanned<String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "the keys of domicile.toml")]
pub(super) struct File {
    pub control: Spanned<Control>,
    #[serde(default)]
    pub region: Vec<Spanned<Region>>,
    #[serde(default)]
    pub service: Vec<Spanned<Service>>,
    // One service is the common case: its keys may stand at the top.
    pub map: Option<Text>,
    pub policies: Option<Spanned<Vec<Text>>>,
    pub latency: Option<Text>,
    pub guard: Option<Text>,
    pub mechanisms: Option<Spanned<Vec<Mechanism>>>,
    #[serde(default)]
    pub claim: Vec<Spanned<Claim>>,
    #[serde(default)]
    pub public: Vec<Spanned<super::edge::TypedPublic>>,
    #[serde(default)]
    pub edge: super::edge::TypedEdge,
    pub manifest: Option<Spanned<super::genuine::TypedManifest>>,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub receipts: Receipts,
    #[serde(default)]
    pub metrics: Metrics,
    pub gateway: Option<super::served::TypedGateway>,
    pub directory: Option<super::served::TypedDirectory>,
    pub messaging: Option<super::messaging::TypedMessaging>,
    #[serde(default)]
    pub admin: super::served::TypedAdmin,
    #[serde(default)]
    pub audit: super::audit::TypedAudit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[control]` with a store")]
pub(super) struct Control {
    pub store: Text,
    pub keys: Option<String>,
    pub password_file: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[region]]` with id, country and records")]
pub(super) struct Region {
    pub id: Text,
    pub country: Text,
    pub operator: Option<Text>,
    pub opens: Option<Spanned<Day>>,
    pub site: Option<String>,
    pub records: Text,
    pub password_file: Option<String>,
    pub objects: Option<Text>,
    pub endpoint: Option<String>,
    #[serde(default)]
    pub standbys: Vec<Text>,
    pub wal_hours: Option<u32>,
    pub replicas_hours: Option<u32>,
    pub backups_hours: Option<u32>,
}

/// A TOML date, or its text in quotes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a date such as 2015-03-01")]
pub(super) enum Day {
    Date(Datetime),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[service]]` with name, map and policies")]
pub(super) struct Service {
    pub name: Text,
    pub map: Text,
    pub policies: Spanned<Vec<Text>>,
    pub regions: Option<Vec<Text>>,
    pub guard: Option<Text>,
    pub latency: Option<Text>,
    pub mechanisms: Option<Spanned<Vec<Mechanism>>>,
    #[serde(default)]
    pub claim: Vec<Spanned<Claim>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[claim]]` with kind and column")]
pub(super) struct Claim {
    pub kind: Text,
    pub column: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a mechanism: { name = \"...\", expires = 2030-01-01 }")]
pub(super) struct Mechanism {
    pub name: Text,
    pub expires: Option<Spanned<Day>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[receipts]`")]
pub(super) struct Receipts {
    pub folder: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[metrics]`")]
pub(super) struct Metrics {
    pub listen: Option<String>,
    #[serde(default)]
    pub off_loopback: bool,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[limits]`")]
pub(super) struct Limits {
    pub batch_subjects: Option<Spanned<u64>>,
    pub fence_subjects: Option<Spanned<u64>>,
    pub batches_in_flight: Option<Spanned<u64>>,
    pub writer_wait_ms: Option<Spanned<u64>>,
    pub gateway_wait_ms: Option<Spanned<u64>>,
    pub fence_deadline_ms: Option<Spanned<u64>>,
    pub fence_tries: Option<Spanned<u64>>,
    pub catch_up_changes: Option<Spanned<u64>>,
    pub catch_up_enough: Option<Spanned<u64>>,
    pub verify_rounds: Option<Spanned<u64>>,
    pub objects_in_flight: Option<Spanned<u64>>,
    pub fence_object_bytes: Option<Spanned<u64>>,
    pub erase_rows: Option<Spanned<u64>>,
    pub standby_wait_ms: Option<Spanned<u64>>,
    pub settle_wait_ms: Option<Spanned<u64>>,
    pub turn_ms: Option<Spanned<u64>>,
    pub grace: Option<Text>,
    pub rows_per_s: Option<Spanned<u64>>,
    pub bytes_per_s: Option<Spanned<u64>>,
    pub replication_lag_ms: Option<Spanned<u64>>,
    pub replication_lag_bytes: Option<Spanned<u64>>,
    pub active_sessions: Option<Spanned<u64>>,
    pub tries: Option<Spanned<u64>>,
    pub straggler_rounds: Option<Spanned<u64>>,
}

/// Reads the text.
pub(super) fn read(text: &str) -> Result<File, Fault> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        worded(at, error.message().trim())
    })
}

/// The parser's words, made into ours where they are about keys.
fn worded(at: usize, message: &str) -> Fault {
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (key, rest) = rest.split_once('`').unwrap_or((rest, ""));
        let known: Vec<&str> = rest.split('`').skip(1).step_by(2).collect();
        let fix = match nearest(key, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known here: {}", known.join(", ")),
        };
        let why = "a key that Domicile does not know would be a setting without effect";
        return Fault::new(at, "config-unknown-key", format!("unknown key `{key}`"), why, fix);
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(|m| m.strip_suffix('`')) {
        let why = "it has no value that would be right for everybody";
        let fix = format!("write {key} = ... there; docs/config.md has examples");
        return Fault::new(at, "config-missing-key", format!("the key `{key}` is missing"), why, fix);
    }
    let what = domicile_datamap::in_the_files_words(message);
    Fault::new(
        at,
        "config-syntax",
        what,
        "the file can't be read as TOML, or a value has another type",
        "correct the line",
    )
}
