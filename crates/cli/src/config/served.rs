//! `[gateway]`, `[directory]`, `[admin]`: what `domicile serve` listens at, and how a request says whose it is.

use super::fault::Fault;
use super::meaning::below;
use super::typed::Text;
use super::{Region, nearest};
use domicile_server::gateway::Limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// As typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[gateway]` with listen and subject")]
pub(super) struct TypedGateway {
    listen: Spanned<Vec<Text>>,
    certificate: Option<Text>,
    private_key: Option<Text>,
    #[serde(default)]
    clear_off_loopback: bool,
    #[serde(default)]
    proxy_protocol: bool,
    #[serde(default)]
    trusts_forwarded: bool,
    subject: Spanned<Vec<Text>>,
    key: Option<Text>,
    region: Option<Text>,
    jwt: Option<Spanned<TypedJwt>>,
    #[serde(default)]
    upstreams: BTreeMap<String, Text>,
    sign_up: Option<TypedSignUp>,
    #[serde(default)]
    login: Vec<TypedLogin>,
    manifest: Option<String>,
    log: Option<Text>,
    #[serde(default)]
    preload: bool,
    #[serde(default)]
    limits: TypedLimits,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[gateway.jwt]` with keys and claim")]
struct TypedJwt {
    keys: String,
    claim: Option<String>,
    issuer: Option<String>,
    audience: Option<String>,
    cookie: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[gateway.sign_up]` with path")]
struct TypedSignUp {
    path: String,
    country: Option<String>,
    subject: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[[gateway.login]]` with path, kind and field")]
struct TypedLogin {
    path: String,
    kind: Text,
    field: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[gateway.limits]`")]
struct TypedLimits {
    homes: Option<usize>,
    lease_ms: Option<u64>,
    lease_wait_ms: Option<u64>,
    park_ms: Option<u64>,
    parked_per_subject: Option<usize>,
    parked: Option<usize>,
    released: Option<usize>,
    repeat_bytes: Option<usize>,
    answer_ms: Option<u64>,
    idle_ms: Option<u64>,
    connections: Option<usize>,
    head_ms: Option<u64>,
}

/// As typed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[directory]` with listen")]
pub(super) struct TypedDirectory {
    listen: Spanned<Vec<Text>>,
    certificate: Option<Text>,
    private_key: Option<Text>,
    #[serde(default)]
    clear_off_loopback: bool,
    key: Option<Text>,
}

/// As typed.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, expecting = "a table of keys: `[admin]` with listen")]
pub(super) struct TypedAdmin {
    listen: Option<Text>,
}

/// Addresses, and what connections to them are encrypted with.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Where to listen.
    pub addresses: Vec<SocketAddr>,
    /// Certificate chain and private key.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// Where a request says whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectIn {
    /// A verified token.
    Jwt,
    /// A header.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// The path's segment after this.
    Path(String),
}

/// `[gateway.jwt]`.
#[derive(Debug, Clone)]
pub struct Jwt {
    /// The JWK Set.
    pub keys: PathBuf,
    /// The claim that names the subject.
    pub claim: String,
    /// Only this issuer's.
    pub issuer: Option<String>,
    /// Only for this audience.
    pub audience: Option<String>,
    /// The cookie that holds the token.
    pub cookie: Option<String>,
}

/// `[gateway.sign_up]`: a request that makes a new subject.
#[derive(Debug, Clone)]
pub struct SignUp {
    /// Its path.
    pub path: String,
    /// The field of its JSON body with the country.
    pub country: String,
    /// The field with the subject's key.
    pub subject: String,
}

/// `[[gateway.login]]`: a request that names its subject by a claim.
#[derive(Debug, Clone)]
pub struct Login {
    /// Its path.
    pub path: String,
    /// What the claim is.
    pub kind: domicile_directory::ClaimKind,
    /// The field of its JSON body with the claim.
    pub field: String,
}

/// `[gateway]`.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// Where it listens.
    pub doors: Doors,
    /// Every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// X-Forwarded-For of clients is kept.
    pub trusts_forwarded: bool,
    /// Whose a request is.
    pub subject: Vec<SubjectIn>,
    /// `integer`, `uuid` or `text`, where it is not read from the catalogue.
    pub key: Option<String>,
    /// The region where it stands: public content is asked of its application.
    pub region: Option<String>,
    /// Tokens.
    pub jwt: Option<Jwt>,
    /// Where a region's application is reached, where that is not its endpoint.
    pub upstreams: BTreeMap<String, String>,
    /// Sign-up.
    pub sign_up: Option<SignUp>,
    /// Logins.
    pub login: Vec<Login>,
    /// The signed manifest.
    pub manifest: Option<PathBuf>,
    /// Homes are read into memory before the first request.
    pub preload: bool,
    /// One line of the log for each request.
    pub logs_requests: bool,
    /// Bounds.
    pub limits: Limits,
    /// Bounds of connections.
    pub connections: domicile_server::listen::ConnectionLimits,
}

