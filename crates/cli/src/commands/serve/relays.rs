//! From `[messaging]` to running relays.

use super::doors::Doors;
use super::story::Story;
use super::{Serving, certificates, no_table, rules};
use crate::config::{Config, Messaging, RelayDoors, Service, SmsTo, nearest};
use crate::failure::{self, Failure, Result};
use crate::relay_keys;
use domicile_directory::Directory;
use domicile_messaging::region::{Notice, SignedRegion, Terms};
use domicile_messaging::wire::{self, Key, RegionName};
use domicile_server::messaging::{
    FileSms, HttpSms, MailLimits, Relay, RelayListed, RelayParts, RelaySettings, Sms, Speaker,
};
use domicile_server::token::Tokens;
use domicile_stores::mailboxes::Mailboxes;
use sha2::{Digest, Sha256};
use std::io;
use std::sync::Arc;

const EXAMPLE: &str = "# domicile messaging init writes messaging/domicile.fragment.toml to be added";

/// Starts the relays of these regions and opens their doors.
pub async fn serve(
    config: &Config,
    asked: &[String],
    directory: &Arc<Directory>,
    story: &Story,
    doors: &mut Doors<'_>,
    serving: &mut Serving,
) -> Result<()> {
    if asked.is_empty() {
        return Ok(());
    }
    let Some(messaging) = &config.messaging else { return Err(no_table(config, "messaging", EXAMPLE)) };
    let service = config.service(Some(&messaging.service))?;
    relay_keys::are_distinct(&messaging.relays)?;
    for relay in chosen(messaging, asked)? {
        let started = Box::pin(start(config, messaging, service, relay, directory, doors)).await?;
        let certificate = certificates::read(&relay.doors)?;
        serving.certificates.keep("relay", certificate.clone(), story);
        let answering = started.clone();
        doors.open("relay", &relay.doors, certificate, false, Default::default(), move |_, request| {
            let relay = answering.clone();
            async move { relay.answer(request).await }
        })?;
        serving.relays.push(started);
    }
    Ok(())
}

fn chosen<'m>(messaging: &'m Messaging, asked: &[String]) -> Result<Vec<&'m RelayDoors>> {
    if asked.iter().any(|region| region == "all") {
        return Ok(messaging.relays.iter().collect());
    }
    let mut chosen: Vec<&RelayDoors> = Vec::new();
    for region in asked {
        let relay = messaging.relay(region).ok_or_else(|| unknown(messaging, region, "serve --messaging"))?;
        if !chosen.iter().any(|known| known.region == relay.region) {
            chosen.push(relay);
        }
    }
    Ok(chosen)
}

async fn start(
    config: &Config,
    messaging: &Messaging,
    service: &Service,
    relay: &RelayDoors,
    directory: &Arc<Directory>,
    doors: &Doors<'_>,
) -> Result<Relay> {
    let (_, placing) = rules(config, service, Some("text")).await?;
    let mailboxes = mailboxes(config, relay).await?;
    let parts = RelayParts { mailboxes, directory: directory.clone(), placing, sms: sms(messaging)? };
    let token = relay_keys::secret(&messaging.relay_token_file)?;
    let token_file = messaging.relay_token_file.display();
    let tokens = Tokens::read(&token).map_err(|e| {
        let why = "who shows it is taken for a relay";
        Failure::usage(
            "key-unusable",
            format!("{token_file}: {e}"),
            why,
            format!("openssl rand -hex 24 > {token_file}"),
        )
    })?;
    let first = token.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let settings = RelaySettings {
        service: service.name.clone(),
        region: name(&relay.region)?,
        keys: relay_keys::read(relay)?,
        terms: terms(config, messaging, relay)?,
        relays: messaging.relays.iter().map(|r| listed(config, r)).collect::<Result<_>>()?,
        relay_tokens: tokens,
        relay_token: first.to_owned().into(),
    };
    let limits = (messaging.limits, MailLimits::default());
    let started = Box::pin(Relay::start(settings, parts, limits, doors.stop.clone())).await;
    started.map_err(|why| {
        let what = format!("the relay of {} can't start: {why}", relay.region);
        Failure::new("relay-start", what, "it needs its keys and the directory", "domicile check")
    })
}

