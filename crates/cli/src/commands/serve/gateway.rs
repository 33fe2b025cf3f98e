//! From `[gateway]` to a running gateway.

use super::doors::Doors;
use super::story::Story;
use super::{GATEWAY_EXAMPLE, Serving, certificates, no_table, requests, rules};
use crate::config::{self, Config, Region, Service, SubjectIn};
use crate::failure::{self, Failure, Result};
use crate::{edge, genuine, keys as key_files};
use domicile_directory::Directory;
use domicile_server::edge::EdgeCache;
use domicile_server::gateway::{
    Gateway, JwtRule, Keys, LoginRoute, Settings, SignUpRoute, SubjectRule, Upstream,
};
use domicile_server::genuine::WellKnown;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Starts the gateway and opens its doors.
pub async fn serve(
    config: &Config,
    service: &Service,
    elsewhere: Option<config::Doors>,
    directory: Arc<Directory>,
    story: &Story,
    doors: &mut Doors<'_>,
    serving: &mut Serving,
) -> Result<()> {
    let Some(asked) = &config.gateway else { return Err(no_table(config, "gateway", GATEWAY_EXAMPLE)) };
    let (spelling, placing) = rules(config, service, asked.key.as_deref()).await?;
    serving.keys = asked.jwt.as_ref().map(keys).transpose()?;
    let subject = asked.subject.iter().filter_map(|s| subject(s, asked, &serving.keys)).collect();
    let sign_up = asked.sign_up.as_ref().map(|s| SignUpRoute {
        path: s.path.clone(),
        country: s.country.clone(),
        subject: s.subject.clone(),
        placing,
    });
    let login = |l: &config::Login| LoginRoute { path: l.path.clone(), kind: l.kind, field: l.field.clone() };
    let settings = Settings {
        service: service.name.clone(),
        name: name()?,
        upstreams: upstreams(config, service, asked)?,
        subject,
        spelling,
        sign_up,
        logins: asked.login.iter().map(login).collect(),
        edge: kept(config, service, asked)?,
        stands_in: asked.region.clone(),
        well_known: asked.manifest.as_deref().map(|file| well_known(config, file)).transpose()?,
        trusts_forwarded: asked.trusts_forwarded,
        limits: asked.limits,
    };
    let (watch, watched) = requests::watch(story, asked.logs_requests)?;
    let gateway = Gateway::start_watched(directory, settings, watch).await;
    let gateway = gateway.map_err(|e| failure::of_directory(&e))?;
    serving.watched = watched;
    if asked.preload {
        let read = gateway.preload().await.map_err(|e| failure::of_directory(&e))?;
        doors.say(&format!("{} in memory", crate::figures::counted(read as u64, "home")));
    }
    let at = elsewhere.unwrap_or_else(|| asked.doors.clone());
    let certificate = certificates::read(&at)?;
    serving.certificates.keep("gateway", certificate.clone(), story);
    let answering = gateway.clone();
    doors.open(
        "gateway",
        &at,
        certificate,
        asked.proxy_protocol,
        asked.connections,
        move |peer, request| answering.clone().answer(peer, request),
    )?;
    serving.gateway = Some(gateway);
    Ok(())
}

/// No two processes have the same, also when one is started again in its place.
fn name() -> Result<String> {
    let random = getrandom::u64().map_err(|e| {
        Failure::new(
            "system",
            format!("no random numbers: {e}"),
            "each gateway needs a name of its own",
            "start it again",
        )
    })?;
    Ok(format!("{}-{}-{random:016x}", host(), std::process::id()))
}

/// The host's name, for whoever reads a list of gateways.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "host".into(), |name| name.trim().to_owned())
}

fn keys(jwt: &config::Jwt) -> Result<Arc<Keys>> {
    Keys::read(&jwt.keys).map_err(|error| {
        let why = "no token can be verified without the keys of whoever signs them";
        Failure::usage(
            "serve-keys",
            error.to_string(),
            why,
            "write a JWK Set with public keys there (RFC 7517)",
        )
    })
}

fn subject(place: &SubjectIn, asked: &config::Gateway, keys: &Option<Arc<Keys>>) -> Option<SubjectRule> {
    Some(match place {
        SubjectIn::Header(name) => SubjectRule::Header(name.parse().ok()?),
        SubjectIn::Cookie(name) => SubjectRule::Cookie(name.clone()),
        SubjectIn::Path(before) => SubjectRule::Path(before.clone()),
        SubjectIn::Jwt => {
            let (jwt, keys) = (asked.jwt.as_ref()?, keys.as_ref()?);
            let rule = JwtRule::new(keys.clone(), jwt.claim.clone(), asked.limits.tokens)
                .of_issuer(jwt.issuer.clone())
                .for_audience(jwt.audience.clone())
                .or_in_cookie(jwt.cookie.clone());
            SubjectRule::Jwt(Box::new(rule))
        }
    })
}

/// Where each region's application is: what `upstreams` says, else the region's endpoint.
fn upstreams(
    config: &Config,
    service: &Service,
    asked: &config::Gateway,
) -> Result<BTreeMap<String, Upstream>> {
    let mut all = BTreeMap::new();
    for region in config.regions_of(service) {
        let address = asked.upstreams.get(region.id()).or(region.endpoint.as_ref());
        let address = address.and_then(|a| a.parse::<http::Uri>().ok()).filter(|a| a.authority().is_some());
        let address = address.ok_or_else(|| {
            let what = format!("where the application of region {} is reached is not known", region.id());
            let why = "requests of its subjects could not be forwarded";
            let fix = format!(
                "add to {}:\n[gateway.upstreams]\n{} = \"http://HOST:PORT\"",
                config.file.display(),
                region.id()
            );
            Failure::usage("serve-upstream", what, why, fix)
        })?;
        all.insert(region.id().to_owned(), Upstream { address });
    }
    Ok(all)
}

/// What is public is kept where policy lets it be: in the country of the region where the gateway stands.
fn kept(config: &Config, service: &Service, asked: &config::Gateway) -> Result<Option<EdgeCache>> {
    if config.edge.settings.routes.is_empty() {
        return Ok(None);
    }
    let stands = stands(config, asked)?;
    let settings = edge::settings(config, service, std::slice::from_ref(&stands.place))?;
    let cache = EdgeCache::new(settings).map_err(|wrong| {
        Failure::usage(
            "config-public",
            wrong.to_string(),
            "a public route must be one",
            "correct the [[public]] table",
        )
    })?;
    Ok(Some(cache))
}

/// The region where the gateway stands, which public routes ask for.
pub fn stands<'c>(config: &'c Config, asked: &config::Gateway) -> Result<&'c Region> {
    asked.region.as_ref().and_then(|id| config.region(id)).ok_or_else(|| {
        let what = "there are [[public]] routes, and where the gateway stands is not known";
        let why = "policy says in which country what may be cached, and public content is asked of a region's application";
        Failure::usage("serve-region", what, why, "add region = \"ID\" to [gateway]: the region where it stands")
    })
}

/// The manifest as it was signed, and the page made of it.
fn well_known(config: &Config, file: &Path) -> Result<WellKnown> {
    let bytes = std::fs::read(file).map_err(|e| failure::of_file("read the manifest", file, &e))?;
    let trusted = key_files::public(&[config.keys.join(format!("{}.pub", genuine::KEY))])?;
    let manifest = genuine::believed(&file.display().to_string(), &bytes, &trusted)?;
    Ok(WellKnown::new(bytes, domicile_server::genuine::page(&manifest)))
}