/// `[directory]`.
#[derive(Debug, Clone)]
pub struct DirectoryDoors {
    /// Where it listens.
    pub doors: Doors,
    /// As the gateway's.
    pub key: Option<String>,
}

pub(super) fn gateway(typed: &TypedGateway, regions: &[Region], base: &Path) -> Result<Gateway, Fault> {
    for (id, address) in &typed.upstreams {
        if !regions.iter().any(|r| r.id() == id) {
            let ids: Vec<&str> = regions.iter().map(Region::id).collect();
            let fix = nearest(id, &ids)
                .map_or(format!("one of: {}", ids.join(", ")), |id| format!("did you mean {id}?"));
            let what = format!("upstreams names region `{id}`, which is not there");
            return Err(Fault::new(
                address.span().start,
                "config-gateway",
                what,
                "each is a region's application",
                fix,
            ));
        }
        upstream(address)?;
    }
    if let Some(region) =
        typed.region.as_ref().filter(|r| !regions.iter().any(|known| known.id() == r.get_ref()))
    {
        let what = format!("the gateway stands in region `{}`, which is not there", region.get_ref());
        let why = "public content is asked of that region's application";
        return Err(Fault::new(
            region.span().start,
            "config-gateway",
            what,
            why,
            "write the id of a [[region]]",
        ));
    }
    let subject = typed.subject.get_ref().iter().map(subject_in).collect::<Result<Vec<_>, _>>()?;
    let jwt = typed.jwt.as_ref().map(|jwt| jwt_of(jwt.get_ref(), base));
    if subject.is_empty() {
        let what = "`subject` names no place where a request says whose it is";
        let why = "a request whose subject is not known is forwarded to nobody";
        let fix = "\"jwt\", \"header:X-Subject\", \"cookie:uid\" or \"path:/users/\"";
        return Err(Fault::new(typed.subject.span().start, "config-gateway", what, why, fix));
    }
    if subject.contains(&SubjectIn::Jwt) != jwt.is_some() {
        let what = "`subject` and [gateway.jwt] do not agree";
        let why = "\"jwt\" in `subject` needs to know whose signatures count, and a set of keys that nothing asks protects nothing";
        let fix = "subject = [\"jwt\"] with [gateway.jwt] keys = \"jwks.json\", or for example subject = [\"header:X-Subject\"]";
        return Err(Fault::new(typed.subject.span().start, "config-gateway", what, why, fix));
    }
    let (limits, connections) = limits(&typed.limits);
    Ok(Gateway {
        doors: doors(&typed.listen, &typed.certificate, &typed.private_key, typed.clear_off_loopback, base)?,
        proxy_protocol: typed.proxy_protocol,
        trusts_forwarded: typed.trusts_forwarded,
        subject,
        key: typed.key.as_ref().map(key).transpose()?,
        region: typed.region.as_ref().map(|r| r.get_ref().clone()),
        jwt,
        upstreams: typed.upstreams.iter().map(|(id, a)| (id.clone(), a.get_ref().clone())).collect(),
        sign_up: typed.sign_up.as_ref().map(|s| SignUp {
            path: s.path.clone(),
            country: s.country.clone().unwrap_or_else(|| "country".into()),
            subject: s.subject.clone().unwrap_or_else(|| "id".into()),
        }),
        login: typed.login.iter().map(login).collect::<Result<_, _>>()?,
        manifest: typed.manifest.as_ref().map(|m| below(base, m)),
        preload: typed.preload,
        logs_requests: logs_requests(typed.log.as_ref())?,
        limits,
        connections,
    })
}

