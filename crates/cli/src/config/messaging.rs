//! `[messaging]` and `[[messaging.relay]]`: the relays, and where their keys are. Keys are read when a relay is served.

use super::address::Address;
use super::fault::Fault;
use super::meaning::{address, below, day, id_of};
use super::served::{Doors, doors};
use super::typed::{Day, Text};
use super::{Region, Service, nearest};
use domicile_messaging::region::Controller;
use domicile_messaging::wire;
use jiff::civil::Date;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use toml::Spanned;

const RECORDS: &[&str] = &["postgres://", "postgresql://", "sqlite:"];
/// Generations of keys that a relay serves at once: today's and those before it that are not over yet.
const GENERATIONS_MAX: usize = domicile_messaging::wire::limits::GENERATIONS_MAX;

/// As typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[messaging]` with service, notice and sms")]
pub(super) struct TypedMessaging {
    service: Text,
    notice: TypedNotice,
    controller: TypedController,
    sms: Spanned<TypedSms>,
    relay_token_file: String,
    #[serde(default)]
    relay: Vec<Spanned<TypedRelay>>,
    #[serde(default)]
    limits: TypedLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "the notice: { url = \"https://...\", file = \"notice.txt\" }")]
struct TypedNotice {
    url: Text,
    file: String,
    language: Option<Text>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "who is responsible: { name = \"...\", contact = \"...\" }")]
struct TypedController {
    name: Text,
    contact: Text,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "who sends text messages: { file = \"sms.jsonl\" } or { http = { url, token_file } }"
)]
struct TypedSms {
    file: Option<String>,
    http: Option<TypedHttpSms>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "the service's address: { url = \"https://...\", token_file = \"...\" }"
)]
struct TypedHttpSms {
    url: String,
    token_file: String,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table of keys: `[[messaging.relay]]` with region, listen and keys"
)]
struct TypedRelay {
    region: Text,
    listen: Spanned<Vec<Text>>,
    certificate: Option<Text>,
    private_key: Option<Text>,
    #[serde(default)]
    clear_off_loopback: bool,
    endpoint: Text,
    records: Option<Text>,
    password_file: Option<String>,
    discovery_keys: Spanned<Vec<TypedGeneration>>,
    service_key_file: String,
    sealing_public_key_file: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a generation: { generation = 1, key_file = \"...\" }")]