/// The region's mailboxes, by the relay's own role; its tables and the guard must be there.
pub async fn mailboxes(config: &Config, relay: &RelayDoors) -> Result<Arc<Mailboxes>> {
    let opening = relay.records.open()?;
    let place = format!("the mailboxes of {}", relay.region);
    let opened = Mailboxes::open(&opening.url, &config.base, opening.secret).await;
    let mailboxes = Arc::new(opened.map_err(|e| failure::of_store(&place, &e))?);
    match mailboxes.holder("").await {
        Ok(_) => Ok(mailboxes),
        Err(refusal) => {
            let engine = if relay.records.is_sqlite() { "sqlite" } else { "postgres" };
            let what = format!("{place} can't be read: {refusal}");
            let why = "the tables, the guard or the role's grants are not there yet, or the database does not answer";
            let fix = format!(
                "# messaging/schema.{engine}.sql has the tables{}\ndomicile guard install --service {} --region {}",
                if engine == "postgres" { ", messaging/grants.postgres.sql the grants" } else { "" },
                config.messaging.as_ref().map_or("SERVICE", |messaging| messaging.service.as_str()),
                relay.region
            );
            Err(Failure::new("relay-store", what, why, fix))
        }
    }
}

/// What a region's relay says of itself, of the configuration and its service key.
pub fn statement(config: &Config, region: &str) -> Result<SignedRegion> {
    let Some(messaging) = &config.messaging else { return Err(no_table(config, "messaging", EXAMPLE)) };
    let relay = messaging.relay(region).ok_or_else(|| unknown(messaging, region, "messaging statement"))?;
    let relays: Vec<RelayListed> =
        messaging.relays.iter().map(|relay| listed(config, relay)).collect::<Result<_>>()?;
    let keys = relay_keys::read(relay)?;
    let speaker = Speaker {
        service: &messaging.service,
        region: &name(region)?,
        terms: &terms(config, messaging, relay)?,
        service_key: &keys.service,
        sealing_key: keys.sealing,
        relays: &relays,
        limits: &messaging.limits,
    };
    speaker.statement(jiff::Timestamp::now()).ok_or_else(|| unfit(region))
}

fn terms(config: &Config, messaging: &Messaging, relay: &RelayDoors) -> Result<Terms> {
    let file = &messaging.notice.file;
    let bytes = std::fs::read(file).map_err(|e| failure::of_file("read the notice", file, &e))?;
    let country = country(config, &relay.region)?;
    Ok(Terms {
        notice: Notice {
            url: messaging.notice.url.clone(),
            sha256: Key(Sha256::digest(&bytes).into()),
            language: messaging.notice.language.clone(),
        },
        controller: messaging.controller.clone(),
        jurisdiction: country.clone(),
        storage_country: country,
    })
}

fn listed(config: &Config, relay: &RelayDoors) -> Result<RelayListed> {
    Ok(RelayListed {
        region: name(&relay.region)?,
        country: country(config, &relay.region)?,
        endpoint: relay.endpoint.parse().map_err(|_| unfit(&relay.region))?,
        service_key: relay_keys::public_service_key(relay)?,
        generations: relay_keys::public_generations(relay)?,
    })
}

fn country(config: &Config, region: &str) -> Result<wire::Text> {
    let country = config.region(region).map(|r| r.place.country.alpha2().parse());
    country.and_then(std::result::Result::ok).ok_or_else(|| unfit(region))
}

fn name(region: &str) -> Result<RegionName> {
    region.parse().map_err(|_| unfit(region))
}

fn sms(messaging: &Messaging) -> Result<Box<dyn Sms>> {
    match &messaging.sms {
        SmsTo::File(path) => Ok(Box::new(FileSms::new(path.clone()))),
        SmsTo::Http { url, token_file } => {
            let token = crate::keys::secret_text(token_file).map_err(|failure| match failure.code {
                "key-missing" => failure::of_file(
                    "read the SMS service's token",
                    token_file,
                    &io::ErrorKind::NotFound.into(),
                ),
                _ => failure,
            })?;
            let sms = HttpSms::new(url, &token).map_err(|e| {
                let why = "codes are sent through it";
                Failure::usage("config-messaging", format!("sms: {e}"), why, "correct sms in [messaging]")
            })?;
            Ok(Box::new(sms))
        }
    }
}

fn unfit(region: &str) -> Box<Failure> {
    let what = format!("region `{region}` can't have a relay");
    Failure::usage(
        "config-messaging",
        what,
        "its name, country or endpoint does not fit",
        "docs/messaging.md",
    )
}

/// `command` is what a region's name stands behind.
fn unknown(messaging: &Messaging, region: &str, command: &str) -> Box<Failure> {
    let ids: Vec<&str> = messaging.relays.iter().map(|r| r.region.as_str()).collect();
    Failure::usage(
        "region-unknown",
        format!("there is no relay of `{region}`"),
        format!("[[messaging.relay]] is there for: {}", ids.join(", ")),
        match nearest(region, &ids) {
            Some(id) => format!("domicile {command} {id}"),
            None => format!("domicile {command} {}", ids.first().copied().unwrap_or("REGION")),
        },
    )
}