pub(super) fn directory(typed: &TypedDirectory, base: &Path) -> Result<DirectoryDoors, Fault> {
    Ok(DirectoryDoors {
        doors: doors(&typed.listen, &typed.certificate, &typed.private_key, typed.clear_off_loopback, base)?,
        key: typed.key.as_ref().map(key).transpose()?,
    })
}

/// The admin's address: of this machine, whatever else.
pub(super) fn admin(typed: &TypedAdmin) -> Result<Option<SocketAddr>, Fault> {
    let Some(text) = &typed.listen else { return Ok(None) };
    let address = address(text)?;
    if address.ip().is_loopback() {
        return Ok(Some(address));
    }
    let what = format!("the admin address {address} could be reached by other machines");
    let why = "it says how the process is and what it counts; a token is asked for, but in the clear";
    Err(Fault::new(
        text.span().start,
        "config-listen",
        what,
        why,
        "write for example listen = \"127.0.0.1:9466\"",
    ))
}

fn login(typed: &TypedLogin) -> Result<Login, Fault> {
    let kind = typed.kind.get_ref().parse().map_err(|()| {
        let kinds = domicile_directory::ClaimKind::ALL.map(domicile_directory::ClaimKind::name).join(", ");
        let what = format!("`{}` is no kind of claim", typed.kind.get_ref());
        Fault::new(
            typed.kind.span().start,
            "config-claim",
            what,
            "a login names its subject by a claim",
            format!("one of: {kinds}"),
        )
    })?;
    Ok(Login { path: typed.path.clone(), kind, field: typed.field.clone() })
}

fn jwt_of(typed: &TypedJwt, base: &Path) -> Jwt {
    Jwt {
        keys: below(base, &typed.keys),
        claim: typed.claim.clone().unwrap_or_else(|| "sub".into()),
        issuer: typed.issuer.clone(),
        audience: typed.audience.clone(),
        cookie: typed.cookie.clone(),
    }
}

fn key(typed: &Text) -> Result<String, Fault> {
    let kinds = ["integer", "uuid", "text"];
    if kinds.contains(&typed.get_ref().as_str()) {
        return Ok(typed.get_ref().clone());
    }
    let what = format!("`{}` is no type of key", typed.get_ref());
    let why = "a subject has one spelling: 007 must not be somebody else than 7";
    Err(Fault::new(typed.span().start, "config-key", what, why, "one of: integer, uuid, text"))
}

fn subject_in(typed: &Text) -> Result<SubjectIn, Fault> {
    let text = typed.get_ref();
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    match (kind, rest) {
        ("jwt", "") => Ok(SubjectIn::Jwt),
        ("header", name) if name.parse::<http::HeaderName>().is_ok() => {
            Ok(SubjectIn::Header(name.to_owned()))
        }
        ("cookie", name) if !name.is_empty() && !name.contains(['=', ';', ' ']) => {
            Ok(SubjectIn::Cookie(name.to_owned()))
        }
        ("path", before) if before.starts_with('/') && before.ends_with('/') => {
            Ok(SubjectIn::Path(before.to_owned()))
        }
        _ => {
            let what = format!("`{text}` is no place where a request says whose it is");
            let why = "a request whose subject is not known is forwarded to nobody";
            let fix = "\"jwt\", \"header:X-Subject\", \"cookie:uid\" or \"path:/users/\"";
            Err(Fault::new(typed.span().start, "config-gateway", what, why, fix))
        }
    }
}