struct TypedGeneration {
    generation: Spanned<u32>,
    key_file: String,
    until: Option<Spanned<Day>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[messaging.limits]`")]
struct TypedLimits {
    requests: Option<NonZeroUsize>,
    codes_an_hour: Option<u32>,
    codes_per_number: Option<u32>,
    codes_per_device: Option<u32>,
    discovery_allowance: Option<u32>,
    discovery_a_day: Option<u32>,
    filter_every_s: Option<u64>,
}

/// `[messaging]`.
#[derive(Debug, Clone)]
pub struct Messaging {
    /// The service whose subjects are mailboxes.
    pub service: String,
    /// What the owner of a device is told before agreeing.
    pub notice: Notice,
    /// Who is responsible.
    pub controller: Controller,
    /// How codes are sent.
    pub sms: SmsTo,
    /// What relays show each other.
    pub relay_token_file: PathBuf,
    /// One a region, in the file's order.
    pub relays: Vec<RelayDoors>,
    /// Bounds.
    pub limits: domicile_server::messaging::MessagingLimits,
}

impl Messaging {
    /// The relay of that region.
    pub fn relay(&self, region: &str) -> Option<&RelayDoors> {
        self.relays.iter().find(|r| r.region == region)
    }
}

/// `notice`.
#[derive(Debug, Clone)]
pub struct Notice {
    /// Where it can be read.
    pub url: wire::Text,
    /// Its bytes, whose hash stands in each record of consent.
    pub file: PathBuf,
    /// Its language, BCP 47.
    pub language: wire::Text,
}

/// How codes are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SmsTo {
    /// Lines of a file.
    File(PathBuf),
    /// Requests to a service.
    Http {
        /// Where.
        url: String,
        /// The file of its token.
        token_file: PathBuf,
    },
}

/// `[[messaging.relay]]`.
#[derive(Debug, Clone)]
pub struct RelayDoors {
    /// Its region.
    pub region: String,
    /// Where it listens.
    pub doors: Doors,
    /// Where devices and other relays reach it.
    pub endpoint: String,
    /// The service's database at this region, with the relay's own role.
    pub records: Address,
    /// Oldest first; the last one is today's.
    pub generations: Vec<Generation>,
    /// What signs tokens, consents and the region's card.
    pub service_key_file: PathBuf,
    /// What numbers are sealed to.
    pub sealing_public_key_file: PathBuf,
}

/// A generation of a region's discovery key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// Its number.
    pub number: u32,
    /// Its key.
    pub key_file: PathBuf,
    /// The first day on which it is served no more.
    pub until: Option<Date>,
}

pub(super) fn of(
    typed: &TypedMessaging,
    regions: &[Region],
    services: &[Service],
    base: &Path,
) -> Result<Messaging, Fault> {
    let service = service(&typed.service, services)?;
    let mut relays: Vec<RelayDoors> = Vec::new();
    for one in &typed.relay {
        let relay = relay(one.get_ref(), regions, service, base)?;
        if relays.iter().any(|r| r.region == relay.region) {
            let what = format!("region `{}` has two relays", relay.region);
            let why = "a mailbox has one home, and that one relay";
            return Err(Fault::new(one.span().start, "config-messaging", what, why, "remove one of them"));
        }
        relays.push(relay);
    }
    shared_keys(&relays, typed)?;
    if relays.is_empty() {
        let what = "[messaging] has no [[messaging.relay]]";
        let why = "a relay is what devices speak to: one in each region of the service";
        let at = typed.service.span().start;
        return Err(Fault::new(at, "config-messaging", what, why, "domicile messaging init"));
    }
    Ok(Messaging {
        service: service.name.clone(),
        notice: Notice {
            url: short(&typed.notice.url)?,
            file: below(base, &typed.notice.file),
            language: typed.notice.language.as_ref().map_or_else(|| Ok(english()), short)?,
        },
        controller: Controller {
            name: short(&typed.controller.name)?,
            contact: short(&typed.controller.contact)?,
        },
        sms: sms(&typed.sms, base)?,
        relay_token_file: below(base, &typed.relay_token_file),
        relays,
        limits: limits(&typed.limits),
    })
}

/// A region's keys are its own: under one discovery key a number has the same locator in two regions, so what one is asked the other
/// can tell, and a service key of two regions speaks for both.
fn shared_keys(relays: &[RelayDoors], typed: &TypedMessaging) -> Result<(), Fault> {
    let mut seen: std::collections::BTreeMap<&Path, &str> = std::collections::BTreeMap::new();
    for (relay, at) in relays.iter().zip(&typed.relay) {
        let files = relay.generations.iter().map(|g| &g.key_file).chain([&relay.service_key_file]);
        for file in files {
            if let Some(other) = seen.insert(file, &relay.region) {
                let what = match other == relay.region {
                    true => format!("the relay of `{other}` has one key file twice: {}", file.display()),
                    false => format!(
                        "the relays of `{other}` and `{}` have one key: {}",
                        relay.region,
                        file.display()
                    ),
                };
                let why = "who is asked for under one key can be told under the other: each region and generation has its own";
                let fix = "domicile messaging init   # makes keys for each region";
                return Err(Fault::new(at.span().start, "config-messaging", what, why, fix));
            }
        }
    }
    Ok(())
}

fn english() -> wire::Text {
    "en".parse().expect("a text of ours fits")
}

fn short(typed: &Text) -> Result<wire::Text, Fault> {
    typed.get_ref().parse().map_err(|fault: wire::TextFault| {
        let why = "it stands in each record of consent";
        Fault::new(typed.span().start, "config-messaging", fault.to_string(), why, "shorten it to one line")
    })
}

fn service<'s>(typed: &Text, services: &'s [Service]) -> Result<&'s Service, Fault> {
    if let Some(service) = services.iter().find(|s| s.name == *typed.get_ref()) {
        return Ok(service);
    }
    let names: Vec<&str> = services.iter().map(|s| s.name.as_str()).collect();
    let what = format!("[messaging] is of service `{}`, which is not there", typed.get_ref());
    let why = "mailboxes are the subjects of a service of their own, with its data map and policies";
    let fix = match nearest(typed.get_ref(), &names) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => "add the [[service]] that `domicile messaging init` wrote".to_owned(),
    };
    Err(Fault::new(typed.span().start, "config-messaging", what, why, fix))
}

fn sms(typed: &Spanned<TypedSms>, base: &Path) -> Result<SmsTo, Fault> {
    match (&typed.get_ref().file, &typed.get_ref().http) {
        (Some(file), None) => Ok(SmsTo::File(below(base, file))),
        (None, Some(http)) => {
            Ok(SmsTo::Http { url: http.url.clone(), token_file: below(base, &http.token_file) })
        }
        _ => Err(Fault::new(
            typed.span().start,
            "config-messaging",
            "`sms` says either a file or a service",
            "a code is sent in one way",
            "sms = { file = \"sms.jsonl\" }   # to try it out\n\
             sms = { http = { url = \"https://sms.example/send\", token_file = \"keys/sms.token\" } }",
        )),
    }
}

fn relay(
    typed: &TypedRelay,
    regions: &[Region],
    service: &Service,
    base: &Path,
) -> Result<RelayDoors, Fault> {
    let id = id_of(&typed.region, "region")?;
    let at = typed.region.span().start;
    if let Err(fault) = id.parse::<wire::RegionName>() {
        let why = "it stands in tokens and in the paths of filters";
        return Err(Fault::new(at, "config-messaging", fault.to_string(), why, "give the region such an id"));
    }
    let known = regions.iter().find(|r| r.id() == id && service.regions.contains(&id));
    let Some(region) = known else {
        let ids: Vec<&str> = service.regions.iter().map(String::as_str).collect();
        let what = format!("a relay is of region `{id}`, which service `{}` has not", service.name);
        let why = format!("it may use: {}", ids.join(", "));
        let fix = nearest(&id, &ids)
            .map_or_else(|| format!("one of: {}", ids.join(", ")), |m| format!("did you mean \"{m}\"?"));
        return Err(Fault::new(at, "config-messaging", what, why, fix));
    };
    Ok(RelayDoors {
        doors: doors(&typed.listen, &typed.certificate, &typed.private_key, typed.clear_off_loopback, base)?,
        endpoint: endpoint(&typed.endpoint)?,
        records: records(typed, region, service, base)?,
        generations: generations(&typed.discovery_keys, base)?,
        service_key_file: below(base, &typed.service_key_file),
        sealing_public_key_file: below(base, &typed.sealing_public_key_file),
        region: id,
    })
}

/// The region's own file on SQLite, which has no roles; on PostgreSQL a role that the guard applies to.
fn records(typed: &TypedRelay, region: &Region, service: &Service, base: &Path) -> Result<Address, Fault> {
    let own = region.records.of(&service.name);
    let Some(text) = &typed.records else {
        if own.is_sqlite() {
            return Ok(own);
        }
        let what = format!("the relay of `{}` has no `records`", region.id());
        let why = "it writes as an application does, with a role of its own: the guard exempts the region's, which moves";
        let fix = "records = \"postgres://domicile_relay@HOST/DATABASE\" and password_file, in its [[messaging.relay]]";
        return Err(Fault::new(typed.region.span().start, "config-messaging", what, why, fix));
    };
    let given = address(
        text,
        typed.password_file.as_deref(),
        base,
        RECORDS,
        &format!("the relay of `{}`", region.id()),
    )?;
    let given = given.of(&service.name);
    if !given.is_sqlite() && given.role().is_some() && given.role() == own.role() {
        let what = format!("the relay of `{}` would log in as the role that moves", region.id());
        let why =
            "the guard exempts that role: writes of the relay would be accepted wherever the mailbox lives";
        let fix = "a role of its own, with the grants of messaging/grants.postgres.sql";
        return Err(Fault::new(text.span().start, "config-messaging", what, why, fix));
    }
    Ok(given)
}

fn endpoint(typed: &Text) -> Result<String, Fault> {
    let text = typed.get_ref().trim_end_matches('/');
    let uri = text.parse::<http::Uri>().ok();
    let is_here = |host: &str| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    let is_fine = uri.is_some_and(|u| {
        let clear = u.scheme_str() == Some("http") && u.host().is_some_and(is_here);
        (u.scheme_str() == Some("https") || clear)
            && u.authority().is_some()
            && u.path() == "/"
            && u.query().is_none()
    });
    if is_fine {
        return Ok(text.to_owned());
    }
    Err(Fault::new(
        typed.span().start,
        "config-messaging",
        format!("`{}` is not where a relay can be reached", typed.get_ref()),
        "it is https, a host and perhaps a port; http only on this machine",
        "write for example \"https://beijing.messages.example\"",
    ))
}

fn generations(typed: &Spanned<Vec<TypedGeneration>>, base: &Path) -> Result<Vec<Generation>, Fault> {
    let at = typed.span().start;
    let fault = |what: String, why: &str, fix: &str| Err(Fault::new(at, "config-messaging", what, why, fix));
    let example = "discovery_keys = [{ generation = 1, key_file = \"keys/messaging/REGION-1.oprf\" }]";
    let one = |g: &TypedGeneration| {
        let until = g.until.as_ref().map(day).transpose()?;
        Ok(Generation { number: *g.generation.get_ref(), key_file: below(base, &g.key_file), until })
    };
    let mut all = typed.get_ref().iter().map(one).collect::<Result<Vec<_>, Fault>>()?;
    all.sort_by_key(|g| g.number);
    let numbers: BTreeSet<u32> = all.iter().map(|g| g.number).collect();
    if all.is_empty() || all.len() > GENERATIONS_MAX || numbers.len() != all.len() || numbers.contains(&0) {
        let what = format!(
            "`discovery_keys` has 1 to {GENERATIONS_MAX} generations, each with a number of its own from 1"
        );
        return fault(
            what,
            "contacts are found by them, and a device keeps what it has found by the number",
            example,
        );
    }
    let (last, older) = all.split_last().expect("not empty");
    if last.until.is_some() {
        let what = format!("generation {} is the last one and ends", last.number);
        return fault(
            what,
            "after it nobody could be found",
            "add the next generation first: domicile messaging init --next",
        );
    }
    if let Some(endless) = older.iter().find(|g| g.until.is_none()) {
        let what = format!("generation {} is not the last one and has no `until`", endless.number);
        return fault(
            what,
            "an old key is served only until devices have gone over to the new one",
            "until = 2026-12-31",
        );
    }
    Ok(all)
}

fn limits(typed: &TypedLimits) -> domicile_server::messaging::MessagingLimits {
    let mut limits = domicile_server::messaging::MessagingLimits::default();
    let set = |to: &mut u32, from: Option<u32>| from.into_iter().for_each(|n| *to = n);
    typed.requests.into_iter().for_each(|n| limits.requests = n.get());
    set(&mut limits.starts_an_hour, typed.codes_an_hour);
    set(&mut limits.starts_per_number, typed.codes_per_number);
    set(&mut limits.starts_per_device, typed.codes_per_device);
    set(&mut limits.discovery_allowance, typed.discovery_allowance);
    set(&mut limits.discovery_a_day, typed.discovery_a_day);
    typed
        .filter_every_s
        .into_iter()
        .for_each(|s| limits.filter_every = std::time::Duration::from_secs(s.max(1)));
    limits
}