fn logs_requests(typed: Option<&Text>) -> Result<bool, Fault> {
    let Some(typed) = typed else { return Ok(false) };
    match typed.get_ref().as_str() {
        "requests" => Ok(true),
        "events" => Ok(false),
        other => {
            let what = format!("`{other}` is nothing that is logged");
            let why = "a gateway logs its own events, and each request where it is asked to";
            Err(Fault::new(typed.span().start, "config-gateway", what, why, "one of: events, requests"))
        }
    }
}

fn upstream(typed: &Text) -> Result<(), Fault> {
    let uri = typed.get_ref().parse::<http::Uri>().ok();
    let is_fine = uri.is_some_and(|u| {
        matches!(u.scheme_str(), Some("http" | "https"))
            && u.authority().is_some()
            && u.path() == "/"
            && u.query().is_none()
    });
    if is_fine {
        return Ok(());
    }
    let what = format!("`{}` is not where an application can be reached", typed.get_ref());
    Err(Fault::new(
        typed.span().start,
        "config-gateway",
        what,
        "it is a scheme, a host and a port",
        "write for example \"http://10.0.0.5:8080\"",
    ))
}

pub(super) fn doors(
    listen: &Spanned<Vec<Text>>,
    certificate: &Option<Text>,
    private_key: &Option<Text>,
    clear_off_loopback: bool,
    base: &Path,
) -> Result<Doors, Fault> {
    let addresses = listen.get_ref().iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let at = listen.span().start;
    if addresses.is_empty() {
        return Err(Fault::new(
            at,
            "config-listen",
            "`listen` names no address",
            "nobody could reach it",
            "listen = [\"127.0.0.1:8080\"]",
        ));
    }
    let tls = match (certificate, private_key) {
        (Some(certificate), Some(key)) => {
            Some((below(base, certificate.get_ref()), below(base, key.get_ref())))
        }
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            let why = "TLS needs both the certificate chain and its key";
            return Err(Fault::new(
                one.span().start,
                "config-listen",
                "half of a certificate",
                why,
                "certificate = \"tls/chain.pem\" and private_key = \"tls/key.pem\"",
            ));
        }
    };
    let open = addresses.iter().find(|a| !a.ip().is_loopback());
    if let (Some(open), None, false) = (open, &tls, clear_off_loopback) {
        let what = format!("{open} would be listened at in the clear");
        let why = "what is sent there could be read on its way: tokens, cookies, personal data";
        let fix = "certificate = \"tls/chain.pem\" and private_key = \"tls/key.pem\"; or clear_off_loopback = true, where something else encrypts";
        return Err(Fault::new(at, "config-listen", what, why, fix));
    }
    Ok(Doors { addresses, tls })
}

fn address(text: &Text) -> Result<SocketAddr, Fault> {
    text.get_ref().parse().map_err(|_| {
        let what = format!("`{}` is not an address to listen at", text.get_ref());
        Fault::new(
            text.span().start,
            "config-listen",
            what,
            "it has an IP address and a port",
            "for example \"127.0.0.1:8080\" or \"[::]:443\"",
        )
    })
}

fn limits(typed: &TypedLimits) -> (Limits, domicile_server::listen::ConnectionLimits) {
    let (mut limits, mut connections) =
        (Limits::default(), domicile_server::listen::ConnectionLimits::default());
    let ms =
        |to: &mut Duration, from: Option<u64>| from.into_iter().for_each(|n| *to = Duration::from_millis(n));
    let n = |to: &mut usize, from: Option<usize>| from.into_iter().for_each(|n| *to = n);
    n(&mut limits.homes, typed.homes);
    ms(&mut limits.lease, typed.lease_ms);
    ms(&mut limits.lease_wait, typed.lease_wait_ms);
    ms(&mut limits.park, typed.park_ms);
    n(&mut limits.parked_per_subject, typed.parked_per_subject);
    n(&mut limits.parked, typed.parked);
    n(&mut limits.released, typed.released);
    n(&mut limits.repeat_bytes, typed.repeat_bytes);
    ms(&mut limits.answer, typed.answer_ms);
    ms(&mut limits.idle, typed.idle_ms);
    n(&mut connections.connections, typed.connections);
    ms(&mut connections.head, typed.head_ms);
    (limits, connections)
}
